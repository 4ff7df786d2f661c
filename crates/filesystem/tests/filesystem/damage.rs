//! Bytes that are not what was written, by the host's doing or by a fault of this crate: what they concern fails with
//! a typed error, and the rest goes on.

use std::{collections::BTreeMap, sync::Arc};

use cloister_filesystem::{Filesystem, Follow, FsError, Kind, Node, fuzz};
use cloister_volume::{Disk, MemoryDisk, ObjectId, VolumeError};
use proptest::prelude::*;

use crate::fixture::{
    self, CREATE, LARGE, NAME, PLAIN, Short, assert_error, commit, create_on, filesystem, memory, mounted,
};

/// Writes into a node's object behind the filesystem's back.
fn overwrite(filesystem: &Filesystem, node: &Node, offset: u64, bytes: &[u8]) {
    let dataset = filesystem.dataset();
    let op = dataset.volume().begin();
    dataset.write(&op, ObjectId(node.metadata().unwrap().inode), offset, bytes).unwrap();
}

#[test]
fn malformed_directory_leaves_the_others() {
    for (offset, bytes) in
        [(0, &b"no directory"[..]), (6, b"\xff\xff"), (16, &[0; 8]), (5000, b"x"), (34, b"/")]
    {
        let disk = memory();
        let filesystem = create_on(disk.clone(), LARGE);
        let root = filesystem.root().unwrap();
        for path in ["bad", "good"] {
            root.create_directory_at(path).unwrap();
            root.put(&format!("{path}/file"), b"content");
        }
        overwrite(&filesystem, &root.open("bad").unwrap(), offset, bytes);
        commit(&filesystem);
        drop((root, filesystem));
        let filesystem = mounted(disk);
        let root = filesystem.root().unwrap();
        assert_error(root.open("bad/file"), "Malformed");
        let bad = root.open("bad").unwrap();
        assert_error(bad.entries(None, 10), "Malformed");
        assert_error(bad.open_at("new", Follow::Yes, &CREATE), "Malformed");
        assert_error(root.remove_directory_at("bad"), "Malformed");
        assert_error(root.rename_at("good/file", &bad, "file"), "Malformed");
        assert_eq!(root.open("good/file").unwrap().all(), b"content");
        root.rename_at("bad", &root, "worse").unwrap();
        root.put("new", b"");
        assert!(!filesystem.verify().unwrap().inconsistencies.is_empty());
    }
}

#[test]
fn entry_without_a_node_is_an_error() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"x");
    {
        let dataset = filesystem.dataset();
        let op = dataset.volume().begin();
        dataset.set_attributes(&op, ObjectId(file.metadata().unwrap().inode), &[0; 64]).unwrap();
    }
    assert_error(file.metadata(), "Malformed");
    assert_error(root.metadata_at("file", Follow::No), "Malformed");
    assert_error(root.link_at("file", Follow::No, &root, "link"), "Malformed");
    assert_eq!(root.names(), ["file"]);
}

#[test]
fn malformed_link_is_an_error() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.symlink_at("target", "link").unwrap();
    {
        let dataset = filesystem.dataset();
        let op = dataset.volume().begin();
        let id = ObjectId(root.metadata_at("link", Follow::No).unwrap().inode);
        dataset.write(&op, id, 0, &[0xff]).unwrap();
    }
    assert_error(root.read_link_at("link"), "Malformed");
    assert_error(root.open("link"), "Malformed");
    root.unlink_file_at("link").unwrap();
}

/// Every block of the disk in turn: what can still be read is right, what cannot says that it is damaged.
#[test]
fn flipped_blocks_are_found() {
    let disk = MemoryDisk::new(1 << 16);
    let filesystem = create_on(Arc::new(disk.clone()), LARGE);
    let root = filesystem.root().unwrap();
    for directory in ["a", "b"] {
        root.create_directory_at(directory).unwrap();
        for number in 0..30 {
            root.put(&format!("{directory}/{number}{}", "-".repeat(200)), &[number; 100]);
        }
    }
    root.symlink_at("a", "link").unwrap();
    commit(&filesystem);
    let (expected, errors) = read_all(&filesystem);
    assert_eq!((expected.len(), errors), (63, 0));
    let blocks = disk.blocks().unwrap();
    let mut damaged = 0;
    for block in 0..blocks {
        let copy = disk.fork();
        copy.modify(block, |bytes| bytes[2000] ^= 4);
        let Ok(volume) = fixture::mount(Arc::new(copy)) else {
            damaged += 1;
            continue;
        };
        let Ok(Some(dataset)) = volume.dataset(NAME) else {
            damaged += 1;
            continue;
        };
        let filesystem = match Filesystem::open(dataset) {
            Ok(filesystem) => filesystem,
            Err(FsError::Io(VolumeError::Damaged(_))) => {
                damaged += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let (found, errors) = read_all(&filesystem);
        damaged += usize::from(errors > 0);
        for (path, content) in found {
            assert_eq!(expected.get(&path), Some(&content), "{path}");
        }
    }
    // At least all files, the blocks of two directories, and the link.
    assert!(damaged > 60, "{damaged} of {blocks}");
}

/// What can be read, and how many things could not.
fn read_all(filesystem: &Filesystem) -> (BTreeMap<String, Vec<u8>>, usize) {
    let mut found = BTreeMap::new();
    let mut errors = 0;
    let mut failed = |error: FsError| {
        assert!(matches!(error, FsError::Io(VolumeError::Damaged(_))), "{error}");
        errors += 1;
    };
    let root = filesystem.root().unwrap();
    let mut to_visit = vec![String::from(".")];
    while let Some(path) = to_visit.pop() {
        let listed = root.open_at(&path, Follow::No, &PLAIN).and_then(|node| node.entries(None, usize::MAX));
        let entries = match listed {
            Ok((entries, _)) => entries,
            Err(error) => {
                failed(error);
                continue;
            }
        };
        for entry in entries {
            let below = format!("{path}/{}", entry.name);
            let content = match entry.kind {
                Kind::Directory => {
                    to_visit.push(below.clone());
                    Ok(Vec::new())
                }
                Kind::Symlink => root.read_link_at(&below).map(String::into_bytes),
                Kind::File => root.open(&below).and_then(|file| {
                    let mut bytes = vec![0; 200];
                    let read = file.read_at(0, &mut bytes)?;
                    bytes.truncate(read);
                    Ok(bytes)
                }),
            };
            match content {
                Ok(content) => _ = found.insert(below, content),
                Err(error) => failed(error),
            }
        }
    }
    (found, errors)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsers_take_anything(bytes in prop::collection::vec(any::<u8>(), 0..10_000)) {
        fuzz::directory(&bytes);
        fuzz::attributes(&bytes);
    }
}
