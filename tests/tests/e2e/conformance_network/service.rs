//! What the service of `http-server` has to answer.

use super::requests::{AnyBody, read, text, whole};
use super::servers::Protocol;
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use cloister_channel_body::Channel;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// A service and how it is reached.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What clients call it, with its port.
    pub(crate) host: String,
    pub(crate) protocol: Protocol,
    pub(crate) transport: Transport,
}

pub(crate) enum Transport {
    Plain,
    Tls { server_name: String },
}

/// What serves the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Image,
    Wasmtime,
}

/// What the service does otherwise than it has to.
pub(crate) async fn differences(peer: &Peer, subject: Subject) -> Vec<String> {
    let mut checks = Checks { peer, failures: Vec::new(), count: 0 };
    checks.run("request", request(peer, subject)).await;
    checks.run("methods", methods(peer)).await;
    checks.run("paths", paths(peer)).await;
    checks.run("rules", rules(peer)).await;
    checks.run("body-of-request", body_of_request(peer)).await;
    checks.run("body-of-request-broken-off", body_of_request_broken_off(peer)).await;
    checks.run("body-of-request-half-read", body_of_request_half_read(peer)).await;
    checks.run("body-of-request-unread", body_of_request_unread(peer)).await;
    checks.run("trailers-of-request", trailers_of_request(peer)).await;
    checks.run("echo", echo(peer)).await;
    checks.run("echo-as-it-comes", echo_as_it_comes(peer)).await;
    checks.run("status", status(peer)).await;
    checks.run("bytes", bytes(peer)).await;
    checks.run("length", length(peer)).await;
    checks.run("head", head(peer)).await;
    checks.run("headers", headers(peer)).await;
    checks.run("many-headers", many_headers(peer)).await;
    checks.run("too-many-headers", is_refused(peer, "/many-headers/5000")).await;
    checks.run("trailers", trailers(peer)).await;
    checks.run("stream", stream(peer)).await;
    checks.run("slow-head", slow_head(peer)).await;
    checks.run("no-body", no_body(peer)).await;
    checks.run("after-the-response", after_the_response(peer)).await;
    checks.run("one-connection", one_connection(peer)).await;
    checks.run("many-connections", many_connections(peer)).await;
    for name in ["denied", "too-large", "timeout", "loop", "internal"] {
        checks.run("error", is_refused(peer, &format!("/error/{name}"))).await;
    }
    checks.run("no-outparam", is_refused(peer, "/no-outparam")).await;
    checks.run("trap", is_refused(peer, "/trap")).await;
    checks.run("trap-in-body", is_broken(peer, "/trap-in-body")).await;
    checks.run("unfinished", is_broken(peer, "/unfinished")).await;
    checks.run("unfinished-at-once", is_broken(peer, "/unfinished-at-once")).await;
    checks.run("too-short", is_broken(peer, "/too-short")).await;
    checks.run("too-long", is_broken(peer, "/too-long")).await;
    checks.run("never", never(peer)).await;
    checks.run("client-goes", client_goes(peer)).await;
    if subject == Subject::Image {
        checks.run("spin", is_refused(peer, "/spin")).await;
    }
    checks.end()
}

struct Checks<'a> {
    peer: &'a Peer,
    failures: Vec<String>,
    count: usize,
}

impl Checks<'_> {
    /// Runs one, and sees whether the service answers afterwards as it did before.
    async fn run(&mut self, name: &str, check: impl Future<Output = anyhow::Result<()>>) {
        self.count += 1;
        let ended = timeout(PATIENCE, Box::pin(check)).await.unwrap_or_else(|_| bail_late());
        if let Err(error) = ended {
            self.failures.push(format!("{name} over {}: {error:#}", self.peer.protocol.name()));
        }
    }

    fn end(self) -> Vec<String> {
        let (passed, count) = (self.count - self.failures.len(), self.count);
        println!(
            "conformance: http-server over {}: {passed} of {count} checks pass",
            self.peer.protocol.name()
        );
        self.failures
    }
}

fn bail_late() -> anyhow::Result<()> {
    bail!("it takes more than {PATIENCE:?}")
}

async fn request(peer: &Peer, subject: Subject) -> anyhow::Result<()> {
    let request = peer.request("GET", "/request/a?b=c").header("X-One", "1").body(whole(""))?;
    let report = text(peer.send(request).await?).await?;
    let expected =
        ["method GET", "path /request/a?b=c", "header x-one: 1", &format!("authority {}", peer.host)];
    for line in expected {
        ensure!(report.lines().any(|found| found == line), "no {line:?} in {report}");
    }
    let scheme = match subject {
        Subject::Image => "scheme https",
        Subject::Wasmtime => "scheme http",
    };
    ensure!(report.lines().any(|found| found == scheme), "no {scheme:?} in {report}");
    for header in ["host", "connection", "transfer-encoding"] {
        ensure!(!report.contains(&format!("header {header}: ")), "{header} in {report}");
    }
    Ok(())
}

async fn methods(peer: &Peer) -> anyhow::Result<()> {
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE", "M-SEARCH"] {
        let report = text(peer.send(peer.request(method, "/request").body(whole(""))?).await?).await?;
        ensure!(report.starts_with(&format!("method {method}\n")), "{method}: {report}");
    }
    Ok(())
}

async fn paths(peer: &Peer) -> anyhow::Result<()> {
    for path in
        ["/request", "/request?", "/request?a=b&c=d", "/request/%2F%20%C3%A4?%26", "/request//a/../b/./c"]
    {
        let report = text(peer.get(path).await?).await?;
        ensure!(report.lines().any(|line| line == format!("path {path}")), "{path}: {report}");
    }
    Ok(())
}

/// The guest itself looks whether its resources keep to the standard.
async fn rules(peer: &Peer) -> anyhow::Result<()> {
    let request =
        peer.request("POST", "/rules").header("x-one", "1").header("x-many", "b").header("X-Many", "a");
    let request = match peer.protocol {
        Protocol::Http1 => request.header("keep-alive", "timeout=5"),
        Protocol::Http2 => request,
    };
    let broken = text(peer.send(request.body(whole("a body"))?).await?).await?;
    ensure!(broken.is_empty(), "broken: {broken}");
    Ok(())
}

async fn body_of_request(peer: &Peer) -> anyhow::Result<()> {
    for length in [0, 1, 100_000, LARGE] {
        let counted = text(peer.post("/count", pattern(length)).await?).await?;
        ensure!(counted == length.to_string(), "{counted} instead of {length}");
    }
    Ok(())
}

async fn body_of_request_broken_off(peer: &Peer) -> anyhow::Result<()> {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    let sent = peer.send(peer.request("POST", "/count").body(body.boxed_unsync())?);
    let breaking_off = async {
        sender.send_data(Bytes::from_static(b"half of it")).await.context("the service takes it")?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _gone = sender.abort(io::ErrorKind::ConnectionReset.into()).await;
        anyhow::Ok(())
    };
    let (sent, broken_off) = tokio::join!(sent, breaking_off);
    broken_off?;
    // The client has no connection any more, or an answer that says so.
    ensure!(
        sent.is_err() || sent.is_ok_and(|response| response.status() != StatusCode::OK),
        "it is taken for whole"
    );
    Ok(())
}

async fn body_of_request_half_read(peer: &Peer) -> anyhow::Result<()> {
    let first = text(peer.post("/first/5", "hello, and a lot more").await?).await?;
    ensure!(first == "hello", "{first}");
    Ok(())
}

async fn body_of_request_unread(peer: &Peer) -> anyhow::Result<()> {
    let early = text(peer.post("/before-the-request", pattern(1_000)).await?).await?;
    ensure!(early == "early", "{early}");
    Ok(())
}

/// A body of two pieces with a trailer.
fn body_with_trailers() -> AnyBody {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    tokio::spawn(async move {
        for piece in ["hello ", "world"] {
            if sender.send_data(Bytes::from_static(piece.as_bytes())).await.is_err() {
                return;
            }
        }
        let _gone = sender.send_trailers(expected_trailers()).await;
    });
    body.boxed_unsync()
}

fn expected_trailers() -> HeaderMap {
    [(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))].into_iter().collect()
}

async fn trailers_of_request(peer: &Peer) -> anyhow::Result<()> {
    let request = peer.request("POST", "/trailers-of-request").header("trailer", "x-sum");
    let report = text(peer.send(request.body(body_with_trailers())?).await?).await?;
    ensure!(report == "x-sum: 42 immutable=true", "{report}");
    let report = text(peer.post("/trailers-of-request", "hello").await?).await?;
    ensure!(report == "none", "{report}");
    Ok(())
}

async fn echo(peer: &Peer) -> anyhow::Result<()> {
    let data = pattern(LARGE);
    ensure!(read(peer.post("/echo", data.clone()).await?).await?.to_bytes() == data, "it differs");
    let request = peer.request("POST", "/echo").header("trailer", "x-sum").header("te", "trailers");
    let echoed = read(peer.send(request.body(body_with_trailers())?).await?).await?;
    ensure!(echoed.trailers() == Some(&expected_trailers()), "{:?}", echoed.trailers());
    ensure!(echoed.to_bytes() == "hello world", "it differs");
    Ok(())
}

/// The service answers before the request ends.
async fn echo_as_it_comes(peer: &Peer) -> anyhow::Result<()> {
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
    sender.send_data(Bytes::from_static(b"0")).await?;
    let response = peer.send(peer.request("POST", "/echo").body(body.boxed_unsync())?).await?;
    let mut echoed = response.into_body();
    for round in 0..5_u8 {
        let data = next(&mut echoed).await?;
        ensure!(data == [b'0' + round][..], "round {round}: {data:?}");
        sender.send_data(Bytes::from(vec![b'1' + round])).await?;
    }
    drop(sender);
    ensure!(next(&mut echoed).await? == "5", "the last one");
    ends(&mut echoed).await
}

/// Nothing more comes; an empty piece is nothing (RFC 9113, section 8.1).
async fn ends(body: &mut Incoming) -> anyhow::Result<()> {
    while let Some(frame) = body.frame().await {
        ensure!(frame?.data_ref().is_some_and(Bytes::is_empty), "it goes on");
    }
    Ok(())
}

async fn next(body: &mut Incoming) -> anyhow::Result<Bytes> {
    let frame = body.frame().await.context("it ends")??;
    frame.into_data().map_err(|_| anyhow::anyhow!("trailers"))
}

async fn status(peer: &Peer) -> anyhow::Result<()> {
    for status in [200, 201, 204, 304, 404, 418, 500, 503, 599] {
        let response = peer.get(&format!("/status/{status}")).await?;
        ensure!(response.status().as_u16() == status, "{} instead of {status}", response.status());
        ensure!(text(response).await?.is_empty(), "{status} with a body");
    }
    Ok(())
}

async fn bytes(peer: &Peer) -> anyhow::Result<()> {
    for count in [0, 1, 100_000, LARGE] {
        let received = read(peer.get(&format!("/bytes/{count}")).await?).await?.to_bytes();
        ensure!(received == pattern(count), "{} bytes instead of {count}, or others", received.len());
    }
    Ok(())
}

async fn length(peer: &Peer) -> anyhow::Result<()> {
    for count in [0, 1, LARGE] {
        let response = peer.get(&format!("/length/{count}")).await?;
        let declared = response.headers().get("content-length").context("no length")?.to_str()?.to_owned();
        ensure!(declared == count.to_string(), "{declared} instead of {count}");
        ensure!(read(response).await?.to_bytes() == pattern(count), "it differs");
    }
    Ok(())
}

async fn head(peer: &Peer) -> anyhow::Result<()> {
    let response = peer.send(peer.request("HEAD", "/length/1000").body(whole(""))?).await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    ensure!(
        response.headers().get("content-length").is_some_and(|length| length == "1000"),
        "the length is lost"
    );
    ensure!(text(response).await?.is_empty(), "it has a body");
    Ok(())
}

async fn headers(peer: &Peer) -> anyhow::Result<()> {
    let response = peer.get("/headers").await?;
    let headers = response.headers();
    ensure!(headers.get("x-one").is_some_and(|value| value == "1"), "x-one");
    ensure!(headers.get_all("set-cookie").iter().eq(["b=1", "a=2"]), "set-cookie");
    ensure!(headers.get("x-empty").is_some_and(HeaderValue::is_empty), "x-empty");
    ensure!(headers.get("x-bytes").is_some_and(|value| value.as_bytes() == [0xff, 0xc3, 0xa4]), "x-bytes");
    Ok(())
}

async fn many_headers(peer: &Peer) -> anyhow::Result<()> {
    let response = peer.get("/many-headers/80").await?;
    let count = response.headers().keys().filter(|name| name.as_str().starts_with("x-")).count();
    ensure!(count == 80, "{count} of them");
    Ok(())
}

async fn trailers(peer: &Peer) -> anyhow::Result<()> {
    let request = peer.request("GET", "/trailers").header("te", "trailers").body(whole(""))?;
    let answer = read(peer.send(request).await?).await?;
    ensure!(answer.trailers() == Some(&expected_trailers()), "{:?}", answer.trailers());
    ensure!(answer.to_bytes() == "body", "it differs");
    Ok(())
}

/// Each line comes when it is written.
async fn stream(peer: &Peer) -> anyhow::Result<()> {
    let mut body = peer.get("/stream/15").await?.into_body();
    let mut received = next(&mut body).await?.to_vec();
    let first = Instant::now();
    while let Some(frame) = body.frame().await {
        received.extend(frame?.into_data().map_err(|_| anyhow::anyhow!("trailers"))?);
    }
    let lines: String = (0..=15).map(|line| format!("{line}\n")).collect();
    ensure!(received == lines.as_bytes(), "{:?}", String::from_utf8_lossy(&received));
    // Three seconds, less what this one was late for the first line.
    let took = first.elapsed();
    ensure!(took >= Duration::from_millis(300), "it all came within {took:?}");
    Ok(())
}

async fn slow_head(peer: &Peer) -> anyhow::Result<()> {
    let began = Instant::now();
    let response = peer.get("/slow-head/300").await?;
    ensure!(
        response.status() == StatusCode::OK && began.elapsed() >= Duration::from_millis(300),
        "too early"
    );
    Ok(())
}

async fn no_body(peer: &Peer) -> anyhow::Result<()> {
    let response = peer.get("/no-body").await?;
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    ensure!(response.headers().get("x-one").is_some_and(|value| value == "1"), "its header is lost");
    ensure!(text(response).await?.is_empty(), "it has a body");
    Ok(())
}

async fn after_the_response(peer: &Peer) -> anyhow::Result<()> {
    let done = text(peer.get("/after-the-response").await?).await?;
    ensure!(done == "done", "{done}");
    Ok(())
}

async fn one_connection(peer: &Peer) -> anyhow::Result<()> {
    let mut connection = peer.connect().await?;
    for number in 0..20 {
        let request = peer.request("POST", &format!("/request?{number}")).body(whole("unread"))?;
        let report = text(connection.send(request).await?).await?;
        ensure!(report.contains(&format!("path /request?{number}\n")), "{report}");
    }
    Ok(())
}

async fn many_connections(peer: &Peer) -> anyhow::Result<()> {
    let mut connections = Vec::new();
    for _ in 0..20 {
        connections.push(peer.connect().await?);
    }
    for connection in &mut connections {
        let response = connection.send(peer.request("GET", "/status/204").body(whole(""))?).await?;
        ensure!(response.status() == StatusCode::NO_CONTENT, "{}", response.status());
    }
    Ok(())
}

/// The answer is the server's own, and says nothing of what is the guest's.
async fn is_refused(peer: &Peer, path: &str) -> anyhow::Result<()> {
    let response = peer.get(path).await.with_context(|| path.to_owned())?;
    let status = response.status();
    ensure!(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS, "{path}: {status}");
    let said = text(response).await?;
    ensure!(!said.contains("a secret of the guest"), "{path}: {said}");
    works(peer).await
}

/// The client is told, by the status or by a body without its end.
async fn is_broken(peer: &Peer, path: &str) -> anyhow::Result<()> {
    match peer.get(path).await {
        Ok(response) if response.status().is_server_error() => {}
        Ok(response) => {
            let received = read(response).await;
            ensure!(received.is_err(), "{path}: as if it were whole: {received:?}");
        }
        // The connection ended before its head was sent.
        Err(_) => {}
    }
    works(peer).await
}

/// A guest that never answers keeps nobody else from being answered, nor its client from going.
async fn never(peer: &Peer) -> anyhow::Result<()> {
    let waiting = (0..5).map(|_| timeout(Duration::from_millis(300), peer.get("/never")));
    for answer in waiting {
        ensure!(answer.await.is_err(), "it answered");
    }
    works(peer).await
}

/// Clients that break off in the middle of large answers.
async fn client_goes(peer: &Peer) -> anyhow::Result<()> {
    for _ in 0..5 {
        let mut body = peer.get(&format!("/bytes/{}", 16 * LARGE)).await?.into_body();
        next(&mut body).await?;
    }
    works(peer).await
}

async fn works(peer: &Peer) -> anyhow::Result<()> {
    let response: Response<Incoming> = peer.get("/status/204").await.context("afterwards")?;
    ensure!(response.status() == StatusCode::NO_CONTENT, "afterwards: {}", response.status());
    Ok(())
}

/// Bytes by which a piece that is lost or twice there is noticed.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|position| (position % 251) as u8).collect()
}

const LARGE: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(120);
