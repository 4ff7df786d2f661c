//! Small calls whose answer means that what they wrote is on disk.

use crate::load::{Load, Question, Sample, Transport};
use crate::table::Table;
use crate::{Sizes, folder, limits};
use anyhow::Result;
use cloister_api::DeploySettings;
use cloister_host::{Statistics, UsercallKind};
use cloister_tests::{Enclave, example, for_everybody, name};
use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

/// Prints both tables: times, and what each call asks of the host.
pub(crate) async fn compare(enclave: &Enclave, sizes: &Sizes) -> Result<()> {
    let owner = enclave.owner().await;
    let app = name("small");
    let settings = DeploySettings { limits: limits(), ..for_everybody() };
    owner.deploy(&app, example("files"), &settings, |_| {}).await?;
    for connection in 0..MOST_CONNECTIONS {
        owner.call_json(&app, "put", &json!([format!("/{connection}"), TEXT])).await?;
    }
    let plain = TempDir::new()?;

    let mut timed = Table::new(
        &format!("Small calls by a fresh instance each; {} bytes are written", TEXT.len()),
        ["", "calls", "median", "p99", "calls/s"],
    );
    let mut asked = Table::new(
        "What each call asks of the host",
        ["", "usercalls", "Send", "Wait", "InsecureTime", "disk reads", "disk writes", "written", "flushes"],
    );
    for connections in [1, MOST_CONNECTIONS] {
        let mut loads = Vec::new();
        for kind in Kind::ALL {
            let mut load = Load::open_each((0..connections).map(|n| kind.question(enclave, n))).await?;
            load.run(sizes.round / 2).await?;
            loads.push((kind, load, Measured::default()));
        }
        let mut yardstick = Sample::default();
        for _ in 0..ROUNDS {
            for (_, load, measured) in &mut loads {
                let before = enclave.running().statistics();
                let sample = load.run(sizes.round).await?;
                measured.add(sample, &before, &enclave.running().statistics());
            }
            yardstick.add(folder::synced_writes(plain.path(), connections, sizes.round)?);
        }
        let [place, thread] = match connections {
            1 => ["1 connection".to_owned(), "1 thread".to_owned()],
            many => [format!("{many} connections"), format!("{many} threads")],
        };
        for (kind, _, measured) in &loads {
            let title = format!("{place}, {}", kind.title());
            timed.row(timing(title.clone(), &measured.sample));
            asked.row(measured.cells(title));
        }
        timed.row(timing(format!("{thread}, `fdatasync` of 4 KiB in a plain file"), &yardstick));
    }
    timed.print();
    asked.print();
    // The first session may have been idle for too long.
    enclave.owner().await.remove(&app).await?;
    Ok(())
}

/// What a call does.
#[derive(Clone, Copy, Debug)]
enum Kind {
    ReadFile,
    WriteFile,
    WriteKey,
}

impl Kind {
    const ALL: [Self; 3] = [Self::ReadFile, Self::WriteFile, Self::WriteKey];

    fn title(self) -> &'static str {
        match self {
            Self::ReadFile => "reads a file, writes nothing",
            Self::WriteFile => "replaces a file",
            Self::WriteKey => "sets a key",
        }
    }

    /// Each connection has a file and a key of its own.
    fn question(self, enclave: &Enclave, connection: usize) -> Question {
        let path = format!("/{connection}");
        let (export, body) = match self {
            Self::ReadFile => ("/v1/apps/small/calls/get", json!([path])),
            Self::WriteFile => ("/v1/apps/small/calls/put", json!([path, TEXT])),
            Self::WriteKey => ("/v1/apps/small/calls/set-key", json!([path, TEXT])),
        };
        Question {
            transport: Transport::Tls,
            address: enclave.address(),
            host: "localhost",
            method: Method::POST,
            path: export,
            body: body.to_string().into(),
            answer: "\"ok\":",
        }
    }
}

/// All rounds of one kind.
#[derive(Debug, Default)]
struct Measured {
    sample: Sample,
    usercalls: u64,
    sends: u64,
    waits: u64,
    clocks: u64,
    reads: u64,
    writes: u64,
    written_bytes: u64,
    flushes: u64,
}

impl Measured {
    fn add(&mut self, sample: Sample, before: &Statistics, after: &Statistics) {
        let of = |kind| after.of(kind) - before.of(kind);
        self.sample.add(sample);
        self.usercalls += after.total() - before.total();
        self.sends += of(UsercallKind::Send);
        self.waits += of(UsercallKind::Wait);
        self.clocks += of(UsercallKind::InsecureTime);
        self.reads += after.disk.reads - before.disk.reads;
        self.writes += after.disk.writes - before.disk.writes;
        self.written_bytes += after.disk.written_bytes - before.disk.written_bytes;
        self.flushes += after.disk.flushes - before.disk.flushes;
    }

    fn cells(&self, title: String) -> [String; 9] {
        let each = |count: u64| count as f64 / self.sample.requests() as f64;
        let rounded = |count| format!("{:.2}", each(count));
        [
            title,
            rounded(self.usercalls),
            rounded(self.sends),
            rounded(self.waits),
            rounded(self.clocks),
            rounded(self.reads),
            rounded(self.writes),
            format!("{:.1} KiB", each(self.written_bytes) / 1024.0),
            rounded(self.flushes),
        ]
    }
}

fn timing(title: String, sample: &Sample) -> [String; 5] {
    let microseconds = |percent| format!("{:.0} µs", sample.percentile(percent));
    [
        title,
        sample.requests().to_string(),
        microseconds(50),
        microseconds(99),
        format!("{:.0}", sample.per_second()),
    ]
}

const MOST_CONNECTIONS: usize = 10;
pub(crate) const ROUNDS: usize = 5;
/// What a file or a key holds afterwards.
const TEXT: &str = "It rained all day, and nobody came by to ask why.";
