//! SQLite's own speed test, unchanged, on a database in the app's files.

use crate::native::Native;
use crate::table::Table;
use crate::wasmtime::Wasmtime;
use crate::{Sizes, limits, patient, seconds, times};
use anyhow::{Context as _, Result, bail, ensure};
use cloister_api::{AppName, DeploySettings};
use cloister_host::Statistics;
use cloister_tests::{Enclave, for_everybody, name};
use serde_json::json;
use std::time::Duration;

/// Prints what each journal takes in each place, and each phase.
pub(crate) async fn compare(enclave: &Enclave, wasmtime: &Wasmtime, sizes: &Sizes) -> Result<()> {
    let path = cloister_tests::given("CLOISTER_SQLITE");
    let wasm = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let app = name("sqlite");
    let owner = enclave.owner().await;
    let settings = DeploySettings { limits: limits(), ..for_everybody() };
    owner.deploy(&app, wasm, &settings, |_| {}).await?;
    let [stock, restrained] = [Native::stock(wasmtime, &path)?, Native::restrained(wasmtime, &path)?];

    let mut results = Vec::new();
    for journal in &JOURNALS {
        let arguments = journal.arguments(sizes.sqlite);
        let before = enclave.running().statistics();
        let image = inside(enclave, &app, &arguments).await?;
        let asked = Asked::between(&before, &enclave.running().statistics());
        let call = format!("run({})", json!(arguments));
        let stock = Report::parse(&stock.invoke(&call)?.0.replace("\\n", "\n"))?;
        let restrained = Report::parse(&restrained.invoke(&call)?.0.replace("\\n", "\n"))?;
        ensure!(image.names().eq(stock.names()), "the image ran other phases than Wasmtime");
        results.push(Compared { journal, image, asked, stock, restrained });
    }
    print_totals(&results, sizes);
    print_asked(&results);
    print_phases(&results);
    // The first session may have been idle for too long.
    enclave.owner().await.remove(&app).await?;
    Ok(())
}

async fn inside(enclave: &Enclave, app: &AppName, arguments: &[String]) -> Result<Report> {
    let answer = patient(enclave).await?.call_json(app, "run", &json!([arguments])).await?;
    Report::parse(answer.result.as_str().context("speedtest1 answers no text")?)
}

/// How SQLite keeps a transaction whole.
#[derive(Debug)]
struct Journal {
    title: &'static str,
    options: &'static [&'static str],
    database: &'static str,
}

impl Journal {
    fn arguments(&self, size: u32) -> Vec<String> {
        let size = ["--size".to_owned(), size.to_string()];
        let options = self.options.iter().map(|option| (*option).to_owned());
        size.into_iter().chain(options).chain([self.database.to_owned()]).collect()
    }
}

/// What speedtest1 prints.
#[derive(Debug)]
struct Report {
    phases: Vec<(String, Duration)>,
    total: Duration,
}

impl Report {
    /// From lines such as ` 100 - 500 INSERTs into table with no index......    0.082s`.
    fn parse(text: &str) -> Result<Self> {
        let mut phases = Vec::new();
        for line in text.lines() {
            let Some((title, time)) = line.trim().split_once("...") else { continue };
            let time = time.trim_start_matches('.').trim().trim_end_matches('s');
            let time = time.parse().with_context(|| format!("speedtest1 prints {line:?}"))?;
            let time = Duration::try_from_secs_f64(time)?;
            if title == "TOTAL" {
                return Ok(Self { phases, total: time });
            }
            phases.push((title.to_owned(), time));
        }
        bail!("speedtest1 prints no total: {text}")
    }

    /// The total without the phases that begin so.
    fn without(&self, numbers: &[&str]) -> Duration {
        let skipped = |title: &str| numbers.iter().any(|number| title.starts_with(number));
        self.phases.iter().filter(|(title, _)| !skipped(title)).map(|(_, time)| *time).sum()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.phases.iter().map(|(name, _)| name.as_str())
    }
}

/// What the image asked of the host.
#[derive(Debug)]
struct Asked {
    usercalls: u64,
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    flushes: u64,
}

impl Asked {
    fn between(before: &Statistics, after: &Statistics) -> Self {
        Self {
            usercalls: after.total() - before.total(),
            reads: after.disk.reads - before.disk.reads,
            read_bytes: after.disk.read_bytes - before.disk.read_bytes,
            writes: after.disk.writes - before.disk.writes,
            written_bytes: after.disk.written_bytes - before.disk.written_bytes,
            flushes: after.disk.flushes - before.disk.flushes,
        }
    }
}

#[derive(Debug)]
struct Compared<'a> {
    journal: &'a Journal,
    image: Report,
    asked: Asked,
    stock: Report,
    restrained: Report,
}

fn print_totals(results: &[Compared<'_>], sizes: &Sizes) {
    let mut table = Table::new(
        &format!("SQLite's speedtest1 `--size {}`", sizes.sqlite),
        ["journal", "image", "wasmtime", "image to wasmtime", "wasmtime, as the image", "image to that"],
    );
    for Compared { journal, image, stock, restrained, .. } in results {
        let places = [image, stock, restrained];
        let all = places.map(|report| report.total);
        let rest = places.map(|report| report.without(&READS_EACH_TIME));
        let but = format!("{}, but phases {}", journal.title, READS_EACH_TIME.join(" and "));
        for (title, [image, stock, restrained]) in [(journal.title.to_owned(), all), (but, rest)] {
            table.row([
                title,
                seconds(image),
                seconds(stock),
                times(image, stock),
                seconds(restrained),
                times(image, restrained),
            ]);
        }
    }
    table.print();
}

fn print_asked(results: &[Compared<'_>]) {
    let mut table = Table::new(
        "What the image asked of the host meanwhile",
        ["journal", "usercalls", "disk reads", "read", "disk writes", "written", "flushes"],
    );
    for Compared { journal, asked, .. } in results {
        let mebibytes = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        table.row([
            journal.title.to_owned(),
            asked.usercalls.to_string(),
            asked.reads.to_string(),
            mebibytes(asked.read_bytes),
            asked.writes.to_string(),
            mebibytes(asked.written_bytes),
            asked.flushes.to_string(),
        ]);
    }
    table.print();
}

fn print_phases(results: &[Compared<'_>]) {
    for Compared { journal, image, stock, restrained, .. } in results {
        let mut table = Table::new(
            &format!("Phases, {}", journal.title),
            ["", "image", "wasmtime", "image to wasmtime", "wasmtime, as the image", "image to that"],
        );
        for (((title, image), (_, stock)), (_, restrained)) in
            image.phases.iter().zip(&stock.phases).zip(&restrained.phases)
        {
            table.row([
                title.clone(),
                milliseconds(*image),
                milliseconds(*stock),
                ratio(*image, *stock),
                milliseconds(*restrained),
                ratio(*image, *restrained),
            ]);
        }
        table.print();
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// speedtest1 counts milliseconds: of a few of them there is no ratio.
fn ratio(image: Duration, native: Duration) -> String {
    if native < Duration::from_millis(10) { String::new() } else { times(image, native) }
}

/// Many statements that are transactions of their own and find all pages but the first in SQLite's cache: for each, a few bytes
/// are read from the file.
const READS_EACH_TIME: [&str; 2] = ["410", "510"];

const JOURNALS: [Journal; 2] = [
    Journal { title: "delete (the default)", options: &[], database: "/delete.db" },
    Journal {
        title: "write-ahead log, exclusive",
        options: &["--exclusive", "--journal", "wal"],
        database: "/wal.db",
    },
];
