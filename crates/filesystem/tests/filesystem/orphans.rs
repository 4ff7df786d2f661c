//! Nodes that have lost their names and are still open.

use cloister_filesystem::Follow;

use crate::fixture::{
    self, CREATE, LARGE, Short, assert_consistent, assert_error, commit, filesystem, memory, mounted,
};

#[test]
fn unlinked_file_lives_until_it_is_closed() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", &[1; 5000]);
    let second = file.clone();
    root.unlink_file_at("file").unwrap();
    assert_error(root.open("file"), "NoEntry");
    assert_eq!(file.links(), 0);
    file.append(b"more").unwrap();
    assert_eq!(second.all().len(), 5004);
    drop(file);
    assert_eq!(second.all().len(), 5004);
    assert_eq!(filesystem.usage().objects, 2);
    assert_eq!(filesystem.verify().unwrap().orphans, 1);
    drop(second);
    assert_eq!((filesystem.usage().objects, filesystem.usage().bytes), (1, 0));
    assert_consistent(&filesystem);
}

#[test]
fn replaced_file_lives_until_it_is_closed() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let old = root.put("file", b"old");
    root.put("new", b"new");
    root.rename_at("new", &root, "file").unwrap();
    assert_eq!(old.all(), b"old");
    assert_eq!(root.open("file").unwrap().all(), b"new");
    assert!(!old.is_same(&root.open("file").unwrap()));
    drop(old);
    assert_eq!(filesystem.usage().objects, 2);
    assert_consistent(&filesystem);
}

#[test]
fn another_name_keeps_a_file() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("one", b"x");
    root.link_at("one", Follow::No, &root, "two").unwrap();
    root.unlink_file_at("one").unwrap();
    assert_eq!(file.links(), 1);
    drop(file);
    assert_eq!(root.open("two").unwrap().all(), b"x");
    root.unlink_file_at("two").unwrap();
    assert_eq!(filesystem.usage().objects, 1);
}

#[test]
fn removed_directory_takes_nothing() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.create_directory_at("directory").unwrap();
    root.put("file", b"");
    let directory = root.open("directory").unwrap();
    root.remove_directory_at("directory").unwrap();
    assert_eq!(directory.links(), 0);
    assert_eq!(directory.names(), Vec::<String>::new());
    assert_error(directory.open_at("x", Follow::Yes, &CREATE), "NoEntry");
    assert_error(directory.create_directory_at("x"), "NoEntry");
    assert_error(directory.symlink_at("t", "x"), "NoEntry");
    assert_error(root.rename_at("file", &directory, "x"), "NoEntry");
    assert_error(root.link_at("file", Follow::No, &directory, "x"), "NoEntry");
    assert!(directory.open(".").unwrap().is_same(&directory));
    drop(directory);
    assert_eq!(filesystem.usage().objects, 2);
    assert_consistent(&filesystem);
}

#[test]
fn closing_in_any_order_keeps_the_chain_whole() {
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let filesystem = filesystem();
        let root = filesystem.root().unwrap();
        let mut open: Vec<_> = (0..5).map(|at| Some(root.put(&at.to_string(), &[1; 100]))).collect();
        for at in 0..5 {
            root.unlink_file_at(&at.to_string()).unwrap();
        }
        for (closed, at) in order.into_iter().enumerate() {
            assert_consistent(&filesystem);
            assert_eq!(filesystem.verify().unwrap().orphans, 5 - closed as u64);
            open[at] = None;
        }
        assert_eq!((filesystem.usage().objects, filesystem.usage().bytes), (1, 0));
    }
}

#[test]
fn mount_frees_what_was_open() {
    let disk = memory();
    let filesystem = fixture::create_on(disk.clone(), LARGE);
    let root = filesystem.root().unwrap();
    let open: Vec<_> = (0..200).map(|at| root.put(&at.to_string(), b"bytes")).collect();
    root.create_directory_at("directory").unwrap();
    let directory = root.open("directory").unwrap();
    for at in 0..200 {
        root.unlink_file_at(&at.to_string()).unwrap();
    }
    root.remove_directory_at("directory").unwrap();
    commit(&filesystem);
    let after_the_cut = mounted(disk);
    assert_eq!((after_the_cut.usage().objects, after_the_cut.usage().bytes), (1, 0));
    assert_consistent(&after_the_cut);
    drop((open, directory));
}
