use std::sync::Arc;

use cloister_wasi::{BoundedLog, MAX_READ_BYTES, Stdio, WasiCtx};

use crate::guest::{Guest, PLENTY};

/// Writes `run`'s bytes to standard output, a `!` to standard error.
const PRINT: Guest<'_> = Guest {
    world: "import wasi:cli/stdout@W; import wasi:cli/stderr@W; import wasi:io/streams@W;
        export run: func(text: list<u8>) -> u32;",
    imports: r#"
        (import "wasi:cli/stdout@W" "get-stdout" (func $stdout (result i32)))
        (import "wasi:cli/stderr@W" "get-stderr" (func $stderr (result i32)))
        (import "wasi:io/streams@W" "[method]output-stream.blocking-write-and-flush"
            (func $write (param i32 i32 i32 i32)))
        (import "wasi:io/streams@W" "[resource-drop]output-stream" (func $drop (param i32)))"#,
    body: r#"
        (data (i32.const 0) "!")
        (func (export "run") (param $text i32) (param $len i32) (result i32) (local $out i32) (local $err i32)
            (local.set $out (call $stdout))
            (local.set $err (call $stderr))
            (call $write (local.get $out) (local.get $text) (local.get $len) (i32.const 16))
            (call $write (local.get $err) (i32.const 0) (i32.const 1) (i32.const 32))
            (call $drop (local.get $out))
            (call $drop (local.get $err))
            (i32.or (i32.load8_u (i32.const 16)) (i32.load8_u (i32.const 32))))"#,
};

#[tokio::test]
async fn what_a_guest_prints_is_captured_in_order() {
    let log = Arc::new(BoundedLog::new(100));
    let ctx = WasiCtx::builder().output(log.clone());
    let outcome = PRINT.run_with::<_, u32>(PLENTY, ctx, (b"hello".to_vec(),)).await;
    assert_eq!(outcome.result.unwrap(), 0);
    assert!(outcome.all_dropped, "a stream is left in the table");
    let log = log.take();
    assert_eq!(log.pieces().collect::<Vec<_>>(), [(Stdio::Stdout, &b"hello"[..]), (Stdio::Stderr, b"!")]);
    assert_eq!(log.dropped(), 0);
}

#[tokio::test]
async fn a_full_log_does_not_stop_the_guest() {
    let log = Arc::new(BoundedLog::new(10));
    let ctx = WasiCtx::builder().output(log.clone());
    assert_eq!(PRINT.run::<_, u32>(ctx, (vec![b'x'; 4096],)).await.unwrap(), 0);
    let log = log.take();
    assert_eq!(log.of(Stdio::Stdout), [b'x'; 10]);
    assert_eq!(log.dropped(), 4096 - 10 + 1);
}

#[tokio::test]
async fn output_costs_fuel_by_its_bytes() {
    let fuel = async |len: usize| {
        let outcome = PRINT.run_with::<_, u32>(PLENTY, WasiCtx::builder(), (vec![0u8; len],)).await;
        outcome.result.unwrap();
        outcome.fuel_used
    };
    let (short, long) = (fuel(96).await, fuel(4096).await);
    assert!(long - short >= 4000, "{short} {long}");
}

const OUTPUT: &str = r#"
    (import "wasi:cli/stdout@W" "get-stdout" (func $stdout (result i32)))
    (import "wasi:io/streams@W" "[method]output-stream.check-write" (func $check (param i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.write-zeroes" (func $zeroes (param i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.blocking-flush" (func $flush (param i32 i32)))"#;

#[tokio::test]
async fn what_check_write_allows_can_be_written_and_not_one_byte_more() {
    let guest = Guest {
        world: "import wasi:cli/stdout@W; import wasi:io/streams@W; export run: func(more: u32) -> u32;",
        imports: OUTPUT,
        body: r#"(func (export "run") (param $more i32) (result i32) (local $out i32) (local $permit i32)
            (local.set $out (call $stdout))
            (call $check (local.get $out) (i32.const 16))
            (local.set $permit (i32.wrap_i64 (i64.load (i32.const 24))))
            (call $write (local.get $out) (i32.const 0)
                (i32.add (local.get $permit) (local.get $more)) (i32.const 32))
            (call $flush (local.get $out) (i32.const 48))
            (local.get $permit))"#,
    };
    let log = Arc::new(BoundedLog::new(1 << 20));
    let permit: u32 = guest.run(WasiCtx::builder().output(log.clone()), (0u32,)).await.unwrap();
    assert_eq!(log.take().of(Stdio::Stdout).len(), permit as usize);
    let trap = guest.run::<_, u32>(WasiCtx::builder(), (1u32,)).await.unwrap_err();
    assert!(format!("{trap:?}").contains("check-write"), "{trap:?}");
}

#[tokio::test]
async fn zeroes_without_end_are_refused() {
    let guest = Guest {
        world: "import wasi:cli/stdout@W; import wasi:io/streams@W; export run: func(len: u64) -> u32;",
        imports: OUTPUT,
        body: r#"(func (export "run") (param i64) (result i32)
            (call $zeroes (call $stdout) (local.get 0) (i32.const 16)) (i32.load8_u (i32.const 16)))"#,
    };
    let log = Arc::new(BoundedLog::new(1 << 20));
    let written = guest.run::<_, u32>(WasiCtx::builder().output(log.clone()), (100u64,)).await.unwrap();
    assert_eq!((written, log.take().of(Stdio::Stdout)), (0, vec![0; 100]));
    for len in [65 << 10, 1 << 40, u64::MAX] {
        assert!(guest.run::<_, u32>(WasiCtx::builder(), (len,)).await.is_err());
    }
}

const READ: Guest<'_> = Guest {
    world: "import wasi:cli/stdin@W; import wasi:io/streams@W; export run: func(len: u64) -> result<list<u8>>;",
    imports: r#"
        (import "wasi:cli/stdin@W" "get-stdin" (func $stdin (result i32)))
        (import "wasi:io/streams@W" "[method]input-stream.read" (func $read (param i32 i64 i32)))
        (import "wasi:io/streams@W" "[method]input-stream.blocking-read" (func $block (param i32 i64 i32)))"#,
    body: r#"(func (export "run") (param i64) (result i32)
        (call $read (call $stdin) (local.get 0) (i32.const 16)) (i32.const 16))"#,
};

/// Reads once, and again through a second handle.
const READ_TWICE: Guest<'_> = Guest {
    world: READ.world,
    imports: READ.imports,
    body: r#"(func (export "run") (param i64) (result i32)
        (call $block (call $stdin) (local.get 0) (i32.const 16))
        (call $block (call $stdin) (i64.const -1) (i32.const 16)) (i32.const 16))"#,
};

type Read = Result<Vec<u8>, ()>;

#[tokio::test]
async fn standard_input_is_read_to_its_end() {
    let read = async |guest: Guest<'_>, stdin: &'static [u8], len: u64| {
        guest.run::<_, Read>(WasiCtx::builder().stdin(stdin), (len,)).await.unwrap()
    };
    assert_eq!(read(READ, b"", 10).await, Err(()), "closed");
    assert_eq!(read(READ, b"hello", 10).await, Ok(b"hello".to_vec()));
    assert_eq!(read(READ, b"hello", 2).await, Ok(b"he".to_vec()));
    assert_eq!(read(READ, b"hello", 0).await, Ok(vec![]));
    assert_eq!(read(READ_TWICE, b"hello", 2).await, Ok(b"llo".to_vec()));
    assert_eq!(read(READ_TWICE, b"hello", 5).await, Err(()));
}

#[tokio::test]
async fn one_read_moves_no_more_than_its_limit() {
    let ctx = WasiCtx::builder().stdin(vec![b'x'; 200_000]);
    let bytes = READ.run::<_, Read>(ctx, (u64::MAX,)).await.unwrap().unwrap();
    assert_eq!(bytes.len() as u64, MAX_READ_BYTES);
}

#[tokio::test]
async fn splice_moves_input_to_output() {
    let guest = Guest {
        world: "import wasi:cli/stdin@W; import wasi:cli/stdout@W; import wasi:io/streams@W;
            export run: func(len: u64) -> u64;",
        imports: r#"
            (import "wasi:cli/stdin@W" "get-stdin" (func $stdin (result i32)))
            (import "wasi:cli/stdout@W" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@W" "[method]output-stream.blocking-splice"
                (func $splice (param i32 i32 i64 i32)))"#,
        body: r#"(func (export "run") (param i64) (result i64)
            (call $splice (call $stdout) (call $stdin) (local.get 0) (i32.const 16))
            (i64.load (i32.const 24)))"#,
    };
    let log = Arc::new(BoundedLog::new(1 << 20));
    let ctx = WasiCtx::builder().stdin(&b"hello"[..]).output(log.clone());
    assert_eq!(guest.run::<_, u64>(ctx, (4u64,)).await.unwrap(), 4);
    assert_eq!(log.take().of(Stdio::Stdout), b"hell");
}
