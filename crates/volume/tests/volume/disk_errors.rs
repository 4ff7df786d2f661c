//! The disk or the anchor returns an error, and works again afterwards.

use crate::counter::{Counter, Trouble};
use crate::keys::{Platform, options};
use crate::model::{SMALL, World};
use crate::random::{Random, amount};
use crate::recording::{Recording, check, with};
use cloister_volume::{
    BLOCK, Disk as _, DiskFailure, DiskOperation, DiskOperationKind, FailureEffect, FaultyDisk, Volume,
    VolumeError,
};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

const EFFECTS: [FailureEffect; 3] = [FailureEffect::Nothing, FailureEffect::Done, FailureEffect::Lost];

#[test]
fn a_commit_that_fails_anywhere_succeeds_the_next_time() {
    let base = some_commits();
    let (mut failed, mut operations) = (0, 0);
    for effect in EFFECTS {
        for times in [1, 2] {
            for after in 0.. {
                let failure = DiskFailure { only: None, after, times, kind: io::ErrorKind::TimedOut, effect };
                let Some(failures) = fail_and_retry(&base, failure) else { break };
                operations += 1;
                failed += failures;
            }
        }
    }
    println!("{failed} commits failed at {operations} operations, and succeeded later");
    assert!(failed > 20);
}

#[test]
fn a_flush_that_fails_has_lost_what_was_written() {
    let base = some_commits();
    for after in 0..2 {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            let only = Some(DiskOperationKind::Flush);
            let failure = DiskFailure { only, after, times: 1, kind, effect: FailureEffect::Lost };
            assert_eq!(fail_and_retry(&base, failure), Some(1), "the flush after {after} others fails");
        }
    }
}

#[test]
fn the_power_goes_after_a_commit_failed() {
    let mut random = Random::seeded("the_power_goes_after_a_commit_failed");
    let mut disks = 0;
    for effect in EFFECTS {
        for after in 0..amount(12, 40) as u64 {
            let mut recording = Recording::create(None);
            recording.world.create_dataset("app:a");
            let id = recording.world.create_object("app:a", [1; 64]);
            recording.world.write("app:a", id, 0, &[1; 2 * BLOCK]);
            recording.commit();
            recording.world.write("app:a", id, 100, &[2; 2 * BLOCK]);
            let began = recording.disk.operations();
            let kind = io::ErrorKind::BrokenPipe;
            recording.disk.fail(DiskFailure { only: None, after, times: 1, kind, effect });
            let failed = recording.world.volume.commit().is_err();
            recording.disk.heal();
            if failed {
                recording.world.volume.commit().expect("the second try succeeds");
            }
            recording.acknowledge(began);
            for cut in recording.disk.cuts().skip(began) {
                for found in recording.found(&cut, amount(6, 64), &mut random) {
                    let allowed = recording.allowed(cut.moment(), None);
                    found.examine(&allowed, &recording.world).unwrap_or_else(|what| {
                        panic!(
                            "{what}, after the operation after {after} failed ({effect:?}) and {}",
                            found.story
                        )
                    });
                    disks += 1;
                }
            }
        }
    }
    println!("{disks} disks after a power cut around a commit that failed");
}

#[test]
fn random_work_with_random_errors() {
    let mut random = Random::seeded("random_work_with_random_errors");
    let (mut failed, mut commits) = (0, 0);
    let mut recording = Recording::create(None);
    for _ in 0..amount(300, 5_000) {
        (0..random.below(6)).for_each(|_| recording.world.step(&mut random, SMALL));
        for _ in 0..random.below(3) {
            recording.disk.fail(DiskFailure {
                only: Some([DiskOperationKind::Write, DiskOperationKind::Flush][random.below(2) as usize]),
                after: random.below(6),
                times: 1,
                kind: io::ErrorKind::ConnectionReset,
                effect: EFFECTS[random.below(3) as usize],
            });
        }
        // Work goes on after a failure, without a second try.
        match recording.world.volume.commit() {
            Ok(_) => commits += 1,
            Err(VolumeError::Disk { kind: io::ErrorKind::ConnectionReset, .. }) => failed += 1,
            Err(error) => panic!("an error of the disk is reported as: {error}"),
        }
        recording.disk.heal();
        assert_eq!(recording.world.model.difference(&recording.world.volume, &recording.world.seen), None);
        if random.below(10) == 0 {
            recording.world.volume.commit().expect("the disk works");
            let World { model, seen, .. } = &recording.world;
            let volume =
                Volume::mount(Arc::new(recording.disk.fork()), &Platform, options()).expect("it mounts");
            assert_eq!(model.difference(&volume, seen), None);
            check(&volume).expect("no damage");
            recording.disk.forget();
        }
    }
    println!("{commits} commits, and {failed} that failed");
    assert!(failed > 10);
}

#[test]
fn a_read_that_fails_is_no_damage() {
    let base = some_commits();
    let mut failed = 0;
    for after in 0.. {
        let disk = FaultyDisk::over(&base.disk.fork());
        let volume = Volume::mount(Arc::new(disk.clone()), &Platform, options()).expect("it mounts");
        let only = Some(DiskOperationKind::Read);
        let (kind, effect) = (io::ErrorKind::Interrupted, FailureEffect::Nothing);
        disk.fail(DiskFailure { only, after, times: 1, kind, effect });
        let mut happened = false;
        for (name, objects) in &base.world.model.datasets {
            match volume.dataset(name).map(|dataset| dataset.expect("it is listed")) {
                Ok(dataset) => objects.iter().for_each(|(id, content)| {
                    let mut into = vec![0; content.bytes.len()];
                    match dataset.read(*id, 0, &mut into) {
                        Ok(_) => assert_eq!(into, **content.bytes),
                        Err(VolumeError::Disk { .. }) => happened = true,
                        Err(error) => panic!("a read that failed is reported as: {error}"),
                    }
                }),
                Err(VolumeError::Disk { .. }) => happened = true,
                Err(error) => panic!("a read that failed is reported as: {error}"),
            }
        }
        assert_eq!(base.world.model.difference(&volume, &base.world.seen), None);
        if !happened {
            break;
        }
        failed += 1;
    }
    println!("{failed} reads failed");
    assert!(failed > 3);
}

#[test]
fn a_mount_that_fails_anywhere_succeeds_the_next_time() {
    for counter in [None, Some(Counter::new())] {
        let mut base = Recording::create(counter);
        workload(&mut base);
        let mut failed = 0;
        for after in 0.. {
            let disk = FaultyDisk::over(&base.disk.fork());
            let counter = base.counter.as_ref().map(Counter::copy);
            let effect = EFFECTS[after as usize % 2];
            disk.fail(DiskFailure { only: None, after, times: 1, kind: io::ErrorKind::TimedOut, effect });
            let mount = || Volume::mount(Arc::new(disk.clone()), &Platform, with(&counter));
            let first = mount();
            disk.heal();
            failed += usize::from(first.is_err());
            drop(first);
            let volume = mount().expect("a second mount succeeds");
            assert_eq!(base.world.model.difference(&volume, &base.world.seen), None);
            if disk.failed() == 0 {
                break;
            }
        }
        println!("{failed} mounts failed");
        assert!(failed > 1);
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let disk = FaultyDisk::over(&cloister_volume::MemoryDisk::new(600));
    let mut world =
        World::new(Volume::create(Arc::new(disk.clone()), &Platform, options()).expect("a volume"));
    world.create_dataset("app:a");
    let keep = world.create_object("app:a", [1; 64]);
    world.write("app:a", keep, 0, &[1; 20 * BLOCK]);
    world.volume.commit().expect("it fits");
    let kept = world.model.clone();

    let too_much = world.create_object("app:a", [2; 64]);
    let bytes = vec![3; BLOCK];
    let mut refused = None;
    for block in 0..2000 {
        let dataset = world.dataset("app:a");
        let written = dataset.write(&world.volume.begin(), too_much, block * BLOCK as u64, &bytes);
        if let Err(error) = written.and_then(|()| world.volume.commit()) {
            refused = Some(error);
            break;
        }
    }
    assert_eq!(refused, Some(VolumeError::Full));
    let volume = Volume::mount(Arc::new(disk.fork()), &Platform, options()).expect("a full volume mounts");
    assert_eq!(read(&volume, "app:a", keep.0), vec![1; 20 * BLOCK]);
    drop(volume);

    world.remove_object("app:a", too_much);
    let freed = (0..3).find_map(|_| world.volume.commit().ok());
    assert!(freed.is_some(), "what is removed makes room");
    world.model = kept;
    assert_eq!(world.model.difference(&world.volume, &Default::default()), None);
    world.write("app:a", keep, 0, &[4; 200 * BLOCK]);
    world.volume.commit().expect("there is room again");
    assert_eq!(disk.blocks().expect("a length").min(600), disk.blocks().expect("a length"));
}

#[test]
fn an_anchor_that_fails_is_asked_again() {
    for trouble in [Trouble::Lost, Trouble::AnswerLost] {
        let mut recording = Recording::create(Some(Counter::new()));
        workload(&mut recording);
        let counter = recording.counter.clone().expect("there is a counter");
        let before = counter.present();
        recording.world.create_dataset("app:late");
        counter.meet(trouble);
        let error = recording.world.volume.commit().expect_err("the anchor does not answer");
        assert!(matches!(error, VolumeError::Anchor(_)), "{error}");
        assert!(recording.world.volume.has_uncommitted());
        recording.world.volume.commit().expect("the anchor answers");
        assert!(!recording.world.volume.has_uncommitted());
        assert!((1..=2).contains(&(counter.present() - before)), "{trouble:?}");
        recording.world.create_dataset("app:later");
        recording.world.volume.commit().expect("and goes on");

        let disk = Arc::new(recording.disk.fork());
        let volume = Volume::mount(disk, &Platform, with(&Some(counter))).expect("it mounts");
        assert_eq!(recording.world.model.difference(&volume, &recording.world.seen), None);
    }
}

fn some_commits() -> Recording {
    let mut recording = Recording::create(None);
    workload(&mut recording);
    recording
}

fn workload(recording: &mut Recording) {
    let world = &mut recording.world;
    world.create_dataset("app:a");
    world.create_dataset("app:b");
    for number in 1..4 {
        let id = world.create_object("app:a", [number; 64]);
        world.write("app:a", id, 300, &vec![number; number as usize * 5000]);
    }
    let id = world.create_object("app:b", [9; 64]);
    world.write("app:b", id, 150 * BLOCK, &[9; BLOCK]);
    recording.commit();
    recording.world.write("app:b", id, 150 * BLOCK + 5, b"another version");
    recording.commit();
}

/// Mounts a copy, changes things and commits while an operation fails. How many commits failed; none where there is no
/// such operation.
fn fail_and_retry(base: &Recording, failure: DiskFailure) -> Option<usize> {
    let disk = FaultyDisk::over(&base.disk.fork());
    let volume = Volume::mount(Arc::new(disk.clone()), &Platform, options()).expect("it mounts");
    let mut world = World { volume, model: base.world.model.clone(), seen: base.world.seen.clone() };
    // What has to be read before it can be changed is read before anything fails.
    let (name, id) =
        (&"app:a".to_owned(), *world.model.datasets["app:a"].keys().next().expect("there are objects"));
    world.write(name, id, 0, &[0x77; 3 * BLOCK]);
    let new = world.create_object(name, [0x78; 64]);
    world.write(name, new, 103 * BLOCK, b"behind a hole");
    let old = *world.model.datasets["app:b"].keys().next().expect("there are objects");
    world.remove_object("app:b", old);

    let began = disk.operations();
    disk.fail(failure);
    let mut failed = 0;
    while let Err(error) = world.volume.commit() {
        let VolumeError::Disk { kind, .. } = &error else {
            panic!("an error of the disk is reported as: {error}")
        };
        assert_eq!(*kind, failure.kind, "{error}");
        assert!(world.volume.has_uncommitted(), "a commit that failed is not done");
        if failure.times == 1 {
            assert_eq!(world.model.difference(&world.volume, &world.seen), None, "after {failure:?}");
        }
        failed += 1;
        assert!(
            failed <= 2 * failure.times as usize,
            "{failure:?} is over, and a commit still fails: {error}"
        );
    }
    disk.heal();
    assert!(!world.volume.has_uncommitted());
    same_bytes_each_time(&disk.log()[began..]);

    assert_eq!(world.model.difference(&world.volume, &world.seen), None, "after {failure:?}");
    for disk in [
        disk.fork(),
        disk.cut(disk.operations()).disk(&vec![cloister_volume::Fate::Dropped; unsynced(&disk)]),
    ] {
        let volume = Volume::mount(Arc::new(disk), &Platform, options()).expect("it mounts");
        assert_eq!(world.model.difference(&volume, &world.seen), None, "after {failure:?}");
        check(&volume).expect("no damage");
    }
    (disk.failed() > 0).then_some(failed)
}

fn unsynced(disk: &FaultyDisk) -> usize {
    disk.cut(disk.operations()).unsynced().len()
}

/// Whatever is sent again within one commit is what was sent before: nothing is encrypted twice.
fn same_bytes_each_time(log: &[DiskOperation]) {
    let mut sent = HashMap::new();
    for operation in log {
        let DiskOperation::Write { block, contents } = operation else { continue };
        for (block, bytes) in (*block..).zip(contents) {
            let before = sent.entry(block).or_insert_with(|| bytes.clone());
            assert!(before == bytes, "block {block} is sent with other bytes when a commit is tried again");
        }
    }
}

fn read(volume: &Volume, dataset: &str, id: u64) -> Vec<u8> {
    let dataset = volume.dataset(dataset).expect("the catalog is intact").expect("the dataset exists");
    let id = cloister_volume::ObjectId(id);
    let length = dataset.object(id).expect("the object exists").length;
    let mut bytes = vec![0; length as usize];
    let read = dataset.read(id, 0, &mut bytes).expect("the object is intact");
    bytes.truncate(read);
    bytes
}
