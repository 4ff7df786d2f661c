//! Guests over WIT, written by hand in WebAssembly text.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

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
/// | `/g` | answers `hello`, and goes on for five seconds |
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

/// Uses the platform: `show` sets an extension, `configure` ends its configuration, `who` tells its caller, `seal` asks for its
/// seal key, `make` makes an HMAC key and persists it, `load` loads it, `sign` uses it; `make-cipher` makes
/// one of AES and persists it, `encrypt` uses it with the same vector each time.
pub(super) fn platform() -> Vec<u8> {
    component(
        PLATFORM_WORLD,
        &format!("(module {PLATFORM_IMPORTS} {COMPLETE_IMPORT} {MEMORY} {PLATFORM} {CONFIGURE})"),
    )
}

/// [`web`] with the export `configure`.
pub(super) fn configurable_web() -> Vec<u8> {
    let core = format!("(module {WEB_IMPORTS} {COMPLETE_IMPORT} {MEMORY} {WEB} {CONFIGURE})");
    component(&configurable(WEB_WORLD), &core)
}

/// [`command`] with the export `configure`.
pub(super) fn configurable_command() -> Vec<u8> {
    let core = format!("(module {COMMAND_IMPORTS} {COMPLETE_IMPORT} {MEMORY} {COMMAND} {CONFIGURE})");
    component(&configurable(COMMAND_WORLD), &core)
}

fn configurable(world: &str) -> String {
    world.replacen("    import", &format!("{CONFIGURABLE}    import"), 1)
}

fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    for (path, text) in WIT {
        resolve.push_source(path, text).unwrap();
    }
    let mut platform = SourceMap::default();
    PLATFORM_WIT.iter().for_each(|(path, text)| platform.push_str(path, *text));
    resolve.push_group(platform.parse().map_err(|(_, error)| error).unwrap()).unwrap();
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

const PLATFORM_WIT: &[(&str, &str)] = &[
    ("attestation.wit", include_str!("../../../../wit/attestation.wit")),
    ("auth.wit", include_str!("../../../../wit/auth.wit")),
    ("crypto.wit", include_str!("../../../../wit/crypto.wit")),
    ("keystore.wit", include_str!("../../../../wit/keystore.wit")),
    ("sealing.wit", include_str!("../../../../wit/sealing.wit")),
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
      (if (i32.eq (local.get $what) (i32.const 103))
        (then (call $wait) (call $wait) (call $wait) (call $wait) (call $wait))))
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

const CONFIGURABLE: &str = "    import privasys:enclave-os/attestation@0.1.0;
    export configure: func() -> result<_, string>;
";

const COMPLETE_IMPORT: &str = r#"
    (import "privasys:enclave-os/attestation@0.1.0" "set-config-complete" (func $complete (param i32)))
"#;

const CONFIGURE: &str = r#"
    (func (export "configure") (result i32) (call $complete (i32.const 64)) i32.const 64)
"#;

const PLATFORM_WORLD: &str = "package test:platform;
world guest {
    import privasys:enclave-os/attestation@0.1.0;
    import privasys:enclave-os/auth@0.1.0;
    import privasys:enclave-os/crypto@0.1.0;
    import privasys:enclave-os/keystore@0.1.0;
    import privasys:enclave-os/sealing@0.1.0;
    export show: func(suffix: u32, value: list<u8>) -> result<_, string>;
    export configure: func() -> result<_, string>;
    export who: func() -> result<string, string>;
    export seal: func() -> result<tuple<list<u8>, list<u8>>, string>;
    export make: func(name: string) -> result<_, string>;
    export load: func(name: string) -> result<_, string>;
    export sign: func(name: string) -> result<list<u8>, string>;
    export make-cipher: func(name: string) -> result<_, string>;
    export encrypt: func(name: string) -> result<list<u8>, string>;
}";

const PLATFORM_IMPORTS: &str = r#"
    (import "privasys:enclave-os/attestation@0.1.0" "set-attestation-extension"
      (func $extend (param i32 i32 i32 i32)))
    (import "privasys:enclave-os/auth@0.1.0" "get-caller-id" (func $caller (param i32)))
    (import "privasys:enclave-os/sealing@0.1.0" "get-seal-key" (func $seal (param i32)))
    (import "privasys:enclave-os/keystore@0.1.0" "generate-hmac-key" (func $generate (param i32 i32 i32 i32)))
    (import "privasys:enclave-os/keystore@0.1.0" "generate-symmetric-key" (func $cipher (param i32 i32 i32)))
    (import "privasys:enclave-os/crypto@0.1.0" "encrypt"
      (func $encrypt (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "privasys:enclave-os/keystore@0.1.0" "persist-key" (func $persist (param i32 i32 i32)))
    (import "privasys:enclave-os/keystore@0.1.0" "load-key" (func $load (param i32 i32 i32)))
    (import "privasys:enclave-os/crypto@0.1.0" "hmac-sign" (func $sign (param i32 i32 i32 i32 i32 i32)))
"#;

/// Each answer lies at 64.
const PLATFORM: &str = r#"
    (func (export "show") (param $suffix i32) (param $value i32) (param $bytes i32) (result i32)
      (call $extend (local.get $suffix) (local.get $value) (local.get $bytes) (i32.const 64))
      i32.const 64)
    (func (export "who") (result i32) (call $caller (i32.const 64)) i32.const 64)
    (func (export "seal") (result i32) (call $seal (i32.const 64)) i32.const 64)
    (func (export "make") (param $name i32) (param $bytes i32) (result i32)
      (call $generate (local.get $name) (local.get $bytes) (i32.const 0) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
      (call $persist (local.get $name) (local.get $bytes) (i32.const 64))
      i32.const 64)
    (func (export "make-cipher") (param $name i32) (param $bytes i32) (result i32)
      (call $cipher (local.get $name) (local.get $bytes) (i32.const 64))
      (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
      (call $persist (local.get $name) (local.get $bytes) (i32.const 64))
      i32.const 64)
    (func (export "encrypt") (param $name i32) (param $bytes i32) (result i32)
      (call $encrypt (local.get $name) (local.get $bytes) (i32.const 1024) (i32.const 12) (i32.const 0) (i32.const 0)
        (i32.const 1024) (i32.const 5) (i32.const 64))
      i32.const 64)
    (func (export "load") (param $name i32) (param $bytes i32) (result i32)
      (call $load (local.get $name) (local.get $bytes) (i32.const 64))
      i32.const 64)
    (func (export "sign") (param $name i32) (param $bytes i32) (result i32)
      (call $sign (local.get $name) (local.get $bytes) (i32.const 0) (i32.const 1024) (i32.const 5) (i32.const 64))
      i32.const 64)
"#;
