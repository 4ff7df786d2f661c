//! After a power cut at any moment: all that was acknowledged is there, and nothing else is half there.

use crate::counter::Counter;
use crate::model::{LARGE, SMALL, World};
use crate::random::{Random, amount};
use crate::recording::{Allowed, Found, Recording};
use cloister_volume::BLOCK;

#[test]
fn every_cut_in_small_workloads() {
    let mut random = Random::seeded("every_cut_in_small_workloads");
    let mut recording = Recording::create(None);
    small_workload(&mut recording);
    cut_everywhere(&recording, amount(1024, 8192), &mut random);
}

#[test]
fn every_cut_with_an_anchor() {
    let mut random = Random::seeded("every_cut_with_an_anchor");
    let mut recording = Recording::create(Some(Counter::new()));
    small_workload(&mut recording);
    cut_everywhere(&recording, amount(64, 4096), &mut random);
}

#[test]
fn every_cut_while_the_disk_grows_and_shrinks() {
    let mut random = Random::seeded("every_cut_while_the_disk_grows_and_shrinks");
    let mut recording = Recording::create(None);
    let world = &mut recording.world;
    world.create_dataset("app:large");
    let small = world.create_object("app:large", [1; 64]);
    world.write("app:large", small, 0, &[1; 9000]);
    recording.commit();

    let large = recording.world.create_object("app:large", [2; 64]);
    let bytes = random.bytes(22 << 20);
    recording.world.write("app:large", large, 0, &bytes);
    recording.commit();
    let grown = recording.disk.fork().snapshot().len();

    // What leads to blocks behind the freed ones has to move before them first.
    recording.world.remove_object("app:large", large);
    for round in 0..4 {
        recording.world.write("app:large", small, 4000, &[round; 200]);
        recording.commit();
    }
    let shrunk = recording.disk.fork().snapshot().len();
    assert!(shrunk < grown / 2, "a disk of {grown} bytes has {shrunk} after its files were removed");

    let large = recording.world.create_object("app:large", [4; 64]);
    recording.world.write("app:large", large, 2 << 20, &bytes[..3 << 20]);
    recording.commit();

    // A tail is free, and more waits to be written than the disk keeps free at its end.
    recording.world.write("app:large", large, 6 << 20, &bytes[..18 << 20]);
    recording.commit();
    recording.world.remove_object("app:large", large);
    recording.commit();
    recording.world.write("app:large", small, 0, &bytes[..1 << 20]);
    recording.commit();
    recording.world.write("app:large", small, 0, &bytes[..8 << 20]);
    recording.commit();
    cut_everywhere(&recording, amount(10, 200), &mut random);
}

#[test]
fn every_second_cut_while_the_first_is_recovered_from() {
    let mut random = Random::seeded("every_second_cut_while_the_first_is_recovered_from");
    for counter in [None, Some(Counter::new())] {
        let mut recording = Recording::create(counter);
        small_workload(&mut recording);
        let (mut first, mut second) = (0, 0);
        for cut in recording.disk.cuts() {
            for found in recording.found(&cut, amount(4, 24), &mut random) {
                let allowed = recording.allowed(cut.moment(), found.counter.as_ref());
                if allowed.nothing {
                    continue;
                }
                first += 1;
                second += cut_again(&found, &allowed, &recording.world, &mut random).unwrap_or_else(|what| {
                    panic!("{what}, after {}", found.story);
                });
            }
        }
        println!("{first} power cuts, {second} power cuts while those were recovered from");
    }
}

#[test]
fn random_cuts_in_thousands_of_commits() {
    let mut random = Random::seeded("random_cuts_in_thousands_of_commits");
    thousands_of_commits(None, amount(2_000, 40_000), &mut random);
    thousands_of_commits(Some(Counter::new()), amount(500, 10_000), &mut random);
}

/// Creates, overwrites, truncates, extends and removes objects and datasets, in a few commits.
fn small_workload(recording: &mut Recording) {
    let world = &mut recording.world;
    world.create_dataset("app:one");
    let first = world.create_object("app:one", [1; 64]);
    world.write("app:one", first, 0, b"short");
    recording.commit();

    let world = &mut recording.world;
    let second = world.create_object("app:one", [2; 64]);
    world.write("app:one", second, 0, &[2; 3 * BLOCK]);
    world.write("app:one", first, 3, b"rt and more");
    recording.commit();

    let world = &mut recording.world;
    world.create_dataset("app:two");
    let third = world.create_object("app:two", [3; 64]);
    world.write("app:two", third, 200 * BLOCK + 100, b"far behind a hole");
    world.write("app:one", second, BLOCK, &[4; BLOCK]);
    recording.commit();

    let world = &mut recording.world;
    world.set_length("app:one", second, BLOCK / 2);
    world.set_length("app:one", second, 2 * BLOCK);
    world.remove_object("app:one", first);
    recording.commit();

    let world = &mut recording.world;
    world.set_attributes("app:two", third, [5; 64]);
    world.set_length("app:two", third, 0);
    world.create_object("app:one", [6; 64]);
    recording.commit();

    let world = &mut recording.world;
    world.remove_dataset("app:two");
    world.create_dataset("app:two");
    recording.commit();

    let world = &mut recording.world;
    world.remove_dataset("app:one");
    recording.commit();
}

/// Examines what may be found after a cut at every moment.
fn cut_everywhere(recording: &Recording, limit: usize, random: &mut Random) {
    let (mut disks, mut exhaustive, mut moments) = (0, 0, 0);
    for cut in recording.disk.cuts() {
        moments += 1;
        exhaustive +=
            usize::from(1usize.checked_shl(cut.unsynced().len() as u32).is_some_and(|all| all <= limit));
        for found in recording.found(&cut, limit, random) {
            let allowed = recording.allowed(cut.moment(), found.counter.as_ref());
            found
                .examine(&allowed, &recording.world)
                .unwrap_or_else(|what| panic!("{what}, after {}", found.story));
            disks += 1;
        }
    }
    println!(
        "{disks} disks after cuts at {moments} moments, at {exhaustive} of them every subset of what was unsynced"
    );
}

/// Cuts the power at every moment of a mount after a power cut, and of one more commit.
fn cut_again(found: &Found, allowed: &Allowed, before: &World, random: &mut Random) -> Result<usize, String> {
    // Which state it is shows when it is mounted; until then both are right.
    let probe = Recording::mount(&found.copy(), before, &allowed.models[0])?;
    let model = allowed.which(&probe.world.volume, before)?;
    drop(probe);
    let mut recording = Recording::mount(found, before, &model)?;
    let mounted = recording.disk.operations();
    recording.world.create_dataset("between");
    let id = recording.world.create_object("between", [9; 64]);
    recording.world.write("between", id, 0, &[9; BLOCK]);
    recording.commit();
    let mut disks = 0;
    for cut in recording.disk.cuts() {
        for again in recording.found(&cut, amount(3, 12), random) {
            let mut right = recording.allowed(cut.moment(), again.counter.as_ref());
            if cut.moment() <= mounted {
                right.models.extend(allowed.models.iter().cloned());
                right.nothing = false;
            }
            again
                .examine(&right, &recording.world)
                .map_err(|what| format!("{what}, after {}", again.story))?;
            disks += 1;
        }
    }
    Ok(disks)
}

/// Commits random work, examines a disk that a power cut may leave at every moment of it, and goes on with one of them.
fn thousands_of_commits(counter: Option<Counter>, commits: usize, random: &mut Random) {
    let mut recording = Recording::create(counter);
    let (mut done, mut cuts, mut disks) = (0, 0, 0);
    while done < commits {
        let run = 1 + random.below(20);
        for _ in 0..run {
            let sizes = if random.below(4) == 0 { LARGE } else { SMALL };
            for _ in 0..random.below(8) {
                recording.world.step(random, sizes);
            }
            recording.commit();
            done += 1;
        }
        // Work that was never committed.
        (0..random.below(4)).for_each(|_| recording.world.step(random, SMALL));
        for cut in recording.disk.cuts() {
            cuts += 1;
            let mut found = recording.found(&cut, 8, random);
            for _ in 0..amount(1, 4) {
                let found = found.swap_remove(random.below(found.len() as u64) as usize);
                let allowed = recording.allowed(cut.moment(), found.counter.as_ref());
                found
                    .examine(&allowed, &recording.world)
                    .unwrap_or_else(|what| panic!("{what}, after {}", found.story));
                disks += 1;
            }
        }
        let moment = random.below(recording.disk.operations() as u64 + 1) as usize;
        let mut found = recording.found(&recording.disk.cut(moment), 8, random);
        let next = found.swap_remove(random.below(found.len() as u64) as usize);
        let allowed = recording.allowed(moment, next.counter.as_ref());
        if allowed.nothing {
            continue;
        }
        recording = match Recording::mount(&next, &recording.world, &allowed.models[0]) {
            Ok(mut mounted) => {
                let which = allowed.which(&mounted.world.volume, &recording.world);
                mounted.world.model = which.unwrap_or_else(|what| panic!("{what}, after {}", next.story));
                mounted.begin_again()
            }
            Err(what) => panic!("{what}, after {}", next.story),
        };
    }
    println!("{done} commits, {cuts} power cuts, {disks} disks examined");
}
