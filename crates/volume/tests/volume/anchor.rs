//! With a freshness anchor an old disk is refused, and the reason is told.

use crate::counter::{Counter, Trouble};
use crate::keys::Platform;
use crate::model::Model;
use crate::recording::{Recording, check, with};
use cloister_volume::{
    Anchor as _, AnchorError, BLOCK, Disk as _, Fate, MemoryDisk, MountError, Options, State, Volume,
    VolumeError,
};
use std::sync::Arc;

#[test]
fn an_older_disk_is_refused_with_the_reason() {
    let run = Run::of(6);
    let newest = run.epochs.last().expect("there are commits");
    for old in &run.epochs[..run.epochs.len() - 1] {
        let counter = run.counter();
        let before = old.disk.snapshot();
        let error = mount(&old.disk, &counter, None).expect_err("an old disk is refused");
        assert!(old.disk.snapshot() == before, "a refusal does not change the disk");
        let MountError::RolledBack { epoch, written, anchor } = error else { panic!("{error}") };
        assert_eq!(epoch, old.state.epoch);
        assert_eq!(anchor, counter.present());
        assert!(written < anchor, "{written} is before {anchor}");
        let text = error.to_string();
        assert!(text.contains(&format!("epoch {epoch}")) && text.contains("put back"), "{text}");
        assert_eq!(counter.present(), run.counter().present(), "a refusal does not advance the anchor");
    }
    let volume = mount(&newest.disk, &run.counter(), None).expect("the newest is accepted");
    assert_eq!(newest.model.difference(&volume, &Default::default()), None);
}

#[test]
fn an_allowed_epoch_is_accepted_and_no_other() {
    let run = Run::of(6);
    for old in &run.epochs[..5] {
        for allowed in 0..=run.epochs[5].state.epoch + 1 {
            let counter = run.counter();
            let disk = old.disk.fork();
            match mount(&disk, &counter, Some(allowed)) {
                Ok(volume) => {
                    // The older slot holds the commit before, which may be allowed as well.
                    let accepted = run.epochs.iter().find(|epoch| epoch.state.epoch == allowed);
                    let accepted = accepted.map_or_else(Model::default, |epoch| epoch.model.clone());
                    assert!(allowed <= old.state.epoch, "epoch {allowed} is newer than {}", old.state.epoch);
                    assert_eq!(accepted.difference(&volume, &Default::default()), None);
                    check(&volume).expect("no damage");
                    commit_something(&volume);
                    drop(volume);
                    mount(&disk, &counter, None).expect("what was accepted is the newest from then on");
                    let again = mount(&run.epochs[5].disk, &counter, None);
                    assert!(matches!(again, Err(MountError::RolledBack { .. })), "{again:?}");
                }
                Err(MountError::RolledBack { epoch, .. }) => {
                    assert_ne!(allowed, old.state.epoch, "epoch {allowed} is allowed and refused");
                    assert_eq!(epoch, old.state.epoch);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn an_allowed_epoch_does_not_hide_the_newest() {
    let run = Run::of(4);
    let newest = &run.epochs[3];
    for allowed in 0..newest.state.epoch {
        let volume = mount(&newest.disk.fork(), &run.counter(), Some(allowed))
            .expect("the newest needs no permission");
        assert_eq!(newest.model.difference(&volume, &Default::default()), None);
    }
}

#[test]
fn an_unacknowledged_commit_of_an_earlier_run_is_never_accepted_later() {
    for trouble in [Trouble::Lost, Trouble::AnswerLost] {
        let mut recording = Recording::create(Some(Counter::new()));
        recording.world.create_dataset("app:a");
        recording.commit();
        let acknowledged = recording.world.model.clone();
        let began = recording.disk.operations();

        // The client is told that this failed; the superblock is on the disk all the same.
        recording.world.create_dataset("app:unacknowledged");
        let counter = recording.counter.clone().expect("there is a counter");
        counter.meet(trouble);
        recording.world.volume.commit().expect_err("the anchor does not answer");
        let unacknowledged = recording.disk.fork();

        // The host starts the enclave again with a disk of before.
        let cut = recording.disk.cut(began);
        let earlier = cut.disk(&vec![Fate::Kept; cut.unsynced().len()]);
        let second_run = counter.copy();
        match (trouble, mount(&earlier, &second_run, None)) {
            (Trouble::Lost, volume) => {
                let volume = volume.expect("it is the newest that was acknowledged");
                assert_eq!(acknowledged.difference(&volume, &Default::default()), None);
            }
            (Trouble::AnswerLost, Err(MountError::RolledBack { .. })) => continue,
            (Trouble::AnswerLost, other) => panic!("{other:?}"),
        }

        // From here on the unacknowledged commit is history, as a whole or in one of the two slots.
        for steps in 0..4 {
            let counter = second_run.copy();
            let disk = earlier.fork();
            for _ in 0..steps {
                let volume = mount(&disk, &counter, None).expect("it is the newest");
                commit_something(&volume);
            }
            let error = mount(&unacknowledged, &counter, None).expect_err("it was never acknowledged");
            assert!(matches!(error, MountError::RolledBack { .. }), "{error}");
            for slot in 0..2 {
                let mixed = disk.fork();
                let mut superblock = vec![0; BLOCK];
                unacknowledged.read(slot, &mut superblock).expect("a superblock");
                mixed.write(slot, &superblock).expect("a superblock");
                match mount(&mixed, &counter.copy(), None) {
                    Ok(volume) => {
                        let names: Vec<_> =
                            volume.datasets().into_iter().map(|dataset| dataset.name).collect();
                        assert!(!names.contains(&"app:unacknowledged".to_owned()), "{names:?}");
                    }
                    Err(MountError::RolledBack { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

#[test]
fn one_that_others_advance_stops_commits() {
    let run = Run::of(2);
    let counter = run.counter();
    let volume = mount(&run.epochs[1].disk, &counter, None).expect("it is the newest");
    counter.disturb(3);
    volume.create_dataset(&volume.begin(), "app:late", crate::model::QUOTA).expect("a dataset");
    let error = volume.commit().expect_err("the anchor is out of step");
    assert!(matches!(error, VolumeError::Anchor(AnchorError::OutOfStep { .. })), "{error}");
    assert!(error.to_string().contains("something else advances it"), "{error}");
}

#[test]
fn one_that_others_advance_is_left_alone() {
    let run = Run::of(2);
    let counter = run.counter();
    let volume = mount(&run.epochs[1].disk, &counter, None).expect("it is the newest");
    counter.disturb(1);
    let present = counter.present();
    volume.create_dataset(&volume.begin(), "app:late", crate::model::QUOTA).expect("a dataset");
    for _ in 0..3 {
        volume.commit().expect_err("the anchor is out of step");
        assert_eq!(counter.present(), present);
    }
}

#[test]
fn an_exception_changes_the_identity_for_good_and_each_time() {
    let run = Run::of(3);
    let counter = run.counter();
    let own = counter.identity();
    let old = &run.epochs[0];
    let mut identities = vec![own];
    for _ in 0..3 {
        let disk = old.disk.fork();
        let mounted = |accept_epoch| {
            let options = Options { accept_epoch, ..with(&Some(counter.clone())) };
            let volume = Volume::mount(Arc::new(disk.clone()), &Platform, options).expect("it is accepted");
            volume.anchor().expect("it has an anchor")
        };
        let identity = mounted(Some(old.state.epoch));
        assert!(!identities.contains(&identity));
        assert_eq!(mounted(None), identity, "it stays");
        assert_eq!(mounted(Some(old.state.epoch)), identity, "an exception that was not needed is none");
        identities.push(identity);
    }
}

#[test]
fn one_that_was_set_back_is_not_believed() {
    let run = Run::of(6);
    // Set back by less, it stands where the commit in the other slot was next.
    for back in 3..6 {
        let counter = run.counter();
        counter.set_back(back);
        let error = mount(&run.epochs[5].disk, &counter, None).expect_err("a counter never goes back");
        assert!(matches!(error, MountError::RolledBack { .. }), "{error}");
    }
}

#[test]
fn no_mount_without_the_anchor_that_it_was_made_with() {
    let run = Run::of(2);
    let disk = &run.epochs[1].disk;
    let error = Volume::mount(Arc::new(disk.fork()), &Platform, with(&None)).expect_err("it has an anchor");
    assert!(matches!(error, MountError::AnchorMismatch { anchored: true, .. }), "{error}");
    let error = mount(disk, &Counter::new(), None).expect_err("it is not that counter");
    assert_eq!(error, MountError::Anchor(AnchorError::Missing));
}

#[test]
fn none_is_needed_to_see_in_epoch_and_root_that_a_disk_is_old() {
    let mut recording = Recording::create(None);
    let mut states: Vec<State> = Vec::new();
    let mut disks = Vec::new();
    for number in 0..5 {
        recording.world.create_dataset(&format!("app:{number}"));
        recording.commit();
        states.push(recording.world.volume.state());
        disks.push(recording.disk.fork());
    }
    assert!(states.is_sorted_by(|one, next| one.epoch < next.epoch));
    for (disk, state) in disks.iter().zip(&states) {
        let volume =
            Volume::mount(Arc::new(disk.fork()), &Platform, with(&None)).expect("there is no anchor");
        assert_eq!(volume.state(), *state);
    }

    // Two histories with the same epochs have other roots.
    let fork = Volume::mount(Arc::new(disks[3].fork()), &Platform, with(&None)).expect("there is no anchor");
    fork.create_dataset(&fork.begin(), "app:4", crate::model::QUOTA).expect("a dataset");
    let forked = fork.commit().expect("a commit");
    assert_eq!(forked.epoch, states[4].epoch);
    assert_ne!(forked.root, states[4].root);
}

/// A run with an anchor, and its disk after every commit.
#[derive(Debug)]
struct Run {
    recording: Recording,
    epochs: Vec<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    state: State,
    model: Model,
    disk: MemoryDisk,
}

impl Run {
    fn of(commits: u8) -> Self {
        let mut recording = Recording::create(Some(Counter::new()));
        let epochs = (0..commits).map(|number| {
            let name = format!("app:{number}");
            recording.world.create_dataset(&name);
            let id = recording.world.create_object(&name, [number; 64]);
            recording.world.write(&name, id, 10, &[number; 6000]);
            recording.commit();
            Epoch {
                state: recording.world.volume.state(),
                model: recording.world.model.clone(),
                disk: recording.disk.fork(),
            }
        });
        let epochs = epochs.collect();
        Self { recording, epochs }
    }

    /// As it stands after the run.
    fn counter(&self) -> Counter {
        self.recording.counter.as_ref().expect("there is a counter").copy()
    }
}

fn mount(disk: &MemoryDisk, counter: &Counter, accept_epoch: Option<u64>) -> Result<Volume, MountError> {
    let options = Options { accept_epoch, ..with(&Some(counter.clone())) };
    Volume::mount(Arc::new(disk.clone()), &Platform, options)
}

fn commit_something(volume: &Volume) {
    let name = format!("app:something {}", volume.state().epoch);
    volume.create_dataset(&volume.begin(), &name, crate::model::QUOTA).expect("a dataset");
    volume.commit().expect("a commit");
}
