//! Clients that stall, flood, break off, or speak something else.

use crate::apps::deploy;
use cloister_api::{DeploySettings, Limits};
use cloister_client::Session;
use cloister_tests::{RawTls, Setup, exchange, for_everybody, guest, name, shared};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// For what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// An enclave of little patience, in which a slow machine still ends a handshake.
fn impatient() -> Setup {
    let mut setup = Setup::new();
    setup.configuration.header_timeout_ms = 5_000;
    setup.configuration.body_timeout_ms = 5_000;
    setup.configuration.max_connections = 8;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_told_that_this_is_tls() {
    let answer =
        exchange(shared().address(), b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", PATIENCE).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("TLS 1.3"), "{answer}");
    shared().caller().await.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_is_refused_with_an_alert() {
    // RFC 5246, section 7.4.1.2: a ClientHello of version 3.3 with one suite and no extensions.
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]);
    let answer = exchange(shared().address(), &hello, PATIENCE).await.unwrap();
    // RFC 8446, sections 5.1 and 6: alert(21), fatal(2).
    assert_eq!((answer.first(), answer.get(5)), (Some(&21), Some(&2)), "{answer:?}");
    shared().caller().await.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_nothing_harm_nothing() {
    for bytes in [&[0x16, 0x03, 0x01, 0xff, 0xff][..], &[0; 64], &[0x16; 4096], &[0xff]] {
        exchange(shared().address(), bytes, Duration::from_millis(200)).await.unwrap();
    }
    let mut raw = RawTls::connect(shared().address(), "localhost").await.unwrap();
    let answer = raw.send(b"\x01\x02\x03\r\n\r\n", PATIENCE).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let mut raw = RawTls::connect(shared().address(), "localhost").await.unwrap();
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000));
    let answer = raw.send(long.as_bytes(), PATIENCE).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    shared().caller().await.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stalling_clients_are_ended_and_others_served() {
    let enclave = impatient().start();
    // One that never begins its handshake, one that stops within its head, one that stops within its body.
    let mut silent = TcpStream::connect(enclave.address()).await.unwrap();
    let mut half = RawTls::connect(enclave.address(), "localhost").await.unwrap();
    half.0.write_all(b"POST /v1/evidence HTTP/1.1\r\nhost: lo").await.unwrap();
    let mut stalled = RawTls::connect(enclave.address(), "localhost").await.unwrap();
    let head = b"POST /v1/evidence HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    let answer = stalled.send(head, PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":\"request-timeout\""), "{answer}");
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await.expect("closed in time").unwrap();
    let _ = tokio::time::timeout(PATIENCE, half.0.read_to_end(&mut rest)).await.expect("closed in time");
    enclave.caller().await.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_ends_with_the_flood() {
    let enclave = impatient().start();
    let session = enclave.owner().await;
    deploy(&session, "steady", "toolbox").await;
    let mut flood = Vec::new();
    for _ in 0..50 {
        flood.push(TcpStream::connect(enclave.address()).await.unwrap());
    }
    // A session that was there before the flood is not disturbed by it.
    for i in 0..20 {
        let answer = session.call_json(&name("steady"), "add", &json!([i, 1])).await.unwrap();
        assert_eq!(answer.result, json!(i + 1));
    }
    drop(flood);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match enclave.connect(enclave.policy()).await {
            Ok(session) => break session.health().await.unwrap(),
            Err(error) => assert!(Instant::now() < deadline, "still refused: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_with_its_client() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    let limits = Limits { fuel: 1 << 39, wall_time_ms: 600_000, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    session.deploy(&name("abandoned"), guest("toolbox"), &settings, |_| {}).await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut raw = RawTls::connect(enclave.address(), "localhost").await.unwrap();
        let request =
            "POST /v1/apps/abandoned/calls/spin HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
        raw.0.write_all(request.as_bytes()).await.unwrap();
        raw.0.flush().await.unwrap();
        clients.push(raw);
    }
    until(&session, "cloister_calls_under_way 10").await;
    drop(clients);
    until(&session, "cloister_calls_under_way 0").await;
    let spin = session.describe(&name("abandoned")).await.unwrap().functions["spin"].clone();
    assert_eq!((spin.calls, spin.errors), (10, 10));
}

/// Waits until the metrics have this line.
async fn until(session: &Session, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = session.metrics().await.unwrap();
        if metrics.lines().any(|found| found == line) {
            return;
        }
        assert!(Instant::now() < deadline, "no {line:?} in {metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
