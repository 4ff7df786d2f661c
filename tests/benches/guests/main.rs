//! `cargo xtask bench --guests`: what each example costs in the image. Prints the table of `docs/guests.md`.
//!
//! It asserts that answers are right and nothing about time.
#![forbid(unsafe_code)]

mod examples;
mod measure;
#[path = "../storage/table.rs"]
mod table;

use anyhow::Result;
use cloister_tests::Setup;
use examples::EXAMPLES;
use measure::measure;
use std::time::Duration;
use table::Table;

fn main() -> Result<()> {
    let enclave = Setup::new().start();
    let mut table = Table::new(
        "Examples in the image; times as the client sees them, on a connection that is open",
        [
            "example",
            "built by",
            "component",
            "compiled in",
            "native code",
            "memory at the start",
            "asked",
            "fuel",
            "first",
            "later (median)",
        ],
    );
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for example in &EXAMPLES {
        let costs = executor.block_on(measure(&enclave, example))?;
        table.row([
            example.name.to_owned(),
            format!("`{}`", example.build),
            size(costs.component),
            format!("{:.1} s", costs.compiling.as_secs_f64()),
            size(costs.native_code),
            size(costs.memory),
            format!("`{}`", example.asked),
            format!("{:.2} M", costs.fuel as f64 / 1e6),
            milliseconds(costs.first),
            milliseconds(costs.later),
        ]);
    }
    table.print();
    enclave.stop()?;
    Ok(())
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes >> 10)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
