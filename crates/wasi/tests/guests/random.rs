use cloister_wasi::{Error, MAX_RANDOM_BYTES, WasiCtx};
use wasmtime::Trap;

use crate::guest::Guest;

const BYTES: Guest<'_> = Guest {
    world: "import wasi:random/random@W; export run: func(len: u64) -> list<u8>;",
    imports: r#"(import "wasi:random/random@W" "get-random-bytes" (func $bytes (param i64 i32)))"#,
    body: r#"(func (export "run") (param i64) (result i32)
        (call $bytes (local.get 0) (i32.const 16)) (i32.const 16))"#,
};

const INSECURE_BYTES: Guest<'_> = Guest {
    world: "import wasi:random/insecure@W; export run: func(len: u64) -> list<u8>;",
    imports: r#"(import "wasi:random/insecure@W" "get-insecure-random-bytes" (func $bytes (param i64 i32)))"#,
    body: BYTES.body,
};

#[tokio::test]
async fn as_many_bytes_come_as_were_asked_for() {
    for guest in [BYTES, INSECURE_BYTES] {
        for len in [0, 1, 7, 8, 9, 4096, MAX_RANDOM_BYTES] {
            let bytes: Vec<u8> = guest.run(WasiCtx::builder(), (len as u64,)).await.unwrap();
            assert_eq!(bytes.len(), len);
        }
    }
}

#[tokio::test]
async fn bytes_are_fresh_each_time() {
    let draw = || BYTES.run::<_, Vec<u8>>(WasiCtx::builder(), (32u64,));
    assert_ne!(draw().await.unwrap(), draw().await.unwrap());
}

#[tokio::test]
async fn more_than_the_limit_is_refused_and_not_allocated() {
    for guest in [BYTES, INSECURE_BYTES] {
        for asked in [MAX_RANDOM_BYTES as u64 + 1, 1 << 32, u64::MAX] {
            let refused = guest.run::<_, Vec<u8>>(WasiCtx::builder(), (asked,)).await.unwrap_err();
            let Some(Error::RandomTooLong { asked: refused }) = refused.downcast_ref() else {
                panic!("{refused:?}")
            };
            assert_eq!(*refused, asked);
        }
    }
}

#[tokio::test]
async fn who_cannot_pay_gets_none() {
    let outcome = BYTES.run_with::<_, Vec<u8>>(20_000, WasiCtx::builder(), (10_000u64,)).await;
    assert_eq!(outcome.result.unwrap_err().downcast_ref(), Some(&Trap::OutOfFuel));
    assert_eq!(outcome.fuel_left, 0);
}

#[tokio::test]
async fn numbers_and_seeds_differ_from_draw_to_draw() {
    let numbers = Guest {
        world:
            "import wasi:random/random@W; import wasi:random/insecure@W; import wasi:random/insecure-seed@W;
            export run: func() -> tuple<u64, u64, u64, u64>;",
        imports: r#"(import "wasi:random/random@W" "get-random-u64" (func $secure (result i64)))
            (import "wasi:random/insecure@W" "get-insecure-random-u64" (func $insecure (result i64)))
            (import "wasi:random/insecure-seed@W" "insecure-seed" (func $seed (param i32)))"#,
        body: r#"(func (export "run") (result i32)
            (i64.store (i32.const 16) (call $secure))
            (i64.store (i32.const 24) (call $insecure))
            (call $seed (i32.const 32))
            (i32.const 16))"#,
    };
    let (a, b, c, d): (u64, u64, u64, u64) = numbers.run(WasiCtx::builder(), ()).await.unwrap();
    let (e, f, g, h): (u64, u64, u64, u64) = numbers.run(WasiCtx::builder(), ()).await.unwrap();
    let distinct: std::collections::HashSet<_> = [a, b, c, d, e, f, g, h].into();
    assert_eq!(distinct.len(), 8);
}
