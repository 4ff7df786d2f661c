use cloister_wasi::{WasiCtx, supported_interfaces};
use wasmtime::component::Component;

use crate::guest::{ENGINE, Guest, NEWEST, PLENTY, call, everything, linker};

const GUEST: Guest<'_> = Guest {
    world: "import wasi:random/random@W; import wasi:cli/stdout@W; import wasi:clocks/wall-clock@W;
        import wasi:io/streams@W; export run: func() -> u32;",
    imports: r#"
        (import "wasi:random/random@W" "get-random-u64" (func $random (result i64)))
        (import "wasi:cli/stdout@W" "get-stdout" (func $stdout (result i32)))
        (import "wasi:io/streams@W" "[method]output-stream.check-write" (func $check (param i32 i32)))"#,
    body: r#"(func (export "run") (result i32)
        (drop (call $random)) (call $check (call $stdout) (i32.const 16)) (i32.load8_u (i32.const 16)))"#,
};

#[tokio::test]
async fn every_stamp_of_0_2_links() {
    for patch in 0..=12 {
        let component = GUEST.at(&format!("0.2.{patch}"));
        let outcome = call::<_, u32>(&component, PLENTY, WasiCtx::builder(), ()).await;
        assert_eq!(outcome.result.unwrap(), 0, "0.2.{patch}");
    }
}

#[test]
fn a_version_that_is_not_0_2_does_not_link() {
    let links = |version: &str| {
        let function = r#"(instance (export "get-random-u64" (func (result u64))))"#;
        let component = format!(r#"(component (import "wasi:random/random@{version}" {function}))"#);
        let component = Component::new(&ENGINE, wat::parse_str(component).unwrap()).unwrap();
        linker().instantiate_pre(&component).is_ok()
    };
    assert!(links("0.2.5"));
    for version in ["0.3.0", "0.1.0", "1.0.0"] {
        assert!(!links(version), "{version}");
    }
}

#[test]
fn a_proposal_links_in_the_listed_version_only() {
    let links = |name: &str| {
        let level = r#"(type $l (enum "trace" "debug" "info" "warn" "error" "critical")) (export "level" (type $level (eq $l)))"#;
        let log = r#"(export "log" (func (param "level" $level) (param "context" string) (param "message" string)))"#;
        let component = format!(r#"(component (import "{name}" (instance {level} {log})))"#);
        let component = Component::new(&ENGINE, wat::parse_str(component).unwrap()).unwrap();
        linker().instantiate_pre(&component).is_ok()
    };
    assert!(links("wasi:logging/logging"));
    assert!(links("wasi:logging/logging@0.1.0-draft"));
    for version in ["0.1.0", "0.1.0-draft2", "0.1.1-draft", "0.2.0"] {
        assert!(!links(&format!("wasi:logging/logging@{version}")), "{version}");
    }
}

#[test]
fn a_guest_that_imports_every_function_links() {
    for version in ["0.2.0", NEWEST] {
        let component = Component::new(&ENGINE, everything(version)).unwrap();
        linker().instantiate_pre(&component).unwrap();
    }
}

#[test]
fn the_list_is_what_the_world_says() {
    let mut world: Vec<_> = include_str!("../../wit/world.wit")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
        .collect();
    world.sort_unstable();
    assert_eq!(supported_interfaces(), world);
}
