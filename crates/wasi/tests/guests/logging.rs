use std::sync::Arc;

use cloister_wasi::{BoundedLog, Stdio, WasiCtx, output_channel};

use crate::guest::{Guest, PLENTY};

macro_rules! logging {
    ($interface:literal) => {
        Guest {
            world: concat!(
                "import ",
                $interface,
                "; export run: func(level: u32, context: string, message: string) -> u32;"
            ),
            imports: concat!("(import \"", $interface, "\" \"log\" (func $log (param i32 i32 i32 i32 i32)))"),
            body: r#"(func (export "run") (param i32 i32 i32 i32 i32) (result i32)
                (call $log (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
                (i32.const 0))"#,
        }
    };
}

const BOTH: [Guest<'_>; 2] = [logging!("wasi:logging/logging"), logging!("wasi:logging/logging@0.1.0-draft")];

#[tokio::test]
async fn a_message_is_a_line_of_the_log() {
    for guest in BOTH {
        let log = Arc::new(BoundedLog::new(10_000));
        let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"];
        for level in 0..levels.len() as u32 {
            let ctx = WasiCtx::builder().output(log.clone());
            guest.run::<_, u32>(ctx, (level, "shop", "one\ntwo")).await.unwrap();
        }
        let lines = String::from_utf8(log.take().of(Stdio::Stderr)).unwrap();
        let expected: String = levels.iter().map(|level| format!("{level} [shop] one\\ntwo\n")).collect();
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn a_message_goes_to_the_log_wherever_the_standard_streams_go() {
    let log = Arc::new(BoundedLog::new(10_000));
    let (sender, mut receiver) = output_channel(10_000);
    let ctx = WasiCtx::builder().stdio(sender).output(log.clone());
    BOTH[1].run::<_, u32>(ctx, (2u32, "", "hello")).await.unwrap();
    assert_eq!(log.take().of(Stdio::Stderr), b"INFO [] hello\n");
    assert!(receiver.next().await.is_none());
    BOTH[1].run::<_, u32>(WasiCtx::builder(), (2u32, "", "to nobody")).await.unwrap();
}

#[tokio::test]
async fn a_message_costs_fuel_by_its_bytes_kept_or_not() {
    let fuel = async |length: usize| {
        let log = Arc::new(BoundedLog::new(1 << 20));
        let ctx = WasiCtx::builder().output(log.clone());
        let outcome = BOTH[1].run_with::<_, u32>(PLENTY, ctx, (0u32, "", "x".repeat(length).as_str())).await;
        outcome.result.unwrap();
        (outcome.fuel_used, log.take().of(Stdio::Stderr).len())
    };
    let ((short, _), (long, kept)) = (fuel(1_000).await, fuel(1_001_000).await);
    assert!(long - short >= 1_000_000, "{short} {long}");
    assert!(kept < 9_000, "{kept}");
}
