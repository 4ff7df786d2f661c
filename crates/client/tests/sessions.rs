//! Requests over a verified session, and peers that are no enclaves or bad ones.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use bytes::Bytes;
use cloister_api::{CheckEvent, Code, DeployEvent, DeploySettings, Problem};
use cloister_attestation::{AppExtensions, ConfigurationClaim, key_fingerprint, sha256};
use cloister_client::{
    Check, Client, ClientError, ConfigurationDemand, DeployProgress, Endpoint, Identity, KeyAlgorithm,
    Timeouts,
};
use enclave::{CODE_HASH, FakeEnclave, PRESENT, description, lines, response};
use rustls::HandshakeKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn requests_go_over_http_2_and_over_http_1_1() {
    for alpn in [vec![b"h2".to_vec()], vec![b"http/1.1".to_vec()], Vec::new()] {
        let mut enclave = FakeEnclave { alpn, ..FakeEnclave::new() };
        enclave.answer = Arc::new(|line, body| match line {
            "GET /v1/apps" => response(200, "application/json", "{\"apps\":[]}"),
            "GET /v1/metrics" => response(200, "text/plain", "calls 1\n"),
            "DELETE /v1/apps/hello" => {
                response(200, "application/json", r#"{"name":"hello","files":3,"bytes":4096,"keys":2}"#)
            }
            "POST /v1/apps/hello/calls/a%3Ab%2Fc%23d" => call_response(&CODE_HASH, body),
            _ => response(200, "application/json", "{\"status\":\"ok\"}"),
        });
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let hello = "hello".parse().unwrap();
        session.health().await.unwrap();
        assert!(session.apps().await.unwrap().apps.is_empty());
        assert_eq!(session.metrics().await.unwrap(), "calls 1\n");
        let removal = session.remove(&hello).await.unwrap();
        assert_eq!((removal.files, removal.bytes, removal.keys), (3, 4096, 2));
        let answer = session.call_json(&hello, "a:b/c#d", &serde_json::json!([1])).await.unwrap();
        assert_eq!(answer.result, "[1]");
        let answer = session.call_wave(&hello, "a:b/c#d", &["\"x\"".to_owned()]).await.unwrap();
        assert_eq!(answer.result, "[\"\\\"x\\\"\"]");
    }
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let enclave = FakeEnclave::new();
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let (a, b, c) = tokio::join!(session.health(), session.health(), session.health());
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
}

#[tokio::test]
async fn every_session_is_verified_anew() {
    let enclave = FakeEnclave::new();
    let endpoint = enclave.serve().await;
    let client = enclave.client();
    client.connect(&endpoint).await.unwrap();
    client.connect(&endpoint).await.unwrap();
    assert_eq!(enclave.seen(), ["POST /v1/evidence", "POST /v1/evidence"]);
}

#[tokio::test]
async fn an_identity_for_one_enclave_is_shown_to_no_other() {
    let (enclave, other) = (FakeEnclave::new(), FakeEnclave::new());
    let identity = Identity::generate().unwrap();
    let key = identity.fingerprint();
    let client = enclave.client().with_identity_for(identity, enclave.claims.tls_key);
    let refused = client.connect(&other.serve().await).await.unwrap_err();
    assert!(matches!(refused, ClientError::Tls { .. }), "{refused}");
    assert!(other.clients.lock().unwrap().is_empty() && other.seen().is_empty());
    client.connect(&enclave.serve().await).await.unwrap().health().await.unwrap();
    assert_eq!(enclave.clients.lock().unwrap().iter().map(hex::encode).collect::<Vec<_>>(), [key]);
}

/// The server offers tickets, and a client keeps its TLS configuration: evidence is bound to a handshake that was made from
/// nothing all the same.
#[tokio::test]
async fn no_session_resumes_another() {
    let enclave = FakeEnclave::new();
    let endpoint = enclave.serve().await;
    let client = enclave.client();
    for _ in 0..3 {
        client.connect(&endpoint).await.unwrap().health().await.unwrap();
    }
    let client = client.with_identity(Identity::generate().unwrap());
    for _ in 0..2 {
        client.connect(&endpoint).await.unwrap().health().await.unwrap();
    }
    let handshakes = enclave.handshakes.lock().unwrap().clone();
    assert!(handshakes.len() == 5 && !handshakes.contains(&HandshakeKind::Resumed), "{handshakes:?}");
}

#[tokio::test]
async fn a_client_remembers_the_quotes_that_it_verified() {
    let remembers = |client: &Client, quotes: usize| {
        let shown = format!("{client:?}");
        assert!(shown.contains(&format!("VerifiedQuotes {{ remembered: {quotes} }}")), "{quotes}: {shown}");
    };
    let mut enclave = FakeEnclave::new();
    let endpoint = enclave.serve().await;
    let client = enclave.client();
    remembers(&client, 0);
    for _ in 0..3 {
        let session = client.connect(&endpoint).await.unwrap();
        session.health().await.unwrap();
        remembers(&client, 1);
    }

    // A new quote over new claims is another one.
    enclave.claims.boot.counter += 1;
    enclave.quote_as(|_| {});
    let session = client.connect(&enclave.serve().await).await.unwrap();
    assert_eq!(session.claims().boot.counter, 2);
    remembers(&client, 2);

    // What does not verify is not among them.
    enclave.quote[436] ^= 1;
    assert!(client.connect(&enclave.serve().await).await.is_err());
    remembers(&client, 2);
    // Each client has its own.
    remembers(&enclave.client(), 0);
}

#[tokio::test]
async fn an_answer_of_other_code_than_expected_is_dropped() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, body| call_response(&[0xdd; 32], body));
    let hello: cloister_api::AppName = "hello".parse().unwrap();
    let policy = enclave.policy().with_app(hello.clone(), CODE_HASH);
    let client = cloister_client::Client::new(policy);
    let session = client.connect(&enclave.serve().await).await.unwrap();
    let error = session.call_json(&hello, "f", &serde_json::json!([])).await.unwrap_err();
    assert!(matches!(error, ClientError::CodeHash { .. }), "{error}");

    // Without an expectation any code may answer.
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    assert!(session.call_json(&hello, "f", &serde_json::json!([])).await.is_ok());
}

#[tokio::test]
async fn what_an_app_shows_is_given_where_the_claims_have_it() {
    let hello: cloister_api::AppName = "hello".parse().unwrap();
    let shows = async |claimed: &[u8], server_name: &str| {
        let mut enclave = FakeEnclave::new();
        enclave.claims.apps[0].extensions = vec![(7, sha256(claimed))];
        enclave.quote_as(|_| {});
        enclave.app = Some(AppExtensions {
            code_hash: CODE_HASH,
            configuration: enclave.claims.apps[0].hash().unwrap(),
            values: vec![(7, b"a key".to_vec())],
        });
        let endpoint = Endpoint { server_name: server_name.to_owned(), ..enclave.serve().await };
        let policy = enclave.policy().with_extension(hello.clone(), 7, sha256(b"a key"));
        cloister_client::Client::new(policy).connect(&endpoint).await
    };
    let session = shows(b"a key", "hello.localhost").await.unwrap();
    assert_eq!(session.extension(&hello, 7).as_deref(), Some(&b"a key"[..]));
    assert_eq!(session.extension(&hello, 8), None);
    assert_eq!(session.extension(&"other".parse().unwrap(), 7), None);
    assert_eq!(key_fingerprint(&session.certificate().into()), Ok(session.claims().tls_key));

    let ClientError::Refused(refused) = shows(b"another key", "hello.localhost").await.unwrap_err() else {
        panic!()
    };
    let failed: Vec<_> = refused.report.failed().cloned().collect();
    assert_eq!(failed, [Check::CertificateClaims, Check::Extension { app: hello.clone(), suffix: 7 }]);
    assert!(shows(b"a key", "localhost").await.is_err(), "the host name is not the app's");
}

#[tokio::test]
async fn an_app_that_awaits_its_configuration_can_be_refused_or_accepted() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.apps[0].configuration = ConfigurationClaim::Awaited;
    enclave.quote_as(|_| {});
    let endpoint = enclave.serve().await;
    let hello: cloister_api::AppName = "hello".parse().unwrap();
    let connect = async |policy| cloister_client::Client::new(policy).connect(&endpoint).await;
    let pinned = || enclave.policy().with_app(hello.clone(), CODE_HASH);
    let Err(ClientError::Refused(refused)) = connect(pinned()).await else { panic!("it is not ready") };
    assert!(refused.report.failed().eq([&Check::Configuration { app: hello.clone() }]));
    let session =
        connect(pinned().with_configuration(hello.clone(), ConfigurationDemand::Any)).await.unwrap();
    assert_eq!(session.claims().apps[0].configuration, ConfigurationClaim::Awaited);
    assert!(enclave.client().connect(&endpoint).await.is_ok(), "nobody asked for the app");
}

#[tokio::test]
async fn an_identity_is_shown_and_none_is_not() {
    let enclave = FakeEnclave::new();
    let endpoint = enclave.serve().await;
    enclave.client().connect(&endpoint).await.unwrap();
    assert!(enclave.clients.lock().unwrap().is_empty());
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::Ed25519] {
        let identity = Identity::generate_for(algorithm).unwrap();
        let fingerprint = identity.fingerprint();
        enclave.client().with_identity(identity).connect(&endpoint).await.unwrap();
        let shown = enclave.clients.lock().unwrap().pop().map(hex::encode);
        assert_eq!(shown, Some(fingerprint), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_the_session_is_verified_and_not_before() {
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        let client = enclave.client().with_token(TOKEN.to_owned().into());
        assert!(!format!("{client:?}").contains(TOKEN));
        let session = client.connect(&enclave.serve().await).await.unwrap();
        assert!(!format!("{session:?}").contains(TOKEN));
        session.health().await.unwrap();
        session.metrics().await.unwrap();
        let shown = tokens(&enclave);
        let bearer = Some(format!("Bearer {TOKEN}"));
        assert_eq!(shown, [None, bearer.clone(), bearer]);
        assert_eq!(enclave.seen()[0], "POST /v1/evidence");
    }
}

#[tokio::test]
async fn a_refused_enclave_never_sees_the_token() {
    let mut enclave = FakeEnclave::new();
    enclave.quote_as(|identity| identity.mrenclave = [0xbb; 32]);
    let client = enclave.client().with_token(TOKEN.to_owned().into());
    let refused = client.connect(&enclave.serve().await).await;
    assert!(matches!(refused, Err(ClientError::Refused(_))), "{refused:?}");
    assert_eq!(tokens(&enclave), [None]);
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_anything_is_sent() {
    let enclave = FakeEnclave::new();
    let client = enclave.client().with_token("a token\r\nx: y".to_owned().into());
    let refused = client.connect(&enclave.serve().await).await;
    assert!(matches!(refused, Err(ClientError::Token)), "{refused:?}");
    assert!(enclave.seen().is_empty());
}

fn tokens(enclave: &FakeEnclave) -> Vec<Option<String>> {
    let headers = enclave.headers.lock().unwrap();
    let token = |headers: &http::HeaderMap| Some(headers.get("authorization")?.to_str().unwrap().to_owned());
    headers.iter().map(token).collect()
}

const TOKEN: &str = "aGVhZA.Ym9keQ.c2ln";

#[tokio::test]
async fn problems_arrive_as_they_are() {
    let mut enclave = FakeEnclave::new();
    let problem = Problem::new(Code::UnknownApp, "no app 'helo'").with_suggestions(vec!["hello".into()]);
    let body = serde_json::to_vec(&problem).unwrap();
    enclave.answer = Arc::new(move |_, _| response(404, "application/problem+json", body.clone()));
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    match session.describe(&"helo".parse().unwrap()).await.unwrap_err() {
        ClientError::Problem(found) => assert_eq!(*found, problem),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn responses_that_are_too_long_or_nonsense_are_errors() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|line, _| match line {
        "GET /v1/health" => response(200, "application/json", vec![b' '; 100 << 10]),
        "GET /v1/apps" => response(200, "application/json", "{"),
        _ => response(500, "text/html", "<h1>oops</h1>"),
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    assert!(matches!(session.health().await, Err(ClientError::ResponseTooLarge { .. })));
    assert!(matches!(session.apps().await, Err(ClientError::UnexpectedResponse(_))));
    assert!(matches!(session.metrics().await, Err(ClientError::UnexpectedResponse(_))));
    let arguments = serde_json::json!(["x".repeat(cloister_api::MAX_CALL_BODY)]);
    let error = session.call_json(&"hello".parse().unwrap(), "f", &arguments).await.unwrap_err();
    assert!(matches!(error, ClientError::RequestTooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_deploy_reports_upload_and_compilation() {
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let mut enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        enclave.answer = Arc::new(|line, body| {
            assert_eq!(line, "POST /v1/apps/hello");
            let code_hash = hex::encode(sha256(body));
            let events = [
                DeployEvent::Received { bytes: body.len() as u64, code_hash: code_hash.clone() },
                DeployEvent::Compiling { functions: 3, elapsed_ms: 10 },
                DeployEvent::Deployed { app: Box::new(description(&code_hash)) },
            ];
            response(200, cloister_api::NDJSON, lines(&events))
        });
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let wasm = Bytes::from(vec![7; 200_000]);
        let mut progress = Vec::new();
        let deployed = session
            .deploy(&"hello".parse().unwrap(), wasm.clone(), &DeploySettings::default(), |step| {
                progress.push(step)
            })
            .await
            .unwrap();
        assert_eq!(deployed.summary.code_hash, hex::encode(sha256(&wasm)));
        assert!(progress.contains(&DeployProgress::Uploaded { sent: 200_000, total: 200_000 }));
        let compiling = DeployEvent::Compiling { functions: 3, elapsed_ms: 10 };
        assert!(progress.contains(&DeployProgress::Enclave(compiling)));
        assert!(matches!(progress.last(), Some(DeployProgress::Enclave(DeployEvent::Deployed { .. }))));
    }
}

#[tokio::test]
async fn a_deploy_that_fails_says_why() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|line, body| match line {
        "POST /v1/apps/failed" => {
            let problem = Problem::new(Code::NotAComponent, "bytes");
            response(
                200,
                cloister_api::NDJSON,
                lines(&[DeployEvent::Queued, DeployEvent::Failed { problem }]),
            )
        }
        "POST /v1/apps/exists" => {
            let problem = Problem::new(Code::AppExists, "there is one");
            response(409, "application/problem+json", serde_json::to_vec(&problem).unwrap())
        }
        "PUT /v1/apps/silent" => response(200, cloister_api::NDJSON, lines(&[DeployEvent::Queued])),
        _ => {
            let app = Box::new(description(&hex::encode(sha256(&[body, &[0]].concat()))));
            response(200, cloister_api::NDJSON, lines(&[DeployEvent::Deployed { app }]))
        }
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let settings = DeploySettings::default();
    let deploy = |name: &'static str| {
        let (session, settings) = (&session, &settings);
        async move { session.deploy(&name.parse().unwrap(), Bytes::from_static(b"wasm"), settings, |_| {}).await }
    };
    let code = |error: ClientError| match error {
        ClientError::Problem(problem) => problem.code,
        other => panic!("{other}"),
    };
    assert_eq!(code(deploy("failed").await.unwrap_err()), Code::NotAComponent);
    assert_eq!(code(deploy("exists").await.unwrap_err()), Code::AppExists);
    assert!(matches!(deploy("other-bytes").await, Err(ClientError::CodeHash { .. })));
    let silent =
        session.replace(&"silent".parse().unwrap(), Bytes::from_static(b"wasm"), &settings, |_| {}).await;
    assert!(matches!(silent, Err(ClientError::ConnectionLost(_))));
}

#[tokio::test]
async fn the_latest_epoch_is_that_of_evidence_or_calls() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, body| {
        let epoch: Vec<u64> = serde_json::from_slice(body).unwrap();
        let mut answer = serde_json::json!({
            "result": null, "fuel": 1, "wall_us": 1, "code_hash": hex::encode(CODE_HASH),
        });
        if let [epoch] = epoch[..] {
            answer["epoch"] = epoch.into();
        }
        response(200, "application/json", answer.to_string())
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let hello = "hello".parse().unwrap();
    assert_eq!(session.volume(), Some(PRESENT));
    for (arguments, answered, latest) in [
        (serde_json::json!([]), None, 5),
        (serde_json::json!([9]), Some(9), 9),
        (serde_json::json!([8]), Some(8), 9),
    ] {
        let answer = session.call_json(&hello, "f", &arguments).await.unwrap();
        assert_eq!(answer.epoch, answered);
        assert_eq!(session.latest_epoch(), Some(latest));
    }
}

#[tokio::test]
async fn a_check_of_the_volume_is_followed_to_its_end() {
    let mut enclave = FakeEnclave::new();
    let damaged = CheckEvent::Damaged {
        app: Some("hello".parse().unwrap()),
        object: Some(4),
        offset: Some(8192),
        what: "a block does not verify".to_owned(),
    };
    let events = [
        CheckEvent::Progress { done: 1, total: 2 },
        damaged.clone(),
        CheckEvent::Done { blocks: 2, damaged: 1, epoch: 7 },
    ];
    let whole = lines(&events);
    let cut = lines(&events[..2]);
    let problem = Problem::new(Code::StorageUnavailable, "the disk is gone");
    let failed = lines(&[CheckEvent::Failed { problem }]);
    for (body, expected) in
        [(whole, Ok(())), (cut, Err("without a result")), (failed, Err("the disk is gone"))]
    {
        enclave.answer = Arc::new(move |line, _| {
            assert_eq!(line, "POST /v1/volume/check");
            response(200, cloister_api::NDJSON, body.clone())
        });
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let mut seen = Vec::new();
        let result = session.check_volume(|event| seen.push(event)).await;
        match (result, expected) {
            (Ok(check), Ok(())) => {
                assert_eq!((check.blocks, check.damaged, check.epoch), (2, 1, 7));
                assert_eq!(seen[1], damaged);
            }
            (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{error}"),
            (result, _) => panic!("{result:?}"),
        }
    }
}

#[tokio::test]
async fn a_backup_arrives_whole_or_not_at_all() {
    let chunk =
        |block: u64, fill: u8| [&block.to_le_bytes()[..], &1_u32.to_le_bytes(), &[fill; 4096]].concat();
    let end = [&u64::MAX.to_le_bytes()[..], &[0; 4]].concat();
    let whole = [chunk(0, 1), chunk(9, 2), end].concat();
    for length in [whole.len(), whole.len() - 1, 4096] {
        let body = whole[..length].to_vec();
        let mut enclave = FakeEnclave::new();
        enclave.answer = Arc::new(move |line, _| {
            assert_eq!(line, "GET /v1/volume/backup");
            let mut answer = response(200, cloister_api::BACKUP, body.clone());
            answer.headers_mut().insert(cloister_api::BACKUP_EPOCH_HEADER, 12.into());
            answer
        });
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let mut backup = session.backup().await.unwrap();
        assert_eq!(backup.epoch(), 12);
        let mut blocks = Vec::new();
        let ended = loop {
            match backup.next_chunk().await {
                Ok(Some(chunk)) => blocks.push((chunk.block, chunk.bytes[0])),
                Ok(None) => break true,
                Err(error) => {
                    assert!(matches!(error, ClientError::ConnectionLost(_)), "{error}");
                    break false;
                }
            }
        };
        assert_eq!(ended, length == whole.len());
        assert!([(0, 1), (9, 2)].starts_with(&blocks), "{blocks:?}");
    }
}

#[tokio::test]
async fn a_backup_without_its_epoch_is_refused() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, _| response(200, cloister_api::BACKUP, ""));
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    assert!(matches!(session.backup().await, Err(ClientError::UnexpectedResponse(_))));
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let endpoint = Endpoint { address, server_name: "localhost".to_owned() };
    let error = FakeEnclave::new().client().connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_plain_http_server_is_named() {
    let endpoint = peer(Some(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")).await;
    let error = FakeEnclave::new().client().connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ClientError::NotTls { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let endpoint = peer(None).await;
    let timeouts = Timeouts { handshake: Duration::from_millis(200), ..Timeouts::default() };
    let error = FakeEnclave::new().client().with_timeouts(timeouts).connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { doing: "the TLS handshake", .. }), "{error}");
}

#[tokio::test]
async fn a_tls_1_2_server_is_refused() {
    let enclave = FakeEnclave { tls_version: &rustls::version::TLS12, ..FakeEnclave::new() };
    let error = enclave.client().connect(&enclave.serve().await).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    assert!(enclave.seen().is_empty());
}

#[tokio::test]
async fn a_tls_server_without_evidence_is_no_enclave() {
    for bad in ["claims", "quote", "signature", "root of the volume"] {
        let mut enclave = FakeEnclave::new();
        enclave.make_evidence = Arc::new(move |enclave, binding| {
            let mut evidence = enclave.evidence(binding);
            let part = match bad {
                "claims" => &mut evidence.claims,
                "quote" => &mut evidence.quote,
                "root of the volume" => &mut evidence.volume.as_mut().unwrap().root,
                _ => &mut evidence.signature,
            };
            part.insert(0, '!');
            evidence
        });
        let error = enclave.client().connect(&enclave.serve().await).await.unwrap_err();
        assert!(matches!(error, ClientError::NotAnEnclave { .. }), "{error}");
        assert!(error.to_string().contains(bad), "{error}");
    }
}

#[tokio::test]
async fn a_host_name_that_is_none_is_refused_before_connecting() {
    let enclave = FakeEnclave::new();
    let endpoint = Endpoint { server_name: "no host".to_owned(), ..enclave.serve().await };
    let error = enclave.client().connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ClientError::ServerName(_)), "{error}");
}

/// A TCP peer that says this to whatever it hears first, or nothing at all.
async fn peer(answer: Option<&'static [u8]>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 4096];
        while let Ok(1..) = stream.read(&mut heard).await {
            if let Some(answer) = answer {
                let _ = stream.write_all(answer).await;
            }
        }
    });
    Endpoint { address, server_name: "localhost".to_owned() }
}

fn call_response(code_hash: &[u8; 32], body: &[u8]) -> http::Response<Bytes> {
    let result = String::from_utf8(body.to_vec()).unwrap();
    let response_body = serde_json::json!({
        "result": result, "fuel": 1, "wall_us": 1, "code_hash": hex::encode(code_hash),
    });
    response(200, "application/json", response_body.to_string())
}
