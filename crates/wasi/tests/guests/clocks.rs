use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloister_wasi::WasiCtx;

use crate::guest::{Guest, PLENTY};

#[tokio::test]
async fn the_monotonic_clock_never_goes_back() {
    let readings = Guest {
        world: "import wasi:clocks/monotonic-clock@W; export run: func() -> tuple<u64, u64, u64>;",
        imports: r#"(import "wasi:clocks/monotonic-clock@W" "now" (func $now (result i64)))
            (import "wasi:clocks/monotonic-clock@W" "resolution" (func $resolution (result i64)))"#,
        body: r#"(func (export "run") (result i32)
            (i64.store (i32.const 16) (call $now))
            (i64.store (i32.const 24) (call $now))
            (i64.store (i32.const 32) (call $resolution))
            (i32.const 16))"#,
    };
    let mut before = 0;
    for _ in 0..5 {
        let (a, b, resolution): (u64, u64, u64) = readings.run(WasiCtx::builder(), ()).await.unwrap();
        assert!(before <= a && a <= b);
        assert_eq!(resolution, 1);
        before = b;
    }
}

#[tokio::test]
async fn the_wall_clock_is_the_hosts() {
    let now = Guest {
        world: "import wasi:clocks/wall-clock@W; export run: func() -> tuple<u64, u32>;",
        imports: r#"(import "wasi:clocks/wall-clock@W" "now" (func $now (param i32)))"#,
        body: r#"(func (export "run") (result i32) (call $now (i32.const 16)) (i32.const 16))"#,
    };
    let (seconds, nanoseconds): (u64, u32) = now.run(WasiCtx::builder(), ()).await.unwrap();
    let host = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(host.abs_diff(seconds) < 10);
    assert!(nanoseconds < 1_000_000_000);
}

/// Waits on a timer of so many nanoseconds.
const SLEEP: Guest<'_> = Guest {
    world: "import wasi:io/poll@W; import wasi:clocks/monotonic-clock@W; export run: func(wait: u64) -> u64;",
    imports: r#"(import "wasi:clocks/monotonic-clock@W" "now" (func $now (result i64)))
        (import "wasi:clocks/monotonic-clock@W" "subscribe-duration" (func $timer (param i64) (result i32)))
        (import "wasi:io/poll@W" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:io/poll@W" "[resource-drop]pollable" (func $drop (param i32)))"#,
    body: r#"(func (export "run") (param i64) (result i64) (local $start i64) (local $timer i32)
        (local.set $start (call $now))
        (local.set $timer (call $timer (local.get 0)))
        (call $block (local.get $timer))
        (call $block (local.get $timer))
        (call $drop (local.get $timer))
        (i64.sub (call $now) (local.get $start)))"#,
};

#[tokio::test]
async fn a_guest_sleeps_as_long_as_it_asked() {
    let wait = Duration::from_millis(30).as_nanos() as u64;
    let outcome = SLEEP.run_with::<_, u64>(PLENTY, WasiCtx::builder(), (wait,)).await;
    let slept = outcome.result.unwrap();
    assert!(slept >= wait && slept < 2_000 * wait, "{slept}");
    assert!(outcome.all_dropped, "a timer is left in the table");
}

#[tokio::test]
async fn no_wait_is_no_wait() {
    let slept: u64 = SLEEP.run(WasiCtx::builder(), (0u64,)).await.unwrap();
    assert!(slept < Duration::from_secs(60).as_nanos() as u64);
}

#[tokio::test]
async fn a_sleeping_guest_can_be_ended_from_outside() {
    let sleep = SLEEP.run::<_, u64>(WasiCtx::builder(), (u64::MAX,));
    assert!(tokio::time::timeout(Duration::from_millis(300), sleep).await.is_err());
}

#[tokio::test]
async fn two_hundred_sleepers_share_one_thread() {
    let component = SLEEP.at(crate::guest::NEWEST);
    let component = wasmtime::component::Component::new(&crate::guest::ENGINE, component).unwrap();
    let pre = crate::guest::linker().instantiate_pre(&component).unwrap();
    let start = Instant::now();
    let sleepers: Vec<_> = (0..200)
        .map(|_| {
            let pre = pre.clone();
            tokio::spawn(async move {
                let mut store = crate::guest::store(PLENTY, WasiCtx::builder());
                let instance = pre.instantiate_async(&mut store).await.unwrap();
                let run = instance.get_typed_func::<(u64,), (u64,)>(&mut store, "run").unwrap();
                run.call_async(&mut store, (500_000_000,)).await.unwrap().0
            })
        })
        .collect();
    for sleeper in sleepers {
        assert!(sleeper.await.unwrap() >= 500_000_000);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "one after the other it is 100 seconds");
}
