//! The bytes of files.

use cloister_filesystem::{MAX_FILE, MAX_WRITE};

use crate::fixture::{Short, assert_consistent, assert_error, commit, filesystem};

#[test]
fn bytes_come_back() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"hello");
    assert_eq!(file.write_at(3, b"p me").unwrap(), 4);
    assert_eq!(file.all(), b"help me");
    let mut beyond = [1; 4];
    assert_eq!(file.read_at(5, &mut beyond).unwrap(), 2);
    assert_eq!(file.read_at(7, &mut beyond).unwrap(), 0);
    assert_eq!(file.read_at(u64::MAX, &mut beyond).unwrap(), 0);
    assert_eq!(file.write_at(100, b"").unwrap(), 0);
    assert_eq!(file.metadata().unwrap().size, 7);
}

#[test]
fn holes_are_zeros_and_take_no_space() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.file("sparse");
    let before = filesystem.usage().bytes;
    file.write_at(MAX_FILE - 3, b"end").unwrap();
    assert_eq!(filesystem.usage().bytes, before + 4096);
    assert_eq!(file.metadata().unwrap().size, MAX_FILE);
    let mut bytes = [1; 8192];
    assert_eq!(file.read_at(1 << 39, &mut bytes).unwrap(), 8192);
    assert_eq!(bytes, [0; 8192]);
    assert_eq!(file.read_at(MAX_FILE - 5, &mut bytes).unwrap(), 5);
    assert_eq!(&bytes[..5], b"\0\0end");
    assert_consistent(&filesystem);
}

#[test]
fn nothing_returns_after_a_cut() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", &[7; 10_000]);
    file.set_len(5000).unwrap();
    file.set_len(9000).unwrap();
    let bytes = file.all();
    assert!(bytes[..5000].iter().all(|&byte| byte == 7));
    assert!(bytes[5000..].iter().all(|&byte| byte == 0));
    file.set_len(0).unwrap();
    assert_eq!(file.all(), b"");
}

#[test]
fn files_end_at_one_tebibyte() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"x");
    assert_error(file.write_at(MAX_FILE, b"x"), "FileTooLarge");
    assert_error(file.write_at(u64::MAX, b"x"), "FileTooLarge");
    assert_error(file.set_len(MAX_FILE + 1), "FileTooLarge");
    file.set_len(MAX_FILE).unwrap();
    assert_error(file.append(b"x"), "FileTooLarge");
    assert_eq!(filesystem.usage().bytes, 2 * 4096);
}

#[test]
fn long_writes_are_short() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.file("file");
    let bytes = vec![3; MAX_WRITE + 1];
    assert_eq!(file.write_at(0, &bytes).unwrap(), MAX_WRITE);
    assert_eq!(file.append(&bytes[MAX_WRITE..]).unwrap(), 1);
    commit(&filesystem);
    assert_eq!(file.all(), bytes);
}

#[test]
fn directories_have_no_bytes() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    assert_error(root.read_at(0, &mut [0]), "IsDirectory");
    assert_error(root.write_at(0, b"x"), "IsDirectory");
    assert_error(root.append(b"x"), "IsDirectory");
    assert_error(root.set_len(0), "IsDirectory");
}
