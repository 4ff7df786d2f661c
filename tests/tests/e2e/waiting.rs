//! Calls that wait hold no thread: a thousand of them wait as long as one, and others are answered meanwhile.

use crate::apps::deploy;
use cloister_api::{DeploySettings, Limits, NetworkPolicy};
use cloister_client::Session;
use cloister_tests::{Enclave, Setup, for_everybody, given, guest, name};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_wait_seconds_together_while_others_are_answered() {
    let enclave = Setup::new().start();
    let owner = enclave.owner().await;
    let settings = DeploySettings { limits: limits(), ..for_everybody() };
    owner.deploy(&name("sleeper"), guest("sleeper"), &settings, |_| {}).await.unwrap();
    deploy(&owner, "steady", "toolbox").await;
    let (took, results) = all_at_once(&enclave, "sleeper", "sleep", json!([SECONDS * 1_000])).await;
    let mut slept: Vec<u64> = results.iter().map(number).collect();
    slept.sort_unstable();
    println!("{CALLS} calls took {took:?}; they slept {} to {} ms", slept[0] / MS, slept[CALLS - 1] / MS);
    assert!(slept[0] >= SECONDS * 1_000 * MS, "a call came back early");
    assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_wait_for_slow_sockets_together_while_others_are_answered() {
    let enclave = Setup::new().start();
    let owner = enclave.owner().await;
    deploy(&owner, "steady", "toolbox").await;
    let component = given("CLOISTER_CONFORMANCE").join("sockets.wasm");
    let network = vec!["tcp://127.0.0.1:*".parse().unwrap()];
    let settings =
        DeploySettings { network: NetworkPolicy::new(network).unwrap(), limits: limits(), ..for_everybody() };
    owner.deploy(&name("reader"), std::fs::read(component).unwrap(), &settings, |_| {}).await.unwrap();
    let port = slow_server().await;
    let (took, results) = all_at_once(&enclave, "reader", "slow-read", json!([port])).await;
    println!("{CALLS} calls that read from slow sockets took {took:?}");
    assert!(results.iter().all(|result| number(result) == SLOW_ANSWER.len() as u64), "{results:?}");
    assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
}

/// The results of [`CALLS`] calls made at once, and how long they took together. While all of them wait, another app's
/// call is answered.
async fn all_at_once(enclave: &Enclave, app: &str, export: &str, arguments: Value) -> (Duration, Vec<Value>) {
    let sessions = sessions(enclave).await;
    let other = enclave.caller().await;
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let session = Arc::clone(&sessions[number % sessions.len()]);
        let (app, export, arguments) = (name(app), export.to_owned(), arguments.clone());
        calls.spawn(async move { session.call_json(&app, &export, &arguments).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = Instant::now();
    let answer = other.call_json(&name("steady"), "add", &json!([20, 22])).await.unwrap();
    assert_eq!(answer.result, json!(42));
    println!("a short call beside {} others took {:?}", calls.len(), asked.elapsed());
    let results: Vec<_> = calls.join_all().await.into_iter().map(|call| call.unwrap().result).collect();
    let took = began.elapsed();
    assert_eq!(results.len(), CALLS);
    // One after another on every thread of the image would be more.
    assert!(took < Duration::from_secs(SECONDS * CALLS as u64 / THREADS), "{took:?}");
    (took, results)
}

/// Limits that no call comes near to.
fn limits() -> Limits {
    Limits { fuel: 1_000_000_000, wall_time_ms: 600_000, ..Limits::default() }
}

/// Accepts, says nothing for [`SECONDS`], answers, and closes.
async fn slow_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(SECONDS)).await;
                stream.write_all(SLOW_ANSWER).await
            });
        }
    });
    port
}

/// JSON has 64-bit numbers as text where they do not fit into a double.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

async fn sessions(enclave: &Enclave) -> Vec<Arc<Session>> {
    let mut sessions = Vec::new();
    for _ in 0..CALLS / CALLS_PER_SESSION {
        sessions.push(Arc::new(enclave.caller().await));
    }
    sessions
}

const CALLS: usize = 1_000;
/// How long each waits.
const SECONDS: u64 = 4;
/// No fewer than the image has for its calls.
const THREADS: u64 = 32;
/// The enclave takes 64 requests of one HTTP/2 connection at a time.
const CALLS_PER_SESSION: usize = 50;
const MS: u64 = 1_000_000;
const SLOW_ANSWER: &[u8] = b"at last";
