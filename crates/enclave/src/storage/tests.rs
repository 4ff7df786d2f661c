//! The enclave's storage across restarts, on a disk in memory.

use super::install::{Installation, artifact_path, counters_path, record_path, wasm_path};
use super::*;
use cloister_api::{AppName, FunctionCounters, KeyFingerprint, Limits};
use cloister_filesystem::{Follow, OpenHow};
use cloister_runtime::{Program, Runtime, Settings};
use cloister_volume::{
    BLOCK, DiskFailure, DiskOperationKind, FailureEffect, Fate, FaultyDisk, MemoryDisk, Part,
};
use std::collections::BTreeMap;

#[tokio::test]
async fn the_identity_is_that_of_the_first_start() {
    let disk = disk();
    let first = start(&disk).identity().unwrap().fingerprint();
    assert_eq!(start(&disk.fork()).identity().unwrap().fingerprint(), first);
    assert_ne!(start(&self::disk()).identity().unwrap().fingerprint(), first);
}

#[tokio::test]
async fn an_app_is_there_after_a_restart_and_nothing_is_compiled() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy(&storage, "app", ADD);
    let counters = BTreeMap::from([("f".to_owned(), FunctionCounters { calls: 3, ..Default::default() })]);
    storage.write_counters(&name("app"), &record, counters.clone()).unwrap();
    storage.commit().await.unwrap();

    let runtime = runtime();
    let loaded = start(&disk.fork()).load(&runtime).unwrap();
    let [app] = &loaded.apps[..] else { panic!("{loaded:?}") };
    assert!(loaded.affected.is_empty());
    assert_eq!((app.name.as_str(), &app.record), ("app", &record));
    assert_eq!(app.record.environment, [("SECRET".to_owned(), "value".to_owned())]);
    assert_eq!(hex::encode(app.program.code_hash()), record.code_hash);
    assert_eq!(app.counters, counters);
    let statistics = runtime.statistics();
    assert_eq!((statistics.compiled, statistics.restored), (0, 1));
}

#[tokio::test]
async fn files_and_keys_outlive_a_restart_and_a_replacement_and_end_with_a_removal() {
    let disk = disk();
    let storage = start(&disk);
    deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    app.storage.write_file("kept", b"contents");
    app.storage.keys.set(b"key", b"value").unwrap();
    storage.commit().await.unwrap();

    let disk = disk.fork();
    let storage = start(&disk);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    assert_eq!(app.storage.usage().unwrap().files, 1);
    let record = replace(&storage, &app.storage, &app.record, SUB).unwrap();
    assert_eq!(record.limits.files, 9);
    assert!(
        storage.files.read(&wasm_path(&app.name, &app.record.generation), u64::MAX).unwrap_err().is_absence()
    );

    let disk = disk.fork();
    let storage = start(&disk);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    assert_eq!(app.record, record);
    assert_eq!(hex::encode(app.program.code_hash()), record.code_hash);
    assert_eq!(read(&app.storage, "kept"), b"contents");
    assert_eq!(app.storage.keys.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));

    storage.retire(&app.name).unwrap();
    let removed = storage.purge(&app.name).unwrap();
    assert_eq!((removed.files, removed.keys, removed.bytes > 0), (1, 1, true));
    assert!(app.storage.keys.get(b"key").is_err(), "a call under way has lost its keys");
    assert_nothing_is_left(&start(&disk.fork()));
}

#[tokio::test]
async fn what_was_not_kept_never_was() {
    let disk = disk();
    let storage = start(&disk);
    let (staged, record) = stage(&storage, "new", ADD);
    drop(storage.install(staged, &record, None).unwrap());
    let (staged, _) = stage(&storage, "staged", ADD);
    storage.discard(&staged);
    assert_nothing_is_left(&storage);

    let before = deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    let (staged, record) = stage(&storage, "app", SUB);
    drop(storage.install(staged, &record, Some((&app.storage, &before))).unwrap());
    // One that power takes after it was staged.
    stage(&storage, "app", SUB);
    stage(&storage, "other", SUB);
    storage.commit().await.unwrap();

    let storage = start(&disk.fork());
    let loaded = storage.load(&runtime()).unwrap();
    assert_eq!((loaded.apps.len(), &loaded.apps[0].record), (1, &before));
    assert_eq!(storage.files.list("apps").unwrap(), ["app"]);
    assert_eq!(storage.files.list("apps/app").unwrap().len(), 3, "record, component, artifact");
}

#[tokio::test]
async fn a_bad_artifact_is_compiled_again_and_kept() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy(&storage, "app", ADD);
    let path = artifact_path(&name("app"), &record.generation);
    let mut artifact = storage.files.read(&path, u64::MAX).unwrap();
    *artifact.last_mut().unwrap() ^= 1;
    storage.files.write(&path, &[&artifact]).unwrap();
    storage.commit().await.unwrap();

    let disk = disk.fork();
    for compiled in [1, 0] {
        let runtime = runtime();
        let loaded = start(&disk).load(&runtime).unwrap();
        assert_eq!((loaded.apps.len(), loaded.affected.len()), (1, 0));
        assert_eq!(runtime.statistics().compiled, compiled);
    }
}

#[tokio::test]
async fn a_bad_component_keeps_its_name_and_its_data() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy(&storage, "app", ADD);
    deploy(&storage, "other", ADD);
    let other_component = wat::parse_str(SUB).unwrap();
    storage.files.write(&wasm_path(&name("app"), &record.generation), &[&other_component]).unwrap();
    storage.commit().await.unwrap();

    let disk = disk.fork();
    let storage = start(&disk);
    let loaded = storage.load(&runtime()).unwrap();
    assert_eq!(loaded.apps.len(), 1);
    let [(affected, Affected { record: Some(found), storage: Some(data), what })] = &loaded.affected[..]
    else {
        panic!("{loaded:?}")
    };
    assert_eq!((affected.as_str(), found), ("app", &record));
    assert!(what.starts_with("its component: "), "{what}");
    replace(&storage, data, found, SUB).unwrap();
    let loaded = start(&disk.fork()).load(&runtime()).unwrap();
    assert_eq!((loaded.apps.len(), loaded.affected.len()), (2, 0));
}

#[tokio::test]
async fn without_its_record_an_app_is_nobodys() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy(&storage, "app", ADD);
    storage.files.write(&counters_path(&name("app")), &[b"?"]).unwrap();
    storage.files.write(&record_path(&name("app")), &[b"{\"version\":99}"]).unwrap();
    storage.commit().await.unwrap();

    let storage = start(&disk.fork());
    let loaded = storage.load(&runtime()).unwrap();
    let [(affected, Affected { record: None, storage: None, what })] = &loaded.affected[..] else {
        panic!("{loaded:?}")
    };
    assert!(what.contains("format 99"), "{what}");
    storage.files.replace(&record_path(affected), &[&record.encode().unwrap()]).unwrap();
    let loaded = storage.load(&runtime()).unwrap();
    assert_eq!(loaded.apps[0].counters, BTreeMap::new(), "counters that cannot be read begin anew");
    storage.retire(affected).unwrap();
    storage.purge(affected).unwrap();
    assert_nothing_is_left(&storage);
}

#[tokio::test]
async fn a_disk_that_fails_leaves_all_as_it_was() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let storage = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap();
    let record = deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    let (staged, next) = stage(&storage, "app", SUB);
    let (staged_new, new) = stage(&storage, "new", SUB);
    disk.fail(broken());
    let replaced = storage.install(staged, &next, Some((&app.storage, &record)));
    assert!(replaced.and_then(Installation::keep).is_err());
    assert!(storage.install(staged_new, &new, None).and_then(Installation::keep).is_err());
    assert!(storage.retire(&name("app")).is_err());
    assert!(storage.commit().await.is_err());
    disk.heal();
    storage.commit().await.unwrap();

    let storage = start(&disk.fork());
    let loaded = storage.load(&runtime()).unwrap();
    assert_eq!((loaded.apps.len(), &loaded.apps[0].record), (1, &record));
    assert_eq!(storage.files.list("apps").unwrap(), ["app"]);
}

/// Deploy, replace and remove, with the power cut after each write: what was answered is there, and nothing is there
/// by half.
#[tokio::test]
async fn every_power_cut_leaves_an_app_wholly_or_not_at_all() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let storage = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap();
    storage.commit().await.unwrap();
    let begun = disk.operations();
    let first = deploy(&storage, "app", ADD);
    let deployed = disk.operations();
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    app.storage.write_file("kept", b"contents");
    let second = replace(&storage, &app.storage, &first, SUB).unwrap();
    let replaced = disk.operations();
    storage.retire(&app.name).unwrap();
    storage.purge(&app.name).unwrap();
    let removed = disk.operations();

    let runtime = runtime();
    for moment in begun..=removed {
        let cut = disk.cut(moment);
        for fate in [Fate::Kept, Fate::Dropped] {
            let storage = start(&cut.disk(&vec![fate; cut.unsynced().len()]));
            let loaded = storage.load(&runtime).unwrap();
            assert!(loaded.affected.is_empty(), "moment {moment}, {fate:?}: {loaded:?}");
            match &loaded.apps[..] {
                [] => assert!(moment < deployed || moment > replaced, "moment {moment}, {fate:?}"),
                [app] => {
                    assert!(app.record == first || app.record == second, "moment {moment}, {fate:?}");
                    assert!(moment < replaced || app.record == second, "moment {moment}, {fate:?}");
                    if app.record == second {
                        assert_eq!(read(&app.storage, "kept"), b"contents");
                    }
                }
                more => panic!("{more:?}"),
            }
            if moment == removed {
                assert_nothing_is_left(&storage);
            }
        }
    }
}

/// Whatever page of the keys the host changes, an app can be removed, and one of its name begins with no keys.
#[tokio::test]
async fn damaged_keys_keep_no_name() {
    let disk = disk();
    let storage = start(&disk);
    for app in ["a", "app", "z"] {
        deploy(&storage, app, ADD);
    }
    let apps = storage.load(&runtime()).unwrap().apps;
    for app in &apps {
        let pairs: Vec<_> = (0..150).map(|n| (format!("old-{n}"), [1; 100])).collect();
        app.storage.keys.set_many(&pairs).unwrap();
    }
    storage.commit().await.unwrap();
    drop((storage, apps));

    let runtime = runtime();
    let (wasm, program) = program(SUB);
    let (mut damaged, mut incomplete, mut usable) = (0, 0, 0);
    for block in 0..(disk.snapshot().len() / BLOCK) as u64 {
        let disk = disk.fork();
        disk.modify(block, |bytes| bytes[17] ^= 0x20);
        let Ok(storage) = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()) else {
            continue;
        };
        let damage = storage.check(&mut |_, _| {}).unwrap().damage;
        if !damage.iter().any(|damage| damage.dataset == KEYS && damage.part == Part::Data) {
            continue;
        }
        damaged += 1;
        let app = storage.load(&runtime).unwrap().apps.remove(1);
        storage.retire(&app.name).unwrap();
        incomplete += usize::from(storage.purge(&app.name).unwrap().keys < 150);
        let staged = storage.stage(&app.name, &wasm, &program).unwrap();
        let incarnation = storage.incarnation(&app.name, None).unwrap();
        assert_ne!(incarnation, app.record.incarnation);
        let record = Record::new(&staged, incarnation, app.record.owner, Limits::default(), Vec::new());
        storage.install(staged, &record, None).unwrap().keep().unwrap();

        let loaded = start(&disk.fork()).load(&runtime).unwrap();
        assert!(loaded.affected.is_empty(), "block {block}: {loaded:?}");
        assert_eq!(loaded.apps[1].record, record);
        let keys = &loaded.apps[1].storage.keys;
        assert!(keys.list(None, 1).map_or(true, |found| found.keys.is_empty()), "block {block}");
        if keys.set(b"new", b"value").is_ok() {
            usable += 1;
            assert_eq!(keys.usage().unwrap().keys, 1, "block {block}");
            assert_eq!(keys.get(b"new").unwrap().unwrap(), b"value", "block {block}");
            assert!(keys.get(b"old-7").map_or(true, |old| old.is_none()), "block {block}");
        }
    }
    assert!(damaged > 10 && incomplete > 2 && usable > damaged / 2, "{damaged} {incomplete} {usable}");
}

/// Whatever block of the disk the host changes, an app is as it was or not served.
#[tokio::test]
async fn every_changed_block_is_noticed_or_does_not_matter() {
    let disk = disk();
    let storage = start(&disk);
    let (record, other) = (deploy(&storage, "app", ADD), deploy(&storage, "other", SUB));
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    app.storage.write_file("kept", b"contents");
    storage.commit().await.unwrap();
    drop((storage, app));

    let runtime = runtime();
    let blocks = (disk.snapshot().len() / BLOCK) as u64;
    let mut affected = 0;
    for block in 0..blocks {
        let disk = disk.fork();
        disk.modify(block, |bytes| bytes[17] ^= 0x20);
        let options = Options::default();
        let Ok(storage) = Storage::mount(Arc::new(disk), &sealing::Key, options) else { continue };
        let Ok(loaded) = storage.load(&runtime) else { continue };
        assert_eq!(loaded.apps.len() + loaded.affected.len(), 2, "block {block}");
        affected += loaded.affected.len();
        for app in &loaded.apps {
            let expected = if app.name.as_str() == "app" { &record } else { &other };
            assert_eq!(&app.record, expected, "block {block}");
            if app.name.as_str() == "app"
                && let Some(contents) = try_read(&app.storage, "kept")
            {
                assert_eq!(contents, b"contents", "block {block}");
            }
        }
    }
    assert!(affected > 0, "the components alone are several blocks");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_calls_share_commits() {
    let storage = start(&disk());
    deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    let before = storage.statistics().commits;
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..200 {
        let (storage, app) = (storage.clone(), app.storage.clone());
        calls.spawn(async move {
            app.write_file(&format!("file-{}", call % 8), b"contents");
            storage.commit().await.unwrap().epoch
        });
    }
    let epochs = calls.join_all().await;
    let state = storage.state();
    assert!(epochs.iter().all(|epoch| *epoch <= state.epoch));
    assert!(!storage.has_uncommitted());
    assert!(storage.statistics().commits - before < 200, "{}", storage.statistics().commits - before);
}

#[tokio::test]
async fn an_epoch_to_accept_needs_a_volume() {
    let options = Options { accept_epoch: Some(3), ..Options::default() };
    let refused = Storage::mount(Arc::new(disk()), &sealing::Key, options).unwrap_err();
    assert!(matches!(refused, StorageError::NothingToAccept { epoch: 3 }), "{refused}");
}

const MAX_BLOCKS: u64 = 1 << 16;

fn disk() -> MemoryDisk {
    MemoryDisk::new(MAX_BLOCKS)
}

fn start(disk: &MemoryDisk) -> Storage {
    Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap()
}

fn runtime() -> Runtime {
    Runtime::new(Settings::default()).unwrap()
}

fn program(wat: &str) -> (Vec<u8>, Program) {
    let wasm = wat::parse_str(wat).unwrap();
    let program = runtime().prepare(&wasm, &()).unwrap();
    (wasm, program)
}

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

fn stage(storage: &Storage, app: &str, wat: &str) -> (Staged, Record) {
    let (wasm, program) = program(wat);
    let staged = storage.stage(&name(app), &wasm, &program).unwrap();
    let limits = Limits { files: 9, ..Limits::default() };
    let environment = vec![("SECRET".to_owned(), "value".to_owned())];
    let incarnation = storage.incarnation(&name(app), None).unwrap();
    let owner = KeyFingerprint::from_hash([5; 32]);
    let record = Record::new(&staged, incarnation, owner, limits, environment);
    (staged, record)
}

fn deploy(storage: &Storage, app: &str, wat: &str) -> Record {
    let (staged, record) = stage(storage, app, wat);
    storage.install(staged, &record, None).unwrap().keep().unwrap();
    record
}

fn replace(storage: &Storage, data: &AppStorage, before: &Record, wat: &str) -> Result<Record, StorageError> {
    let (staged, mut record) = stage(storage, "app", wat);
    record.incarnation = storage.incarnation(&name("app"), Some(before)).unwrap();
    storage.install(staged, &record, Some((data, before)))?.keep()?;
    Ok(record)
}

fn read(app: &AppStorage, file: &str) -> Vec<u8> {
    try_read(app, file).unwrap()
}

fn try_read(app: &AppStorage, file: &str) -> Option<Vec<u8>> {
    let node = app.filesystem.root().ok()?.open_at(file, Follow::No, &OpenHow::default()).ok()?;
    let mut contents = vec![0; 100];
    let length = node.read_at(0, &mut contents).ok()?;
    contents.truncate(length);
    Some(contents)
}

fn assert_nothing_is_left(storage: &Storage) {
    assert!(storage.load(&runtime()).unwrap().apps.is_empty());
    assert!(storage.files.list("apps").unwrap().is_empty());
    assert!(storage.volume.datasets().iter().all(|dataset| app_of_dataset(&dataset.name).is_none()));
}

/// Nothing reaches the disk any more.
fn broken() -> DiskFailure {
    DiskFailure {
        only: Some(DiskOperationKind::Write),
        after: 0,
        times: u64::MAX,
        kind: std::io::ErrorKind::Other,
        effect: FailureEffect::Nothing,
    }
}

const ADD: &str = r#"(component
  (core module $m (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
  (core instance $i (instantiate $m))
  (func (export "f") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "f"))))"#;
const SUB: &str = r#"(component
  (core module $m (func (export "f") (param i32 i32) (result i32) local.get 0 local.get 1 i32.sub))
  (core instance $i (instantiate $m))
  (func (export "f") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "f"))))"#;
