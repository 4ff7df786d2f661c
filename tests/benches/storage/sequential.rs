//! A large file, written and read by a guest from end to end.

use crate::native::Native;
use crate::table::Table;
use crate::wasmtime::Wasmtime;
use crate::{Sizes, component, limits, median, patient, stop, times};
use anyhow::{Result, ensure};
use cloister_api::{AppName, DeploySettings};
use cloister_client::Session;
use cloister_tests::{Enclave, example, for_everybody, name};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Prints the table. Restarts the enclave, so that nothing is decrypted yet when it reads again.
pub(crate) async fn compare(enclave: Enclave, wasmtime: &Wasmtime, sizes: &Sizes) -> Result<Enclave> {
    let app = name("large");
    let settings = DeploySettings { limits: limits(), ..for_everybody() };
    enclave.owner().await.deploy(&app, example("files"), &settings, |_| {}).await?;
    let path = component("files");
    let natives = [Native::stock(wasmtime, &path)?, Native::restrained(wasmtime, &path)?];

    let mut rounds = Vec::new();
    let session = patient(&enclave).await?;
    for seed in 0..ROUNDS {
        let image = Steps {
            write: timed(&session, &app, &Step::Write, sizes, seed).await?,
            read: timed(&session, &app, &Step::Check, sizes, seed).await?,
        };
        let [stock, restrained] = &natives;
        let [stock, restrained] = [outside(stock, sizes, seed)?, outside(restrained, sizes, seed)?];
        rounds.push([image, stock, restrained]);
    }
    drop(session);

    let enclave = stop(enclave).await?.start();
    let session = patient(&enclave).await?;
    // Only the file is to be new to it.
    session.call_json(&app, "names", &json!(["/"])).await?;
    let cold = timed(&session, &app, &Step::Check, sizes, ROUNDS - 1).await?;

    let middle = |place: usize, step: fn(&Steps) -> Duration| {
        median(rounds.iter().map(|places: &[Steps; 3]| step(&places[place])).collect())
    };
    let write = [0, 1, 2].map(|place| middle(place, |steps| steps.write));
    let read = [0, 1, 2].map(|place| middle(place, |steps| steps.read));
    let mut table = Table::new(
        &format!("A file of {} MiB through a Rust guest, in pieces of 256 KiB", sizes.large >> 20),
        ["", "image", "wasmtime", "image to wasmtime", "wasmtime, as the image", "image to that"],
    );
    for (title, [image, stock, restrained]) in [
        ("write and sync (`write-large`)", write),
        ("read and compare (`check-large`)", read),
        ("the same after a restart", [cold, read[1], read[2]]),
    ] {
        table.row([
            title.to_owned(),
            throughput(sizes.large, image),
            throughput(sizes.large, stock),
            times(image, stock),
            throughput(sizes.large, restrained),
            times(image, restrained),
        ]);
    }
    table.print();
    enclave.owner().await.remove(&app).await?;
    Ok(enclave)
}

#[derive(Debug)]
struct Steps {
    write: Duration,
    read: Duration,
}

#[derive(Debug)]
enum Step {
    Write,
    Check,
}

impl Step {
    fn export(&self) -> &'static str {
        match self {
            Self::Write => "write-large",
            Self::Check => "check-large",
        }
    }

    fn answer(&self) -> Value {
        match self {
            Self::Write => json!({ "ok": null }),
            Self::Check => json!({ "ok": true }),
        }
    }
}

async fn timed(session: &Session, app: &AppName, step: &Step, sizes: &Sizes, seed: u64) -> Result<Duration> {
    let began = Instant::now();
    let answer = session.call_json(app, step.export(), &json!(["/large", sizes.large, seed])).await?;
    let took = began.elapsed();
    ensure!(answer.result == step.answer(), "{step:?}: {}", answer.result);
    Ok(took)
}

/// Without the time that a process takes which does nothing.
fn outside(native: &Native<'_>, sizes: &Sizes, seed: u64) -> Result<Steps> {
    let (_, nothing) = native.invoke("names(\"/\")")?;
    let (written, write) = native.invoke(&format!("write-large(\"/large\", {}, {seed})", sizes.large))?;
    ensure!(written.trim() == "ok", "wasmtime: {written}");
    let (checked, read) = native.invoke(&format!("check-large(\"/large\", {}, {seed})", sizes.large))?;
    ensure!(checked.trim() == "ok(true)", "wasmtime: {checked}");
    Ok(Steps { write: write.saturating_sub(nothing), read: read.saturating_sub(nothing) })
}

fn throughput(bytes: u64, time: Duration) -> String {
    format!("{:.0} MiB/s", bytes as f64 / f64::from(1 << 20) / time.as_secs_f64())
}

const ROUNDS: u64 = 3;
