//! Each ends with its own failure, beside a good call whose answer stays right.

use crate::fixture::*;
use cloister_api::{Code, Limits, Problem};
use cloister_runtime::{BoundedLog, FailureReason, LimitExceeded, LogSink, Program, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Runs a call that has to fail while good calls go on; checks its code.
async fn fails(program: &Program, export: &str, json: &str, limits: &Limits, code: Code) -> Problem {
    let (failed, ..) = tokio::join!(
        call_within(program, export, json, limits),
        assert_still_adds(toolbox()),
        assert_still_adds(toolbox()),
    );
    assert_still_adds(toolbox()).await;
    let problem = failed.expect_err(export).into_problem();
    assert_eq!(problem.code, code, "{export}: {problem:?}");
    problem
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_trap_names_its_reason_and_its_frames() {
    for (export, json, reason, function) in [
        ("fail", "", "unreachable", Some("fail_on_purpose")),
        ("div", "[1, 0]", "integer divide by zero", None),
        ("div", "[-2147483648, -1]", "integer overflow", None),
        ("out-of-bounds", "", "out of bounds memory access", None),
        ("truncate", "", "integer overflow", None),
        ("call-null", "", "uninitialized element", None),
        ("dive", "", "call stack exhausted", Some("dive_deeper")),
    ] {
        let problem = fails(toolbox(), export, json, &Limits::default(), Code::GuestTrapped).await;
        let trap = problem.trap.unwrap();
        assert!(trap.reason.starts_with("wasm trap: "), "{export}: {}", trap.reason);
        assert!(trap.reason.contains(reason), "{export}: {}", trap.reason);
        assert!(!trap.backtrace.is_empty() && trap.backtrace.len() <= 32, "{export}: {trap:?}");
        if let Some(function) = function {
            assert_eq!(trap.backtrace[0].function.as_deref(), Some(function), "{export}");
            assert!(trap.backtrace[0].offset.is_some(), "{export}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_burns_its_fuel() {
    let limits = Limits { fuel: 3_000_000, ..Limits::default() };
    let problem = fails(toolbox(), "spin", "", &limits, Code::OutOfFuel).await;
    assert_eq!(problem.trap.unwrap().fuel, 3_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wall_time_ends_what_fuel_does_not() {
    let limits = Limits { fuel: u64::MAX, wall_time_ms: 50, ..Limits::default() };
    let failure = call_within(toolbox(), "spin", "", &limits).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::TimedOut { limit_ms: 50 });
    assert!(failure.fuel > 0);
    assert!(
        failure.wall >= Duration::from_millis(50) && failure.wall < Duration::from_secs(60),
        "{failure:?}"
    );
    fails(toolbox(), "spin", "", &limits, Code::TimedOut).await;
}

#[tokio::test]
async fn memory_beyond_the_bound_is_refused_as_wasm_says() {
    let limits = Limits { memory: 4 << 16, ..Limits::default() };
    assert_eq!(call_within(toolbox(), "grow", "[3]", &limits).await.unwrap().result, 1);
    assert_eq!(call_within(toolbox(), "grow", "[4]", &limits).await.unwrap().result, -1);
    assert_eq!(call_within(toolbox(), "grow", "[30000]", &limits).await.unwrap().result, -1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_bomb_is_told_its_limit() {
    let problem = fails(toolbox(), "hoard", "", &Limits::default(), Code::LimitExceeded).await;
    assert!(problem.detail.contains("memory limit of 67108864 bytes"), "{}", problem.detail);
    assert!(problem.detail.contains("unreachable"), "{}", problem.detail);
}

#[tokio::test]
async fn initial_memory_and_tables_count_as_well() {
    let wat = r#"(component
        (core module $m (memory (export "m") 3) (memory 3) (table 50 funcref))
        (core instance (instantiate $m))
        (core module $n (func (export "f")))
        (core instance $i (instantiate $n))
        (func (export "f") (canon lift (core func $i "f"))))"#;
    let program = prepare(wat);
    for (limits, limit) in [
        (Limits { memory: 5 << 16, ..Limits::default() }, LimitExceeded::Memory { limit: 5 << 16 }),
        (Limits { table_elements: 49, ..Limits::default() }, LimitExceeded::TableElements { limit: 49 }),
        (Limits { instances: 1, ..Limits::default() }, LimitExceeded::Instances { limit: 1 }),
    ] {
        let failure = call_within(&program, "f", "", &limits).await.unwrap_err();
        assert!(
            matches!(&failure.reason, FailureReason::LimitExceeded { limit: reached, .. } if *reached == limit),
            "{failure:?}"
        );
    }
    let enough = Limits { memory: 6 << 16, table_elements: 50, instances: 2, ..Limits::default() };
    assert!(call_within(&program, "f", "", &enough).await.is_ok());
}

#[tokio::test]
async fn tables_are_bounded_in_total() {
    let limits = Limits { table_elements: 100, ..Limits::default() };
    assert_eq!(call_within(toolbox(), "grow-table", "[99]", &limits).await.unwrap().result, 1);
    assert_eq!(call_within(toolbox(), "grow-table", "[100]", &limits).await.unwrap().result, -1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_result_is_not_lifted() {
    let limits = Limits { result: 1000, ..Limits::default() };
    call_within(toolbox(), "big", "[490]", &limits).await.unwrap();
    let problem = fails(toolbox(), "big", "[501]", &limits, Code::ResultTooLarge).await;
    assert!(problem.detail.contains("1000 bytes"));
    fails(toolbox(), "big", "[40000000]", &Limits::default(), Code::ResultTooLarge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handle_bombs_end_at_the_limit() {
    let bomb = prepare(HANDLE_BOMB);
    let limits = Limits { handles: 100, ..Limits::default() };
    for export in ["own", "host"] {
        let problem = fails(&bomb, export, "", &limits, Code::LimitExceeded).await;
        assert!(problem.detail.contains("limit of 100 resource handles"), "{export}: {}", problem.detail);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_host_calls_burns_fuel() {
    let flood = prepare(&clock_reader("0.2.6"));
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let problem = fails(&flood, "read", "[0]", &limits, Code::OutOfFuel).await;
    assert_eq!(problem.trap.unwrap().fuel, 1_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_is_dropped_and_burns_fuel() {
    let writer = prepare(WRITER);
    let log = Arc::new(BoundedLog::new(usize::MAX));
    let limits = Limits { log: 100, ..Limits::default() };
    let failure = call_logged(&writer, "write", "[100000000]", &limits, log.clone()).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::OutOfFuel { limit: limits.fuel });
    assert_eq!(log.take().of(Stdio::Stdout).len(), 100);
    assert_still_adds(toolbox()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_host_ends_one_call_and_says_nothing() {
    let writer = prepare(WRITER);
    let failure = call_logged(&writer, "write", "[1]", &Limits::default(), Arc::new(PanickingLog)).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.reason, FailureReason::Internal);
    let problem = failure.into_problem();
    assert_eq!(problem.code, Code::Internal);
    assert!(!format!("{problem:?}").contains("secret"));
    assert_still_adds(toolbox()).await;
    let log = Arc::new(BoundedLog::new(100));
    assert!(call_logged(&writer, "write", "[1]", &Limits::default(), log).await.is_ok());
}

struct PanickingLog;

impl LogSink for PanickingLog {
    fn write(&self, _: Stdio, _: &[u8]) {
        panic!("secret");
    }
}
