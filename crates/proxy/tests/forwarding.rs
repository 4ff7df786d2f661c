//! What goes to the enclave, what does not, and that nothing goes anywhere before the evidence.

#[allow(unreachable_pub, reason = "it is a part of the end-to-end tests too")]
#[path = "../../../tests/src/diverter.rs"]
mod diverter;
#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
#[path = "../../client/tests/enclave/mod.rs"]
mod enclave;
#[allow(dead_code, unreachable_pub, reason = "a module of two test programs, each of which uses a part")]
mod local;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use bytes::Bytes;
use cloister_api::RunTag;
use cloister_channel_body::Channel;
use cloister_client::{Measurement, Policy};
use cloister_proxy::{Exposure, Listener, ProxyError, Settings};
use enclave::{CLAIMED, CODE_HASH, FakeEnclave, response};
use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use local::{Local, address_of};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EVIDENCE: &str = "POST /v1/evidence";

#[tokio::test]
async fn a_call_reaches_the_enclave_after_its_evidence_did() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|line, body| {
        let said = format!("{line} {}", String::from_utf8_lossy(body));
        response(200, "application/json", serde_json::to_vec(&said).unwrap())
    });
    let local = Local::start(&enclave).await;
    let path = "/v1/apps/hello/calls/greet";
    let answer = local.post(path, "[1]").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!(format!("POST {path} [1]"))));
    let http2 = Request::post(format!("http://localhost{path}"));
    assert_eq!(local.ask_http2(http2, "[2]").await.json(), json!(format!("POST {path} [2]")));
    let line = format!("POST {path}");
    assert_eq!(enclave.seen(), [EVIDENCE, &line, &line], "one session carries both");
}

#[tokio::test]
async fn a_call_is_pinned_to_the_code_that_was_verified() {
    let enclave = FakeEnclave::new();
    let local = Local::start(&enclave).await;
    local.post("/v1/apps/hello/calls/greet", "[]").await;
    local.get("/v1/apps/hello").await;
    let own = Request::post("/v1/apps/hello/calls/greet").header("cloister-expected-code", "mine");
    local.ask(own, "[]").await;
    let headers = enclave.headers.lock().unwrap();
    let expected = |at: usize| headers[at].get("cloister-expected-code").map(|hash| hash.to_str().unwrap());
    assert_eq!(expected(1), Some(hex::encode(CODE_HASH).as_str()));
    assert_eq!((expected(2), expected(3)), (None, Some("mine")));
}

#[tokio::test]
async fn fields_between_neighbours_stay_between_them() {
    let enclave = FakeEnclave::new();
    let local = Local::start(&enclave).await;
    let request = Request::get("/v1/health")
        .header("connection", "keep-alive, x-secret")
        .header("x-secret", "1")
        .header("proxy-authorization", "Basic eA==")
        .header("authorization", "Bearer token");
    assert_eq!(local.ask(request, "").await.status, 200);
    let headers = enclave.headers.lock().unwrap();
    assert_eq!(headers[1]["authorization"], "Bearer token");
    for gone in ["connection", "x-secret", "proxy-authorization"] {
        assert!(!headers[1].contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn a_refused_enclave_gets_nothing_but_the_request_for_evidence() {
    let enclave = FakeEnclave::new();
    let policy = Policy { mrenclave: Measurement::Exactly(vec![[0xbb; 32]]), ..enclave.policy() };
    let local = Local::with(&enclave, cloister_client::Client::new(policy), Settings::default()).await;
    let answer = local.post("/v1/apps/hello/calls/greet", "[\"secret\"]").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (502, "verification-refused"));
    let report = &answer.json()["report"];
    let failed = report["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "failed");
    assert_eq!(Vec::from_iter(failed.map(|check| check["check"].as_str().unwrap())), ["mrenclave"]);
    assert!(enclave.seen().iter().all(|line| line == EVIDENCE), "{:?}", enclave.seen());
}

#[tokio::test]
async fn a_diverted_proxy_sends_nothing_to_the_other_and_recovers() {
    let (enclave, other) = (FakeEnclave::new(), FakeEnclave::new());
    let local = Local::start(&enclave).await;
    assert_eq!(local.get("/v1/health").await.status, 200);

    local.way.divert(Some(address_of(&other).await));
    for _ in 0..2 {
        let answer = local.post("/v1/apps/hello/calls/greet", "[\"secret\"]").await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (502, "verification-refused"));
    }
    assert!(
        !other.seen().is_empty() && other.seen().iter().all(|line| line == EVIDENCE),
        "{:?}",
        other.seen()
    );

    local.way.divert(None);
    assert_eq!(local.get("/v1/health").await.status, 502);
    local.way.divert(Some(address_of(&enclave).await));
    assert_eq!(local.get("/v1/health").await.status, 200);
}

#[tokio::test]
async fn a_lost_session_is_verified_again_before_the_next_request() {
    let enclave = FakeEnclave::new();
    let local = Local::start(&enclave).await;
    for _ in 0..2 {
        assert_eq!(local.post("/v1/apps/hello/calls/greet", "[]").await.status, 200);
        local.way.cut();
    }
    let call = "POST /v1/apps/hello/calls/greet";
    assert_eq!(enclave.seen(), [EVIDENCE, call, EVIDENCE, call]);
}

#[tokio::test]
async fn what_was_sent_is_sent_again_only_where_that_changes_nothing() {
    let mut enclave = FakeEnclave::new();
    let seen = Arc::new(AtomicU32::new(0));
    enclave.answer = {
        let seen = Arc::clone(&seen);
        // The connection ends with the task that panics.
        Arc::new(move |_, _| match seen.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("the enclave ends amid the request"),
            _ => response(200, "application/json", "{}"),
        })
    };
    let local = Local::start(&enclave).await;
    let answer = local.post("/v1/apps/hello/calls/greet", "[]").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (502, "connection-lost"));
    assert_eq!(seen.load(Ordering::Relaxed), 1, "a call is not repeated");
    seen.store(0, Ordering::Relaxed);
    assert_eq!(local.get("/v1/health").await.status, 200);
    assert_eq!(seen.load(Ordering::Relaxed), 2, "reading is");
}

#[tokio::test]
async fn an_older_state_than_the_proxy_saw_is_refused() {
    let newer = FakeEnclave::new();
    let older = FakeEnclave { volume: Some(CLAIMED), requests: Arc::default(), ..newer.clone() };
    let local = Local::start(&newer).await;
    assert_eq!(local.get("/v1/health").await.status, 200);
    local.way.divert(Some(address_of(&older).await));
    let answer = local.get("/v1/health").await;
    assert_eq!(answer.problem(), "verification-refused");
    assert!(answer.json()["detail"].as_str().unwrap().contains("epoch 5 was seen"), "{answer:?}");
    assert!(older.seen().iter().all(|line| line == EVIDENCE));
}

#[tokio::test]
async fn other_sites_other_names_and_upgrades_reach_nothing() {
    let enclave = FakeEnclave::new();
    let local = Local::start(&enclave).await;
    let call = || Request::post("/v1/apps/hello/calls/greet");
    for (request, status, code) in [
        (call().header("host", "evil.example"), 421, "foreign-host"),
        (call().header("sec-fetch-site", "cross-site"), 403, "cross-site"),
        (call().header("origin", "https://evil.example"), 403, "cross-site"),
        (call().header("origin", "null"), 403, "cross-site"),
        (call().header("connection", "upgrade").header("upgrade", "websocket"), 501, "upgrade-refused"),
        (Request::get("/.well-known/cloister/v1/apps").header("host", "hello.localhost"), 404, "not-found"),
        (Request::get("/.cloister/").header("host", "hello.localhost"), 404, "not-found"),
    ] {
        let answer = local.ask(request, "").await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code));
    }
    assert!(enclave.seen().is_empty(), "{:?}", enclave.seen());
}

#[tokio::test]
async fn web_services_have_host_names_and_only_those_that_exist() {
    let enclave = FakeEnclave::new();
    let local = Local::start(&enclave).await;
    let absent = local.ask(Request::get("/").header("host", "absent.localhost"), "").await;
    assert_eq!((absent.status.as_u16(), absent.problem().as_str()), (404, "unknown-app"));
    // The stand-in serves no app, and says so in its own words.
    let there = local.ask(Request::get("/").header("host", "hello.localhost"), "").await;
    assert!(there.body.starts_with(b"elsewhere") && !there.headers.contains_key("content-security-policy"));
    // Below `/apps/` an app's page would share the origin of the proxy's own.
    let below = local.get("/apps/hello/").await;
    assert!(below.headers["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
}

#[tokio::test]
async fn apps_that_the_policy_does_not_name_get_nothing() {
    let enclave = FakeEnclave::new();
    let settings = Settings { apps: Some(vec!["other".parse().unwrap()]), ..Settings::default() };
    let local = Local::with(&enclave, enclave.client(), settings).await;
    let host = Request::get("/").header("host", "hello.localhost");
    for answer in [local.post("/v1/apps/hello/calls/greet", "[]").await, local.ask(host, "").await] {
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "app-not-accepted"));
    }
    assert!(enclave.seen().is_empty());
    assert_eq!(local.get("/v1/health").await.status, 200);
}

#[tokio::test]
async fn both_directions_stream() {
    let local = Local::start(&FakeEnclave::new()).await;
    let stream = TcpStream::connect(local.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async { drop(connection.await) });
    let (mut input, body) = Channel::<Bytes, std::io::Error>::new(1);
    let request = Request::post("/v1/apps/echo/run").header("host", "localhost").body(body).unwrap();
    let mut output = sender.send_request(request).await.unwrap().into_body();
    for text in ["one", "two"] {
        // The answer to each piece comes before the next piece goes.
        input.send_data(Bytes::from(text)).await.unwrap();
        let mut framed = Vec::new();
        while framed.len() < 5 + text.len() {
            framed.extend_from_slice(&output.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(framed, [&RunTag::Stdout.head(text.len() as u32)[..], text.as_bytes()].concat());
    }
    drop(input);
    let end = output.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&end).contains("\"exit_code\":3"));
}

#[tokio::test]
async fn clients_that_do_not_read_hold_up_nobody() {
    let enclave = with_much_to_read();
    let local = Local::start(&enclave).await;
    let idle = clients_that_do_not_read(&local, 80).await;
    let (quick, slow) = (local.get("/v1/health"), Duration::from_secs(60));
    let answer = tokio::time::timeout(slow, quick).await.expect("it waits for nobody");
    assert_eq!(answer.status, 200);
    // 64 in the first session, the others in another.
    assert_eq!(enclave.seen().iter().filter(|line| *line == EVIDENCE).count(), 2);
    drop(idle);
}

#[tokio::test]
async fn requests_beyond_a_session_wait_where_there_is_no_other() {
    let mut enclave = with_much_to_read();
    let sessions = Arc::new(AtomicU32::new(0));
    enclave.make_evidence = {
        let sessions = Arc::clone(&sessions);
        Arc::new(move |enclave, binding| match sessions.fetch_add(1, Ordering::Relaxed) {
            0 => enclave.evidence(binding),
            _ => panic!("the enclave takes no further session"),
        })
    };
    let local = Local::start(&enclave).await;
    let mut idle = clients_that_do_not_read(&local, 64).await;
    let make_room = async {
        while sessions.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        idle.pop();
    };
    let (answer, ()) = tokio::join!(local.get("/v1/health"), make_room);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_upload_that_breaks_off_does_not_look_whole() {
    let mut enclave = FakeEnclave::new();
    let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    enclave.answer = {
        let bodies = Arc::clone(&bodies);
        // The stand-in reads whole bodies, and takes one that fails for an empty one.
        Arc::new(move |_, body| {
            bodies.lock().unwrap().push(body.to_vec());
            response(200, "application/json", "{}")
        })
    };
    let local = Local::start(&enclave).await;
    let mut stream = TcpStream::connect(local.address).await.unwrap();
    let head =
        "POST /v1/apps/hello/calls/greet HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}2\r\n[1\r\n").as_bytes()).await.unwrap();
    while !enclave.seen().iter().any(|line| line.ends_with("greet")) {
        tokio::task::yield_now().await;
    }
    drop(stream);
    assert_eq!(local.post("/v1/apps/hello/calls/greet", "[2]").await.status, 200);
    let bodies = bodies.lock().unwrap();
    assert!(bodies.contains(&b"[2]".to_vec()) && !bodies.contains(&b"[1".to_vec()), "{bodies:?}");
}

#[tokio::test]
async fn only_loopback_is_listened_on_unless_more_is_asked_for() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Listener::bind(address.parse().unwrap(), Exposure::Loopback).await;
        assert!(matches!(refused, Err(ProxyError::Exposed(_))), "{address}");
    }
    let everywhere = Listener::bind("0.0.0.0:0".parse().unwrap(), Exposure::Everybody).await.unwrap();
    let taken = Listener::bind(everywhere.address(), Exposure::Everybody).await;
    assert!(matches!(taken, Err(ProxyError::Listen { .. })));
}

#[tokio::test]
async fn garbage_is_answered_or_closed_and_hurts_nobody() {
    let local = Local::start(&FakeEnclave::new()).await;
    for garbage in [
        &b"\x16\x03\x01\x00\xff"[..],
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(local.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(local.get("/v1/health").await.status, 200);
}

/// Its counters are 64 MiB.
fn with_much_to_read() -> FakeEnclave {
    let large = Bytes::from(vec![b'x'; 64 << 20]);
    let answer = move |line: &str, _: &[u8]| match line {
        "GET /v1/metrics" => response(200, "text/plain", large.clone()),
        _ => response(200, "application/json", "{\"status\":\"ok\"}"),
    };
    FakeEnclave { answer: Arc::new(answer), ..FakeEnclave::new() }
}

/// They have seen the beginning of the answer, and take no more of it.
async fn clients_that_do_not_read(local: &Local, count: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(local.address).await.unwrap();
        stream.write_all(b"GET /v1/metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut begin = [0; 15];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200 OK");
        clients.push(stream);
    }
    clients
}
