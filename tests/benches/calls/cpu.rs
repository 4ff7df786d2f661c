//! Work for the processor. Each kind is done twice in each place, once with more of it: the difference holds no start-up,
//! no compiling and no transport.

use crate::table::{Table, times};
use crate::wasmtime::{RESTRAINED, Wasmtime};
use crate::{component, median};
use anyhow::{Result, ensure};
use cloister_api::{AppName, DeploySettings, Limits};
use cloister_client::Session;
use cloister_tests::{Enclave, example, for_everybody, name};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Prints the table.
pub(crate) async fn compare(enclave: &Enclave, wasmtime: &Wasmtime) -> Result<()> {
    let session = enclave.owner().await;
    let app = name("cpu");
    let limits = Limits { fuel: MAX_FUEL, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    session.deploy(&app, example("benchmark"), &settings, |_| {}).await?;
    let image = Image { enclave, session, app };
    let folder = tempfile::TempDir::new()?;
    let native = |file: &str, settings| -> Result<Native<'_>> {
        let compiled = folder.path().join(file);
        wasmtime.compile(&component("benchmark"), &compiled, settings)?;
        Ok(Native { wasmtime, compiled, settings })
    };
    let default = native("default", &[])?;
    let restrained = native("restrained", &RESTRAINED)?;

    let mut table = Table::new(
        "Work for the processor (median difference of two amounts of work, in turns)",
        [
            "",
            "image",
            "wasmtime",
            "image to wasmtime",
            "wasmtime, as the image",
            "image to that",
            "crossings/s",
        ],
    );
    for work in &WORK {
        let mut rounds = [const { Vec::new() }; 3];
        let mut crossings = Vec::new();
        for _ in 0..ROUNDS {
            let (seconds, crossed) = image.measure(work).await?;
            crossings.push(crossed);
            let measured = [seconds, default.measure(work)?, restrained.measure(work)?];
            for (round, time) in rounds.iter_mut().zip(measured) {
                round.push(time);
            }
        }
        let [image, default, restrained] = rounds.map(median);
        let milliseconds = |seconds: f64| format!("{:.0} ms", seconds * 1e3);
        table.row([
            format!("{} {} to {}", work.export, work.less, work.more),
            milliseconds(image),
            milliseconds(default),
            times(image, default),
            milliseconds(restrained),
            times(image, restrained),
            format!("{:.0}", median(crossings)),
        ]);
    }
    table.print();
    println!("  as the image: {}", RESTRAINED.join(" "));
    image.session.remove(&image.app).await?;
    Ok(())
}

/// An export of the guest `benchmark`, and two amounts.
struct Work {
    export: &'static str,
    less: u32,
    more: u32,
}

struct Image<'a> {
    enclave: &'a Enclave,
    session: Session,
    app: AppName,
}

impl Image<'_> {
    /// The difference in seconds, and the crossings of the boundary for each second of the larger amount.
    async fn measure(&self, work: &Work) -> Result<(f64, f64)> {
        let less = self.timed(work.export, work.less).await?;
        let before = self.enclave.running().statistics().total();
        let more = self.timed(work.export, work.more).await?;
        let crossed = self.enclave.running().statistics().total() - before;
        Ok((more.as_secs_f64() - less.as_secs_f64(), crossed as f64 / more.as_secs_f64()))
    }

    async fn timed(&self, export: &str, amount: u32) -> Result<Duration> {
        let began = Instant::now();
        self.session.call_wave(&self.app, export, &[amount.to_string()]).await?;
        Ok(began.elapsed())
    }
}

struct Native<'a> {
    wasmtime: &'a Wasmtime,
    compiled: PathBuf,
    settings: &'static [&'static str],
}

impl Native<'_> {
    fn measure(&self, work: &Work) -> Result<f64> {
        let less = self.timed(work.export, work.less)?;
        let more = self.timed(work.export, work.more)?;
        Ok(more.as_secs_f64() - less.as_secs_f64())
    }

    fn timed(&self, export: &str, amount: u32) -> Result<Duration> {
        let (answer, took) =
            self.wasmtime.invoke(&self.compiled, &format!("{export}({amount})"), self.settings)?;
        ensure!(!answer.trim().is_empty(), "wasmtime run answers nothing");
        Ok(took)
    }
}

const WORK: [Work; 4] = [
    Work { export: "sha256-rounds", less: 1_000_000, more: 2_000_000 },
    Work { export: "fibonacci", less: 38, more: 40 },
    Work { export: "matrix", less: 300, more: 800 },
    Work { export: "sort", less: 2_000_000, more: 8_000_000 },
];

/// The most that an image of the default settings allows.
const MAX_FUEL: u64 = 1_000_000_000_000;

const ROUNDS: usize = 5;
