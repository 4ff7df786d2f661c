//! Times and metadata hashes.

use std::{
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cloister_filesystem::{Follow, Metadata, Node, SetTime};

use crate::fixture::{Short, filesystem};

/// What of a node's three times is later than before.
fn later(before: &Metadata, after: &Metadata) -> (bool, bool, bool) {
    (after.accessed > before.accessed, after.modified > before.modified, after.changed > before.changed)
}

fn effect(node: &Node, act: impl FnOnce()) -> (bool, bool, bool) {
    let before = node.metadata().unwrap();
    sleep(Duration::from_millis(2));
    act();
    later(&before, &node.metadata().unwrap())
}

#[test]
fn times_change_as_posix_says() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"content");
    let content = (false, true, true);
    let status = (false, false, true);
    let nothing = (false, false, false);
    assert_eq!(effect(&file, || drop(file.all())), nothing);
    assert_eq!(effect(&file, || drop(file.write_at(0, b"x"))), content);
    assert_eq!(effect(&file, || drop(file.append(b"x"))), content);
    assert_eq!(effect(&file, || file.set_len(1).unwrap()), content);
    assert_eq!(effect(&root, || drop(file.append(b"x"))), nothing);
    assert_eq!(effect(&file, || root.link_at("file", Follow::No, &root, "link").unwrap()), status);
    assert_eq!(effect(&file, || root.rename_at("link", &root, "name").unwrap()), status);
    assert_eq!(effect(&file, || root.unlink_file_at("name").unwrap()), status);
    assert_eq!(effect(&root, || root.rename_at("file", &root, "other").unwrap()), content);
    assert_eq!(effect(&root, || root.create_directory_at("directory").unwrap()), content);
    assert_eq!(effect(&root, || root.remove_directory_at("directory").unwrap()), content);
    assert_eq!(effect(&root, || drop(root.names())), nothing);
    assert_eq!(effect(&file, || drop(root.open("other").unwrap())), nothing);
}

#[test]
fn times_can_be_set() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"content");
    let then = UNIX_EPOCH - Duration::new(1, 1);
    let start = SystemTime::now();
    file.set_times(SetTime::At(then), SetTime::Keep).unwrap();
    let metadata = file.metadata().unwrap();
    assert_eq!(metadata.accessed, then);
    assert!(metadata.changed >= start);
    file.set_times(SetTime::Now, SetTime::At(UNIX_EPOCH + Duration::from_nanos(5))).unwrap();
    let metadata = file.metadata().unwrap();
    assert!(metadata.accessed >= start);
    assert_eq!(metadata.modified, UNIX_EPOCH + Duration::from_nanos(5));
    let far = UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 100);
    file.set_times(SetTime::At(far), SetTime::Keep).unwrap();
    let end = file.metadata().unwrap().accessed;
    assert_eq!(end, UNIX_EPOCH + Duration::from_nanos(i64::MAX as u64));
}

#[test]
fn a_link_has_times_of_its_own() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"content");
    root.symlink_at("file", "link").unwrap();
    let before = file.metadata().unwrap();
    root.set_times_at("link", Follow::No, SetTime::Keep, SetTime::At(UNIX_EPOCH)).unwrap();
    assert_eq!(file.metadata().unwrap(), before);
    assert_eq!(root.metadata_at("link", Follow::No).unwrap().modified, UNIX_EPOCH);
    root.set_times_at("link", Follow::Yes, SetTime::Keep, SetTime::At(UNIX_EPOCH)).unwrap();
    assert_eq!(file.metadata().unwrap().modified, UNIX_EPOCH);
}

#[test]
fn hash_changes_with_the_content() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"content");
    let first = file.metadata_hash().unwrap();
    file.all();
    root.link_at("file", Follow::No, &root, "link").unwrap();
    assert_eq!(file.metadata_hash().unwrap(), first);
    assert_eq!(root.metadata_hash_at("link", Follow::Yes).unwrap(), first);
    // The same size, and the clock may stand still.
    file.write_at(0, b"C").unwrap();
    let second = file.metadata_hash().unwrap();
    assert_ne!(second, first);
    file.set_times(SetTime::Keep, SetTime::At(UNIX_EPOCH)).unwrap();
    assert_ne!(file.metadata_hash().unwrap(), second);
    let other = root.put("other", b"Content");
    assert_ne!(other.metadata_hash().unwrap(), second);
}
