use crate::fixture::*;
use cloister_api::Limits;
use cloister_runtime::{BoundedLog, LogSink, Runtime, Settings};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_calls_at_once_get_their_own_answers() {
    let tasks: Vec<_> = (0..200u32)
        .map(|n| {
            tokio::spawn(async move {
                let text = format!("[\"{}\"]", "x".repeat(n as usize));
                let sum = call(toolbox(), "add", &format!("[{n}, {n}]")).await.unwrap().result;
                let echo = call(toolbox(), "echo", &text).await.unwrap().result;
                (sum, echo.as_str().map(str::len))
            })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), ((2 * n).into(), Some(n)));
    }
}

#[tokio::test]
async fn one_thread_serves_good_calls_while_a_guest_spins() {
    let limits = Limits { fuel: u64::MAX, wall_time_ms: 6_000, ..Limits::default() };
    let spinning = tokio::spawn(async move { call_within(toolbox(), "spin", "", &limits).await });
    for _ in 0..20 {
        assert_still_adds(toolbox()).await;
        tokio::task::yield_now().await;
    }
    assert!(!spinning.is_finished(), "the good calls did not wait for it");
    assert!(spinning.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_call_frees_everything_of_it() {
    let runtime = Runtime::new(Settings::default()).unwrap();
    let program = runtime.prepare(&wat::parse_str(TOOLBOX).unwrap(), &()).unwrap();
    let log: Arc<dyn LogSink> = Arc::new(BoundedLog::new(10));
    let running: Vec<_> = (0..8)
        .map(|_| {
            let (program, log) = (program.clone(), Arc::clone(&log));
            tokio::spawn(async move {
                let limits = Limits { fuel: u64::MAX, ..Limits::default() };
                call_logged(&program, "spin", "", &limits, log).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(Arc::strong_count(&log) > 1);
    for call in &running {
        call.abort();
    }
    for call in running {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(Arc::strong_count(&log), 1);
    assert_still_adds(&program).await;
    drop(program);
    assert_eq!(runtime.statistics().pool.used, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_program_finishes_what_it_began() {
    let runtime = Runtime::new(Settings::default()).unwrap();
    let old = runtime.prepare(&wat::parse_str(WRITER).unwrap(), &()).unwrap();
    let running = tokio::spawn(async move { call(&old, "write", "[5000]").await });
    let new = runtime.prepare(&wat::parse_str(TOOLBOX).unwrap(), &()).unwrap();
    assert_still_adds(&new).await;
    assert_eq!(running.await.unwrap().unwrap().result, 5000);
    let only_new = runtime.statistics().pool.used;
    assert!(only_new >= new.code_bytes() && only_new < new.code_bytes() + 4096);
}
