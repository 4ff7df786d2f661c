//! `cargo xtask bench --sessions`: attested sessions with the image beside plain TLS 1.3 handshakes of rustls, in one run, on one
//! core for the clients and one for the servers.
//!
//! It asserts that answers are right and nothing about time. `docs/benchmarks.md` says how to read what it prints.
#![forbid(unsafe_code)]

mod attested;
#[path = "../calls/machine.rs"]
mod machine;
mod plain;
mod sample;
#[path = "../calls/table.rs"]
mod table;

use anyhow::{Context as _, Result, ensure};
use attested::{Attested, Parts};
use cloister_tests::{RawTls, Setup};
use plain::{Native, Plain, Trust};
use sample::Sample;
use std::process::{Command, Stdio};
use std::time::Duration;
use table::{Table, times};

fn main() -> Result<()> {
    ensure!(std::thread::available_parallelism()?.get() >= 2, "this needs two cores");
    println!("machine   {}", machine::name()?);
    // Threads stay where the thread was that began them.
    pin(SERVERS)?;
    let enclave = Setup::new().start();
    let small = Native::start(0)?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let certificate = executor.block_on(RawTls::connect(enclave.address(), "localhost"))?.certificate().len();
    let large = Native::start(certificate.saturating_sub(small.certificate().len()))?;
    pin(CLIENTS)?;
    println!("image     {} on software SGX, core {SERVERS}", hex::encode(enclave.running().mrenclave()));
    println!("native    rustls and hyper, one thread, core {SERVERS}");
    println!("clients   one thread, core {CLIENTS}");

    let attested = Attested::new(&enclave);
    let image = Plain::new(enclave.address(), Trust::Nothing, "/v1/health")?;
    let plain_small = Plain::new(small.address, Trust::Root(small.certificate()), "/")?;
    let plain_large = Plain::new(large.address, Trust::Root(large.certificate()), "/")?;
    executor.block_on(async {
        let mut table = Table::new(
            "A new connection and one request, over and over; TLS 1.3, HTTP/2, nothing resumed",
            ["", "connections", "median", "p99", "connections/s"],
        );
        for in_flight in [1, 8] {
            let mut samples = [const { Sample::new() }; 5];
            // In turns, so that what else the machine does meets all of them.
            for round in 0..=ROUNDS {
                let taken = [
                    sample::take(in_flight, ROUND, async || attested.connect().await).await?,
                    sample::take(in_flight, ROUND, async || attested.connect_anew().await).await?,
                    sample::take(in_flight, ROUND, async || image.connect().await).await?,
                    sample::take(in_flight, ROUND, async || plain_large.connect().await).await?,
                    sample::take(in_flight, ROUND, async || plain_small.connect().await).await?,
                ];
                // The first round warms up.
                if round > 0 {
                    samples.iter_mut().zip(taken).for_each(|(sample, taken)| sample.add(taken));
                }
            }
            let titles = [
                "image, attested: evidence of the session, appraised; a quote of before".to_owned(),
                "image, attested, and the quote is verified anew each time".to_owned(),
                "image, nothing verified".to_owned(),
                format!("native, a certificate of {} bytes", large.certificate().len()),
                format!("native, a certificate of {} bytes", small.certificate().len()),
            ];
            for (title, sample) in titles.iter().zip(&samples) {
                table.row(cells(format!("{in_flight} in flight, {title}"), sample));
            }
            let [attested, anew, _, _, native] = &samples;
            for (title, image) in [("attested", attested), ("attested, verified anew,", anew)] {
                table.row([
                    format!("{in_flight} in flight, {title} to native"),
                    String::new(),
                    times(image.percentile(50), native.percentile(50)),
                    times(image.percentile(99), native.percentile(99)),
                    times(image.per_second(), native.per_second()),
                ]);
            }
        }
        table.print();
        print_parts(&attested).await
    })?;
    enclave.stop()?;
    Ok(())
}

/// Where the time of an attested session goes, one at a time.
async fn print_parts(attested: &Attested) -> Result<()> {
    let mut parts = Parts::default();
    for _ in 0..PARTS {
        parts.add(attested.in_parts().await?);
    }
    let mut table =
        Table::new("The parts of an attested session, one at a time", ["", "sessions", "median", "p99"]);
    for (title, sample) in parts.named() {
        let [_, count, median, p99, _] = cells(String::new(), sample);
        table.row([title.to_owned(), count, median, p99]);
    }
    table.print();
    Ok(())
}

fn cells(title: String, sample: &Sample) -> [String; 5] {
    let microseconds = |percent| format!("{:.0} µs", sample.percentile(percent));
    let per_second = format!("{:.0}", sample.per_second());
    [title, sample.count().to_string(), microseconds(50), microseconds(99), per_second]
}

/// Moves this thread to a core.
fn pin(core: u32) -> Result<()> {
    let pid = std::process::id().to_string();
    let core = core.to_string();
    let mut taskset = Command::new("taskset");
    let moved = taskset.args(["--cpu-list", "--pid", &core, &pid]).stdout(Stdio::null()).status();
    ensure!(moved.context("taskset, of util-linux, cannot be run")?.success(), "taskset refuses core {core}");
    Ok(())
}

const CLIENTS: u32 = 0;
const SERVERS: u32 = 1;
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const PARTS: usize = 1000;
