//! Many threads at once: commits are shared, readers see no damage that is none, a backup is one commit.

use crate::keys::{Platform, options};
use crate::model::{QUOTA, SMALL};
use crate::random::{Random, amount};
use crate::recording::{Recording, check};
use cloister_volume::{
    BLOCK, Backup, Dataset, Disk, Fate, FaultyDisk, MemoryDisk, ObjectId, Options, State, Volume, VolumeError,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn commits_at_the_same_time_share_flushes() {
    let (threads, each) = (8, 25);
    let disk = SlowDisk::new();
    let volume = create(&disk);
    let dataset = new_dataset(&volume, "app:a");
    let before = disk.inner.flushes();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (volume, dataset, disk) = (&volume, &dataset, &disk.inner);
            scope.spawn(move || {
                let id = dataset.create_object(&volume.begin(), &[thread; 64]).expect("an object");
                for round in 0..each {
                    stamp(volume, dataset, id, 0, round);
                    volume.commit().expect("a commit");
                    // What was acknowledged survives a power cut right then.
                    if round % 6 == u64::from(thread) % 6 {
                        let found = mount(after_power_cut(disk));
                        let found = found.dataset("app:a").expect("intact").expect("there");
                        assert_eq!(read_stamp(&found, id, 0).expect("intact"), round);
                    }
                }
            });
        }
    });
    let flushes = disk.inner.flushes() - before;
    let commits = usize::from(threads) * each as usize;
    println!("{commits} commits, {flushes} flushes");
    assert!(flushes < commits, "{flushes} flushes for {commits} commits");
}

#[test]
fn nothing_new_needs_no_commit() {
    let disk = SlowDisk::new();
    let volume = create(&disk);
    new_dataset(&volume, "app:a");
    let state = volume.commit().expect("a commit");
    let operations = disk.inner.operations();
    assert_eq!(volume.commit().expect("a commit"), state);
    assert_eq!(disk.inner.operations(), operations);
}

#[test]
fn readers_see_whole_blocks_while_those_are_reused() {
    // So little is free that what a commit frees is soon written again.
    let disk = SlowDisk { inner: FaultyDisk::new(1200), reads: Arc::default() };
    let volume = create(&disk);
    let dataset = new_dataset(&volume, "app:a");
    let ids: Vec<_> =
        (0..6).map(|_| dataset.create_object(&volume.begin(), &[0; 64]).expect("an object")).collect();
    // More than the cache keeps.
    const BLOCKS: u64 = 100;
    for id in &ids {
        (0..BLOCKS).for_each(|block| stamp(&volume, &dataset, *id, block, 0));
    }
    volume.commit().expect("a commit");
    let (reads, commits) = (AtomicU64::new(0), AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(amount(2, 60) as u64);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (volume, dataset, ids, commits) = (&volume, &dataset, &ids, &commits);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                while Instant::now() < end {
                    for _ in 0..random.below(6) {
                        let id = ids[random.below(3) as usize * 2 + writer as usize];
                        let (block, number) = (random.below(BLOCKS), random.next());
                        has_room(dataset.write(&volume.begin(), id, block * BLOCK as u64, &filled(number)));
                    }
                    has_room(volume.commit());
                    commits.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while Instant::now() < end {
                let Some(id) = has_room(dataset.create_object(&volume.begin(), &[1; 64])) else { continue };
                has_room(dataset.write(&volume.begin(), id, 0, &[1; 6 * BLOCK]));
                has_room(volume.commit());
                has_room(dataset.set_length(&volume.begin(), id, BLOCK as u64 + 1));
                dataset.remove_object(&volume.begin(), id).expect("a removal");
                assert_eq!(dataset.object(id), Err(VolumeError::NoObject(id.0)));
            }
        });
        scope.spawn(|| {
            while Instant::now() < end {
                check(&volume).expect("no damage");
                // What is being checked is not reused.
                thread::sleep(Duration::from_millis(200));
            }
        });
        for reader in 0..3 {
            let (dataset, ids, reads) = (&dataset, &ids, &reads);
            scope.spawn(move || {
                let mut random = Random::new(1000 + reader);
                while Instant::now() < end {
                    let id = *random.choose(ids).expect("there are some");
                    read_stamp(dataset, id, random.below(BLOCKS)).expect("nothing is damaged");
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{} reads while {} commits ran", reads.load(Ordering::Relaxed), commits.load(Ordering::Relaxed));
    check(&volume).expect("no damage");
}

#[test]
fn an_operation_is_in_one_commit_as_a_whole() {
    let disk = SlowDisk::new();
    let volume = create(&disk);
    let (one, other) = (new_dataset(&volume, "app:a"), new_dataset(&volume, "app:b"));
    let first = one.create_object(&volume.begin(), &[0; 64]).expect("an object");
    let second = other.create_object(&volume.begin(), &[0; 64]).expect("an object");
    let both = |number: u64| {
        let operation = volume.begin();
        one.write(&operation, first, 0, &filled(number)).expect("a write");
        thread::yield_now();
        other.write(&operation, second, 7 * BLOCK as u64, &filled(number)).expect("a write");
    };
    both(0);
    volume.commit().expect("a commit");
    let began = disk.inner.operations();
    thread::scope(|scope| {
        let writer = scope.spawn(|| (1..amount(400, 4000) as u64).for_each(both));
        while !writer.is_finished() {
            volume.commit().expect("a commit");
        }
    });
    volume.commit().expect("a commit");
    let mut random = Random::seeded("an_operation_is_in_one_commit_as_a_whole");
    let moments = disk.inner.operations();
    for _ in 0..amount(60, 1000) {
        let moment = began + random.below((moments - began) as u64 + 1) as usize;
        let cut = disk.inner.cut(moment);
        for fates in cut.fates(4, &mut || random.next()) {
            let found = mount(cut.disk(&fates));
            let stamps = [("app:a", first, 0), ("app:b", second, 7)].map(|(name, id, block)| {
                let dataset = found.dataset(name).expect("intact").expect("there");
                read_stamp(&dataset, id, block).expect("intact")
            });
            assert_eq!(stamps[0], stamps[1], "half of an operation, cut at {moment}");
        }
    }
}

#[test]
fn a_backup_is_the_commit_that_it_began_with() {
    let mut random = Random::seeded("a_backup_is_the_commit_that_it_began_with");
    let mut recording = Recording::create(None);
    for _ in 0..amount(15, 200) {
        (0..30).for_each(|_| recording.world.step(&mut random, SMALL));
        recording.commit();
        let pinned = recording.world.model.clone();
        let mut backup = recording.world.volume.backup().expect("a backup");
        assert_eq!(backup.state(), recording.world.volume.state());
        let copy = MemoryDisk::new(1 << 20);
        while copy_chunk(&mut backup, &copy) {
            // Everything changes meanwhile, more than once.
            for _ in 0..3 {
                (0..10).for_each(|_| recording.world.step(&mut random, SMALL));
                recording.commit();
            }
        }
        let state = backup.state();
        drop(backup);
        let found = mount(copy);
        assert_eq!(found.state(), state);
        assert_eq!(pinned.difference(&found, &recording.world.seen), None);
        check(&found).expect("no damage");
        // The copy goes its own way.
        found.create_dataset(&found.begin(), "app:other", QUOTA).expect("a dataset");
        found.commit().expect("a commit");
    }
    recording.commit();
    check(&recording.world.volume).expect("what was pinned is free again");
}

#[test]
fn backups_while_threads_write() {
    let disk = SlowDisk::new();
    let volume = create(&disk);
    let dataset = new_dataset(&volume, "app:a");
    let ids: Vec<_> =
        (0..5).map(|_| dataset.create_object(&volume.begin(), &[0; 64]).expect("an object")).collect();
    let all = |number: u64| {
        let operation = volume.begin();
        for id in &ids {
            dataset.write(&operation, *id, number % 3 * BLOCK as u64, &filled(number)).expect("a write");
            dataset.write(&operation, *id, 5 * BLOCK as u64, &filled(number)).expect("a write");
        }
    };
    all(0);
    volume.commit().expect("a commit");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                all(number);
                volume.commit().expect("a commit");
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let backups = (0..2).map(|_| {
            scope.spawn(|| {
                let mut states: Vec<State> = Vec::new();
                for _ in 0..amount(10, 100) {
                    let copy = MemoryDisk::new(1 << 16);
                    let mut backup = volume.backup().expect("a backup");
                    while copy_chunk(&mut backup, &copy) {}
                    let found = mount(copy);
                    assert_eq!(found.state(), backup.state());
                    check(&found).expect("no damage");
                    let found = found.dataset("app:a").expect("intact").expect("there");
                    let stamps: Vec<_> =
                        ids.iter().map(|id| read_stamp(&found, *id, 5).expect("intact")).collect();
                    assert!(
                        stamps.iter().all(|stamp| *stamp == stamps[0]),
                        "{stamps:?} are of several commits"
                    );
                    states.push(backup.state());
                }
                states
            })
        });
        let backups: Vec<_> = backups.collect();
        let states: Vec<_> =
            backups.into_iter().flat_map(|thread| thread.join().expect("it ends well")).collect();
        done.store(true, Ordering::Relaxed);
        println!(
            "{} backups, of epochs {:?}",
            states.len(),
            states.iter().map(|state| state.epoch).collect::<Vec<_>>()
        );
    });
    check(&volume).expect("no damage");
}

#[test]
fn a_dataset_is_removed_while_it_is_read() {
    let disk = SlowDisk::new();
    let volume = create(&disk);
    for round in 0..amount(30, 1000) as u64 {
        let dataset = new_dataset(&volume, "app:short-lived");
        let id = dataset.create_object(&volume.begin(), &[0; 64]).expect("an object");
        (0..6).for_each(|block| stamp(&volume, &dataset, id, block, round));
        volume.commit().expect("a commit");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for block in (0..6).cycle() {
                        match read_stamp(&dataset, id, block) {
                            Ok(found) => assert_eq!(found, round),
                            Err(VolumeError::Removed) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            volume.remove_dataset(&volume.begin(), "app:short-lived").expect("it is there");
            volume.commit().expect("a commit");
        });
        assert_eq!(dataset.object(id), Err(VolumeError::Removed));
        let operation = volume.begin();
        assert_eq!(dataset.write(&operation, id, 0, &[1]), Err(VolumeError::Removed));
    }
    check(&volume).expect("no damage");
}

/// A disk whose flushes take a while, as those of real ones do. Some reads take long enough for the block to be freed and
/// written again before they look at it.
#[derive(Clone, Debug)]
struct SlowDisk {
    inner: FaultyDisk,
    reads: Arc<AtomicU64>,
}

impl SlowDisk {
    fn new() -> Self {
        Self { inner: FaultyDisk::new(1 << 16), reads: Arc::default() }
    }
}

impl Disk for SlowDisk {
    fn blocks(&self) -> io::Result<u64> {
        self.inner.blocks()
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        self.inner.resize(blocks)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        if self.reads.fetch_add(1, Ordering::Relaxed) % 64 == 63 {
            thread::sleep(Duration::from_millis(8));
        }
        self.inner.read(block, into)
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write(block, bytes)
    }

    fn discard(&self, block: u64, count: u64) -> io::Result<()> {
        self.inner.discard(block, count)
    }

    fn flush(&self) -> io::Result<()> {
        thread::sleep(Duration::from_micros(500));
        self.inner.flush()
    }
}

fn create(disk: &SlowDisk) -> Volume {
    let options = Options { cache_bytes: 0, ..options() };
    Volume::create(Arc::new(disk.clone()), &Platform, options).expect("a volume is created")
}

fn mount(disk: MemoryDisk) -> Volume {
    Volume::mount(Arc::new(disk), &Platform, options()).expect("it mounts")
}

fn new_dataset(volume: &Volume, name: &str) -> Dataset {
    volume.create_dataset(&volume.begin(), name, QUOTA).expect("a dataset is created")
}

/// None where a check keeps so many blocks from being reused that the disk is full for the moment.
fn has_room<T>(result: Result<T, VolumeError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(VolumeError::Full) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Only what was flushed.
fn after_power_cut(disk: &FaultyDisk) -> MemoryDisk {
    let cut = disk.cut(disk.operations());
    cut.disk(&vec![Fate::Dropped; cut.unsynced().len()])
}

fn filled(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(BLOCK / 8)
}

/// Fills a block with one number.
fn stamp(volume: &Volume, dataset: &Dataset, id: ObjectId, block: u64, number: u64) {
    dataset.write(&volume.begin(), id, block * BLOCK as u64, &filled(number)).expect("a write");
}

/// The number that a block is filled with.
fn read_stamp(dataset: &Dataset, id: ObjectId, block: u64) -> Result<u64, VolumeError> {
    let mut into = vec![0; BLOCK];
    let read = dataset.read(id, block * BLOCK as u64, &mut into)?;
    assert_eq!(read, BLOCK);
    let number = u64::from_le_bytes(into[..8].try_into().expect("eight bytes"));
    assert!(into == filled(number), "one block shows two writes");
    Ok(number)
}

/// False at the end.
fn copy_chunk(backup: &mut Backup, copy: &MemoryDisk) -> bool {
    let Some(chunk) = backup.next_chunk().expect("nothing is damaged") else { return false };
    let end = chunk.block + (chunk.bytes.len() / BLOCK) as u64;
    if copy.blocks().expect("a length") < end {
        copy.resize(end).expect("it grows");
    }
    copy.write(chunk.block, &chunk.bytes).expect("it is written");
    true
}
