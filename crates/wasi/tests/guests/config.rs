use cloister_wasi::{WasiCtx, WasiCtxBuilder};

use crate::guest::{Guest, PLENTY};

const GET: Guest<'_> = Guest {
    world: "import wasi:config/store@0.2.0-rc.1; export run: func(key: string) -> result<option<string>, string>;",
    imports: r#"(import "wasi:config/store@0.2.0-rc.1" "get" (func $get (param i32 i32 i32)))"#,
    body: r#"(func (export "run") (param i32 i32) (result i32)
        (call $get (local.get 0) (local.get 1) (i32.const 16)) (i32.const 16))"#,
};

const GET_ALL: Guest<'_> = Guest {
    world: "import wasi:config/store@0.2.0-rc.1; export run: func() -> result<list<tuple<string, string>>, string>;",
    imports: r#"(import "wasi:config/store@0.2.0-rc.1" "get-all" (func $all (param i32)))"#,
    body: r#"(func (export "run") (result i32) (call $all (i32.const 16)) (i32.const 16))"#,
};

fn settings() -> (WasiCtxBuilder, Vec<(String, String)>) {
    let pairs =
        [("z.level", "größer"), ("a", ""), ("a", "hidden")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    (WasiCtx::builder().config(pairs.clone()), pairs.to_vec())
}

#[tokio::test]
async fn a_value_is_found_by_its_key() {
    // The two results differ in their errors alone, which never come.
    type Value = Result<Option<String>, String>;
    let get = async |key: &str| GET.run::<_, Value>(settings().0, (key,)).await.unwrap().unwrap();
    assert_eq!(get("z.level").await.as_deref(), Some("größer"));
    assert_eq!(get("a").await.as_deref(), Some(""), "of two the first");
    for unknown in ["", "A", "z", "z.level "] {
        assert_eq!(get(unknown).await, None, "{unknown:?}");
    }
    let none: Value = GET.run(WasiCtx::builder(), ("a",)).await.unwrap();
    assert_eq!(none, Ok(None));
}

#[tokio::test]
async fn all_values_come_in_their_order() {
    type Values = Result<Vec<(String, String)>, String>;
    let (ctx, pairs) = settings();
    assert_eq!(GET_ALL.run::<_, Values>(ctx, ()).await.unwrap(), Ok(pairs));
    assert_eq!(GET_ALL.run::<_, Values>(WasiCtx::builder(), ()).await.unwrap(), Ok(vec![]));
}

#[tokio::test]
async fn values_cost_fuel_by_their_bytes() {
    let fuel = async |length: usize| {
        let ctx = WasiCtx::builder().config([("key".to_owned(), "x".repeat(length))]);
        let outcome = GET.run_with::<_, Result<Option<String>, String>>(PLENTY, ctx, ("key",)).await;
        outcome.result.unwrap().unwrap();
        outcome.fuel_used
    };
    let (short, long) = (fuel(100).await, fuel(10_100).await);
    assert!(long - short >= 10_000, "{short} {long}");
}
