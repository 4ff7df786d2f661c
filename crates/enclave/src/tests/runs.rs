//! Commands: standard input and output, exit codes, logs that are followed.

use super::web::{Sender, nothing, one, two};
use super::*;
use cloister_api::{RUN_HEADER, RunEnd, RunTag};
use cloister_channel_body::Channel;
use http::Method;
use http_body_util::Either;

async fn commanding() -> Arc<Enclave> {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let limits = Limits { fuel: 1_000_000_000, log: 1000, ..Limits::default() };
    deploy_wasm(&enclave, Kind::Deploy, owner(), "job", guests::command(), limits).await.unwrap();
    enclave
}

/// Frames of a run's answer.
fn frames(mut answer: Bytes) -> Vec<(RunTag, Bytes)> {
    let mut frames = Vec::new();
    while answer.has_remaining() {
        let tag = RunTag::from_byte(answer.get_u8()).unwrap();
        let length = answer.get_u32_le() as usize;
        frames.push((tag, answer.split_to(length)));
    }
    frames
}

fn all_of(frames: &[(RunTag, Bytes)], wanted: RunTag) -> Vec<u8> {
    frames.iter().filter(|(tag, _)| *tag == wanted).flat_map(|(_, bytes)| bytes.to_vec()).collect()
}

fn request(
    what: &str,
    body: Either<Full<Bytes>, Channel<Bytes, std::convert::Infallible>>,
) -> Request<Either<Full<Bytes>, Channel<Bytes, std::convert::Infallible>>> {
    Request::post("/v1/apps/job/run")
        .header("host", "localhost")
        .header(RUN_HEADER, format!(r#"{{"arguments":["{what}"]}}"#))
        .body(body)
        .unwrap()
}

async fn run(sender: &mut Sender, what: &str, stdin: &'static [u8]) -> Vec<(RunTag, Bytes)> {
    let response = sender.send(request(what, Either::Left(Full::from(stdin)))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], cloister_api::RUN);
    frames(response.into_body().collect().await.unwrap().to_bytes())
}

fn end(frames: &[(RunTag, Bytes)]) -> RunEnd {
    let (tag, contents) = frames.last().unwrap();
    assert_eq!(*tag, RunTag::End, "{contents:?}");
    serde_json::from_slice(contents).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_end_with_their_code() {
    let enclave = commanding().await;
    let mut sender = one(&enclave, "localhost").await;
    for (what, code) in [("o", 0), ("f", 1), ("x", 7)] {
        let frames = run(&mut sender, what, b"").await;
        let end = end(&frames);
        assert_eq!(end.exit_code, code);
        assert!(end.fuel > 0 && end.epoch.is_none());
        assert_eq!(all_of(&frames, RunTag::Stderr), if what == "x" { &b"bye"[..] } else { b"" });
    }
    let frames = run(&mut sender, "t", b"").await;
    let (tag, problem) = frames.last().unwrap();
    assert_eq!(*tag, RunTag::Problem);
    assert_eq!(serde_json::from_slice::<Problem>(problem).unwrap().code, Code::GuestTrapped);
    let (total, functions) = enclave.app(&name("job")).unwrap().counters.read();
    assert_eq!((total.calls, total.errors), (4, 1));
    assert_eq!(functions["wasi:cli/run#run"].calls, 4);
    assert_eq!(enclave.app(&name("job")).unwrap().log.read(), b"bye");
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_input_is_streamed_and_output_comes_back_at_once() {
    let enclave = commanding().await;
    let mut sender = one(&enclave, "localhost").await;
    let (mut stdin, body) = Channel::new(1);
    let response = sender.send(request("c", Either::Right(body))).await.unwrap();
    let mut answer = response.into_body();
    let mut all = Vec::new();
    for round in 0..10_u8 {
        stdin.send_data(Bytes::from(vec![round; 3_000])).await.unwrap();
        let mut read = 0;
        while read < 3_000 {
            let frame = answer.frame().await.unwrap().unwrap().into_data().unwrap();
            read += all_of(&frames(frame.clone()), RunTag::Stdout).len();
            all.extend_from_slice(&frame);
        }
    }
    drop(stdin);
    all.extend_from_slice(&answer.collect().await.unwrap().to_bytes());
    let frames = frames(all.into());
    assert_eq!(end(&frames).exit_code, 0);
    assert_eq!(all_of(&frames, RunTag::Stdout).len(), 30_000);
    // As much of it as the app's limit allows is in its log.
    assert_eq!(enclave.app(&name("job")).unwrap().log.read(), vec![0; 1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_the_guest_and_one_that_leaves_ends_it() {
    let enclave = commanding().await;
    let mut sender = two(&enclave, "localhost").await;
    let mut request = request("y", nothing());
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = "https://localhost/v1/apps/job/run".parse().unwrap();
    let response = sender.send(request).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let counted = || enclave.app(&name("job")).unwrap().counters.read().0.calls;
    assert_eq!((counted(), enclave.calls.available_permits()), (0, 1023), "it waits");
    drop(response);
    while counted() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_runs_are_refused() {
    let enclave = commanding().await;
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let mut sender = one(&enclave, "localhost").await;
    for (path, header, expected) in [
        ("/v1/apps/ledger/run", "{}", "not-a-command"),
        ("/v1/apps/jab/run", "{}", "unknown-app"),
        ("/v1/apps/job/run", "{", "bad-request"),
        ("/v1/apps/job/run", r#"{"arguments":["a\u0000b"]}"#, "bad-request"),
        ("/v1/apps/job/run", r#"{"environment":[{"name":"A=B","value":""}]}"#, "bad-request"),
    ] {
        let request = Request::builder().method(Method::POST).uri(path).header("host", "localhost");
        let request = request.header(RUN_HEADER, header).body(nothing()).unwrap();
        let body = sender.send(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert_eq!(serde_json::from_slice::<Problem>(&body).unwrap().code.as_str(), expected, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_until_the_app_goes() {
    let enclave = commanding().await;
    let caller = Requester::with_key(owner());
    let stranger = Requester::with_key(KeyFingerprint::from_hash([3; 32]));
    assert_eq!(
        admin::logs(&enclave, stranger, &name("job"), Some("follow=true")).unwrap_err().code,
        Code::Forbidden
    );
    assert_eq!(admin::egress(&enclave, stranger, &name("job")).unwrap_err().code, Code::Forbidden);
    for bad in ["follow=", "follow=yes", "follow=True", "follow=true&follow=true", "a=b&follow=1"] {
        assert_eq!(
            admin::logs(&enclave, caller, &name("job"), Some(bad)).unwrap_err().code,
            Code::BadRequest,
            "{bad}"
        );
    }
    for whole in [None, Some(""), Some("follow=false"), Some("a=b")] {
        let answer = admin::logs(&enclave, caller, &name("job"), whole).unwrap();
        let ends = tokio::time::timeout(Duration::from_secs(60), answer.into_body().collect()).await;
        assert!(ends.is_ok(), "{whole:?}");
    }
    let mut followed = admin::logs(&enclave, caller, &name("job"), Some("follow=true")).unwrap().into_body();
    let mut sender = one(&enclave, "localhost").await;
    for _ in 0..2 {
        run(&mut sender, "x", b"").await;
        assert_eq!(followed.frame().await.unwrap().unwrap().into_data().unwrap(), "bye");
    }
    assert_eq!(
        admin::logs(&enclave, caller, &name("job"), None)
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes(),
        "byebye"
    );
    drop(sender);
    admin::remove(&enclave, caller, name("job")).await.unwrap();
    assert!(followed.frame().await.is_none());
    assert_eq!(admin::egress(&enclave, caller, &name("job")).unwrap_err().code, Code::UnknownApp);
}
