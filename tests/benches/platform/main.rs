//! `cargo xtask bench --platform`: cryptography and requests of a guest in the image beside the same libraries natively, in one run, on
//! the same cores.
//!
//! It asserts that answers are right and nothing about time. `docs/benchmarks.md` says how to read what it prints.
#![forbid(unsafe_code)]

mod crypto;
mod fetches;
mod guest;
#[path = "../calls/machine.rs"]
mod machine;
#[path = "../storage/table.rs"]
mod table;

use anyhow::Result;
use cloister_tests::Setup;
use guest::Guest;

fn main() -> Result<()> {
    println!("machine   {}", machine::name()?);
    let enclave = Setup::new().start();
    println!("image     {} on software SGX", hex::encode(enclave.running().mrenclave()));
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // The server that both clients ask has threads of its own.
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    executor.block_on(async {
        let guest = Guest::deploy(&enclave, "crypto", &[]).await?;
        crypto::compare(&guest).await?;
        fetches::compare(&enclave, servers.handle()).await
    })?;
    servers.shutdown_background();
    enclave.stop()?;
    Ok(())
}

/// The middle one; of an even number the upper middle.
///
/// # Panics
/// Where there is none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many times as long; above 1 the image is slower.
fn times(image: f64, native: f64) -> String {
    format!("{:.2}×", image / native)
}

/// Of seconds.
fn microseconds(seconds: f64) -> String {
    match seconds * 1e6 {
        short if short < 10.0 => format!("{short:.2} µs"),
        long if long < 1000.0 => format!("{long:.1} µs"),
        longest => format!("{longest:.0} µs"),
    }
}

/// Each is measured so many times, in turns.
const ROUNDS: usize = 5;
