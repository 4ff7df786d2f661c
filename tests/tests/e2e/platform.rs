//! `privasys:enclave-os` in the image: what each function gives and refuses, as guests in Rust and in C see it. Requests are in
//! [`https`](crate::https).

mod app;
mod attestation;
mod audit;
mod auth;
mod configuration;
mod crypto;
mod keystore;
mod persisted;
mod sealing;

pub(crate) use app::{App, Language, base64, bytes_of, settings};
