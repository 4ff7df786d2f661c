//! What apps ask of the platform, from the guest to the evidence and to the disk.

use super::web::{nothing, one};
use super::*;
use crate::host_name::HostName;
use crate::own::Own;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_api::{AppDescription, CallResponse, ConfigurationState, RUN_HEADER};
use cloister_attestation::{AppClaims, ConfigurationClaim, extension_oid, roots_hash};
use cloister_runtime::platform::App as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_is_claimed_and_certified_and_outlives_the_enclave() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let wasm = guests::platform();
    deploy_with(&enclave, Kind::Deploy, wasm.clone(), for_everybody()).await.unwrap();
    let before = claims(&enclave);
    assert!(before.apps[0].extensions.is_empty());
    assert_eq!(call(&enclave, nobody(), "show", json!([7, [1, 2, 3]])).await, Ok(ok()));
    assert_eq!(claims(&enclave).apps[0].extensions, [(7, sha256(&[1, 2, 3]))]);
    assert!(shows(&enclave, "app.localhost", 7, &[1, 2, 3]));
    assert!(
        !shows(&enclave, "localhost", 7, &[1, 2, 3]) && !shows(&enclave, "other.localhost", 7, &[1, 2, 3])
    );

    // The same again changes nothing, another value all of it.
    let epoch = enclave.storage.state().epoch;
    assert_eq!(call(&enclave, nobody(), "show", json!([7, [1, 2, 3]])).await, Ok(ok()));
    assert_eq!(enclave.storage.state().epoch, epoch);
    assert_eq!(call(&enclave, nobody(), "show", json!([7, [4]])).await, Ok(ok()));
    assert_eq!(call(&enclave, nobody(), "show", json!([4_294_967_295_u32, [5]])).await, Ok(ok()));
    assert!(shows(&enclave, "app.localhost", 7, &[4]) && !shows(&enclave, "app.localhost", 7, &[1, 2, 3]));
    let described = description(&enclave).await;
    let told: Vec<_> =
        described.extensions.iter().map(|e| (e.oid.clone(), e.bytes, e.hash.clone())).collect();
    let expected = |suffix, value: &[u8]| (extension_oid(suffix), 1, hex::encode(sha256(value)));
    assert_eq!(told, [expected(7, &[4]), expected(u32::MAX, &[5])]);
    assert_eq!(app_claims(&enclave).code_hash, before.apps[0].code_hash);
    let kept = claims(&enclave).apps;
    drop(enclave);

    let enclave = start(Arc::new(disk));
    assert_eq!(claims(&enclave).apps, kept);
    assert!(shows(&enclave, "app.localhost", 7, &[4]));
    assert_eq!(call(&enclave, nobody(), "show", json!([7, []])).await, Ok(ok()));
    assert_eq!(claims(&enclave).apps[0].extensions, [(u32::MAX, sha256(&[5]))]);
    deploy_with(&enclave, Kind::Replace, wasm, for_everybody()).await.unwrap();
    assert!(claims(&enclave).apps[0].extensions.is_empty(), "a replacement begins without any");
    assert!(!shows(&enclave, "app.localhost", u32::MAX, &[5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_are_bounded() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    let show = async |suffix: u32, bytes: usize| {
        call(&enclave, nobody(), "show", json!([suffix, BASE64.encode(vec![1; bytes])])).await.unwrap()
    };
    assert!(show(0, 4097).await["err"].as_str().unwrap().contains("4096"));
    assert_eq!((show(0, 4096).await, show(1, 4096).await), (ok(), ok()));
    assert!(show(2, 1).await["err"].as_str().unwrap().contains("8192 bytes together"));
    assert_eq!((show(1, 4095).await, show(2, 1).await), (ok(), ok()));
    // As large as one can be, it is a certificate that TLS carries.
    one(&enclave, "app.localhost").await;
    assert_eq!((show(0, 0).await, show(1, 0).await), (ok(), ok()));
    for suffix in 3..18 {
        assert_eq!(show(suffix, 1).await, ok());
    }
    assert!(show(18, 1).await["err"].as_str().unwrap().contains("at most 16"));
    assert_eq!(show(17, 2).await, ok(), "another value for one that is there");
    assert_eq!(claims(&enclave).apps[0].extensions.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_replaced_or_removed_declares_nothing() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let settings = || DeploySettings { configure_with: Some("configure".into()), ..for_everybody() };
    deploy_with(&enclave, Kind::Deploy, guests::platform(), settings()).await.unwrap();
    let first = Own::new(&enclave, &enclave.app(&name("app")).unwrap());
    first.set_extension(1, vec![1]).await.unwrap();
    first.set_extension(2, vec![2]).await.unwrap();
    deploy_with(&enclave, Kind::Replace, guests::platform(), settings()).await.unwrap();
    for declared in [first.set_extension(1, vec![3]).await, first.complete_configuration().await] {
        assert!(declared.unwrap_err().0.contains("replaced or removed"));
    }
    let second = Own::new(&enclave, &enclave.app(&name("app")).unwrap());
    second.complete_configuration().await.unwrap();
    admin::remove(&enclave, Requester::with_key(owner()), name("app")).await.unwrap();
    assert!(second.set_extension(1, vec![1]).await.unwrap_err().0.contains("replaced or removed"));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), settings()).await.unwrap();
    assert!(second.set_extension(1, vec![1]).await.unwrap_err().0.contains("replaced or removed"));
    assert_eq!(app_claims(&enclave).configuration, ConfigurationClaim::Awaited);
    assert!(app_claims(&enclave).extensions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_declare_at_once_is_all_there() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    let own = Arc::new(Own::new(&enclave, &enclave.app(&name("app")).unwrap()));
    let mut declaring = tokio::task::JoinSet::new();
    for suffix in 0..10_u8 {
        let own = Arc::clone(&own);
        declaring.spawn(async move { own.set_extension(suffix.into(), vec![suffix]).await.unwrap() });
    }
    // One that nobody waits for harms none of the others.
    drop(own.set_extension(99, vec![0]));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    declaring.join_all().await;
    assert_eq!(claims(&enclave).apps.len(), 2);
    let expected: Vec<_> = (0..10_u8).map(|suffix| (u32::from(suffix), sha256(&[suffix]))).collect();
    assert_eq!(app_claims(&enclave).extensions, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_does_not_take_is_not_declared() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    call(&enclave, nobody(), "show", json!([1, [1]])).await.unwrap();
    let before = claims(&enclave).apps;
    disk.fail(DiskFailure {
        only: Some(DiskOperationKind::Flush),
        after: 0,
        times: u64::MAX,
        kind: std::io::ErrorKind::Other,
        effect: FailureEffect::Nothing,
    });
    let refused = call(&enclave, nobody(), "show", json!([1, [2]])).await.unwrap();
    assert!(refused["err"].as_str().unwrap().contains("volume cannot be written"), "{refused}");
    assert_eq!(claims(&enclave).apps, before);
    assert!(shows(&enclave, "app.localhost", 1, &[1]));
    disk.heal();
    enclave.storage.commit().await.unwrap();
    assert_eq!(claims(&start(Arc::new(disk.fork()))).apps, before);
    assert_eq!(call(&enclave, nobody(), "show", json!([1, [2]])).await, Ok(ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_answers_nothing_before_its_owner_has_configured_it() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let settings = || DeploySettings { configure_with: Some("configure".into()), ..for_everybody() };
    let described = deploy_with(&enclave, Kind::Deploy, guests::platform(), settings()).await.unwrap();
    assert_eq!(described.configuration, ConfigurationState::Awaited);
    assert_eq!(described.configure_with.as_deref(), Some("configure"));
    assert_eq!(app_claims(&enclave).configuration, ConfigurationClaim::Awaited);
    let (own, other) = (|| Caller::with_key(owner()), Caller::with_key(other_owner()));
    for caller in [own(), other.clone(), nobody()] {
        assert_eq!(call(&enclave, caller, "who", json!([])).await, Err(Code::NotConfigured));
    }
    // Not even which exports there are.
    assert_eq!(call(&enclave, nobody(), "whom", json!([])).await, Err(Code::NotConfigured));
    assert_eq!(call(&enclave, other, "configure", json!([])).await, Err(Code::Forbidden));
    assert_eq!(call(&enclave, nobody(), "configure", json!([])).await, Err(Code::Unauthenticated));
    drop(enclave);

    let enclave = start(Arc::new(disk));
    assert_eq!(call(&enclave, own(), "who", json!([])).await, Err(Code::NotConfigured));
    assert_eq!(call(&enclave, own(), "configure", json!([])).await, Ok(ok()));
    assert_eq!(app_claims(&enclave).configuration, ConfigurationClaim::Complete);
    assert_eq!(description(&enclave).await.configuration, ConfigurationState::Complete);
    assert!(call(&enclave, nobody(), "who", json!([])).await.is_ok());
    assert_eq!(call(&enclave, nobody(), "whom", json!([])).await, Err(Code::UnknownExport));
    let again = call(&enclave, own(), "configure", json!([])).await.unwrap();
    assert!(again["err"].as_str().unwrap().contains("complete already"), "{again}");
    assert_eq!(call(&enclave, nobody(), "configure", json!([])).await, Err(Code::Unauthenticated));

    deploy_with(&enclave, Kind::Replace, guests::platform(), settings()).await.unwrap();
    assert_eq!(call(&enclave, own(), "who", json!([])).await, Err(Code::NotConfigured));
    deploy_with(&enclave, Kind::Replace, guests::platform(), for_everybody()).await.unwrap();
    assert!(call(&enclave, own(), "who", json!([])).await.is_ok());
    let needless = call(&enclave, own(), "configure", json!([])).await.unwrap();
    assert!(needless["err"].as_str().unwrap().contains("awaits no configuration"), "{needless}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_and_commands_wait_for_their_configuration() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let run = || {
        let request = Request::post("/v1/apps/app/run").header("host", "localhost");
        request.header(RUN_HEADER, r#"{"arguments":["o"]}"#).body(nothing()).unwrap()
    };
    for (wasm, is_service) in [(guests::configurable_web(), true), (guests::configurable_command(), false)] {
        let settings = DeploySettings { configure_with: Some("configure".into()), ..for_everybody() };
        deploy_with(&enclave, Kind::Deploy, wasm, settings).await.unwrap();
        let mut sender = one(&enclave, "localhost").await;
        let mut ask = async || match is_service {
            true => sender.text("https://localhost/apps/app/h").await.0,
            false => sender.send(run()).await.unwrap().status().as_u16(),
        };
        assert_eq!(ask().await, 503);
        call(&enclave, Caller::with_key(owner()), "configure", json!([])).await.unwrap();
        assert_eq!(ask().await, 200);
        admin::remove(&enclave, Requester::with_key(owner()), name("app")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_configured_with_an_export_of_its_own() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let refused = async |wasm, export: &str| {
        let settings = DeploySettings { configure_with: Some(export.into()), ..for_everybody() };
        let problem = deploy_with(&enclave, Kind::Deploy, wasm, settings).await.unwrap_err();
        assert_eq!(problem.code, Code::InvalidSettings);
        problem
    };
    let unknown = refused(guests::platform(), "confgure").await;
    assert_eq!(unknown.suggestions, ["configure"]);
    assert!(refused(guests::command(), "run").await.detail.contains("WASI"));
    assert!(refused(guests::web(), "handle").await.detail.contains("WASI"));
    assert!(claims(&enclave).apps.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_of_quotes_are_claimed() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let key = cloister_attestation::TlsKey::generate().unwrap();
    let root = cloister_attestation::client_certificate(&key).unwrap();
    let settings = DeploySettings { quote_roots: vec![BASE64.encode(&root)], ..for_everybody() };
    let described = deploy_with(&enclave, Kind::Deploy, guests::platform(), settings).await.unwrap();
    let hash = roots_hash([&root[..]]);
    assert_eq!(
        (app_claims(&enclave).quote_roots, described.quote_roots),
        (Some(hash), Some(hex::encode(hash)))
    );
    assert_eq!((app_claims(&enclave).roots, described.roots), (None, None));
    deploy_with(&enclave, Kind::Replace, guests::platform(), for_everybody()).await.unwrap();
    assert_eq!(app_claims(&enclave).quote_roots, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_knows_its_caller() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    let who = async |caller| call(&enclave, caller, "who", json!([])).await.unwrap();
    assert_eq!(who(Caller::with_key(owner())).await, json!({ "ok": format!("key:{}", "01".repeat(32)) }));
    assert!(who(nobody()).await["err"].is_string());
    let seal = call(&enclave, nobody(), "seal", json!([])).await.unwrap();
    assert!(seal["err"].as_str().unwrap().contains("does not run in an enclave"), "{seal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn persisted_keys_outlive_restarts_and_replacements_and_end_with_the_app() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    assert_eq!(call(&enclave, nobody(), "make", json!(["k"])).await, Ok(ok()));
    let sign = async |enclave: &Arc<Enclave>| call(enclave, nobody(), "sign", json!(["k"])).await.unwrap();
    let load = async |enclave: &Arc<Enclave>| call(enclave, nobody(), "load", json!(["k"])).await.unwrap();
    let signed = sign(&enclave).await;
    assert_eq!(signed["ok"].as_array().unwrap().len(), 32);
    let [key] = &description(&enclave).await.keys[..] else { panic!() };
    assert_eq!((key.name.as_str(), key.kind.as_deref()), ("k", Some("hmac-sha256")));
    assert!(key.in_memory && key.persisted);
    assert_eq!(key.uses, uses(&[("generate", 1), ("hmac-sign", 1), ("persist", 1)]));
    assert_eq!(description(&enclave).await.storage.keys, 0, "they are no keys of wasi:keyvalue");
    upkeep::finish(&enclave).await;
    drop(enclave);

    let enclave = start(Arc::new(disk.clone()));
    assert!(sign(&enclave).await["err"].is_string());
    let [key] = &description(&enclave).await.keys[..] else { panic!() };
    assert!(!key.in_memory && key.persisted);
    assert_eq!(key.uses, uses(&[("generate", 1), ("hmac-sign", 1), ("persist", 1)]));
    assert_eq!(load(&enclave).await, ok());
    assert_eq!(sign(&enclave).await, signed);
    let used = uses(&[("generate", 1), ("hmac-sign", 2), ("load", 1), ("persist", 1)]);
    assert_eq!(description(&enclave).await.keys[0].uses, used);
    upkeep::finish(&enclave).await;

    deploy_with(&enclave, Kind::Replace, guests::platform(), for_everybody()).await.unwrap();
    assert!(sign(&enclave).await["err"].is_string(), "what was in memory went with the code");
    assert_eq!(description(&enclave).await.keys[0].uses, used, "they are counted on");
    let restarted = start(Arc::new(disk.fork()));
    assert_eq!(description(&restarted).await.keys[0].uses, used, "nobody called it since it was replaced");
    assert_eq!(load(&enclave).await, ok());
    assert_eq!(sign(&enclave).await, signed);

    admin::remove(&enclave, Requester::with_key(owner()), name("app")).await.unwrap();
    let described = deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    assert!(described.keys.is_empty());
    assert!(load(&enclave).await["err"].is_string());
    assert!(sign(&enclave).await["err"].is_string());
    let restarted = start(Arc::new(disk.fork()));
    assert!(load(&restarted).await["err"].is_string());
}

/// New code with the old key must not give away what the old code encrypted.
#[tokio::test(flavor = "multi_thread")]
async fn a_vector_is_used_once_over_replacements_too() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy_with(&enclave, Kind::Deploy, guests::platform(), for_everybody()).await.unwrap();
    let ask = async |export| call(&enclave, nobody(), export, json!(["k"])).await.unwrap();
    assert_eq!(ask("make-cipher").await, ok());
    assert_eq!(ask("encrypt").await["ok"].as_array().unwrap().len(), 5 + 16);
    assert!(ask("encrypt").await["err"].as_str().unwrap().contains("iv before"));
    deploy_with(&enclave, Kind::Replace, guests::platform(), for_everybody()).await.unwrap();
    assert_eq!(ask("load").await, ok());
    assert!(ask("encrypt").await["err"].as_str().unwrap().contains("iv before"));
}

async fn deploy_with(
    enclave: &Arc<Enclave>,
    kind: Kind,
    wasm: Vec<u8>,
    settings: DeploySettings,
) -> Result<AppDescription, Problem> {
    deploy_as(enclave, kind, owner(), "app", wasm, settings).await
}

async fn call(enclave: &Arc<Enclave>, caller: Caller, export: &str, arguments: Value) -> Result<Value, Code> {
    let request = Request::new(Full::new(Bytes::from(arguments.to_string())));
    let answer = calls::serve(enclave, &caller, &name("app"), export, request).await;
    let answer = answer.map_err(|problem| problem.code)?.into_body().collect().await.unwrap().to_bytes();
    Ok(serde_json::from_slice::<CallResponse>(&answer).unwrap().result)
}

async fn description(enclave: &Enclave) -> AppDescription {
    let answer = admin::describe(enclave, Requester::with_key(owner()), &name("app")).await.unwrap();
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

fn app_claims(enclave: &Enclave) -> AppClaims {
    claims(enclave).app(&name("app")).unwrap().clone()
}

/// Whether the certificate for this host name has an extension of the app's with this value.
fn shows(enclave: &Enclave, host: &str, suffix: u32, value: &[u8]) -> bool {
    let state = enclave.state();
    let host = HostName::parse(host);
    let certificate = enclave.attestor.certificate_for(&state.attested, host.as_ref()).unwrap();
    // 1.3.6.1.4.1.65230.3.5 in DER, and the suffix in base 128.
    let mut oid = vec![0x2b, 6, 1, 4, 1, 0x83, 0xfd, 0x4e, 3, 5];
    let digits =
        (0..5).rev().map(|place| (suffix >> (7 * place)) as u8 & 0x7f).skip_while(|digit| *digit == 0);
    let digits = Vec::from_iter(digits);
    let last = digits.len().saturating_sub(1);
    oid.extend(
        digits.iter().enumerate().map(|(place, digit)| if place < last { digit | 0x80 } else { *digit }),
    );
    let oid = [&[6, oid.len() as u8][..], &oid].concat();
    let extension = [&oid[..], &[4, value.len() as u8], value].concat();
    certificate.cert[0].windows(extension.len()).any(|window| window == extension)
}

fn uses(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(operation, count)| ((*operation).to_owned(), *count)).collect()
}

fn nobody() -> Caller {
    Caller::unknown()
}

fn ok() -> Value {
    json!({ "ok": null })
}
