//! Commands over a verified session: standard input up, output down, and the end. Also logs and egress.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use bytes::Bytes;
use cloister_api::{AppName, Code, EgressLog, EnvironmentVariable, Problem, RUN, RunEnd, RunRequest, RunTag};
use cloister_client::{Client, ClientError, RunOutput, Stdin};
use enclave::{CODE_HASH, FakeEnclave, response};
use std::sync::Arc;

#[tokio::test]
async fn what_goes_in_comes_out_while_the_command_runs() {
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let (mut sender, stdin) = Stdin::channel();
        let mut run = session.run(&echo(), &RunRequest::default(), stdin).await.unwrap();
        for piece in [&b"first"[..], b"second"] {
            assert!(sender.send(Bytes::copy_from_slice(piece)).await);
            assert_eq!(run.next().await.unwrap(), RunOutput::Stdout(Bytes::copy_from_slice(piece)));
        }
        drop(sender);
        let RunOutput::Ended(end) = run.next().await.unwrap() else { panic!("it ended") };
        assert_eq!((end.exit_code, end.epoch), (3, Some(77)));
        assert_eq!(session.latest_epoch(), Some(77));
    }
}

#[tokio::test]
async fn stdin_can_be_there_at_once_or_empty() {
    let enclave = FakeEnclave::new();
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    for text in [&b""[..], b"all"] {
        let stdin = if text.is_empty() { Stdin::empty() } else { Bytes::copy_from_slice(text).into() };
        let mut run = session.run(&echo(), &RunRequest::default(), stdin).await.unwrap();
        let mut out = Vec::new();
        while let RunOutput::Stdout(bytes) = run.next().await.unwrap() {
            out.extend_from_slice(&bytes);
        }
        assert_eq!(out, text);
    }
}

#[tokio::test]
async fn other_code_than_expected_is_noticed() {
    let mut enclave = FakeEnclave::new();
    let end = RunEnd { exit_code: 0, fuel: 1, wall_us: 1, code_hash: "dd".repeat(32), epoch: None };
    let body = frames(&[(RunTag::End, &serde_json::to_vec(&end).unwrap())]);
    enclave.answer = Arc::new(move |_, _| response(200, RUN, body.clone()));
    let endpoint = enclave.serve().await;
    let hello: AppName = "hello".parse().unwrap();
    let policy = enclave.policy().with_app(hello.clone(), CODE_HASH);
    for (client, refused) in [(Client::new(policy), true), (enclave.client(), false)] {
        let session = client.connect(&endpoint).await.unwrap();
        let mut run = session.run(&hello, &RunRequest::default(), Stdin::empty()).await.unwrap();
        let ended = run.next().await;
        assert_eq!(matches!(ended, Err(ClientError::CodeHash { .. })), refused, "{ended:?}");
    }
}

#[tokio::test]
async fn a_command_that_traps_or_is_cut_off_is_an_error() {
    let problem = serde_json::to_vec(&Problem::new(Code::GuestTrapped, "unreachable")).unwrap();
    let trapped = frames(&[(RunTag::Stderr, b"oh"), (RunTag::Problem, &problem)]);
    let cut = frames(&[(RunTag::Stdout, b"half")])[..7].to_vec();
    for (body, expected) in [(trapped, "unreachable"), (cut, "was cut off")] {
        let mut enclave = FakeEnclave::new();
        enclave.answer = Arc::new(move |line, _| {
            assert_eq!(line, "POST /v1/apps/hello/run");
            response(200, RUN, body.clone())
        });
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let hello = "hello".parse().unwrap();
        let mut run = session.run(&hello, &RunRequest::default(), Stdin::empty()).await.unwrap();
        let error = loop {
            match run.next().await {
                Ok(RunOutput::Ended(end)) => panic!("{end:?}"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_is_no_run_is_refused() {
    let mut enclave = FakeEnclave::new();
    let problem = serde_json::to_vec(&Problem::new(Code::NotACommand, "no")).unwrap();
    enclave.answer = Arc::new(move |line, _| match line {
        "POST /v1/apps/hello/run" => response(422, "application/problem+json", problem.clone()),
        _ => response(200, "application/json", "{}"),
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let run = |app: &str, request: RunRequest| {
        let app: AppName = app.parse().unwrap();
        let session = &session;
        async move { session.run(&app, &request, Stdin::empty()).await.map(drop).unwrap_err() }
    };
    assert!(matches!(run("hello", RunRequest::default()).await, ClientError::Problem(_)));
    assert!(matches!(run("other", RunRequest::default()).await, ClientError::UnexpectedResponse(_)));
    let value = "ü".repeat(4_000);
    let environment = vec![EnvironmentVariable { name: "A".into(), value }];
    let large = RunRequest { environment, ..RunRequest::default() };
    assert!(matches!(run("hello", large).await, ClientError::RequestTooLarge { .. }));
}

#[tokio::test]
async fn logs_are_followed_and_egress_is_listed() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|line, _| match line {
        "GET /v1/apps/hello/logs" => response(200, "text/plain", "one\ntwo\n"),
        _ => response(
            200,
            "application/json",
            r#"{"dropped":1,"requests":[{"time_ms":5,"method":"GET","scheme":"https","host":"a","port":443,"status":200,
                "bytes_sent":0,"bytes_received":9,"duration_us":7,"tls":"TLSv1.3"}]}"#,
        ),
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let hello = "hello".parse().unwrap();
    let mut log = session.follow_logs(&hello).await.unwrap();
    let mut text = Vec::new();
    while let Some(piece) = log.next().await.unwrap() {
        text.extend_from_slice(&piece);
    }
    assert_eq!(text, b"one\ntwo\n");
    let EgressLog { dropped, requests } = session.egress(&hello).await.unwrap();
    assert_eq!((dropped, requests[0].status, requests[0].tls.as_deref()), (1, Some(200), Some("TLSv1.3")));
    assert_eq!(enclave.seen().last().unwrap(), "GET /v1/apps/hello/egress");
}

fn frames(frames: &[(RunTag, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(tag, bytes)| [&tag.head(bytes.len() as u32)[..], bytes].concat()).collect()
}

fn echo() -> AppName {
    "echo".parse().unwrap()
}
