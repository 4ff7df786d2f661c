//! A small web service, asked over and over: what a guest that speaks HTTP costs.

use crate::component;
use crate::load::{Question, Transport};
use crate::native::Native;
use crate::requests::{cells, in_turns, print_crossings, ratios};
use crate::table::Table;
use crate::wasmtime::Wasmtime;
use anyhow::Result;
use cloister_tests::{Enclave, example, for_everybody, name};
use hyper::Method;

/// Prints both tables: times, and crossings of the boundary.
pub(crate) async fn compare(enclave: &Enclave, wasmtime: &Wasmtime) -> Result<()> {
    let session = enclave.owner().await;
    session.deploy(&name("web"), example("http-benchmark"), &for_everybody(), |_| {}).await?;
    let server = wasmtime.serve(&component("http-benchmark"))?;
    let native = Native::start()?;

    let image = Question {
        transport: Transport::Tls,
        address: enclave.address(),
        host: "web.localhost",
        method: Method::POST,
        path: "/",
        body: "[2, 3]".into(),
        answer: "5",
    };
    let served = Question { transport: Transport::Tcp, address: server.address, ..image.clone() };
    let hyper = Question { address: native.address, ..image.clone() };

    let mut timed = Table::new(
        "The sum of two numbers by a wasi:http component, a fresh instance for each request; HTTP/1.1, connections kept alive",
        ["", "requests", "median", "p99", "requests/s"],
    );
    let mut crossed = Vec::new();
    for connections in [1, 10, 50] {
        let [image, served, hyper] = in_turns(enclave, [&image, &served, &hyper], connections).await?;
        let title = |what: &str| format!("{connections} connections, {what}");
        timed.row(cells(title("image, TLS 1.3"), &image.sample));
        timed.row(cells(title("wasmtime serve, no TLS"), &served.sample));
        timed.row(cells(title("native hyper and rustls, no Wasm"), &hyper.sample));
        timed.row(ratios(title("image to wasmtime serve"), &image.sample, &served.sample));
        timed.row(ratios(title("image to native"), &image.sample, &hyper.sample));
        crossed.push((title("request"), image));
    }
    timed.print();
    print_crossings(&crossed);
    session.remove(&name("web")).await?;
    Ok(())
}
