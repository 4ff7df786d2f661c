//! The real image on software SGX, and real clients. One program, so that most tests share one enclave.
#![forbid(unsafe_code)]

mod apps;
mod bad_requests;
mod broken_platform;
mod command_line;
mod examples;
mod hostile_clients;
mod hostile_guests;
mod lying_disk;
mod lying_host;
mod storage;
mod trust;
