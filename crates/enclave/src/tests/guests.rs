//! Guests over WIT, written by hand in WebAssembly text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A web service. The first letter of the path decides what it does:
///
/// | path | |
/// |---|---|
/// | `/h` | answers `hello` |
/// | `/e` | answers with the request's body |
/// | `/r` | reads the request's body to its end, then answers `hello` |
/// | `/i` | answers with the request's path |
/// | `/a` | answers with the request's authority |
/// | `/k` | sets the key `k`, then answers `hello` |
/// | `/w` | waits for a second, then answers `hello` |
/// | `/b` | answers with the request's body as `/e`, and traps at its end instead of finishing |
/// | `/g` | answers `hello`, and goes on for a second |
/// | `/n` | returns without an answer |
/// | `/t` | traps |
/// | `/l` | loops for ever |
pub(super) fn web() -> Vec<u8> {
    component(WEB_WORLD, &format!("(module {WEB_IMPORTS} {MEMORY} {WEB})"))
}

/// A command. The first letter of its second argument decides what it does:
///
/// | argument | |
/// |---|---|
/// | `c` | copies its standard input to its standard output |
/// | `x` | writes `bye` to standard error and exits with code 7 |
/// | `f` | fails |
/// | `o` | succeeds |
/// | `t` | traps |
/// | `y` | writes to its standard output for ever |
pub(super) fn command() -> Vec<u8> {
    component(COMMAND_WORLD, &format!("(module {COMMAND_IMPORTS} {MEMORY} {COMMAND})"))
}

fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    for (path, text) in WIT {
        resolve.push_source(path, text).unwrap();
    }
    let package = resolve.push_source("test.wit", world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// Each package after those that it uses.
const WIT: &[(&str, &str)] = &[
    ("io.wit", include_str!("../../../wasi/wit/deps/io.wit")),
    ("clocks.wit", include_str!("../../../wasi/wit/deps/clocks.wit")),
    ("random.wit", include_str!("../../../wasi/wit/deps/random.wit")),
    ("filesystem.wit", include_str!("../../../wasi/wit/deps/filesystem.wit")),
    ("sockets.wit", include_str!("../../../wasi/wit/deps/sockets.wit")),
    ("cli.wit", include_str!("../../../wasi/wit/deps/cli.wit")),
    ("http.wit", include_str!("../../../wasi-http/wit/deps/http.wit")),
    ("keyvalue.wit", include_str!("../../../wasi/wit/deps/keyvalue.wit")),
];

/// What the host gives lies behind 128 KiB; the guest begins there anew whenever it is done with what it was given.
const MEMORY: &str = r#"
    (memory (export "memory") 8)
    (global $next (mut i32) (i32.const 131072))
    (func $forget (global.set $next (i32.const 131072)))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      local.get $at)
    (data (i32.const 1024) "hello" "k" "bye")
"#;

const WEB_WORLD: &str = "package test:web;
world web {
    import wasi:clocks/monotonic-clock@0.2.12;
    import wasi:http/types@0.2.12;
    import wasi:keyvalue/store@0.2.0-draft;
    export wasi:http/incoming-handler@0.2.12;
}";

const WEB_IMPORTS: &str = r#"
    (import "wasi:http/types@0.2.12" "[method]incoming-request.path-with-query" (func $path (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]incoming-request.authority" (func $authority (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]incoming-request.consume" (func $consume (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]incoming-body.stream" (func $input (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
    (import "wasi:http/types@0.2.12" "[constructor]outgoing-response" (func $response (param i32) (result i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-response.body" (func $body (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[method]outgoing-body.write" (func $output (param i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
    (import "wasi:http/types@0.2.12" "[static]response-outparam.set"
      (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
      (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.12" "[resource-drop]output-stream" (func $drop-output (param i32)))
    (import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $timer (param i64) (result i32)))
    (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
    (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.set" (func $set-key (param i32 i32 i32 i32 i32 i32)))
"#;

const WEB: &str = r#"
    (func $ok (param $result i32) (if (i32.load8_u (local.get $result)) (then unreachable)))
    (func $wait (call $block (call $timer (i64.const 1000000000))))
    (func $say (param $stream i32) (param $at i32) (param $bytes i32)
      (call $write (local.get $stream) (local.get $at) (local.get $bytes) (i32.const 64))
      (call $ok (i32.const 64)))
    (func (export "wasi:http/incoming-handler@0.2.12#handle") (param $request i32) (param $answer i32)
      (local $what i32) (local $body i32) (local $output i32) (local $input i32) (local $response i32)
      (call $path (local.get $request) (i32.const 16))
      (local.set $what (i32.load8_u (i32.add (i32.load (i32.const 20)) (i32.const 1))))
      (if (i32.eq (local.get $what) (i32.const 110)) (then return))
      (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))
      (if (i32.eq (local.get $what) (i32.const 108)) (then (loop $on (br $on))))
      (if (i32.eq (local.get $what) (i32.const 119)) (then (call $wait)))
      (if (i32.eq (local.get $what) (i32.const 107)) (then
        (call $open (i32.const 0) (i32.const 0) (i32.const 32))
        (call $ok (i32.const 32))
        (call $set-key (i32.load (i32.const 36)) (i32.const 1029) (i32.const 1) (i32.const 1029) (i32.const 1)
          (i32.const 48))
        (call $ok (i32.const 48))))
      (if (i32.eq (local.get $what) (i32.const 114)) (then
        (call $consume (local.get $request) (i32.const 32))
        (call $input (i32.load (i32.const 36)) (i32.const 32))
        (local.set $input (i32.load (i32.const 36)))
        (loop $more
          (call $forget)
          (call $read (local.get $input) (i64.const 4096) (i32.const 32))
          (br_if $more (i32.eqz (i32.load8_u (i32.const 32)))))))
      (local.set $response (call $response (call $fields)))
      (call $body (local.get $response) (i32.const 32))
      (local.set $body (i32.load (i32.const 36)))
      (call $output (local.get $body) (i32.const 32))
      (local.set $output (i32.load (i32.const 36)))
      (call $set (local.get $answer) (i32.const 0) (local.get $response) (i32.const 0) (i64.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0))
      (block $said
        (if (i32.eq (local.get $what) (i32.const 105)) (then
          (call $say (local.get $output) (i32.load (i32.const 20)) (i32.load (i32.const 24)))
          (br $said)))
        (if (i32.eq (local.get $what) (i32.const 97)) (then
          (call $authority (local.get $request) (i32.const 16))
          (call $say (local.get $output) (i32.load (i32.const 20)) (i32.load (i32.const 24)))
          (br $said)))
        (if (i32.or (i32.eq (local.get $what) (i32.const 101)) (i32.eq (local.get $what) (i32.const 98))) (then
          (call $consume (local.get $request) (i32.const 32))
          (call $input (i32.load (i32.const 36)) (i32.const 32))
          (local.set $input (i32.load (i32.const 36)))
          (loop $more
            (call $forget)
            (call $read (local.get $input) (i64.const 4096) (i32.const 32))
            (if (i32.eqz (i32.load8_u (i32.const 32))) (then
              (call $say (local.get $output) (i32.load (i32.const 36)) (i32.load (i32.const 40)))
              (br $more))))
          (if (i32.eq (local.get $what) (i32.const 98)) (then unreachable))
          (br $said)))
        (call $say (local.get $output) (i32.const 1024) (i32.const 5)))
      (call $drop-output (local.get $output))
      (call $finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 128))
      (call $ok (i32.const 128))
      (if (i32.eq (local.get $what) (i32.const 103)) (then (call $wait))))
"#;

const COMMAND_WORLD: &str = "package test:command;
world command {
    import wasi:cli/environment@0.2.12;
    import wasi:cli/exit@0.2.12;
    import wasi:cli/stdin@0.2.12;
    import wasi:cli/stdout@0.2.12;
    import wasi:cli/stderr@0.2.12;
    export wasi:cli/run@0.2.12;
}";

const COMMAND_IMPORTS: &str = r#"
    (import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
    (import "wasi:cli/exit@0.2.12" "exit-with-code" (func $exit (param i32)))
    (import "wasi:cli/stdin@0.2.12" "get-stdin" (func $stdin (result i32)))
    (import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
    (import "wasi:cli/stderr@0.2.12" "get-stderr" (func $stderr (result i32)))
    (import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
    (import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush"
      (func $write (param i32 i32 i32 i32)))
"#;

const COMMAND: &str = r#"
    (func (export "wasi:cli/run@0.2.12#run") (result i32)
      (local $what i32) (local $input i32) (local $output i32)
      (call $arguments (i32.const 16))
      ;; The second argument's pointer is the third word of the list.
      (local.set $what (i32.load8_u (i32.load (i32.add (i32.load (i32.const 16)) (i32.const 8)))))
      (if (i32.eq (local.get $what) (i32.const 102)) (then (return (i32.const 1))))
      (if (i32.eq (local.get $what) (i32.const 116)) (then unreachable))
      (if (i32.eq (local.get $what) (i32.const 120)) (then
        (call $write (call $stderr) (i32.const 1030) (i32.const 3) (i32.const 64))
        (call $exit (i32.const 7))))
      (local.set $output (call $stdout))
      (if (i32.eq (local.get $what) (i32.const 121)) (then
        (loop $more
          (call $write (local.get $output) (i32.const 1024) (i32.const 4096) (i32.const 64))
          (br_if $more (i32.eqz (i32.load8_u (i32.const 64)))))))
      (if (i32.eq (local.get $what) (i32.const 99)) (then
        (local.set $input (call $stdin))
        (loop $more
          (call $forget)
          (call $read (local.get $input) (i64.const 4096) (i32.const 32))
          (if (i32.eqz (i32.load8_u (i32.const 32))) (then
            (call $write (local.get $output) (i32.load (i32.const 36)) (i32.load (i32.const 40)) (i32.const 64))
            (br $more))))))
      i32.const 0)
"#;
