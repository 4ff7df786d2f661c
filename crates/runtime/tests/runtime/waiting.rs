//! Many calls that wait, and the heap that they share.

use crate::fixture::*;
use cloister_api::{Code, Limits};
use cloister_runtime::{CallHeapBytes, FailureReason, LimitExceeded, Runtime, Settings};
use std::time::{Duration, Instant};

/// With arguments, of the size that Rust's guests begin with: 17 pages.
#[test]
fn a_thousand_calls_wait_for_one_second_together() {
    let executor =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    executor.block_on(async {
        let program = prepare(WAITER);
        let began = Instant::now();
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let program = program.clone();
                tokio::spawn(
                    async move { call(&program, "wait", "[1000]").await.map(|outcome| outcome.result) },
                )
            })
            .collect();
        // Short calls are answered meanwhile.
        let short = Instant::now();
        assert_still_adds(toolbox()).await;
        let short = short.elapsed();
        for call in waiting {
            assert_eq!(call.await.unwrap().unwrap(), 1000);
        }
        let took = began.elapsed();
        println!("1,000 calls in {took:?}, a short one in {short:?}");
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(60), "{took:?}");
    });
}

#[tokio::test]
async fn calls_wait_for_their_turn_and_run_out_of_time_in_it() {
    let heap = CallHeapBytes { modest: 4 << 20, large: 0 };
    let runtime = Runtime::new(Settings { call_heap: heap, ..Settings::default() }).unwrap();
    let program = runtime.prepare(&wat::parse_str(WAITER).unwrap(), &()).unwrap();
    let first = program.clone();
    let first = tokio::spawn(async move { call(&first, "wait", "[5000]").await });
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let hurried = Limits { wall_time_ms: 100, ..Limits::default() };
    let failure = call_within(&program, "wait", "[1]", &hurried).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::TimedOut { limit_ms: 100 });
    // This one has the time.
    assert_eq!(call(&program, "wait", "[1]").await.unwrap().result, 1);
    assert_eq!(first.await.unwrap().unwrap().result, 5000);
}

#[tokio::test]
async fn a_result_needs_room_only_while_it_is_lifted() {
    let heap = |large| CallHeapBytes { modest: 64 << 20, large };
    let runtime = |large| Runtime::new(Settings { call_heap: heap(large), ..Settings::default() }).unwrap();
    let wasm = wat::parse_str(TOOLBOX).unwrap();
    let crowded = runtime(1 << 20);
    let program = crowded.prepare(&wasm, &()).unwrap();
    // A small one is sure.
    assert_eq!(call(&program, "big", "[1000]").await.unwrap().result.as_array().unwrap().len(), 1000);
    let failure = call(&program, "big", "[60000]").await.unwrap_err();
    let heap = matches!(failure.reason, FailureReason::LimitExceeded { limit: LimitExceeded::Heap, .. });
    assert!(heap, "{failure:?}");
    assert_eq!(failure.into_problem().code, Code::LimitExceeded);
    let roomy = runtime(20 << 20);
    let program = roomy.prepare(&wasm, &()).unwrap();
    for _ in 0..5 {
        assert_eq!(call(&program, "big", "[60000]").await.unwrap().result.as_array().unwrap().len(), 60000);
    }
    let failure = call(&program, "big", "[60000]").await;
    assert!(failure.is_ok());
    let small = Limits { result: 1000, ..Limits::default() };
    let failure = call_within(&program, "big", "[60000]", &small).await.unwrap_err();
    assert_eq!(failure.reason, FailureReason::ResultTooLarge { limit: 1000 });
}

/// Waits for so many milliseconds, and answers with them.
const WAITER: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $m
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "block" (func $block (param i32)))
    (memory 17)
    (func (export "wait") (param i32) (result i32)
      (call $block (call $subscribe (i64.mul (i64.extend_i32_u (local.get 0)) (i64.const 1000000))))
      local.get 0))
  (core instance $i (instantiate $m (with "host" (instance
    (export "subscribe" (func $subscribe)) (export "block" (func $block))))))
  (func (export "wait") (param "ms" u32) (result u32) (canon lift (core func $i "wait"))))
"#;
