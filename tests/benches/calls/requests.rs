//! A small call, over and over: what everything around the guest costs.

use crate::component;
use crate::load::{Load, Question, Sample, Transport};
use crate::table::{Table, times};
use crate::wasmtime::Wasmtime;
use anyhow::Result;
use cloister_host::Statistics;
use cloister_tests::{Enclave, example, for_everybody, name};
use hyper::Method;
use std::time::Duration;

/// Prints both tables: times, and crossings of the boundary.
pub(crate) async fn compare(enclave: &Enclave, wasmtime: &Wasmtime) -> Result<()> {
    let session = enclave.owner().await;
    session.deploy(&name("bench"), example("benchmark"), &for_everybody(), |_| {}).await?;
    let server = wasmtime.serve(&component("http-benchmark"))?;

    let call = Question {
        transport: Transport::Tls,
        address: enclave.address(),
        host: "localhost",
        method: Method::POST,
        path: "/v1/apps/bench/calls/add",
        body: "[2, 3]".into(),
        answer: "\"result\":5,",
    };
    let health =
        Question { method: Method::GET, path: "/v1/health", body: "".into(), answer: "ok", ..call.clone() };
    let served = Question {
        transport: Transport::Tcp,
        address: server.address,
        path: "/",
        answer: "5",
        ..call.clone()
    };

    let mut timed = Table::new(
        "The sum of two numbers by a fresh instance for each request; HTTP/1.1, connections kept alive",
        ["", "requests", "median", "p99", "requests/s"],
    );
    let mut crossed = Vec::new();
    for connections in [1, 10] {
        let [image, native] = in_turns(enclave, [&call, &served], connections).await?;
        let [no_call, _] = in_turns(enclave, [&health, &served], connections).await?;
        let plural = if connections == 1 { "" } else { "s" };
        let title = |what: &str| format!("{connections} connection{plural}, {what}");
        timed.row(cells(title("image, TLS 1.3"), &image.sample));
        timed.row(cells(title("wasmtime serve, no TLS"), &native.sample));
        timed.row(ratios(title("image to wasmtime serve"), &image.sample, &native.sample));
        timed.row(cells(title("image, no instance (GET /v1/health)"), &no_call.sample));
        crossed.push((title("call"), image));
        crossed.push((title("GET /v1/health"), no_call));
    }
    timed.print();
    print_crossings(&crossed);
    session.remove(&name("bench")).await?;
    Ok(())
}

/// The servers in turns, so that what else the machine does meets all of them.
pub(crate) async fn in_turns<const N: usize>(
    enclave: &Enclave,
    questions: [&Question; N],
    connections: usize,
) -> Result<[Measured; N]> {
    let mut loads = Vec::new();
    for question in questions {
        let mut load = Load::open(question, connections).await?;
        load.run(WARM_UP).await?;
        loads.push(load);
    }
    let mut measured = [(); N].map(|()| Measured::default());
    for _ in 0..ROUNDS {
        for (load, measured) in loads.iter_mut().zip(&mut measured) {
            let before = enclave.running().statistics();
            measured.sample.add(load.run(ROUND).await?);
            measured.add_crossings(&before, &enclave.running().statistics());
        }
    }
    Ok(measured)
}

/// What one server answered.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) sample: Sample,
    /// Usercalls by kind, in the order of the ABI's numbers.
    crossings: Vec<(String, u64)>,
}

impl Measured {
    fn add_crossings(&mut self, before: &Statistics, after: &Statistics) {
        let counts = after.usercalls().map(|(kind, count)| (format!("{kind:?}"), count - before.of(kind)));
        if self.crossings.is_empty() {
            self.crossings = counts.collect();
        } else {
            for ((_, sum), (_, count)) in self.crossings.iter_mut().zip(counts) {
                *sum += count;
            }
        }
    }

    fn per_request(&self, kind: &str) -> f64 {
        let count = self.crossings.iter().find(|(name, _)| name == kind).map_or(0, |(_, count)| *count);
        count as f64 / self.sample.requests() as f64
    }
}

pub(crate) fn cells(title: String, sample: &Sample) -> [String; 5] {
    let microseconds = |percent| format!("{:.0} µs", sample.percentile(percent));
    [
        title,
        sample.requests().to_string(),
        microseconds(50),
        microseconds(99),
        format!("{:.0}", sample.per_second()),
    ]
}

pub(crate) fn ratios(title: String, image: &Sample, native: &Sample) -> [String; 5] {
    let ratio = |percent| times(image.percentile(percent), native.percentile(percent));
    let throughput = times(image.per_second(), native.per_second());
    [title, String::new(), ratio(50), ratio(99), throughput]
}

pub(crate) fn print_crossings(rows: &[(String, Measured)]) {
    let columns = ["", "Read", "Write", "Wait", "Send", "InsecureTime", "Alloc", "Free", "others", "all"];
    let mut table = Table::new("Crossings of the boundary for each request, by usercall", columns);
    for (title, measured) in rows {
        let all: f64 = measured.crossings.iter().map(|(kind, _)| measured.per_request(kind)).sum();
        let mut row = columns.map(|kind| measured.per_request(kind));
        row[9] = all;
        row[8] = all - row[1..8].iter().sum::<f64>();
        let mut row = row.map(|count| format!("{count:.2}"));
        row[0].clone_from(title);
        table.row(row);
    }
    table.print();
}

const WARM_UP: Duration = Duration::from_millis(500);
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
