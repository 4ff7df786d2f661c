//! `privasys:enclave-os` as components import it.

use crate::fixture::*;
use cloister_api::{Code, Limits};
use cloister_runtime::platform::CallerId;
use cloister_runtime::{Arguments, BoundedLog, Call, Context, supported_interfaces};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, SourceMap};

#[test]
fn a_component_that_imports_all_of_it_deploys() {
    let program = runtime().prepare(&importing_everything(), &()).unwrap();
    let interfaces = supported_interfaces();
    let ours: Vec<&&str> =
        interfaces.iter().filter(|name| name.starts_with("privasys:enclave-os/")).collect();
    assert_eq!(ours.len(), 6, "{ours:?}");
    for interface in ours {
        assert!(program.imports().iter().any(|import| import == interface), "{interface}");
    }
}

#[test]
fn a_misspelt_interface_or_function_is_refused_with_the_nearest() {
    for (interface, function, nearest) in [
        ("keystor", "key-exists", "privasys:enclave-os/keystore@0.1.0"),
        ("keystore", "key-exist", "privasys:enclave-os/keystore@0.1.0#key-exists"),
        ("crypt", "digest", "privasys:enclave-os/crypto@0.1.0"),
    ] {
        let wat = format!(
            r#"(component (import "privasys:enclave-os/{interface}@0.1.0" (instance
                (export "{function}" (func (param "key-name" string) (result (result bool (error string))))))))"#
        );
        let problem = runtime().prepare(&wat::parse_str(wat).unwrap(), &()).unwrap_err().into_problem();
        assert_eq!(problem.code, Code::UnsupportedImport);
        assert_eq!(problem.suggestions.first().map(String::as_str), Some(nearest), "{}", problem.detail);
    }
    let newer =
        r#"(component (import "privasys:enclave-os/crypto@0.2.0" (instance (export "digest" (func)))))"#;
    let problem = runtime().prepare(&wat::parse_str(newer).unwrap(), &()).unwrap_err().into_problem();
    assert!(problem.detail.contains("it serves `privasys:enclave-os/crypto@0.1.0`"), "{}", problem.detail);
}

#[tokio::test]
async fn a_guest_hashes_and_knows_who_calls() {
    let program = prepare(GUEST);
    let expected = Vec::from_iter(Sha256::digest(b"abc").iter().map(|byte| Value::from(*byte)));
    let ask = async |export, caller| {
        let limits = Limits::default();
        let context = Context { caller, ..context(&limits, Arc::new(BoundedLog::new(0))) };
        program.call(Call { export, arguments: Arguments::Json(b""), context }).await.unwrap().result
    };
    assert_eq!(ask("hash", None).await, serde_json::json!({ "ok": expected }));
    assert!(ask("who", None).await["err"].is_string());
    let who = ask("who", Some(CallerId::Key([0xa5; 32]).into())).await;
    assert_eq!(who, serde_json::json!({ "ok": format!("key:{}", "a5".repeat(32)) }));
}

/// Without an enclave around the runtime nobody has a key to seal with.
#[tokio::test]
async fn what_the_platform_does_not_give_is_an_error_of_the_guest() {
    let program = prepare(GUEST);
    let sealed = call(&program, "seal", "").await.unwrap();
    assert!(sealed.result["err"].is_string(), "{}", sealed.result);
}

/// A component of nothing but imports: each function of each interface.
fn importing_everything() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let mut files = SourceMap::default();
    for (path, text) in [
        ("attestation.wit", include_str!("../../../../wit/attestation.wit")),
        ("auth.wit", include_str!("../../../../wit/auth.wit")),
        ("crypto.wit", include_str!("../../../../wit/crypto.wit")),
        ("https.wit", include_str!("../../../../wit/https.wit")),
        ("keystore.wit", include_str!("../../../../wit/keystore.wit")),
        ("sealing.wit", include_str!("../../../../wit/sealing.wit")),
        ("world.wit", include_str!("../../../../wit/world.wit")),
    ] {
        files.push_str(path, text);
    }
    let package = resolve.push_group(files.parse().map_err(|(_, error)| error).unwrap()).unwrap();
    let world = resolve.select_world(&[package], Some("imports")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

const GUEST: &str = r#"
(component
  (import "privasys:enclave-os/crypto@0.1.0" (instance $crypto
    (type $named (enum "sha256" "sha384" "sha512"))
    (export "digest-algorithm" (type $algorithm (eq $named)))
    (export "digest" (func (param "algorithm" $algorithm) (param "data" (list u8))
      (result (result (list u8) (error string)))))))
  (import "privasys:enclave-os/auth@0.1.0" (instance $auth
    (export "get-caller-id" (func (result (result string (error string)))))))
  (import "privasys:enclave-os/sealing@0.1.0" (instance $sealing
    (export "get-seal-key" (func (result (result (tuple (list u8) (list u8)) (error string)))))))
  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 64) "abc")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (core func $digest (canon lower (func $crypto "digest")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core func $caller (canon lower (func $auth "get-caller-id")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core func $seal (canon lower (func $sealing "get-seal-key")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core module $m
    (import "host" "digest" (func $digest (param i32 i32 i32 i32)))
    (import "host" "caller" (func $caller (param i32)))
    (import "host" "seal" (func $seal (param i32)))
    (func (export "hash") (result i32)
      (call $digest (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 16))
      i32.const 16)
    (func (export "who") (result i32) (call $caller (i32.const 16)) i32.const 16)
    (func (export "seal") (result i32) (call $seal (i32.const 16)) i32.const 16))
  (core instance $i (instantiate $m (with "host" (instance
    (export "digest" (func $digest)) (export "caller" (func $caller)) (export "seal" (func $seal))))))
  (func (export "hash") (result (result (list u8) (error string)))
    (canon lift (core func $i "hash") (memory $memory "memory")))
  (func (export "who") (result (result string (error string)))
    (canon lift (core func $i "who") (memory $memory "memory")))
  (func (export "seal") (result (result (tuple (list u8) (list u8)) (error string)))
    (canon lift (core func $i "seal") (memory $memory "memory"))))
"#;
