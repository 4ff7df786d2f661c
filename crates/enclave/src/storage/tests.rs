//! The enclave's storage across restarts, on a disk in memory.

use super::app::{dataset_name, vault_name};
use super::install::{Installation, artifact_path, counters_path, record_path, wasm_path};
use super::*;
use cloister_api::{AppName, Directory, FunctionCounters, KeyFingerprint, Limits};
use cloister_filesystem::{Filesystem, Follow, FsError, OpenHow};
use cloister_runtime::{Access, Program, Runtime, Settings};
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
async fn starts_are_counted_and_damage_never_takes_one_back() {
    let disk = disk();
    for number in 1..=3 {
        assert_eq!(start(&disk).count_start().unwrap(), number);
    }
    assert_eq!(start(&disk.fork()).count_start().unwrap(), 4);
    let damaged = (0..disk.blocks().unwrap()).rev().find_map(|block| {
        let disk = disk.fork();
        disk.modify(block, |bytes| bytes[9] ^= 1);
        let storage = Storage::mount(Arc::new(disk), &sealing::Key, Options::default()).ok()?;
        let is_lost = storage.files.read("starts", 8).is_err_and(|error| error.is_damage());
        is_lost.then_some(storage)
    });
    let storage = damaged.expect("a block of the file with the number");
    let number = storage.count_start().unwrap();
    assert!(number >= 4, "{number}");
    assert_eq!(storage.count_start().unwrap(), number + 1);
}

#[tokio::test]
async fn an_app_is_there_after_a_restart_and_nothing_is_compiled() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy(&storage, "app", ADD);
    let counters = KeptCounters {
        functions: BTreeMap::from([("f".to_owned(), FunctionCounters { calls: 3, ..Default::default() })]),
        keys: BTreeMap::from([("k".to_owned(), BTreeMap::from([("sign".to_owned(), 2)]))]),
    };
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
    app.storage.vault.set(b"key", b"secret").unwrap();
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
    assert_eq!(app.storage.vault.get(b"key").unwrap().as_deref(), Some(&b"secret"[..]));

    storage.retire(&app.name).unwrap();
    let removed = storage.purge(&app.name).unwrap();
    assert_eq!((removed.files, removed.keys, removed.bytes > 0), (1, 1, true));
    assert!(app.storage.keys.get(b"key").is_err(), "a call under way has lost its keys");
    assert!(app.storage.vault.get(b"key").is_err(), "and its vault");
    assert_nothing_is_left(&start(&disk.fork()));
}

#[tokio::test]
async fn what_was_not_kept_never_was() {
    let disk = disk();
    let storage = start(&disk);
    let (staged, record) = stage(&storage, "new", ADD);
    drop(storage.install(staged, &record, None).unwrap());
    drop(stage(&storage, "staged", ADD));
    assert_nothing_is_left(&storage);

    let before = deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    let (staged, record) = stage(&storage, "app", SUB);
    drop(storage.install(staged, &record, Some((&app.storage, &before))).unwrap());
    // One that power takes after it was staged.
    std::mem::forget(stage(&storage, "app", SUB));
    std::mem::forget(stage(&storage, "other", SUB));
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
    assert_eq!(loaded.apps[0].counters, KeptCounters::default(), "counters that cannot be read begin anew");
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

#[tokio::test]
async fn files_and_assets_come_with_a_component() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy_bundle(&storage, "app", ADD, b"first");
    let expected = cloister_attestation::ContentsHash::new();
    let mut hash = cloister_attestation::AssetsHash::new();
    hash.add("css/empty", 0, &expected.finish()).unwrap();
    hash.add("css/site", 5, &cloister_attestation::sha256(b"first")).unwrap();
    let claim = record.assets_claim().unwrap();
    assert_eq!((claim.at.as_str(), Some(claim.hash)), ("/assets", hash.finish()));

    let storage = start(&disk.fork());
    let loaded = storage.load(&runtime()).unwrap();
    let [app] = &loaded.apps[..] else { panic!("{loaded:?}") };
    assert_eq!(app.record, record);
    let description = app.storage.assets().unwrap();
    assert_eq!((description.files, description.bytes, description.at.as_str()), (2, 5, "/assets"));
    assert_eq!(asset(&app.storage).unwrap(), b"first");
    assert_eq!(read(&app.storage, "data/seed"), b"seed");
    assert_eq!(app.storage.usage().unwrap().files, 2, "a directory and a file");
    let preopens = app.storage.preopens(&app.record);
    let seen: Vec<_> = preopens.iter().map(|p| (p.guest_path.as_str(), p.path.as_str(), p.access)).collect();
    assert_eq!(seen, [("/", "/", Access::ReadWrite), ("/assets", "/", Access::ReadOnly)]);
}

#[tokio::test]
async fn directories_are_as_the_record_says() {
    let storage = start(&disk());
    deploy(&storage, "app", ADD);
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    assert!(app.storage.preopens(&app.record).is_empty());
    let mut record = app.record.clone();
    record.directories = vec![
        Directory { path: "/".into(), guest: ".".into(), read_only: true },
        Directory { path: "/data".into(), guest: "/d".into(), read_only: false },
    ];
    let preopens = app.storage.preopens(&record);
    let seen: Vec<_> = preopens.iter().map(|p| (p.guest_path.as_str(), p.path.as_str(), p.access)).collect();
    assert_eq!(seen, [(".", "/", Access::ReadOnly), ("/d", "/data", Access::ReadWrite)]);
}

#[tokio::test]
async fn a_replacement_has_its_own_assets_and_calls_under_way_keep_theirs() {
    let storage = start(&disk());
    let first = deploy_bundle(&storage, "app", ADD, b"first");
    let old = storage.load(&runtime()).unwrap().apps.remove(0);
    let mut upload = storage.upload(&old.name, &Limits::default()).unwrap();
    asset_files(&mut upload, b"second");
    let second = replace_with(&storage, &old.storage, &first, upload).unwrap();
    assert_ne!(second.assets, first.assets);
    assert_eq!(asset(&old.storage).unwrap(), b"first", "a call under way");
    assert_eq!(assets_datasets(&storage), 2);
    let old_storage = old.storage.clone();
    drop((old, old_storage));
    while assets_datasets(&storage) > 1 {
        tokio::task::yield_now().await;
    }
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    assert_eq!(asset(&app.storage).unwrap(), b"second");
    assert_eq!(read(&app.storage, "data/seed"), b"seed", "files stay");

    let third = replace(&storage, &app.storage, &app.record, SUB).unwrap();
    assert_eq!(third.assets, None);
    drop(app);
    while assets_datasets(&storage) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_nothing() {
    let disk = disk();
    let storage = start(&disk);
    let limits = Limits::default();
    let mut upload = storage.upload(&name("app"), &limits).unwrap();
    upload.file(Destination::Files, "a/b", 3).unwrap();
    upload.contents(b"12").unwrap();
    assert!(matches!(upload.file(Destination::Assets, "c", 0), Err(StorageError::IncompleteFile)));
    assert!(matches!(upload.contents(b"34"), Err(StorageError::IncompleteFile)));
    upload.contents(b"3").unwrap();
    assert!(matches!(upload.contents(b"4"), Err(StorageError::IncompleteFile)));
    upload.file(Destination::Assets, "c", 0).unwrap();
    assert!(upload.file(Destination::Files, "a/b/c", 0).is_err(), "a file is no directory");
    drop(upload);
    assert_nothing_is_left(&storage);

    let mut upload = storage.upload(&name("app"), &limits).unwrap();
    asset_files(&mut upload, b"lost");
    upload.file(Destination::Files, "a", 5).unwrap();
    std::mem::forget(upload);
    storage.commit().await.unwrap();
    let storage = start(&disk.fork());
    assert_nothing_is_left(&storage);
}

#[tokio::test]
async fn files_are_bounded_by_the_apps_limits() {
    let storage = start(&disk());
    let limits = Limits { files: 2, storage: 8192, ..Limits::default() };
    let mut upload = storage.upload(&name("app"), &limits).unwrap();
    upload.file(Destination::Files, "a/b", 0).unwrap();
    let refused = upload.file(Destination::Files, "a/c", 0);
    assert!(matches!(refused, Err(StorageError::Files(FsError::Quota))), "{refused:?}");
    let mut upload = storage.upload(&name("app"), &limits).unwrap();
    upload.file(Destination::Files, "a", 1 << 20).unwrap();
    let refused = upload.contents(&[1; 1 << 20]);
    assert!(matches!(refused, Err(StorageError::Files(FsError::Quota))), "{refused:?}");
}

#[tokio::test]
async fn an_app_without_its_assets_can_be_replaced() {
    let disk = disk();
    let storage = start(&disk);
    let record = deploy_bundle(&storage, "app", ADD, b"first");
    storage.remove_assets(&record.generation).unwrap();
    storage.commit().await.unwrap();
    let storage = start(&disk.fork());
    let loaded = storage.load(&runtime()).unwrap();
    let [(_, Affected { record: Some(found), storage: Some(data), what })] = &loaded.affected[..] else {
        panic!("{loaded:?}")
    };
    assert!(what.starts_with("its assets: "), "{what}");
    replace(&storage, data, found, SUB).unwrap();
    assert_eq!(storage.load(&runtime()).unwrap().apps.len(), 1);
}

/// What an app declares is in its record before or after a power cut, and never by half; a replacement begins without it.
#[tokio::test]
async fn every_power_cut_leaves_a_record_as_it_was_or_as_it_is() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let storage = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap();
    let before = deploy(&storage, "app", ADD);
    let begun = disk.operations();
    let mut after = before.clone();
    after.extensions.insert(7, vec![1; 4096]);
    storage.rewrite(&name("app"), &after, &before).unwrap();
    let done = disk.operations();

    let runtime = runtime();
    for moment in begun..=done {
        let cut = disk.cut(moment);
        for fate in [Fate::Kept, Fate::Dropped] {
            let storage = start(&cut.disk(&vec![fate; cut.unsynced().len()]));
            let loaded = storage.load(&runtime).unwrap();
            let [app] = &loaded.apps[..] else { panic!("moment {moment}, {fate:?}: {loaded:?}") };
            assert!(app.record == after || app.record == before, "moment {moment}, {fate:?}");
            assert!(moment < done || app.record == after, "moment {moment}, {fate:?}");
        }
    }
    let app = storage.load(&runtime).unwrap().apps.remove(0);
    let replaced = replace(&storage, &app.storage, &app.record, SUB).unwrap();
    assert!(replaced.extensions.is_empty());
}

#[tokio::test]
async fn what_the_disk_does_not_take_is_in_no_record() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let storage = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap();
    let before = deploy(&storage, "app", ADD);
    let mut after = before.clone();
    after.is_configured = true;
    disk.fail(broken());
    assert!(storage.rewrite(&name("app"), &after, &before).is_err());
    disk.heal();
    storage.commit().await.unwrap();
    let app = start(&disk.fork()).load(&runtime()).unwrap().apps.remove(0);
    assert_eq!(app.record, before);
}

/// Deploy, replace and remove, with the power cut after each write: what was answered is there, and nothing is there
/// by half.
#[tokio::test]
async fn every_power_cut_leaves_an_app_wholly_or_not_at_all() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let storage = Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap();
    storage.commit().await.unwrap();
    let begun = disk.operations();
    let first = deploy_bundle(&storage, "app", ADD, b"first");
    let deployed = disk.operations();
    let app = storage.load(&runtime()).unwrap().apps.remove(0);
    app.storage.write_file("kept", b"contents");
    app.storage.vault.set(b"key:signing", b"secret").unwrap();
    let mut upload = storage.upload(&app.name, &Limits::default()).unwrap();
    asset_files(&mut upload, b"second");
    let second = replace_with(&storage, &app.storage, &first, upload).unwrap();
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
                    let contents = if app.record == first { &b"first"[..] } else { b"second" };
                    assert_eq!(asset(&app.storage).unwrap(), contents, "moment {moment}, {fate:?}");
                    assert_eq!(read(&app.storage, "data/seed"), b"seed", "moment {moment}, {fate:?}");
                    assert!(app.record == first || app.record == second, "moment {moment}, {fate:?}");
                    assert!(moment < replaced || app.record == second, "moment {moment}, {fate:?}");
                    if app.record == second {
                        assert_eq!(read(&app.storage, "kept"), b"contents");
                        let secret = app.storage.vault.get(b"key:signing").unwrap();
                        assert_eq!(secret.as_deref(), Some(&b"secret"[..]), "moment {moment}, {fate:?}");
                    }
                }
                more => panic!("{more:?}"),
            }
            assert_eq!(assets_datasets(&storage), loaded.apps.len(), "moment {moment}, {fate:?}");
            if loaded.apps.is_empty() {
                assert_no_keys_are_left(&storage, "app");
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
        app.storage.vault.set_many(&pairs[..50]).unwrap();
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
        let upload = storage.upload(&app.name, &Limits::default()).unwrap();
        let staged = upload.stage(&wasm, &program).unwrap();
        let incarnations = storage.incarnations(&app.name, None).unwrap();
        assert_ne!(incarnations.keys, app.record.incarnation);
        assert_ne!(incarnations.vault, app.record.vault);
        let record = Record::new(&staged, incarnations, app.record.owner, AppSettings::default());
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
        let vault = &loaded.apps[1].storage.vault;
        assert!(vault.get(b"old-7").map_or(true, |old| old.is_none()), "block {block}");
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
    let limits = Limits { files: 9, ..Limits::default() };
    let upload = storage.upload(&name(app), &limits).unwrap();
    stage_upload(storage, upload, wat)
}

fn stage_upload(storage: &Storage, upload: Upload, wat: &str) -> (Staged, Record) {
    let (wasm, program) = program(wat);
    let incarnations = storage.incarnations(upload.name(), None).unwrap();
    let staged = upload.stage(&wasm, &program).unwrap();
    let settings = AppSettings {
        limits: Limits { files: 9, ..Limits::default() },
        environment: vec![("SECRET".to_owned(), "value".to_owned())],
        ..AppSettings::default()
    };
    let record = Record::new(&staged, incarnations, KeyFingerprint::from_hash([5; 32]), settings);
    (staged, record)
}

fn deploy(storage: &Storage, app: &str, wat: &str) -> Record {
    let (staged, record) = stage(storage, app, wat);
    storage.install(staged, &record, None).unwrap().keep().unwrap();
    record
}

/// With one file and two assets, of which one has these contents.
fn deploy_bundle(storage: &Storage, app: &str, wat: &str, contents: &[u8]) -> Record {
    let mut upload = storage.upload(&name(app), &Limits::default()).unwrap();
    upload.file(Destination::Files, "data/seed", 4).unwrap();
    upload.contents(b"se").unwrap();
    upload.contents(b"ed").unwrap();
    asset_files(&mut upload, contents);
    let (staged, record) = stage_upload(storage, upload, wat);
    storage.install(staged, &record, None).unwrap().keep().unwrap();
    record
}

fn asset_files(upload: &mut Upload, contents: &[u8]) {
    upload.file(Destination::Assets, "css/empty", 0).unwrap();
    upload.file(Destination::Assets, "css/site", contents.len() as u64).unwrap();
    upload.contents(contents).unwrap();
}

fn asset(app: &AppStorage) -> Option<Vec<u8>> {
    read_in(&app.assets.as_ref()?.filesystem, "css/site")
}

fn assets_datasets(storage: &Storage) -> usize {
    storage.volume.datasets().iter().filter(|dataset| dataset.name.starts_with("assets:")).count()
}

fn replace(storage: &Storage, data: &AppStorage, before: &Record, wat: &str) -> Result<Record, StorageError> {
    let (staged, record) = stage(storage, "app", wat);
    replace_staged(storage, data, before, staged, record)
}

fn replace_with(
    storage: &Storage,
    data: &AppStorage,
    before: &Record,
    upload: Upload,
) -> Result<Record, StorageError> {
    let (staged, record) = stage_upload(storage, upload, SUB);
    replace_staged(storage, data, before, staged, record)
}

fn replace_staged(
    storage: &Storage,
    data: &AppStorage,
    before: &Record,
    staged: Staged,
    mut record: Record,
) -> Result<Record, StorageError> {
    let Incarnations { keys, vault } = storage.incarnations(&name("app"), Some(before)).unwrap();
    (record.incarnation, record.vault) = (keys, vault);
    storage.install(staged, &record, Some((data, before)))?.keep()?;
    Ok(record)
}

fn read(app: &AppStorage, file: &str) -> Vec<u8> {
    try_read(app, file).unwrap()
}

fn try_read(app: &AppStorage, file: &str) -> Option<Vec<u8>> {
    read_in(&app.filesystem, file)
}

fn read_in(filesystem: &Filesystem, file: &str) -> Option<Vec<u8>> {
    let node = filesystem.root().ok()?.open_at(file, Follow::No, &OpenHow::default()).ok()?;
    let mut contents = vec![0; 100];
    let length = node.read_at(0, &mut contents).ok()?;
    contents.truncate(length);
    Some(contents)
}

fn assert_nothing_is_left(storage: &Storage) {
    assert!(storage.load(&runtime()).unwrap().apps.is_empty());
    assert_no_keys_are_left(storage, "app");
    let apps = storage.files.list("apps");
    assert!(apps.map_or_else(|error| error.is_absence(), |apps| apps.is_empty()));
    assert!(storage.volume.datasets().iter().all(|dataset| app_of_dataset(&dataset.name).is_none()));
    assert_eq!(assets_datasets(storage), 0);
}

/// Neither keys of the guest's nor of the vault's, of any incarnation.
fn assert_no_keys_are_left(storage: &Storage, app: &str) {
    for namespace in [dataset_name(&name(app)), vault_name(&name(app))] {
        let removal = storage.keys.remove_namespace(&namespace).unwrap();
        assert_eq!((removal.keys, removal.is_complete), (0, true), "{namespace}");
    }
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
