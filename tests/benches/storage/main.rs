//! `cargo xtask bench --storage`: what apps keep, through the real image, beside the same guests under native Wasmtime on a
//! plain directory, in one run.
//!
//! It asserts that answers are right and nothing about time. `docs/benchmarks.md` says how to read what it prints, which is
//! Markdown.
#![forbid(unsafe_code)]

mod calls;
mod folder;
mod native;
mod restart;
mod sequential;
mod sqlite;
mod table;

#[path = "../calls/load.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod load;
#[path = "../calls/machine.rs"]
mod machine;
#[path = "../calls/wasmtime.rs"]
#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod wasmtime;

use anyhow::Result;
use cloister_api::Limits;
use cloister_client::{Client, Session, Timeouts};
use cloister_tests::{Enclave, Setup};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wasmtime::Wasmtime;

fn main() -> Result<()> {
    let sizes = if std::env::args().any(|argument| argument == "--quick") { QUICK } else { FULL };
    let wasmtime = Wasmtime::given();
    let began = Instant::now();
    let enclave = Setup::new().start();
    println!("machine: {}  ", machine::name()?);
    println!("wasmtime: {}  ", wasmtime.version()?);
    println!("image: {} on software SGX  ", hex::encode(enclave.running().mrenclave()));
    println!("disk and plain files: {}  ", folder::describe(enclave.state())?);
    println!("listening after {}, with an empty disk", seconds(began.elapsed()));

    // The load generator has one thread, as light beside the server as it can be.
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    executor.block_on(async {
        sqlite::compare(&enclave, &wasmtime, &sizes).await?;
        calls::compare(&enclave, &sizes).await?;
        let enclave = sequential::compare(enclave, &wasmtime, &sizes).await?;
        let enclave = restart::compare(enclave, &wasmtime, &sizes).await?;
        stop(enclave).await.map(drop)
    })
}

/// Ends the enclave, and gives what starts it again. Meanwhile this program's connections can be closed.
async fn stop(enclave: Enclave) -> Result<Setup> {
    Ok(tokio::task::spawn_blocking(|| enclave.stop_and_keep()).await?)
}

/// How much is measured.
#[derive(Debug)]
struct Sizes {
    /// `--size` of SQLite's speedtest1.
    sqlite: u32,
    /// How long each kind of call is repeated, in one of [`calls::ROUNDS`] rounds.
    round: Duration,
    /// Bytes of the large file.
    large: u64,
    /// The component whose artifact makes a restart long.
    artifact: Artifact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Artifact {
    /// The JavaScript example, where it is built. The image takes minutes to compile it.
    JavaScript,
    /// None.
    Skipped,
}

/// What takes minutes.
const FULL: Sizes =
    Sizes { sqlite: 25, round: Duration::from_secs(1), large: 64 << 20, artifact: Artifact::JavaScript };

/// What shows that it works.
const QUICK: Sizes =
    Sizes { sqlite: 2, round: Duration::from_millis(200), large: 8 << 20, artifact: Artifact::Skipped };

/// The most that an image allows of everything that these guests use.
fn limits() -> Limits {
    Limits {
        fuel: 1_000_000_000_000,
        memory: 256 << 20,
        wall_time_ms: 3_600_000,
        storage: 1 << 30,
        ..Limits::default()
    }
}

/// A session of a caller whose calls may take long.
async fn patient(enclave: &Enclave) -> Result<Session> {
    let timeouts = Timeouts { idle: Duration::from_secs(3600), ..Timeouts::default() };
    Ok(Client::new(enclave.policy()).with_timeouts(timeouts).connect(&enclave.endpoint()).await?)
}

/// Where a built example lies.
fn component(example: &str) -> PathBuf {
    cloister_tests::given("CLOISTER_EXAMPLES").join(example).with_extension("wasm")
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 0.1 => format!("{:.1} ms", short * 1e3),
        seconds => format!("{seconds:.2} s"),
    }
}

/// How many times as long; above 1 the image is slower.
fn times(image: Duration, native: Duration) -> String {
    format!("{:.2}×", image.as_secs_f64() / native.as_secs_f64())
}

/// The middle one; of an even number the upper middle.
///
/// # Panics
/// Where there is none.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}
