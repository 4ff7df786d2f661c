//! `cargo xtask bench`: calls inside the image beside native Wasmtime, in one run, on the same cores.
//!
//! It asserts that answers are right and nothing about time. `docs/benchmarks.md` says how to read what it prints.
#![forbid(unsafe_code)]

mod compile;
mod cpu;
mod load;
mod machine;
mod native;
mod requests;
mod table;
mod wasmtime;
mod web;

use anyhow::Result;
use cloister_tests::{Enclave, Setup};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wasmtime::Wasmtime;

fn main() -> Result<()> {
    let scope = if std::env::args().any(|argument| argument == "--all") { Scope::All } else { Scope::Quick };
    let wasmtime = Wasmtime::given();
    println!("machine   {}", machine::name()?);
    println!("wasmtime  {}", wasmtime.version()?);

    let began = Instant::now();
    let enclave = Setup::new().start();
    let ready = began.elapsed();
    println!("image     {} on software SGX", hex::encode(enclave.running().mrenclave()));
    println!("          loaded and measured in {}", seconds(load_time(&enclave)));
    println!("          listening after {}", seconds(ready));

    // The load generator has one thread, as light beside either server as it can be.
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    executor.block_on(async {
        compile::compare(&enclave, &wasmtime, scope).await?;
        requests::compare(&enclave, &wasmtime).await?;
        web::compare(&enclave, &wasmtime).await?;
        cpu::compare(&enclave, &wasmtime).await
    })?;
    enclave.stop()?;
    Ok(())
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// What takes seconds.
    Quick,
    /// Also compiling the JavaScript example, which takes minutes.
    All,
}

fn load_time(enclave: &Enclave) -> Duration {
    enclave.running().statistics().load_time
}

/// Where a built example lies.
fn component(example: &str) -> PathBuf {
    cloister_tests::given("CLOISTER_EXAMPLES").join(example).with_extension("wasm")
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// The middle one; of an even number the upper middle.
///
/// # Panics
/// Where there is none.
fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("measured values are ordered"));
    values[values.len() / 2]
}
