//! The runtime as the enclave uses it, with guests written by hand in WebAssembly text.

mod artifacts;
mod calls;
mod concurrency;
mod deploys;
mod determinism;
mod fixture;
mod hostile_bytes;
mod hostile_guests;
mod platform;
mod speed;
mod waiting;
