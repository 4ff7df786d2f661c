//! Power cuts: the tree is one that was committed, whole, and nothing is leaked. Then errors of a disk that goes on.

use std::{collections::BTreeMap, sync::Arc, thread};

use cloister_filesystem::{Filesystem, Follow};
use cloister_volume::{
    DiskFailure, DiskOperationKind, FailureEffect, Fate, FaultyDisk, MemoryDisk, MountError, Options,
    PowerCut, Volume,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use crate::{
    fixture::{self, LARGE, NAME, Short, assert_consistent, create_on, dump},
    operations::{Action, Subject, action},
    sealed::Sealed,
};

type Tree = BTreeMap<String, String>;

/// The filesystem on what a power cut has left.
fn survivor(disk: MemoryDisk) -> Result<Filesystem, MountError> {
    let volume = fixture::mount(Arc::new(disk))?;
    let dataset = volume.dataset(NAME)?.expect("the dataset was there before");
    Ok(Filesystem::open(dataset).expect("the filesystem was there before"))
}

fn assert_whole(filesystem: &Filesystem) {
    assert_consistent(filesystem);
    assert_eq!(filesystem.verify().expect("a report").orphans, 0);
}

/// A stream of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn after_any_cut_the_tree_is_one_that_was_committed() {
    let mut numbers = Numbers(0x5eed_0003);
    let mut runner = TestRunner::deterministic();
    let (mut moments, mut disks) = (0, 0);
    for _ in 0..40 {
        let actions = prop::collection::vec(action(), 150).new_tree(&mut runner).expect("actions").current();
        let recording = Recording::of(&actions);
        for moment in 0..=recording.disk.operations() {
            let cut = recording.disk.cut(moment);
            moments += 1;
            for fates in cut.fates(3, &mut || numbers.next()) {
                recording.check(&cut, &fates);
                disks += 1;
            }
        }
    }
    println!("{disks} disks after cuts at {moments} moments");
}

/// A workload, and the trees that its commits made durable.
struct Recording {
    disk: FaultyDisk,
    /// How many disk operations there were when a commit was acknowledged, and the tree in it.
    commits: Vec<(usize, Tree)>,
}

impl Recording {
    fn of(actions: &[Action]) -> Recording {
        let disk = FaultyDisk::new(1 << 16);
        let mut sealed = Sealed::new(Arc::new(disk.clone()), LARGE);
        fixture::commit(sealed.filesystem());
        disk.forget();
        let mut commits = vec![(0, Tree::new())];
        for (number, action) in actions.iter().enumerate() {
            if matches!(action, Action::Remount | Action::Commit) {
                continue;
            }
            let _ = sealed.act(action);
            if number % 6 == 5 {
                fixture::commit(sealed.filesystem());
                commits.push((disk.operations(), dump(sealed.filesystem())));
            }
        }
        Recording { disk, commits }
    }

    fn check(&self, cut: &PowerCut, fates: &[Fate]) {
        let filesystem = survivor(cut.disk(fates)).expect("a volume that mounts");
        assert_whole(&filesystem);
        let found = dump(&filesystem);
        let acknowledged = self.commits.partition_point(|(operations, _)| *operations <= cut.moment());
        let allowed = &self.commits[acknowledged - 1..self.commits.len().min(acknowledged + 1)];
        assert!(
            allowed.iter().any(|(_, tree)| *tree == found),
            "after {} operations: {found:#?} is none of {allowed:#?}",
            cut.moment()
        );
    }
}

/// Two threads rename while a third commits: whenever the power goes, each file has exactly one of its names.
#[test]
fn no_cut_halves_an_operation() {
    let disk = FaultyDisk::new(1 << 16);
    let filesystem = create_on(Arc::new(disk.clone()), LARGE);
    let root = filesystem.root().unwrap();
    for path in ["one", "two"] {
        root.create_directory_at(path).unwrap();
    }
    for number in 0..2 {
        root.put(&format!("one/{number}"), &[number; 5000]);
    }
    fixture::commit(&filesystem);
    disk.forget();
    thread::scope(|scope| {
        for number in 0..2 {
            let root = root.clone();
            scope.spawn(move || {
                let (one, two) = (format!("one/{number}"), format!("two/{number}"));
                for _ in 0..40 {
                    root.rename_at(&one, &root, &two).unwrap();
                    root.put(&format!("temporary {number}"), &[9; 100]);
                    root.link_at(&two, Follow::No, &root, &format!("link {number}")).unwrap();
                    root.rename_at(&two, &root, &one).unwrap();
                    root.unlink_file_at(&format!("temporary {number}")).unwrap();
                    root.unlink_file_at(&format!("link {number}")).unwrap();
                }
            });
        }
        scope.spawn(|| (0..30).for_each(|_| fixture::commit(&filesystem)));
    });
    let mut numbers = Numbers(0x5eed_0004);
    for moment in (0..=disk.operations()).step_by(3) {
        let cut = disk.cut(moment);
        for fates in cut.fates(2, &mut || numbers.next()) {
            let found = survivor(cut.disk(&fates)).expect("a volume that mounts");
            assert_whole(&found);
            let root = found.root().unwrap();
            for number in 0..2_u8 {
                let names: Vec<_> = ["one", "two"]
                    .iter()
                    .filter_map(|path| root.open(&format!("{path}/{number}")).ok())
                    .collect();
                assert_eq!(names.len(), 1);
                assert_eq!(names[0].all(), [number; 5000]);
            }
        }
    }
}

#[test]
fn unlinked_but_open_is_gone_after_a_cut() {
    let disk = FaultyDisk::new(1 << 16);
    let filesystem = create_on(Arc::new(disk.clone()), LARGE);
    let root = filesystem.root().unwrap();
    fixture::commit(&filesystem);
    disk.forget();
    let mut open = Vec::new();
    for number in 0..6_usize {
        open.push(root.put(&number.to_string(), &[1; 3000]));
        fixture::commit(&filesystem);
        if number % 2 == 0 {
            root.unlink_file_at(&number.to_string()).unwrap();
            fixture::commit(&filesystem);
        }
        if number == 4 {
            open.remove(0);
            fixture::commit(&filesystem);
        }
    }
    let mut numbers = Numbers(0x5eed_0005);
    let end = disk.operations();
    for moment in 0..=end {
        let cut = disk.cut(moment);
        for fates in cut.fates(4, &mut || numbers.next()) {
            let found = survivor(cut.disk(&fates)).expect("a volume that mounts");
            assert_whole(&found);
        }
    }
    let found = survivor(disk.cut(end).disk(&[])).expect("a volume that mounts");
    assert_eq!(found.root().unwrap().names(), ["1", "3", "5"]);
    assert_eq!(found.usage().objects, 4);
}

/// The recovery itself is cut: freeing orphans begins again.
#[test]
fn recovery_can_be_cut() {
    let disk = FaultyDisk::new(1 << 16);
    let filesystem = create_on(Arc::new(disk.clone()), LARGE);
    let root = filesystem.root().unwrap();
    let open: Vec<_> = (0..150).map(|number| root.put(&number.to_string(), b"bytes")).collect();
    root.put("stays", b"bytes");
    for number in 0..150 {
        root.unlink_file_at(&number.to_string()).unwrap();
    }
    fixture::commit(&filesystem);
    let crashed = FaultyDisk::over(&disk.fork());
    {
        let recovering = fixture::mounted(Arc::new(crashed.clone()));
        fixture::commit(&recovering);
    }
    let mut numbers = Numbers(0x5eed_0006);
    for moment in 0..=crashed.operations() {
        let cut = crashed.cut(moment);
        for fates in cut.fates(2, &mut || numbers.next()) {
            let found = survivor(cut.disk(&fates)).expect("a volume that mounts");
            assert_whole(&found);
            assert_eq!(found.root().unwrap().names(), ["stays"]);
            assert_eq!(found.usage().objects, 2);
        }
    }
    drop(open);
}

/// Reads fail now and then, in the middle of operations too. Afterwards no name leads to nothing, and what was not
/// touched is there.
#[test]
fn failed_reads_leave_no_name_without_a_node() {
    let mut runner = TestRunner::deterministic();
    let mut numbers = Numbers(0x5eed_0007);
    let (mut failed, mut leaks) = (0, 0);
    for _ in 0..15 {
        let disk = FaultyDisk::new(1 << 16);
        let filesystem = create_on(Arc::new(disk.clone()), LARGE);
        let root = filesystem.root().unwrap();
        for directory in ["a", "b", "kept"] {
            root.create_directory_at(directory).unwrap();
            for number in 0..20 {
                root.put(&format!("{directory}/{number}{}", "-".repeat(200)), &[number; 10]);
            }
        }
        root.put("kept/filler", &vec![1; 300 * 4096]);
        fixture::commit(&filesystem);
        drop((root, filesystem));
        // As little is kept in memory as the volume can do with.
        let options = Options { cache_bytes: 0, ..Options::default() };
        let volume = Volume::mount(Arc::new(disk.clone()), &fixture::FixedKey, options).unwrap();
        let filesystem = Filesystem::open(volume.dataset(NAME).unwrap().unwrap()).unwrap();
        let mut sealed = Sealed::over(filesystem);
        let actions = prop::collection::vec(action(), 60).new_tree(&mut runner).unwrap().current();
        for action in actions.iter().filter(|action| !matches!(action, Action::Remount)) {
            // Puts all else out of memory.
            sealed.filesystem().root().unwrap().open("kept/filler").unwrap().all();
            disk.fail(DiskFailure {
                only: Some(DiskOperationKind::Read),
                after: numbers.next() % 3,
                times: 1,
                kind: std::io::ErrorKind::TimedOut,
                effect: FailureEffect::Nothing,
            });
            let _ = sealed.act(action);
            disk.heal();
            fixture::commit(sealed.filesystem());
        }
        failed += disk.failed();
        let filesystem = sealed.into_filesystem();
        let report = filesystem.verify().expect("a report");
        for inconsistency in &report.inconsistencies {
            let is_leak = ["wrongly", "other objects"].iter().any(|what| inconsistency.what.contains(what));
            assert!(is_leak, "{inconsistency:?}");
        }
        leaks += report.inconsistencies.len();
        let kept = filesystem.root().unwrap().open("kept").unwrap();
        assert_eq!(kept.names().len(), 21);
        filesystem.dataset().volume().commit().unwrap();
    }
    println!("{failed} reads failed; {leaks} counts are off");
    assert!(failed > 30, "{failed} reads failed");
}
