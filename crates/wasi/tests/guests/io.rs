//! `wasi:io` at its edges, on standard streams that come and go while the guest runs.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloister_wasi::{BoundedLog, Input, InputFailed, InputSource, Stdio, WasiCtx, output_channel};
use tokio::sync::mpsc;

use crate::guest::{Guest, PLENTY};

const WORLD: &str = "import wasi:cli/stdin@W; import wasi:cli/stdout@W; import wasi:cli/stderr@W;
    import wasi:io/streams@W; import wasi:io/poll@W; import wasi:io/error@W;";

/// A result starts at 16: 0 or 1 there; at 24 the number, or 0 for `last-operation-failed`, whose error is at 28, and 1 for
/// `closed`. `read`'s list and an error without a number begin at 20.
const IMPORTS: &str = r#"
    (import "wasi:cli/stdin@W" "get-stdin" (func $stdin (result i32)))
    (import "wasi:cli/stdout@W" "get-stdout" (func $stdout (result i32)))
    (import "wasi:cli/stderr@W" "get-stderr" (func $stderr (result i32)))
    (import "wasi:io/streams@W" "[method]input-stream.read" (func $read (param i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]input-stream.skip" (func $skip (param i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]input-stream.blocking-skip" (func $skip-all (param i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]input-stream.subscribe" (func $readable (param i32) (result i32)))
    (import "wasi:io/streams@W" "[method]output-stream.subscribe" (func $writable (param i32) (result i32)))
    (import "wasi:io/streams@W" "[method]output-stream.check-write" (func $check (param i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.flush" (func $flush (param i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.blocking-flush" (func $flush-all (param i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.blocking-write-and-flush"
        (func $print (param i32 i32 i32 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.blocking-write-zeroes-and-flush"
        (func $print-zeroes (param i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.splice" (func $splice (param i32 i32 i64 i32)))
    (import "wasi:io/streams@W" "[method]output-stream.blocking-splice" (func $splice-all (param i32 i32 i64 i32)))
    (import "wasi:io/streams@W" "[resource-drop]input-stream" (func $close-input (param i32)))
    (import "wasi:io/streams@W" "[resource-drop]output-stream" (func $close-output (param i32)))
    (import "wasi:io/poll@W" "poll" (func $poll (param i32 i32 i32)))
    (import "wasi:io/poll@W" "[method]pollable.ready" (func $ready (param i32) (result i32)))
    (import "wasi:io/poll@W" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:io/poll@W" "[resource-drop]pollable" (func $forget (param i32)))
    (import "wasi:io/error@W" "[method]error.to-debug-string" (func $text (param i32 i32)))"#;

/// A guest with all of [`IMPORTS`]; `$type` is what its export `run` is.
macro_rules! guest {
    ($type:literal, $body:expr) => {
        Guest { world: &format!("{WORLD} export run: {};", $type), imports: IMPORTS, body: $body }
    };
}

/// Moves all of standard input to standard output, and returns how many bytes that were.
const CAT: &str = r#"(func (export "run") (result i64) (local $in i32) (local $out i32) (local $sum i64)
    (local.set $in (call $stdin))
    (local.set $out (call $stdout))
    (block $end (loop $next
        (call $splice-all (local.get $out) (local.get $in) (i64.const -1) (i32.const 16))
        (br_if $end (i32.load8_u (i32.const 16)))
        (local.set $sum (i64.add (local.get $sum) (i64.load (i32.const 24))))
        (br $next)))
    (call $close-input (local.get $in))
    (call $close-output (local.get $out))
    (local.get $sum))"#;

#[tokio::test]
async fn input_is_piped_to_output_while_both_go_on() {
    let pieces = 300;
    let piece = |number: u32| Bytes::from(number.to_le_bytes().repeat(1_000));
    let (feeder, stdin) = live_input();
    let (sender, mut receiver) = output_channel(10_000);
    let ctx = WasiCtx::builder().stdin(stdin).stdio(sender);
    let guest = guest!("func() -> u64", CAT);
    let feed = async {
        for number in 0..pieces {
            feeder.send(Ok(piece(number))).await.unwrap();
        }
        drop(feeder);
    };
    let take = async {
        let mut seen = Vec::new();
        while let Some((stream, bytes)) = receiver.next().await {
            assert_eq!(stream, Stdio::Stdout);
            assert!(bytes.len() <= 80 << 10, "{}", bytes.len());
            seen.extend_from_slice(&bytes);
        }
        seen
    };
    let (outcome, (), seen) = tokio::join!(guest.run_with::<_, u64>(PLENTY, ctx, ()), feed, take);
    assert!(outcome.all_dropped, "a stream is left in the table");
    assert_eq!(outcome.result.unwrap(), u64::from(pieces) * 4_000);
    assert!(seen == (0..pieces).flat_map(piece).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_pollable_of_input_is_ready_when_there_is_some() {
    // Answers 100 × ready before, and what the poll and the ready after say.
    let guest = guest!(
        "func() -> u32",
        r#"(func (export "run") (result i32) (local $in i32) (local $pollable i32) (local $answer i32)
            (local.set $in (call $stdin))
            (local.set $pollable (call $readable (local.get $in)))
            (local.set $answer (i32.mul (i32.const 100) (call $ready (local.get $pollable))))
            (call $read (local.get $in) (i64.const 9) (i32.const 16))
            (if (i32.or (i32.load8_u (i32.const 16)) (i32.load (i32.const 24))) (then unreachable))
            (i32.store (i32.const 0) (local.get $pollable))
            (i32.store (i32.const 4) (local.get $pollable))
            (call $poll (i32.const 0) (i32.const 2) (i32.const 32))
            (local.set $answer (i32.add (local.get $answer) (i32.load (i32.const 36))))
            (call $forget (local.get $pollable))
            (call $read (local.get $in) (i64.const 9) (i32.const 16))
            (i32.add (local.get $answer) (i32.mul (i32.const 10) (i32.load (i32.const 24)))))"#
    );
    let (feeder, stdin) = live_input();
    let feed = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        feeder.send(Ok(Bytes::from("hello"))).await.unwrap();
    };
    let start = Instant::now();
    let (answer, ()) = tokio::join!(guest.run::<_, u32>(WasiCtx::builder().stdin(stdin), ()), feed);
    assert_eq!(answer.unwrap(), 5 * 10 + 2, "not ready; then both indices; then all bytes");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_full_output_permits_nothing_and_its_pollable_waits() {
    // Fills standard output; returns 1 × check-write of it, 10 × its ready, 100 × the same ready once there is room.
    let guest = guest!(
        "func() -> u32",
        r#"(func (export "run") (result i32) (local $out i32) (local $pollable i32) (local $answer i32)
            (local.set $out (call $stdout))
            (call $check (local.get $out) (i32.const 16))
            (call $write (local.get $out) (i32.const 0) (i32.load (i32.const 24)) (i32.const 16))
            (call $flush (local.get $out) (i32.const 16))
            (if (i32.load8_u (i32.const 16)) (then unreachable))
            (call $check (local.get $out) (i32.const 16))
            (local.set $answer (i32.add (i32.load (i32.const 24)) (i32.load8_u (i32.const 16))))
            (local.set $pollable (call $writable (local.get $out)))
            (local.set $answer (i32.add (local.get $answer)
                (i32.mul (i32.const 10) (call $ready (local.get $pollable)))))
            (call $print (call $stderr) (i32.const 0) (i32.const 1) (i32.const 16))
            (call $block (local.get $pollable))
            (call $flush-all (local.get $out) (i32.const 16))
            (if (i32.load8_u (i32.const 16)) (then unreachable))
            (i32.add (local.get $answer) (i32.mul (i32.const 100) (call $ready (local.get $pollable)))))"#
    );
    let (sender, mut receiver) = output_channel(20_000);
    let run = guest.run::<_, u32>(WasiCtx::builder().stdio(sender), ());
    let take = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        [receiver.next().await.unwrap(), receiver.next().await.unwrap()]
            .map(|(stream, bytes)| (stream, bytes.len()))
    };
    let (answer, taken) = tokio::join!(run, take);
    assert_eq!(answer.unwrap(), 100);
    assert_eq!(taken, [(Stdio::Stdout, 20_000), (Stdio::Stderr, 1)]);
}

#[tokio::test]
async fn output_that_nobody_takes_is_closed() {
    let guest = guest!(
        "func() -> u32",
        r#"(func (export "run") (result i32)
            (call $print (call $stdout) (i32.const 0) (i32.const 5) (i32.const 16))
            (i32.add (i32.mul (i32.const 10) (i32.load8_u (i32.const 16))) (i32.load8_u (i32.const 20))))"#
    );
    let (sender, receiver) = output_channel(10_000);
    drop(receiver);
    let closed = guest.run::<_, u32>(WasiCtx::builder().stdio(sender), ()).await.unwrap();
    assert_eq!(closed, 11, "an error, and that `closed`");
}

#[tokio::test]
async fn a_blocking_write_takes_4096_bytes_and_not_one_more() {
    let print = guest!(
        "func(len: u32) -> u32",
        r#"(func (export "run") (param i32) (result i32)
            (call $print (call $stdout) (i32.const 0) (local.get 0) (i32.const 16)) (i32.load8_u (i32.const 16)))"#
    );
    let zeroes = guest!(
        "func(len: u32) -> u32",
        r#"(func (export "run") (param i32) (result i32)
            (call $print-zeroes (call $stdout) (i64.extend_i32_u (local.get 0)) (i32.const 16))
            (i32.load8_u (i32.const 16)))"#
    );
    for guest in [print, zeroes] {
        for len in [0u32, 1, 4096] {
            let log = Arc::new(BoundedLog::new(1 << 20));
            let ctx = WasiCtx::builder().output(log.clone());
            assert_eq!(guest.run::<_, u32>(ctx, (len,)).await.unwrap(), 0);
            assert_eq!(log.take().of(Stdio::Stdout).len(), len as usize);
        }
        let trap = guest.run::<_, u32>(WasiCtx::builder(), (4097u32,)).await.unwrap_err();
        assert!(format!("{trap:?}").contains("4096"), "{trap:?}");
    }
}

#[tokio::test]
async fn a_stream_cannot_be_closed_while_a_pollable_of_it_lives() {
    for (stream, subscribe, close) in
        [("$stdin", "$readable", "$close-input"), ("$stdout", "$writable", "$close-output")]
    {
        let body = format!(
            r#"(func (export "run") (param $forget i32) (result i32) (local $stream i32) (local $pollable i32)
                (local.set $stream (call {stream}))
                (local.set $pollable (call {subscribe} (local.get $stream)))
                (call $block (local.get $pollable))
                (if (local.get $forget) (then (call $forget (local.get $pollable))))
                (call {close} (local.get $stream))
                (i32.const 7))"#
        );
        let guest = guest!("func(forget: u32) -> u32", &body);
        let outcome = guest.run_with::<_, u32>(PLENTY, WasiCtx::builder(), (1u32,)).await;
        assert_eq!(outcome.result.unwrap(), 7);
        assert!(outcome.all_dropped);
        assert!(guest.run::<_, u32>(WasiCtx::builder(), (0u32,)).await.is_err(), "{stream}");
    }
}

#[tokio::test]
async fn skipping_stops_at_the_end() {
    let guest = guest!(
        "func(first: u64, second: u64) -> tuple<u32, u64, u32, u64>",
        r#"(func (export "run") (param i64 i64) (result i32) (local $in i32)
            (local.set $in (call $stdin))
            (call $skip (local.get $in) (local.get 0) (i32.const 16))
            (call $skip-all (local.get $in) (local.get 1) (i32.const 32))
            (i32.const 16))"#
    );
    let skip = async |first: u64, second: u64| {
        let ctx = WasiCtx::builder().stdin(&b"hello"[..]);
        let (failed, one, failed_again, other): (u32, u64, u32, u64) =
            guest.run(ctx, (first, second)).await.unwrap();
        let answer =
            |failed: u32, number: u64| if failed & 0xff == 0 { Ok(number) } else { Err(number & 0xff) };
        (answer(failed, one), answer(failed_again, other))
    };
    assert_eq!(skip(2, u64::MAX).await, (Ok(2), Ok(3)));
    assert_eq!(skip(0, 9).await, (Ok(0), Ok(5)));
    assert_eq!(skip(5, 1).await, (Ok(5), Err(1)), "closed");
    assert_eq!(skip(u64::MAX, 0).await, (Ok(5), Err(1)), "closed for no bytes too");
}

#[tokio::test]
async fn splicing_ends_with_its_input() {
    // Splices twice, then answers with both results.
    let guest = guest!(
        "func() -> tuple<u32, u64, u32, u64>",
        r#"(func (export "run") (result i32) (local $in i32) (local $out i32)
            (local.set $in (call $stdin))
            (local.set $out (call $stdout))
            (call $splice (local.get $out) (local.get $in) (i64.const -1) (i32.const 16))
            (call $splice (local.get $out) (local.get $in) (i64.const -1) (i32.const 32))
            (i32.const 16))"#
    );
    let log = Arc::new(BoundedLog::new(1 << 20));
    let ctx = WasiCtx::builder().stdin(&b"hello"[..]).output(log.clone());
    let (failed, moved, failed_again, why): (u32, u64, u32, u64) = guest.run(ctx, ()).await.unwrap();
    assert_eq!((failed & 0xff, moved, failed_again & 0xff, why & 0xff), (0, 5, 1, 1), "then it is closed");
    assert_eq!(log.take().of(Stdio::Stdout), b"hello");

    let (feeder, stdin) = live_input();
    let ctx = WasiCtx::builder().stdin(stdin);
    let (failed, moved, ..): (u32, u64, u32, u64) = guest.run(ctx, ()).await.unwrap();
    assert_eq!((failed & 0xff, moved), (0, 0), "it does not wait");
    drop(feeder);
}

#[tokio::test]
async fn a_failure_says_why_in_words() {
    let guest = guest!(
        "func() -> string",
        r#"(func (export "run") (result i32)
            (call $skip-all (call $stdin) (i64.const 9) (i32.const 16))
            (if (i32.or (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1)) (i32.load8_u (i32.const 24)))
                (then unreachable))
            (call $text (i32.load (i32.const 28)) (i32.const 32))
            (i32.const 32))"#
    );
    let (feeder, stdin) = live_input();
    feeder.send(Err(InputFailed)).await.unwrap();
    let text: String = guest.run(WasiCtx::builder().stdin(stdin), ()).await.unwrap();
    assert_eq!(text, InputFailed.to_string());
}

struct Channel(mpsc::Receiver<Result<Bytes, InputFailed>>);

impl InputSource for Channel {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, InputFailed>>> {
        self.0.poll_recv(context)
    }
}

fn live_input() -> (mpsc::Sender<Result<Bytes, InputFailed>>, Input) {
    let (feeder, receiver) = mpsc::channel(1);
    (feeder, Input::stream(Channel(receiver)))
}
