//! Calls that wait hold no thread: a thousand of them wait as long as one, and others are answered meanwhile.

use crate::apps::deploy;
use cloister_client::Session;
use cloister_tests::{Enclave, Setup, name};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_wait_a_second_together_while_others_are_answered() {
    let enclave = Setup::new().start();
    let owner = enclave.owner().await;
    deploy(&owner, "sleeper", "sleeper").await;
    deploy(&owner, "steady", "toolbox").await;
    let sessions = sessions(&enclave).await;

    let began = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let session = Arc::clone(&sessions[number % sessions.len()]);
        calls.spawn(async move { session.call_json(&name("sleeper"), "sleep", &json!([1000])).await });
    }
    // All of them wait by now, or soon will.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let short = Instant::now();
    let answer = owner.call_json(&name("steady"), "add", &json!([20, 22])).await.unwrap();
    let short = short.elapsed();
    assert_eq!(answer.result, json!(42));
    let waiting = calls.len();

    let mut slept = Vec::new();
    while let Some(call) = calls.join_next().await {
        let answer = call.unwrap().unwrap();
        slept
            .push(answer.result.as_u64().unwrap_or_else(|| answer.result.as_str().unwrap().parse().unwrap()));
    }
    let took = began.elapsed();
    slept.sort_unstable();
    println!(
        "{CALLS} calls took {took:?}; they slept {} to {} ms; a short call meanwhile, of {waiting} others, took {short:?}",
        slept[0] / 1_000_000,
        slept[CALLS - 1] / 1_000_000
    );
    assert_eq!(slept.len(), CALLS);
    assert!(slept[0] >= 1_000_000_000, "a call came back early");
    // One after another on every thread of the image would be 40 seconds and more.
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
}

async fn sessions(enclave: &Enclave) -> Vec<Arc<Session>> {
    let mut sessions = Vec::new();
    for _ in 0..CALLS / CALLS_PER_SESSION {
        sessions.push(Arc::new(enclave.caller().await));
    }
    sessions
}

const CALLS: usize = 1_000;
/// The enclave takes 64 requests of one HTTP/2 connection at a time.
const CALLS_PER_SESSION: usize = 50;
