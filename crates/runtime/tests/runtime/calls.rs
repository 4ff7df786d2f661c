use crate::fixture::*;
use cloister_api::{Code, Limits};
use cloister_runtime::{Arguments, BoundedLog, Call, CallFailure, FailureReason, Outcome, Stdio};
use std::sync::Arc;

#[tokio::test]
async fn json_arguments_by_position_and_by_name() {
    assert_eq!(call(toolbox(), "add", "[1, 2]").await.unwrap().result, 3);
    assert_eq!(call(toolbox(), "add", r#"{"b": 2, "a": 5}"#).await.unwrap().result, 7);
    assert_eq!(call(toolbox(), "echo", r#"["grüße \u0000"]"#).await.unwrap().result, "grüße \u{0}");
    assert_eq!(call(toolbox(), "nothing", "").await.unwrap().result, serde_json::Value::Null);
}

#[tokio::test]
async fn wave_arguments_get_a_wave_result() {
    assert_eq!(wave("add", &["20", "22"]).await.unwrap().result, "42");
    assert_eq!(wave("echo", &["\"hello\""]).await.unwrap().result, "\"hello\"");
    assert_eq!(wave("nothing", &[]).await.unwrap().result, serde_json::Value::Null);
    for (second, code) in [("[1", Code::MalformedArguments), ("\"two\"", Code::WrongArguments)] {
        let failure = wave("add", &["1", second]).await.unwrap_err();
        assert_eq!(failure.into_problem().code, code, "{second}");
    }
}

async fn wave(export: &str, texts: &[&str]) -> Result<Outcome, CallFailure> {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let (limits, log) = (Limits::default(), Arc::new(BoundedLog::new(0)));
    let arguments = Arguments::Wave(&texts);
    toolbox().call(Call { export, arguments, context: context(&limits, log) }).await
}

#[tokio::test]
async fn each_call_begins_afresh() {
    for _ in 0..3 {
        assert_eq!(call(toolbox(), "grow", "[2]").await.unwrap().result, 1, "pages before growing");
    }
}

#[tokio::test]
async fn fuel_is_the_same_each_time_and_grows_with_the_work() {
    let first = call(toolbox(), "add", "[1, 2]").await.unwrap().fuel;
    assert_eq!(call(toolbox(), "add", "[3, 4]").await.unwrap().fuel, first);
    assert!((1..100).contains(&first), "{first}");
    let one = call(&prepare(&clock_reader("0.2.0")), "read", "[1]").await.unwrap().fuel;
    let hundred = call(&prepare(&clock_reader("0.2.0")), "read", "[100]").await.unwrap().fuel;
    assert!(hundred > 50 * one, "host calls cost: {one} {hundred}");
}

#[tokio::test]
async fn unknown_exports_are_answered_with_near_names() {
    let failure = call(toolbox(), "ad", "[]").await.unwrap_err();
    assert_eq!(failure.fuel, 0);
    let problem = failure.into_problem();
    assert_eq!(problem.code, Code::UnknownExport);
    assert!(problem.suggestions.contains(&"add".to_owned()), "{problem:?}");
    assert!(problem.trap.is_none());
}

#[tokio::test]
async fn wrong_and_malformed_arguments_are_told_apart() {
    for (json, code) in [
        ("[1", Code::MalformedArguments),
        ("[1, \"two\"]", Code::WrongArguments),
        ("[1]", Code::WrongArguments),
        ("[1, 2, 3]", Code::WrongArguments),
        (r#"{"a": 1, "bb": 2}"#, Code::WrongArguments),
        ("[1, -2]", Code::WrongArguments),
        ("[1, 4294967296]", Code::WrongArguments),
    ] {
        let failure = call(toolbox(), "add", json).await.unwrap_err();
        assert!(matches!(failure.reason, FailureReason::Arguments(_)), "{json}");
        assert_eq!(failure.into_problem().code, code, "{json}");
    }
}

#[tokio::test]
async fn interface_functions_have_full_and_short_names() {
    let program = prepare(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const 7))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (instance $api (export "seven" (func $f)))
            (export "acme:numbers/lucky@1.2.0" (instance $api)))"#,
    );
    for name in ["acme:numbers/lucky@1.2.0#seven", "acme:numbers/lucky#seven", "lucky#seven", "seven"] {
        assert_eq!(call(&program, name, "").await.unwrap().result, 7, "{name}");
        assert_eq!(program.export_name(name), Ok("acme:numbers/lucky@1.2.0#seven"));
    }
    let refused = call(&program, "lucky#sevn", "").await.unwrap_err().into_problem();
    assert_eq!(refused.suggestions, ["acme:numbers/lucky@1.2.0#seven"]);
}

#[tokio::test]
async fn functions_with_resources_are_listed_but_not_callable() {
    let program = prepare(
        r#"(component
            (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
            (alias export $poll "pollable" (type $pollable))
            (core module $m (func (export "f") (param i32)) (func (export "g") (result i32) i32.const 1))
            (core instance $i (instantiate $m))
            (func (export "take") (param "it" (own $pollable)) (canon lift (core func $i "f")))
            (func (export "one") (result u32) (canon lift (core func $i "g"))))"#,
    );
    let exports = program.exports();
    let take = exports.iter().find(|export| export.name == "take").unwrap();
    assert!(take.not_callable.as_ref().unwrap().contains("parameter `it`"), "{take:?}");
    assert_eq!(call(&program, "take", "[1]").await.unwrap_err().into_problem().code, Code::UnsupportedType);
    assert_eq!(call(&program, "one", "").await.unwrap().result, 1);
}

#[tokio::test]
async fn every_version_of_wasi_0_2_is_served() {
    for version in ["0.2.0", "0.2.6", "0.2.12"] {
        let program = prepare(&clock_reader(version));
        assert!(call(&program, "read", "[1]").await.unwrap().result.is_u64(), "{version}");
    }
}

#[tokio::test]
async fn output_reaches_the_log_up_to_its_limit() {
    let program = prepare(WRITER);
    let log = Arc::new(BoundedLog::new(1000));
    let limits = Limits { log: 8, ..Limits::default() };
    call_logged(&program, "write", "[2]", &limits, log.clone()).await.unwrap();
    assert_eq!(log.take().of(Stdio::Stdout), b"hello\nhe");
}

#[tokio::test]
async fn exits_carry_their_code() {
    let program = prepare(EXITS);
    for (argument, code) in [("[false]", 0), ("[true]", 1)] {
        let failure = call(&program, "leave", argument).await.unwrap_err();
        assert_eq!(failure.reason, FailureReason::Exited { code });
        assert_eq!(failure.into_problem().code, Code::GuestExited);
    }
}

#[tokio::test]
async fn post_return_runs_and_its_trap_counts() {
    assert_eq!(call(toolbox(), "big", "[3]").await.unwrap().result, serde_json::json!([0, 0, 0]));
    let failure = call(toolbox(), "bad-cleanup", "[3]").await.unwrap_err();
    assert_eq!(failure.into_problem().code, Code::GuestTrapped);
}
