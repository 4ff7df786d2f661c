use std::time::Duration;

use cloister_wasi::{BYTE_FUEL, CALL_FUEL, WasiCtx};
use wasmtime::Trap;

use crate::guest::{Guest, PLENTY};

/// Asks for a random number so many times.
const FLOOD: Guest<'_> = Guest {
    world: "import wasi:random/random@W; export run: func(times: u64) -> u32;",
    imports: r#"(import "wasi:random/random@W" "get-random-u64" (func $random (result i64)))"#,
    body: r#"(func (export "run") (param i64) (result i32)
        (loop $next
            (drop (call $random))
            (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
            (br_if $next (i64.ne (local.get 0) (i64.const 0))))
        (i32.const 0))"#,
};

#[tokio::test]
async fn each_host_function_is_charged() {
    let fuel = async |times: u64| {
        let outcome = FLOOD.run_with::<_, u32>(PLENTY, WasiCtx::builder(), (times,)).await;
        outcome.result.unwrap();
        outcome.fuel_used
    };
    let per_call = (fuel(1001).await - fuel(1).await) / 1000;
    assert!(per_call > CALL_FUEL && per_call < 2 * CALL_FUEL, "{per_call}");
}

#[tokio::test]
async fn the_same_calls_cost_the_same() {
    let mut used = Vec::new();
    for _ in 0..3 {
        used.push(FLOOD.run_with::<_, u32>(PLENTY, WasiCtx::builder(), (500u64,)).await.fuel_used);
    }
    assert!(used.iter().all(|fuel| *fuel == used[0]), "{used:?}");
}

#[tokio::test]
async fn a_flood_of_host_calls_runs_out_of_fuel() {
    let outcome = FLOOD.run_with::<_, u32>(1_000_000, WasiCtx::builder(), (u64::MAX,)).await;
    assert_eq!(outcome.result.unwrap_err().downcast_ref(), Some(&Trap::OutOfFuel));
    assert_eq!(outcome.fuel_left, 0);
}

#[tokio::test]
async fn a_flood_of_host_calls_lets_others_run() {
    let flood = FLOOD.run_with::<_, u32>(u64::MAX / 2, WasiCtx::builder(), (u64::MAX,));
    assert!(tokio::time::timeout(Duration::from_millis(500), flood).await.is_err());
}

/// The guest's allocator grows its memory under the host function: its count of fuel is in a register then.
#[tokio::test]
async fn a_debit_survives_the_guests_allocator() {
    let guest = Guest {
        world: "import wasi:random/random@W; export run: func(len: u64) -> u32;",
        imports: r#"(import "wasi:random/random@W" "get-random-bytes" (func $bytes (param i64 i32)))"#,
        body: r#"(func (export "run") (param i64) (result i32)
            (call $bytes (local.get 0) (i32.const 16)) (i32.load (i32.const 20)))"#,
    };
    let len = 500_000;
    let outcome = guest.run_with::<_, u32>(PLENTY, WasiCtx::builder(), (len,)).await;
    assert_eq!(u64::from(outcome.result.unwrap()), len);
    assert!(outcome.fuel_used >= len * BYTE_FUEL * 8, "{}", outcome.fuel_used);
}
