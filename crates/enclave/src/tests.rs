//! The enclave's apps across restarts, without the protocol around them.

use crate::access::{Caller, Requester};
use crate::deploy::{Deployment, Kind, settings};
use crate::state::Enclave;
use crate::storage::Storage;
use crate::{admin, attest, calls, upkeep, volume};
use bytes::{Buf, Bytes};
use cloister_api::{
    AppDescription, AppName, BACKUP_END, BACKUP_EPOCH_HEADER, CallerPolicy, CheckEvent, Code, Configuration,
    DeploySettings, EnvironmentVariable, KeyFingerprint, Limits, Problem, Removal, VolumeStatistics,
};
use cloister_attestation::{Claims, SessionBinding, sha256};
use cloister_runtime::{Arguments, Call, Runtime, Settings};
use cloister_volume::{
    BLOCK, Disk, DiskFailure, DiskOperationKind, FailureEffect, FaultyDisk, MemoryDisk, Options,
    SealingError, SealingKey,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

mod authorization;
mod bundles;
mod guests;
mod identities;
mod platform;
mod replacement;
mod runs;
#[path = "../../egress/src/tests/server.rs"]
mod server;
mod waiting;
mod web;

#[tokio::test(flavor = "multi_thread")]
async fn apps_and_identity_outlive_the_enclave() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let described = deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    assert_eq!(described.environment, ["TOKEN"]);
    assert!(!serde_json::to_string(&described).unwrap().contains("hunter2"));
    assert_eq!(described.storage.files, 0);
    let app = enclave.app(&name("ledger")).unwrap();
    let ended =
        crate::app::Ended { outcome: crate::app::Outcome::Returned, fuel: 7, wall: Duration::from_millis(1) };
    app.counters.record("f", ended);
    upkeep::finish(&enclave).await;
    let before = claims(&enclave);
    drop((app, enclave));

    let enclave = start(Arc::new(disk));
    let after = claims(&enclave);
    assert_eq!(after.tls_key, before.tls_key);
    assert_ne!(after.session_key, before.session_key);
    assert_eq!(after.apps, before.apps);
    assert_eq!(after.apps.len(), 1);
    assert!(after.volume.unwrap().epoch > before.volume.unwrap().epoch);
    let statistics = enclave.runtime.statistics();
    assert_eq!((statistics.compiled, statistics.restored), (0, 1));
    let app = enclave.app(&name("ledger")).unwrap();
    assert_eq!(app.description().unwrap().total.calls, 1);
    assert_eq!(&app.environment[..], [("TOKEN".to_owned(), "hunter2".to_owned())]);
    let outcome = app.program.call(Call {
        export: "f",
        arguments: Arguments::Json(b"[2,3]"),
        context: app.context(&enclave, None, &Arc::default()),
    });
    assert_eq!(outcome.await.unwrap().result, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_bound_to_the_present_state_of_the_volume() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let attested = claims(&enclave).volume.unwrap();
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let binding = SessionBinding { exporter: [1; 32], nonce: [2; 32] };
    let present = enclave.storage.state();
    assert!(present.epoch > attested.epoch);
    let state = enclave.state();
    let evidence = enclave.attestor.bind(&state.attested, &binding, Some(present)).unwrap();
    let told = evidence.volume.unwrap();
    assert_eq!((told.epoch, told.root), (present.epoch, hex::encode(present.root)));
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let signature = base64.decode(evidence.signature).unwrap();
    let encoded = base64.decode(evidence.claims).unwrap();
    let key = claims(&enclave).session_key;
    assert_eq!(binding.verify(&encoded, Some(present), &key, &signature), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_says_what_went() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let removal = |owner| admin::remove(&enclave, Requester::with_key(owner), name("ledger"));
    assert_eq!(removal(other_owner()).await.unwrap_err().code, Code::Forbidden);
    let answer = removal(owner()).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let expected = Removal { name: name("ledger"), files: 0, bytes: 0, keys: 0 };
    assert_eq!(serde_json::from_slice::<Removal>(&answer).unwrap(), expected);
    assert_eq!(removal(owner()).await.unwrap_err().code, Code::UnknownApp);
    assert!(claims(&start(Arc::new(disk.fork()))).apps.is_empty());
    deploy(&enclave, Kind::Deploy, other_owner(), "ledger", ADD).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_damaged_keys_can_be_replaced_removed_and_deployed_again() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    enclave.app(&name("ledger")).unwrap().storage.set_key(b"old", b"value");
    enclave.storage.commit().await.unwrap();
    drop(enclave);
    let damaged = (0..disk.blocks().unwrap()).rev().find_map(|block| {
        let disk = disk.fork();
        disk.modify(block, |bytes| bytes[9] ^= 1);
        let storage = Storage::mount(Arc::new(disk.clone()), &FixedKey, Options::default()).ok()?;
        let app = storage.load(&Runtime::new(Settings::default()).unwrap()).ok()?.apps.pop()?;
        app.storage.usage().is_err().then_some(disk)
    });
    let enclave = start(Arc::new(damaged.unwrap()));
    let figures = volume::statistics(&enclave, Requester::with_key(owner())).await.unwrap();
    assert_eq!(figures.status(), 200);
    deploy(&enclave, Kind::Replace, owner(), "ledger", SUB).await.unwrap();
    admin::remove(&enclave, Requester::with_key(owner()), name("ledger")).await.unwrap();
    let described = deploy(&enclave, Kind::Deploy, other_owner(), "ledger", ADD).await.unwrap();
    assert_eq!(described.storage.keys, 0);
}

/// However a call ends that is answered, what it wrote is on the disk before the answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_wrote_stays_however_it_ends() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let limits = |fuel, wall_time_ms| Limits { fuel, wall_time_ms, ..Limits::default() };
    let (little, much) = (limits(1_000_000, 60_000), limits(1_000_000_000_000, 4_000));
    deploy_within(&enclave, Kind::Deploy, owner(), "ledger", SET, little).await.unwrap();
    let call = async |end: u8| {
        let request = Request::new(Full::new(Bytes::from(format!("[{end}]"))));
        calls::serve(&enclave, &Caller::unknown(), &name("ledger"), "f", request)
            .await
            .map(|_| ())
            .map_err(|problem| problem.code)
    };
    let kept = |disk: &MemoryDisk, end: u8| {
        start(Arc::new(disk.fork())).app(&name("ledger")).unwrap().storage.has_key(&[b'0' + end])
    };
    for (end, code) in [(0, None), (1, Some(Code::GuestTrapped)), (2, Some(Code::OutOfFuel))] {
        assert_eq!(call(end).await.err(), code);
        assert!(kept(&disk, end), "{end}");
    }
    deploy_within(&enclave, Kind::Replace, owner(), "ledger", SET, much).await.unwrap();
    assert_eq!(call(3).await.err(), Some(Code::TimedOut));
    assert!(kept(&disk, 3));
    // Nobody waits for this one any more; it is kept with the next commit.
    assert!(tokio::time::timeout(Duration::from_millis(2_000), call(4)).await.is_err());
    upkeep::finish(&enclave).await;
    assert!(kept(&disk, 4));
    assert!(!kept(&disk, 5));
}

#[tokio::test]
async fn no_secret_is_in_what_is_printed() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    assert!(!format!("{enclave:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_does_not_take_is_not_deployed() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let before = claims(&enclave).apps;
    disk.fail(DiskFailure {
        only: Some(DiskOperationKind::Flush),
        after: 0,
        times: u64::MAX,
        kind: std::io::ErrorKind::Other,
        effect: FailureEffect::Nothing,
    });
    for (kind, app) in [(Kind::Replace, "ledger"), (Kind::Deploy, "other")] {
        let problem = deploy(&enclave, kind, owner(), app, SUB).await.unwrap_err();
        assert_eq!(problem.code, Code::StorageUnavailable, "{}", problem.detail);
    }
    let problem = admin::remove(&enclave, Requester::with_key(owner()), name("ledger")).await.unwrap_err();
    assert_eq!(problem.code, Code::StorageUnavailable);
    assert_eq!(claims(&enclave).apps, before);
    assert!(enclave.storage.commit().await.is_err());
    disk.heal();
    deploy(&enclave, Kind::Replace, owner(), "ledger", SUB).await.unwrap();
    let restarted = start(Arc::new(disk.fork()));
    assert_eq!(claims(&restarted).apps, claims(&enclave).apps);
    assert_ne!(claims(&restarted).apps, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_keeps_the_owner_and_takes_new_limits() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let refused = |problem: Result<AppDescription, Problem>| problem.unwrap_err().code;
    assert_eq!(refused(deploy(&enclave, Kind::Deploy, owner(), "ledger", SUB).await), Code::AppExists);
    assert_eq!(refused(deploy(&enclave, Kind::Replace, other_owner(), "ledger", SUB).await), Code::Forbidden);
    assert_eq!(refused(deploy(&enclave, Kind::Replace, owner(), "legder", SUB).await), Code::UnknownApp);
    let described = deploy(&enclave, Kind::Replace, owner(), "ledger", SUB).await.unwrap();
    assert_eq!(described.summary.code_hash, hex::encode(sha256(&wat::parse_str(SUB).unwrap())));
    assert_eq!(described.limits.files, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_a_volume_with_all_apps() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let answer = volume::backup(&enclave, Requester::with_key(owner())).await.unwrap();
    let busy = volume::check(&enclave, Requester::with_key(owner())).unwrap_err();
    assert_eq!(busy.code, Code::Busy);
    assert_eq!(answer.headers()[BACKUP_EPOCH_HEADER], enclave.storage.state().epoch.to_string());
    let mut copy = answer.into_body().collect().await.unwrap().to_bytes();
    let restored = MemoryDisk::new(MAX_BLOCKS);
    loop {
        let (block, count) = (copy.get_u64_le(), copy.get_u32_le());
        if block == BACKUP_END {
            break;
        }
        let bytes = copy.split_to(count as usize * BLOCK);
        restored.resize(restored.blocks().unwrap().max(block + u64::from(count))).unwrap();
        restored.write(block, &bytes).unwrap();
    }
    assert!(copy.is_empty());
    let restored = start(Arc::new(restored));
    assert_eq!(claims(&restored).apps, claims(&enclave).apps);
    assert_eq!(claims(&restored).tls_key, claims(&enclave).tls_key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_damaged_to_its_owner() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let app = enclave.app(&name("ledger")).unwrap();
    app.storage.write_file("big", &[7; 40 * BLOCK]);
    enclave.storage.commit().await.unwrap();
    let events = check(&enclave, owner()).await;
    let Some(CheckEvent::Done { damaged: 0, epoch, blocks }) = events.last() else { panic!("{events:?}") };
    assert_eq!(*epoch, enclave.storage.state().epoch);
    assert!(*blocks > 40);

    (0..disk.blocks().unwrap()).for_each(|block| disk.modify(block, |bytes| bytes[9] ^= 1));
    let found = |events: Vec<CheckEvent>| {
        let own =
            events.iter().filter(|event| matches!(event, CheckEvent::Damaged { app: Some(_), .. })).count();
        let all = events.iter().filter(|event| matches!(event, CheckEvent::Damaged { .. })).count();
        (own, all)
    };
    let (own, all) = found(check(&enclave, owner()).await);
    assert!(all > 0 && own <= all, "{own} of {all}");
    let (none, all) = found(check(&enclave, other_owner()).await);
    assert!(all > 0 && none == 0, "{none} of {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_owners() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    for (who, apps) in [(owner(), 1), (other_owner(), 0)] {
        let answer = volume::statistics(&enclave, Requester::with_key(who)).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        let figures: VolumeStatistics = serde_json::from_slice(&answer).unwrap();
        assert_eq!(figures.apps.len(), apps);
        assert_eq!(figures.epoch, enclave.storage.state().epoch);
        assert!(figures.used_bytes <= figures.disk_bytes);
    }
    let stranger = Requester::with_key(KeyFingerprint::from_hash([3; 32]));
    assert_eq!(volume::statistics(&enclave, stranger).await.unwrap_err().code, Code::Forbidden);
    assert_eq!(volume::backup(&enclave, stranger).await.unwrap_err().code, Code::Forbidden);
    assert_eq!(volume::check(&enclave, stranger).unwrap_err().code, Code::Forbidden);
}

async fn check(enclave: &Arc<Enclave>, owner: KeyFingerprint) -> Vec<CheckEvent> {
    // The turn of the one before ends a moment after its answer.
    loop {
        match volume::check(enclave, Requester::with_key(owner)) {
            Err(_) => tokio::task::yield_now().await,
            Ok(answer) => {
                let lines = answer.into_body().collect().await.unwrap().to_bytes();
                let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                return lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
            }
        }
    }
}

fn start(disk: Arc<dyn Disk>) -> Arc<Enclave> {
    start_with(disk, Configuration::default())
}

fn start_with(disk: Arc<dyn Disk>, configuration: Configuration) -> Arc<Enclave> {
    let owners = [vec![owner(), other_owner()], configuration.owners].concat();
    let configuration = Configuration { owners, ..configuration };
    let storage = Storage::mount(disk, &FixedKey, Options::default()).unwrap();
    let (key, starts) = (storage.identity().unwrap(), storage.count_start().unwrap());
    let attestor = attest::Attestor::new(&configuration, b"{}", key, starts).unwrap();
    let settings = Settings::default();
    let runtime = Runtime::new(settings.clone()).unwrap();
    let loaded = storage.load(&runtime).unwrap();
    Arc::new(Enclave::new(configuration, runtime, settings, attestor, storage, loaded).unwrap())
}

/// The settings of an app that answers everybody.
fn for_everybody() -> DeploySettings {
    DeploySettings { callers: CallerPolicy::public(), ..DeploySettings::default() }
}

async fn deploy(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    app: &str,
    wat: &str,
) -> Result<AppDescription, Problem> {
    deploy_within(enclave, kind, owner, app, wat, Limits { files: 12, ..Limits::default() }).await
}

async fn deploy_within(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    app: &str,
    wat: &str,
    limits: Limits,
) -> Result<AppDescription, Problem> {
    deploy_wasm(enclave, kind, owner, app, wat::parse_str(wat).unwrap(), limits).await
}

async fn deploy_wasm(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    app: &str,
    wasm: Vec<u8>,
    limits: Limits,
) -> Result<AppDescription, Problem> {
    let variable = EnvironmentVariable { name: "TOKEN".to_owned(), value: "hunter2".to_owned() };
    let settings = DeploySettings { limits, environment: vec![variable], ..for_everybody() };
    deploy_as(enclave, kind, owner, app, wasm, settings).await
}

async fn deploy_as(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    app: &str,
    wasm: Vec<u8>,
    settings: DeploySettings,
) -> Result<AppDescription, Problem> {
    deployment(enclave, kind, owner, app, wasm, settings)?.run(&mpsc::channel(16).0).await
}

fn deployment(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    app: &str,
    wasm: Vec<u8>,
    settings: DeploySettings,
) -> Result<Deployment, Problem> {
    let settings = settings::check(settings)?;
    Ok(Deployment {
        enclave: Arc::clone(enclave),
        kind,
        name: name(app),
        owner,
        upload: enclave.storage.upload(&name(app), &settings.limits).unwrap(),
        settings,
        endorsements: Vec::new(),
        wasm: wasm.into(),
    })
}

fn claims(enclave: &Enclave) -> Claims {
    Claims::decode(enclave.state().attested.claims()).unwrap()
}

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn owner() -> KeyFingerprint {
    KeyFingerprint::from_hash([1; 32])
}

fn other_owner() -> KeyFingerprint {
    KeyFingerprint::from_hash([2; 32])
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([9; 16]))
    }
}

const MAX_BLOCKS: u64 = 1 << 16;
const ADD: &str = r#"(component
  (core module $m (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
  (core instance $i (instantiate $m))
  (func (export "f") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "f"))))"#;
const SUB: &str = r#"(component
  (core module $m (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 i32.sub))
  (core instance $i (instantiate $m))
  (func (export "f") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "f"))))"#;
/// Sets the key that is the digit of its argument; then returns (0), traps (1), or goes on for ever.
const SET: &str = r#"(component
  (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $failure (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $failure)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.set" (func (param "self" (borrow $bucket)) (param "key" string)
      (param "value" (list u8)) (result (result (error $error)))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $memory (instantiate $memory))
  (core func $open (canon lower (func $store "open")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core func $set (canon lower (func $store "[method]bucket.set")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core module $m
    (import "host" "memory" (memory 1))
    (import "host" "open" (func $open (param i32 i32 i32)))
    (import "host" "set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (func (export "f") (param $end i32)
      (i32.store8 (i32.const 0) (i32.add (i32.const 48) (local.get $end)))
      (call $open (i32.const 0) (i32.const 0) (i32.const 16))
      (if (i32.load8_u (i32.const 16)) (then unreachable))
      (call $set (i32.load (i32.const 20)) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)
        (i32.const 32))
      (if (i32.load8_u (i32.const 32)) (then unreachable))
      (if (i32.eqz (local.get $end)) (then return))
      (if (i32.eq (local.get $end) (i32.const 1)) (then unreachable))
      (loop $on (br $on))))
  (core instance $i (instantiate $m (with "host" (instance
    (export "memory" (memory $memory "memory")) (export "open" (func $open)) (export "set" (func $set))))))
  (func (export "f") (param "end" u32) (canon lift (core func $i "f"))))"#;
