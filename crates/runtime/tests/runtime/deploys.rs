use crate::fixture::*;
use cloister_api::Code;
use cloister_runtime::{DeployError, Progress, Runtime, Settings};
use std::sync::Mutex;

fn refused(wasm: &[u8]) -> DeployError {
    runtime().prepare(wasm, &()).expect_err("refused")
}

#[test]
fn a_program_knows_itself() {
    let wasm = wat::parse_str(TOOLBOX).unwrap();
    let program = runtime().prepare(&wasm, &()).unwrap();
    use sha2::Digest;
    assert_eq!(program.code_hash(), <[u8; 32]>::from(sha2::Sha256::digest(&wasm)));
    assert_eq!(program.size(), wasm.len());
    assert!(program.code_bytes() > 0);
    assert!(program.imports().is_empty());
    assert!(!program.handles_http() && !program.runs());
    assert!(program.wit().contains("export add: func(a: u32, b: u32) -> u32;"), "{}", program.wit());
    let exports = program.exports();
    let echo = exports.iter().find(|export| export.name == "echo").unwrap();
    assert_eq!((echo.parameters[0].name.as_str(), echo.parameters[0].ty.as_str()), ("text", "string"));
    assert_eq!((echo.result.as_deref(), echo.not_callable.as_deref()), (Some("string"), None));
}

#[test]
fn what_is_no_component_says_what_it_is() {
    assert_eq!(refused(b"#!/bin/sh").into_problem().code, Code::NotAComponent);
    assert_eq!(refused(b"").into_problem().code, Code::NotAComponent);
    let core = refused(&wat::parse_str("(module)").unwrap()).into_problem();
    assert_eq!(core.code, Code::CoreModule);
    assert!(core.detail.contains("wasm-tools component new") && core.detail.contains("--adapt"));
}

#[test]
fn imports_that_nobody_serves_are_refused_by_name() {
    let wat =
        r#"(component (import "wasi:random/rendom@0.2.3" (instance (export "get" (func (result u64))))))"#;
    let problem = refused(&wat::parse_str(wat).unwrap()).into_problem();
    assert_eq!(problem.code, Code::UnsupportedImport);
    assert!(problem.detail.contains("`wasi:random/rendom@0.2.3`"), "{}", problem.detail);
    assert_eq!(problem.suggestions, ["wasi:random/random@0.2.12"]);

    let wat = r#"(component
        (import "wasi:gfx/surface@0.0.1" (instance (export "draw" (func))))
        (import "wasi:clocks/monotonic-clock@0.2.3" (instance
            (export "now" (func (result u64))) (export "tomorrow" (func (result u64))))))"#;
    let problem = refused(&wat::parse_str(wat).unwrap()).into_problem();
    for missing in ["2 things", "`wasi:gfx/surface@0.0.1`", "`wasi:clocks/monotonic-clock@0.2.3#tomorrow`"] {
        assert!(problem.detail.contains(missing), "{}", problem.detail);
    }

    let wat = r#"(component (import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64))))))"#;
    let problem = refused(&wat::parse_str(wat).unwrap()).into_problem();
    assert!(problem.detail.contains("0.3.0") && problem.detail.contains("0.2.12"), "{}", problem.detail);

    let wat = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "tomorrow" (func (result u64))))))"#;
    let problem = refused(&wat::parse_str(wat).unwrap()).into_problem();
    assert_eq!(problem.code, Code::UnsupportedImport);
    assert!(problem.detail.contains("tomorrow"), "{}", problem.detail);
}

#[test]
fn what_is_too_large_is_refused_before_compiling() {
    let wasm = wat::parse_str(TOOLBOX).unwrap();
    let with = |settings| Runtime::new(settings).unwrap().prepare(&wasm, &Uncalled).expect_err("refused");
    let small = Settings { max_component: wasm.len() - 1, ..Settings::default() };
    assert_eq!(with(small), DeployError::TooLarge { size: wasm.len(), limit: wasm.len() - 1 });
    let functions = Settings { max_function: 10, ..Settings::default() };
    assert!(matches!(with(functions), DeployError::FunctionTooLarge { limit: 10, .. }));
    let heap = Settings { compile_heap: 1000, ..Settings::default() };
    assert_eq!(with(heap).into_problem().code, Code::ComponentTooLarge);
    let pool = Settings { code_pool: 4096, ..Settings::default() };
    let estimated = with(Settings { code_pool: 0, ..pool.clone() });
    assert_eq!(estimated.into_problem().code, Code::CodePoolFull);
    let compiled = Runtime::new(pool).unwrap().prepare(&wasm, &()).expect_err("refused");
    assert_eq!(compiled.into_problem().code, Code::CodePoolFull, "the real size counts in the end");
}

/// 2000 variables alive across 8000 loops would take gigabytes of the compiler, and the enclave with them.
#[test]
fn a_tangled_function_is_refused_before_compiling() {
    let set: String = (0..2000).map(|local| format!("(local.set {local} (i32.const 1))")).collect();
    let use_: String = (0..2000).map(|local| format!("(drop (local.get {local}))")).collect();
    let loops = "(loop (br_if 0 (local.get 0)))".repeat(8000);
    let locals = "i32 ".repeat(2000);
    let wat = format!("(component (core module (func (local {locals}) {set} {loops} {use_})))");
    let wasm = wat::parse_str(wat).unwrap();
    assert!(wasm.len() < 100_000);
    let error = runtime().prepare(&wasm, &Uncalled).expect_err("refused");
    assert!(matches!(error, DeployError::HeapTooSmall { .. }), "{error}");
    assert_eq!(error.into_problem().code, Code::ComponentTooLarge);
}

#[test]
fn the_pool_is_given_back() {
    let runtime = Runtime::new(Settings::default()).unwrap();
    let program = runtime.prepare(&wat::parse_str(TOOLBOX).unwrap(), &()).unwrap();
    let copy = program.clone();
    let held = runtime.statistics().pool;
    assert!(held.used >= program.code_bytes());
    drop(program);
    assert_eq!(runtime.statistics().pool.used, held.used);
    drop(copy);
    let after = runtime.statistics();
    assert_eq!((after.pool.used, after.pool.high_water, after.compiled), (0, held.used, 1));
    runtime.prepare(b"no", &()).unwrap_err();
    assert_eq!(runtime.statistics().refused, 1);
}

#[test]
fn progress_hears_of_queue_and_compiling() {
    let runtime = Runtime::new(Settings::default()).unwrap();
    let wasm = wat::parse_str(TOOLBOX).unwrap();
    let heard = Heard::default();
    runtime.prepare(&wasm, &heard).unwrap();
    assert_eq!(heard.0.into_inner().unwrap(), ["compiling true"]);

    // The first is inside its own progress call, so the second has to wait for it.
    let second = Heard::default();
    let (entered, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let first = Blocking { entered: &entered, wait: &wait };
        let (runtime, wasm) = (&runtime, &wasm);
        scope.spawn(move || runtime.prepare(wasm, &first).unwrap());
        entered.wait();
        let waiting = scope.spawn(|| runtime.prepare(wasm, &second).unwrap());
        while second.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        wait.wait();
        waiting.join().unwrap();
    });
    assert_eq!(second.0.into_inner().unwrap(), ["queued", "compiling true"]);
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn queued(&self) {
        self.0.lock().unwrap().push("queued".to_owned());
    }

    fn compiling(&self, functions: u64) {
        self.0.lock().unwrap().push(format!("compiling {}", functions > 10));
    }
}

struct Blocking<'a> {
    entered: &'a std::sync::Barrier,
    wait: &'a std::sync::Barrier,
}

impl Progress for Blocking<'_> {
    fn compiling(&self, _: u64) {
        self.entered.wait();
        self.wait.wait();
    }
}

struct Uncalled;

impl Progress for Uncalled {
    fn compiling(&self, _: u64) {
        panic!("nothing should be compiled");
    }
}
