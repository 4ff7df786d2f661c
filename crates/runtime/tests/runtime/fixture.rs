use cloister_api::Limits;
use cloister_api::NetworkPolicy;
use cloister_runtime::{
    Arguments, BoundedLog, Call, CallFailure, Client, Context, EgressLog, EgressRequest, HttpSettings,
    LogSink, Outcome, Program, Roots, Runtime, Settings,
};
use std::sync::{Arc, LazyLock};

/// One runtime for all tests: making one takes longer than most of them.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new(Settings::default()).unwrap());
    &RUNTIME
}

pub(crate) fn prepare(wat: &str) -> Program {
    runtime().prepare(&wat::parse_str(wat).unwrap(), &()).unwrap()
}

/// A program of many small exports, good and bad.
pub(crate) fn toolbox() -> &'static Program {
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| prepare(TOOLBOX));
    &PROGRAM
}

/// A call with the default limits and JSON arguments.
pub(crate) async fn call(program: &Program, export: &str, json: &str) -> Result<Outcome, CallFailure> {
    call_within(program, export, json, &Limits::default()).await
}

pub(crate) async fn call_within(
    program: &Program,
    export: &str,
    json: &str,
    limits: &Limits,
) -> Result<Outcome, CallFailure> {
    call_logged(program, export, json, limits, Arc::new(BoundedLog::new(0))).await
}

pub(crate) async fn call_logged(
    program: &Program,
    export: &str,
    json: &str,
    limits: &Limits,
    log: Arc<dyn LogSink>,
) -> Result<Outcome, CallFailure> {
    let arguments = Arguments::Json(json.as_bytes());
    program.call(Call { export, arguments, context: context(limits, log) }).await
}

/// Without network, storage and environment.
pub(crate) fn context(limits: &Limits, log: Arc<dyn LogSink>) -> Context<'_> {
    static NETWORK: LazyLock<HttpSettings> = LazyLock::new(|| HttpSettings {
        policy: Arc::new(NetworkPolicy::default()),
        client: Client::new(Roots::These(Vec::new())).unwrap(),
        egress: Arc::new(Nobody),
    });
    Context::new(limits, log, NETWORK.clone())
}

struct Nobody;

impl EgressLog for Nobody {
    fn record(&self, _: EgressRequest) {}
}

/// The good call that has to stay right whatever else happens.
pub(crate) async fn assert_still_adds(program: &Program) {
    let outcome = call(program, "add", "[20, 22]").await.unwrap();
    assert_eq!(outcome.result, 42);
}

pub(crate) const TOOLBOX: &str = r#"
(component
  (core module $m
    (memory (export "memory") 1)
    (table $table 1 funcref)
    (type $nullary (func))
    (global $next (mut i32) (i32.const 4096))
    (func $spin_forever (loop br 0))
    (func $dive_deeper (param i32) (result i32)
      local.get 0 i32.const 1 i32.add call $dive_deeper i32.const 1 i32.add)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (block $fits
        (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
      local.get $at)
    (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
    (func (export "div") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
    (func $fail_on_purpose (export "fail") unreachable)
    (func (export "out-of-bounds") (drop (i32.load (i32.const 0x7fff0000))))
    (func (export "truncate") (result i32) (i32.trunc_f64_s (f64.const 1e300)))
    (func (export "call-null") (call_indirect (type $nullary) (i32.const 0)))
    (func (export "spin") call $spin_forever)
    (func (export "dive") (result i32) i32.const 0 call $dive_deeper)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "grow-table") (param i32) (result i32) (table.grow $table (ref.null func) (local.get 0)))
    (func (export "hoard")
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      unreachable)
    ;; Returns its argument: the pointer and length are where the host put them.
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0))
      (i32.store (i32.const 20) (local.get 1))
      i32.const 16)
    ;; Returns so many bytes of what is at address 0.
    (func (export "big") (param i32) (result i32)
      (drop (memory.grow (i32.div_u (local.get 0) (i32.const 65536))))
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get 0))
      i32.const 16)
    (func (export "nan") (result i64)
      (i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0))))
    (global $released (mut i32) (i32.const 0))
    (func (export "released") (param i32) (global.set $released (i32.const 1))
      unreachable)
    (func (export "nothing")))
  (core instance $i (instantiate $m))
  (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add")))
  (func (export "div") (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $i "div")))
  (func (export "fail") (canon lift (core func $i "fail")))
  (func (export "out-of-bounds") (canon lift (core func $i "out-of-bounds")))
  (func (export "truncate") (result s32) (canon lift (core func $i "truncate")))
  (func (export "call-null") (canon lift (core func $i "call-null")))
  (func (export "spin") (canon lift (core func $i "spin")))
  (func (export "dive") (result s32) (canon lift (core func $i "dive")))
  (func (export "grow") (param "pages" u32) (result s32) (canon lift (core func $i "grow")))
  (func (export "grow-table") (param "elements" u32) (result s32) (canon lift (core func $i "grow-table")))
  (func (export "hoard") (canon lift (core func $i "hoard")))
  (func (export "echo") (param "text" string) (result string)
    (canon lift (core func $i "echo") (memory $i "memory") (realloc (func $i "realloc"))))
  (func (export "big") (param "bytes" u32) (result (list u8))
    (canon lift (core func $i "big") (memory $i "memory")))
  (func (export "bad-cleanup") (param "bytes" u32) (result (list u8))
    (canon lift (core func $i "big") (memory $i "memory") (post-return (func $i "released"))))
  (func (export "nan") (result u64) (canon lift (core func $i "nan")))
  (func (export "nothing") (canon lift (core func $i "nothing"))))
"#;

/// Reads a clock `reads` times; `$version` is a WASI version.
pub(crate) fn clock_reader(version: &str) -> String {
    r#"
(component
  (import "wasi:clocks/monotonic-clock@$version" (instance $clock (export "now" (func (result u64)))))
  (core func $now (canon lower (func $clock "now")))
  (core module $m
    (import "host" "now" (func $now (result i64)))
    (func (export "read") (param $left i32) (result i64)
      (local $last i64)
      (loop $more
        (local.set $last (call $now))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $more (i32.ne (local.get $left) (i32.const 0))))
      local.get $last))
  (core instance $i (instantiate $m (with "host" (instance (export "now" (func $now))))))
  (func (export "read") (param "reads" u32) (result u64) (canon lift (core func $i "read"))))
"#
    .replace("$version", version)
}

/// Writes "hello\n" to standard output so many times, then answers how many.
pub(crate) const WRITER: &str = r#"
(component
  (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.6" (instance $streams
    (export "output-stream" (type $stream (sub resource)))
    (alias outer 1 $io-error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $stream)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.6" (instance $stdout
    (alias outer 1 $output-stream (type $outer-stream))
    (export "output-stream" (type $stream (eq $outer-stream)))
    (export "get-stdout" (func (result (own $stream))))))
  (core module $memory (memory (export "memory") 1) (data (i32.const 64) "hello\n"))
  (core instance $memory (instantiate $memory))
  (core func $get (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower
    (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory "memory")))
  (core module $m
    (import "host" "get" (func $get (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "write") (param $times i32) (result i32)
      (local $stream i32) (local $left i32)
      (local.set $stream (call $get))
      (local.set $left (local.get $times))
      (block $done (loop $more
        (br_if $done (i32.eqz (local.get $left)))
        (call $write (local.get $stream) (i32.const 64) (i32.const 6) (i32.const 16))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $more)))
      local.get $times)
    (func (export "write-much") (param $bytes i32)
      (call $write (call $get) (i32.const 0) (local.get $bytes) (i32.const 16))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "get" (func $get)) (export "write" (func $write))))))
  (func (export "write") (param "times" u32) (result u32) (canon lift (core func $i "write"))))
"#;

/// Takes handles of a resource of its own, or of the host, until it is stopped.
pub(crate) const HANDLE_BOMB: &str = r#"
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (type $own (resource (rep i32)))
  (core func $new (canon resource.new $own))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $m
    (import "host" "new" (func $new (param i32) (result i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "own") (loop $more (drop (call $new (i32.const 1))) (br $more)))
    (func (export "host") (loop $more (drop (call $subscribe (i64.const 1000000000))) (br $more))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "new" (func $new)) (export "subscribe" (func $subscribe))))))
  (func (export "own") (canon lift (core func $i "own")))
  (func (export "host") (canon lift (core func $i "host"))))
"#;

/// Exits with success or failure.
pub(crate) const EXITS: &str = r#"
(component
  (import "wasi:cli/exit@0.2.12" (instance $exit (export "exit" (func (param "status" (result))))))
  (core func $exit (canon lower (func $exit "exit")))
  (core module $m
    (import "host" "exit" (func $exit (param i32)))
    (func (export "leave") (param i32) local.get 0 call $exit unreachable))
  (core instance $i (instantiate $m (with "host" (instance (export "exit" (func $exit))))))
  (func (export "leave") (param "failing" bool) (canon lift (core func $i "leave"))))
"#;
