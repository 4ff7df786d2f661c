//! Quotas and other bounds.

use cloister_filesystem::{Follow, FsError, MAX_LINKS};
use cloister_volume::{ObjectId, Quota};

use crate::fixture::{Short, assert_consistent, assert_error, create_on, dump, filesystem, memory};

#[test]
fn quota_of_nodes() {
    let filesystem = create_on(memory(), Quota { bytes: 1 << 20, objects: 3 });
    let root = filesystem.root().unwrap();
    root.create_directory_at("a").unwrap();
    root.put("b", b"");
    let before = dump(&filesystem);
    assert_error(root.create_directory_at("c"), "Quota");
    assert_error(root.symlink_at("a", "c"), "Quota");
    assert_error(root.open_at("c", Follow::Yes, &crate::fixture::CREATE), "Quota");
    assert_eq!(dump(&filesystem), before);
    root.link_at("b", Follow::No, &root, "c").unwrap();
    root.remove_directory_at("a").unwrap();
    root.symlink_at("b", "a").unwrap();
    assert_consistent(&filesystem);
}

#[test]
fn quota_of_bytes_leaves_all_as_it_was() {
    let filesystem = create_on(memory(), Quota { bytes: 4 * 4096, objects: 100 });
    let root = filesystem.root().unwrap();
    root.create_directory_at("empty").unwrap();
    let file = root.put("file", &[1; 3 * 4096]);
    let before = (dump(&filesystem), filesystem.usage());
    assert_error(file.append(b"x"), "Quota");
    assert_error(file.write_at(4095, &[2; 2 * 4096 + 2]), "Quota");
    assert_error(root.symlink_at("file", "link"), "Quota");
    // The empty directory has no block yet.
    assert_error(root.rename_at("file", &root, "empty/file"), "Quota");
    assert_error(root.link_at("file", Follow::No, &root, "empty/file"), "Quota");
    assert_error(root.create_directory_at("empty/directory"), "Quota");
    assert_eq!((dump(&filesystem), filesystem.usage()), before);
    file.write_at(0, &[3; 3 * 4096]).unwrap();
    root.put("no bytes", b"");
    file.set_len(1).unwrap();
    root.symlink_at("file", "link").unwrap();
    assert_consistent(&filesystem);
}

#[test]
fn everything_can_be_removed_when_all_is_full() {
    let filesystem = create_on(memory(), Quota { bytes: 20 * 4096, objects: 400 });
    let root = filesystem.root().unwrap();
    let mut made = 0;
    while let Ok(file) =
        root.open_at(&format!("{made}{}", "-".repeat(200)), Follow::Yes, &crate::fixture::CREATE)
    {
        made += 1;
        if file.append(b"x").is_err() {
            break;
        }
    }
    assert!(made > 5);
    for number in 0..made {
        root.unlink_file_at(&format!("{number}{}", "-".repeat(200))).unwrap();
    }
    assert_eq!((filesystem.usage().objects, filesystem.usage().bytes), (1, 0));
    assert_consistent(&filesystem);
}

#[test]
fn links_are_counted_to_65535() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"");
    let id = ObjectId(file.metadata().unwrap().inode);
    {
        let dataset = filesystem.dataset();
        let op = dataset.volume().begin();
        let mut attributes = dataset.object(id).unwrap().attributes;
        attributes[4..8].copy_from_slice(&(MAX_LINKS - 1).to_le_bytes());
        dataset.set_attributes(&op, id, &attributes).unwrap();
    }
    root.link_at("file", Follow::No, &root, "last").unwrap();
    assert_error(root.link_at("file", Follow::No, &root, "one more"), "TooManyLinks");
    assert_eq!(file.links(), u64::from(MAX_LINKS));
    assert_eq!(root.names(), ["file", "last"]);
}

#[test]
fn one_resolution_goes_4096_steps() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.put("file", b"x");
    let path = |steps: usize, last: &str| format!("{}{last}", "./".repeat(steps - 1));
    for number in 0..39 {
        root.symlink_at(&path(2000, &format!("{}", number + 1)), &number.to_string()).unwrap();
    }
    root.symlink_at(&path(2000, "file"), "39").unwrap();
    assert_error(root.open("0"), "Loop");
    assert_error(root.open("0/below"), "Loop");
    assert_error(root.open("37"), "Loop");
    assert_eq!(root.open(&path(96, "38")).unwrap().all(), b"x");
    assert_error(root.open(&path(97, "38")), "Loop");
    root.symlink_at(".", "here").unwrap();
    assert_eq!(root.open(&path(95, "here/38")).unwrap_err().to_string(), FsError::Loop.to_string());
    assert_eq!(root.open(&path(94, "here/38")).unwrap().all(), b"x");
}

#[test]
fn removed_dataset_is_an_error() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let file = root.put("file", b"x");
    {
        let volume = filesystem.dataset().volume();
        let op = volume.begin();
        volume.remove_dataset(&op, crate::fixture::NAME).unwrap();
    }
    assert!(matches!(file.read_at(0, &mut [0]), Err(FsError::Io(_))));
    assert!(matches!(file.append(b"x"), Err(FsError::Io(_))));
    assert!(root.create_directory_at("x").is_err());
}
