//! Main of the trusted image: boots, serves, wires the trusted crates together.
//!
//! Also builds natively, for tests and profiling; such a build has no evidence to show and says so.
#![deny(unsafe_code)]
#![cfg_attr(target_env = "sgx", feature(sgx_platform))]

mod access;
mod activity;
mod admin;
mod admission;
mod app;
mod app_log;
mod attest;
mod body;
mod calls;
mod certificates;
mod clock;
mod deploy;
mod egress;
#[cfg(target_env = "sgx")]
#[allow(unsafe_code, reason = "it vouches for how threads are told apart")]
mod heap;
mod host_name;
mod invocation;
mod keys;
mod metrics;
mod own;
mod routes;
mod run;
mod seal_key;
mod server;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(target_env = "sgx")]
#[allow(unsafe_code, reason = "finds the unwind tables by addresses that the image's loader gives")]
mod unwind;
mod upgrade;
mod upkeep;
mod volume;
mod web;

use cloister_api::Configuration;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    #[cfg(target_env = "sgx")]
    unwind::register();
    // The host reads what is printed, and a panic's message can hold a guest's data: only the place is told.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            cloister_boundary::log(&format!("panic at {}:{}", place.file(), place.line()));
        }
    }));
    match boot() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cloister_boundary::log(&format!("cannot serve: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn boot() -> Result<(), BootError> {
    cloister_boundary::start()?;
    let measured = cloister_boundary::configuration()?;
    let configuration: Configuration = serde_json::from_slice(&measured)?;
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(usize::from(configuration.workers.clamp(1, MAX_WORKERS)))
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_time()
        .build()?;
    executor.block_on(async {
        let storage = storage::Storage::open(&configuration)?;
        let starts = storage.count_start()?;
        let attestor = attest::Attestor::new(&configuration, &measured, storage.identity()?, starts)?;
        let settings = cloister_runtime::Settings::default();
        let runtime = cloister_runtime::Runtime::new(settings.clone())?;
        let loaded = storage.load(&runtime)?;
        report(&storage, &runtime, &loaded);
        let enclave = state::Enclave::new(configuration, runtime, settings, attestor, storage, loaded)?;
        let enclave = Arc::new(enclave);
        let served = server::serve(Arc::clone(&enclave)).await;
        upkeep::finish(&enclave).await;
        served
    })
}

/// What the host may know of it: numbers, no names.
fn report(storage: &storage::Storage, runtime: &cloister_runtime::Runtime, loaded: &storage::Loaded) {
    let cloister_runtime::Statistics { restored, compiled, .. } = runtime.statistics();
    cloister_boundary::log(&format!(
        "the volume is at epoch {}; apps: {restored} restored, {compiled} compiled again, {} damaged",
        storage.state().epoch,
        loaded.affected.len()
    ));
}

/// The image has [`MAX_WORKERS`] thread slots for these, and as many more as `main`, the reactor and
/// [`BLOCKING_THREADS`] need.
const MAX_WORKERS: u16 = 16;

/// What blocks: a compile and one that waits for its turn, a change of the apps, a commit, a check or backup of the
/// volume, and descriptions.
const BLOCKING_THREADS: usize = 6;

/// The enclave cannot begin to serve.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error(transparent)]
    Host(#[from] cloister_boundary::HostError),
    #[error("the configuration cannot be read: {0}")]
    Configuration(#[from] serde_json::Error),
    #[error("the host refuses: {0}")]
    Io(#[from] std::io::Error),
    #[error("{}", .0.for_host())]
    Storage(#[from] storage::StorageError),
    #[error(transparent)]
    Attestation(#[from] attest::AttestError),
    #[error(transparent)]
    Enclave(#[from] state::StartError),
    #[error("the component runtime cannot start: {0}")]
    Runtime(#[from] cloister_runtime::StartError),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}
