//! Large directories, and iteration while they change.

use std::collections::BTreeSet;

use cloister_filesystem::Follow;
use proptest::prelude::*;

use crate::fixture::{self, LARGE, Short, assert_consistent, commit, filesystem, memory, mounted};

/// Names of two files: a name costs less than a file.
#[test]
fn a_hundred_thousand_entries() {
    const ENTRIES: usize = 100_000;
    let disk = memory();
    let filesystem = fixture::create_on(disk.clone(), LARGE);
    let root = filesystem.root().unwrap();
    root.create_directory_at("large").unwrap();
    let large = root.open("large").unwrap();
    let name = |number: usize| format!("entry number {number:06}");
    for number in 0..ENTRIES {
        if number % 50_000 == 0 {
            large.file(&name(number));
        } else {
            large.link_at(&name(number / 50_000 * 50_000), Follow::No, &large, &name(number)).unwrap();
        }
    }
    commit(&filesystem);
    drop((large, root, filesystem));

    let filesystem = mounted(disk);
    let large = filesystem.root().unwrap().open("large").unwrap();
    let size = large.metadata().unwrap().size;
    assert!(size < ENTRIES as u64 * 42, "{size} bytes");
    let mut seen = 0;
    let mut after = None;
    loop {
        let (entries, next) = large.entries(after, 1000).unwrap();
        for entry in entries {
            assert_eq!(entry.name, name(seen));
            seen += 1;
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ENTRIES);
    for number in (0..ENTRIES).step_by(10) {
        large.unlink_file_at(&name(number)).unwrap();
    }
    assert_eq!(large.names().len(), ENTRIES / 10 * 9);
    assert_consistent(&filesystem);
}

#[test]
fn removed_entries_give_their_blocks_back() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    for round in 0..3 {
        for number in 0..500 {
            root.put(&format!("{number}-{}", "n".repeat(100)), b"");
        }
        assert!(root.metadata().unwrap().size >= 500 * 100);
        for number in 0..500 {
            let number = if round == 1 { 499 - number } else { number };
            root.unlink_file_at(&format!("{number}-{}", "n".repeat(100))).unwrap();
        }
        assert_eq!(root.metadata().unwrap().size, 0);
        assert_eq!(filesystem.usage().bytes, 0);
        assert_eq!(filesystem.usage().objects, 1);
        assert_consistent(&filesystem);
    }
}

#[test]
fn limit_of_zero_still_gets_on() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.put("a", b"");
    root.put("b", b"");
    let (first, after) = root.entries(None, 0).unwrap();
    let (second, end) = root.entries(after, 0).unwrap();
    assert_eq!((first.len(), second.len(), end), (1, 1, None));
    assert_ne!(first, second);
}

#[derive(Debug, Clone)]
enum Change {
    Add(u8),
    Remove(u8),
    Rename(u8, u8),
    Step(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<u8>().prop_map(Change::Add),
        any::<u8>().prop_map(Change::Remove),
        any::<(u8, u8)>().prop_map(|(from, to)| Change::Rename(from, to)),
        (1_usize..20).prop_map(Change::Step),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 30, ..ProptestConfig::default() })]

    #[test]
    fn who_stays_is_seen_once(
        start in prop::collection::btree_set(any::<u8>(), 1..200),
        changes in prop::collection::vec(change(), 1..60),
    ) {
        let filesystem = filesystem();
        let root = filesystem.root().unwrap();
        // Long names: a few in each block.
        let name = |number: u8| format!("{number}{}", "-".repeat(230));
        for &number in &start {
            root.put(&name(number), b"");
        }
        let mut stayed: BTreeSet<String> = start.iter().map(|&number| name(number)).collect();
        let mut seen = Vec::new();
        let mut after = None;
        let mut at_end = false;
        let step = |limit: usize, after: &mut Option<_>, seen: &mut Vec<String>| {
            let (entries, next) = root.entries(*after, limit).unwrap();
            seen.extend(entries.into_iter().map(|entry| entry.name));
            *after = next;
            next.is_none()
        };
        for change in changes {
            match change {
                Change::Add(number) => drop(root.file(&name(number))),
                Change::Remove(number) => {
                    stayed.remove(&name(number));
                    let _ = root.unlink_file_at(&name(number));
                }
                Change::Rename(from, to) => {
                    if root.rename_at(&name(from), &root, &name(to)).is_ok() && from != to {
                        stayed.remove(&name(from));
                    }
                }
                Change::Step(limit) if !at_end => at_end = step(limit, &mut after, &mut seen),
                Change::Step(_) => {}
            }
        }
        while !at_end {
            at_end = step(7, &mut after, &mut seen);
        }
        for name in &stayed {
            let times = seen.iter().filter(|seen| *seen == name).count();
            prop_assert_eq!(times, 1, "{}", name);
        }
        fixture::assert_consistent(&filesystem);
    }
}
