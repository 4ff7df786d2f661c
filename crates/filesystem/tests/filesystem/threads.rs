//! Many threads at once, while others commit.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use cloister_filesystem::{Filesystem, Follow};

use crate::fixture::{CREATE, Short, assert_consistent, commit, filesystem};

/// Commits again and again while `work` runs.
fn while_committing(filesystem: &Filesystem, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                commit(filesystem);
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn appends_are_never_mixed() {
    let filesystem = filesystem();
    let file = filesystem.root().unwrap().file("log");
    while_committing(&filesystem, || {
        thread::scope(|scope| {
            for writer in 0..4_u8 {
                let file = file.clone();
                scope.spawn(move || {
                    for length in 1..100 {
                        let mut record = vec![writer; length];
                        record.push(b'\n');
                        assert_eq!(file.append(&record).unwrap(), record.len());
                    }
                });
            }
        });
    });
    let bytes = file.all();
    let mut lengths = [0; 4];
    for record in bytes.split(|&byte| byte == b'\n').filter(|record| !record.is_empty()) {
        let writer = record[0];
        assert!(record.iter().all(|&byte| byte == writer), "two records are mixed");
        lengths[usize::from(writer)] += 1;
        assert_eq!(record.len(), lengths[usize::from(writer)]);
    }
    assert_eq!(lengths, [99; 4]);
}

#[test]
fn a_read_sees_whole_writes() {
    let filesystem = filesystem();
    let file = filesystem.root().unwrap().put("file", &[0; 9000]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..200 {
                file.write_at(0, &vec![round as u8; 9000]).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let bytes = file.all();
            assert!(bytes.iter().all(|&byte| byte == bytes[0]));
        }
    });
}

#[test]
fn names_come_and_go_together() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.create_directory_at("one").unwrap();
    root.create_directory_at("two").unwrap();
    while_committing(&filesystem, || {
        thread::scope(|scope| {
            for number in 0..4 {
                let root = root.clone();
                scope.spawn(move || {
                    for round in 0..150 {
                        let path = format!("one/{}", round % 3);
                        let Ok(file) = root.open_at(&path, Follow::Yes, &CREATE) else { continue };
                        let _ = file.append(b"bytes");
                        let _ = root.rename_at(&path, &root, &format!("two/{}", (round + number) % 3));
                        let _ = root.link_at(&path, Follow::No, &root, "two/link");
                        let _ = root.unlink_file_at(&format!("two/{}", round % 3));
                        let _ = root.unlink_file_at("two/link");
                        drop(file);
                        let _ = root.open("two").unwrap().names();
                    }
                });
            }
        });
    });
    assert_consistent(&filesystem);
    assert_eq!(filesystem.verify().unwrap().orphans, 0);
}
