//! Every row of bad input that comes as a well-formed request: a clear error, and nothing else harmed.

use crate::apps::{code, deploy};
use bytes::Bytes;
use cloister_api::{Code, DeploySettings, Limits, Problem};
use cloister_client::{ClientError, Session};
use cloister_tests::{RawTls, for_everybody, guest, name, shared};
use serde_json::json;
use std::time::Duration;

fn problem<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Problem(problem)) => *problem,
        other => panic!("a problem was expected, not {other:?}"),
    }
}

/// Tests that run at the same time deploy under names of their own: one of two deploys of a name is told to wait.
async fn refused(session: &Session, app: &str, wasm: impl Into<Bytes>) -> Problem {
    problem(session.deploy(&name(app), wasm.into(), &for_everybody(), |_| {}).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_component_is_refused() {
    let session = shared().owner().await;
    let app = "no-component";
    for bytes in [&b""[..], b"#!/bin/sh", b"\0asm", &[0xff; 100]] {
        assert_eq!(refused(&session, app, bytes).await.code, Code::NotAComponent, "{bytes:?}");
    }
    let module = refused(&session, app, wat::parse_str("(module)").unwrap()).await;
    assert_eq!(module.code, Code::CoreModule);
    assert!(module.detail.contains("wasm-tools component new"), "{}", module.detail);
    let whole = guest("toolbox");
    let cut = refused(&session, app, whole.slice(..whole.len() / 2)).await;
    assert_eq!(cut.code, Code::InvalidComponent);
    assert!(session.apps().await.unwrap().apps.iter().all(|known| known.name != name(app)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_is_too_large_is_refused_before_it_is_compiled() {
    let session = shared().owner().await;
    let mut large = guest("toolbox").to_vec();
    large.resize(33 << 20, 0);
    let problem = refused(&session, "too-large", large).await;
    assert_eq!(problem.code, Code::ComponentTooLarge);
    assert!(problem.detail.contains("33554432"), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsupported_import_is_named() {
    let session = shared().owner().await;
    let problem = refused(&session, "unsupported", guest("socket-user")).await;
    assert_eq!(problem.code, Code::UnsupportedImport);
    assert!(problem.detail.contains("wasi:sockets/tcp-create-socket@0.2.6"), "{}", problem.detail);
    let near = wat::parse_str(
        r#"(component (import "wasi:random/randon@0.2.0" (instance (export "get-random-u64" (func (result u64))))))"#,
    );
    let problem = refused(&session, "unsupported", near.unwrap()).await;
    assert_eq!(problem.code, Code::UnsupportedImport);
    let all = format!("{} {:?}", problem.detail, problem.suggestions);
    assert!(all.contains("wasi:random/random@0.2"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_name_parameter_expected_and_given() {
    let session = shared().owner().await;
    deploy(&session, "arguments", "toolbox").await;
    let app = name("arguments");
    for (arguments, expected_code, words) in [
        (json!({ "a": "x", "b": 1 }), Code::WrongArguments, &["a", "u32", "string"][..]),
        (json!([1]), Code::WrongArguments, &["b", "u32"]),
        (json!([1, 2, 3]), Code::WrongArguments, &["3", "2"]),
        (json!({ "a": 1, "bb": 2 }), Code::WrongArguments, &["bb"]),
        (json!([1, -1]), Code::WrongArguments, &["b", "u32", "-1"]),
        (json!([1, 4_294_967_296_u64]), Code::WrongArguments, &["4294967296"]),
        (json!(7), Code::MalformedArguments, &["array by position"]),
    ] {
        let problem = problem(session.call_json(&app, "add", &arguments).await);
        assert_eq!(problem.code, expected_code, "{arguments}: {problem:?}");
        for word in words {
            assert!(problem.detail.contains(word), "{arguments}: {}", problem.detail);
        }
    }
    let wave = problem(session.call_wave(&app, "add", &["1".into(), "\"x\"".into()]).await);
    assert!(matches!(wave.code, Code::WrongArguments | Code::MalformedArguments), "{wave:?}");
    assert!(wave.detail.contains('b') && wave.detail.contains("u32"), "{}", wave.detail);
    let malformed = problem(session.call_wave(&app, "add", &["1".into(), "(((".into()]).await);
    assert_eq!(malformed.code, Code::MalformedArguments, "{malformed:?}");
    let answer = session.call_json(&app, "add", &json!([1, 2])).await.unwrap();
    assert_eq!(answer.result, json!(3));
    session.remove(&app).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_json_is_told_where() {
    let session = shared().owner().await;
    deploy(&session, "malformed", "toolbox").await;
    let mut raw = RawTls::connect(shared().address(), "localhost").await.unwrap();
    let body = "{\"a\": 1, }";
    let request = format!(
        "POST /v1/apps/malformed/calls/add HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = raw.send(request.as_bytes(), Duration::from_secs(60)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("\"code\":\"malformed-arguments\""), "{answer}");
    assert!(answer.contains("column"), "{answer}");
    session.remove(&name("malformed")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_suggest_near_ones() {
    let session = shared().owner().await;
    deploy(&session, "spelled-right", "toolbox").await;
    let unknown = problem(session.call_json(&name("speled-right"), "add", &json!([1, 2])).await);
    assert_eq!((unknown.code, unknown.suggestions), (Code::UnknownApp, vec!["spelled-right".to_owned()]));
    let unknown = problem(session.call_json(&name("spelled-right"), "ad", &json!([1, 2])).await);
    assert_eq!(unknown.code, Code::UnknownExport);
    assert!(unknown.suggestions.contains(&"add".to_owned()), "{unknown:?}");
    session.remove(&name("spelled-right")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_deploy_of_a_name_is_refused() {
    let session = shared().owner().await;
    deploy(&session, "twice", "toolbox").await;
    let second = session.deploy(&name("twice"), guest("writer"), &for_everybody(), |_| {}).await;
    assert_eq!(code(second), Code::AppExists);
    assert_eq!(session.call_json(&name("twice"), "add", &json!([1, 2])).await.unwrap().result, json!(3));
    session.remove(&name("twice")).await.unwrap();
    let none = session.replace(&name("twice"), guest("writer"), &for_everybody(), |_| {}).await;
    assert_eq!(code(none), Code::UnknownApp);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_out_of_range_are_refused() {
    let limits = Limits { memory: 1 << 40, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    let result = shared().owner().await.deploy(&name("greedy"), guest("toolbox"), &settings, |_| {}).await;
    let problem = problem(result);
    assert_eq!(problem.code, Code::InvalidSettings);
    assert!(problem.detail.contains("'memory'"), "{}", problem.detail);
}
