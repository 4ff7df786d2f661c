//! Host functions as guests call them, over a volume in memory.

mod app;
mod auth;
mod crypto;
mod keystore;
mod linking;
mod machine;

pub(crate) use machine::{Machine, TestApp};
