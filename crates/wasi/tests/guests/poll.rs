use std::time::{Duration, Instant};

use cloister_wasi::{Error, MAX_POLLABLES_PER_POLL, WasiCtx};

use crate::guest::Guest;

const WORLD: &str =
    "import wasi:io/poll@W; import wasi:clocks/monotonic-clock@W; export run: func(count: u32) -> u64;";

const IMPORTS: &str = r#"
    (import "wasi:clocks/monotonic-clock@W" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@W" "subscribe-duration" (func $after (param i64) (result i32)))
    (import "wasi:clocks/monotonic-clock@W" "subscribe-instant" (func $at (param i64) (result i32)))
    (import "wasi:io/poll@W" "poll" (func $poll (param i32 i32 i32)))
    (import "wasi:io/poll@W" "[method]pollable.ready" (func $ready (param i32) (result i32)))"#;

/// `$timer` puts the handle of a timer at an index of the list; `$mask` polls the first so many entries of the list and
/// answers with a bit for each ready index.
macro_rules! polling {
    ($run:literal) => {
        Guest {
            world: WORLD,
            imports: IMPORTS,
            body: concat!(
                r#"(func $timer (param $index i32) (param $wait i64)
                    (i32.store (i32.mul (local.get $index) (i32.const 4)) (call $after (local.get $wait))))
                (func $mask (param $count i32) (result i64) (local $at i32) (local $end i32) (local $mask i64)
                    (call $poll (i32.const 0) (local.get $count) (i32.const 32768))
                    (local.set $at (i32.load (i32.const 32768)))
                    (local.set $end (i32.add (local.get $at)
                        (i32.mul (i32.load (i32.const 32772)) (i32.const 4))))
                    (block $done (loop $next
                        (br_if $done (i32.eq (local.get $at) (local.get $end)))
                        (local.set $mask (i64.or (local.get $mask)
                            (i64.shl (i64.const 1) (i64.load32_u (local.get $at)))))
                        (local.set $at (i32.add (local.get $at) (i32.const 4)))
                        (br $next)))
                    (local.get $mask))
                (func (export "run") (param $count i32) (result i64) "#,
                $run,
                ")"
            ),
        }
    };
}

async fn mask(guest: Guest<'_>, count: u32) -> wasmtime::Result<u64> {
    guest.run(WasiCtx::builder(), (count,)).await
}

#[tokio::test]
async fn an_empty_list_traps() {
    let guest = polling!("(call $mask (local.get $count))");
    let refused = mask(guest, 0).await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(Error::EmptyPoll)), "{refused:?}");
}

#[tokio::test]
async fn one_pollable_that_is_ready() {
    let guest = polling!("(call $timer (i32.const 0) (i64.const 0)) (call $mask (local.get $count))");
    assert_eq!(mask(guest, 1).await.unwrap(), 0b1);
}

#[tokio::test]
async fn only_what_is_ready_is_answered() {
    let guest = polling!(
        "(call $timer (i32.const 0) (i64.const -1))
         (call $timer (i32.const 1) (i64.const 0))
         (call $timer (i32.const 2) (i64.const 3600000000000))
         (call $timer (i32.const 3) (i64.const 0))
         (call $mask (local.get $count))"
    );
    assert_eq!(mask(guest, 4).await.unwrap(), 0b1010);
}

#[tokio::test]
async fn a_pollable_named_twice_is_answered_twice() {
    let guest = polling!(
        "(call $timer (i32.const 0) (i64.const 0))
         (call $timer (i32.const 1) (i64.const -1))
         (i32.store (i32.const 8) (i32.load (i32.const 0)))
         (call $mask (local.get $count))"
    );
    assert_eq!(mask(guest, 3).await.unwrap(), 0b101);
}

#[tokio::test]
async fn poll_waits_for_the_first() {
    let guest = polling!(
        "(call $timer (i32.const 0) (i64.const 3600000000000))
         (call $timer (i32.const 1) (i64.const 50000000))
         (call $mask (local.get $count))"
    );
    let start = Instant::now();
    assert_eq!(mask(guest, 2).await.unwrap(), 0b10);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn ready_says_whether_it_is() {
    let guest = polling!(
        "(call $timer (i32.const 0) (i64.const 0))
         (call $timer (i32.const 1) (i64.const 3600000000000))
         (i64.extend_i32_u (i32.or
             (call $ready (i32.load (i32.const 0)))
             (i32.shl (call $ready (i32.load (i32.const 4))) (i32.const 1))))"
    );
    assert_eq!(mask(guest, 0).await.unwrap(), 0b01);
}

#[tokio::test]
async fn an_instant_that_passed_is_ready_and_one_that_never_comes_is_not() {
    let guest = polling!(
        "(i32.store (i32.const 0) (call $at (call $now)))
         (i32.store (i32.const 4) (call $at (i64.const 0)))
         (i32.store (i32.const 8) (call $at (i64.const -1)))
         (call $mask (local.get $count))"
    );
    assert_eq!(mask(guest, 3).await.unwrap(), 0b011);
}

#[tokio::test]
async fn a_list_beyond_the_limit_is_refused() {
    let guest = polling!(
        "(local $at i32)
         (call $timer (i32.const 0) (i64.const 0))
         (loop $next
             (i32.store (local.get $at) (i32.load (i32.const 0)))
             (local.set $at (i32.add (local.get $at) (i32.const 4)))
             (br_if $next (i32.lt_u (local.get $at) (i32.const 32768))))
         (call $mask (local.get $count))"
    );
    let limit = u32::try_from(MAX_POLLABLES_PER_POLL).unwrap();
    assert!(mask(guest, limit).await.is_ok());
    let refused = mask(guest, limit + 1).await.unwrap_err();
    let Some(Error::TooManyPollables { asked }) = refused.downcast_ref() else { panic!("{refused:?}") };
    assert_eq!(*asked, MAX_POLLABLES_PER_POLL + 1);
}
