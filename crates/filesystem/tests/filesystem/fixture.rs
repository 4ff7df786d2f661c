//! A volume in memory with one app's filesystem on it.

use std::{collections::BTreeMap, sync::Arc};

use cloister_filesystem::{Filesystem, Follow, FsError, Kind, Node, OpenHow};
use cloister_volume::{
    Dataset, Disk, MemoryDisk, MountError, Options, Quota, SealingError, SealingKey, Volume,
};
use zeroize::Zeroizing;

pub(crate) const NAME: &str = "app:test";

pub(crate) const LARGE: Quota = Quota { bytes: 1 << 30, objects: 1 << 20 };

/// The only key that tests need.
pub(crate) struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

pub(crate) fn memory() -> Arc<dyn Disk> {
    Arc::new(MemoryDisk::new(1 << 18))
}

pub(crate) fn create_on(disk: Arc<dyn Disk>, quota: Quota) -> Filesystem {
    let volume = Volume::create(disk, &FixedKey, Options::default()).expect("a new volume");
    Filesystem::open(create_dataset(&volume, NAME, quota)).expect("a new filesystem")
}

pub(crate) fn create_dataset(volume: &Volume, name: &str, quota: Quota) -> Dataset {
    let op = volume.begin();
    volume.create_dataset(&op, name, quota).expect("a new dataset")
}

/// An empty filesystem of an app that may have a lot.
pub(crate) fn filesystem() -> Filesystem {
    create_on(memory(), LARGE)
}

pub(crate) fn mount(disk: Arc<dyn Disk>) -> Result<Volume, MountError> {
    Volume::mount(disk, &FixedKey, Options::default())
}

/// The filesystem after everybody has let go of the volume and it was mounted anew.
pub(crate) fn mounted(disk: Arc<dyn Disk>) -> Filesystem {
    let volume = mount(disk).expect("the volume that was there");
    let dataset = volume.dataset(NAME).expect("a readable catalog").expect("the dataset");
    Filesystem::open(dataset).expect("the filesystem that was there")
}

pub(crate) fn commit(filesystem: &Filesystem) {
    filesystem.dataset().volume().commit().expect("a commit");
}

pub(crate) const CREATE: OpenHow =
    OpenHow { create: true, exclusive: false, truncate: false, directory: false };
pub(crate) const PLAIN: OpenHow =
    OpenHow { create: false, exclusive: false, truncate: false, directory: false };

/// What tests do most.
pub(crate) trait Short {
    fn file(&self, path: &str) -> Node;
    fn put(&self, path: &str, bytes: &[u8]) -> Node;
    fn open(&self, path: &str) -> Result<Node, FsError>;
    fn all(&self) -> Vec<u8>;
    fn names(&self) -> Vec<String>;
    fn links(&self) -> u64;
}

impl Short for Node {
    fn file(&self, path: &str) -> Node {
        self.open_at(path, Follow::Yes, &CREATE).expect("a file that can be made")
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Node {
        let node = self.file(path);
        assert_eq!(node.write_at(0, bytes).expect("a write"), bytes.len());
        node
    }

    fn open(&self, path: &str) -> Result<Node, FsError> {
        self.open_at(path, Follow::Yes, &PLAIN)
    }

    fn all(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.metadata().expect("metadata").size as usize];
        let read = self.read_at(0, &mut bytes).expect("a read");
        assert_eq!(read, bytes.len());
        bytes
    }

    fn names(&self) -> Vec<String> {
        let (entries, more) = self.entries(None, usize::MAX).expect("a list");
        assert_eq!(more, None);
        entries.into_iter().map(|entry| entry.name).collect()
    }

    fn links(&self) -> u64 {
        self.metadata().expect("metadata").links
    }
}

/// Every path of the tree, with what is there.
pub(crate) fn dump(filesystem: &Filesystem) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let root = filesystem.root().expect("a root");
    let mut to_visit = vec![(String::new(), root.clone())];
    while let Some((path, directory)) = to_visit.pop() {
        let (entries, _) = directory.entries(None, usize::MAX).expect("a list");
        for entry in entries {
            let below = format!("{path}{}", entry.name);
            let what = match entry.kind {
                Kind::Directory => {
                    let child = directory.open(&entry.name).expect("a directory");
                    to_visit.push((format!("{below}/"), child));
                    "directory".to_owned()
                }
                Kind::Symlink => {
                    format!("link to {}", directory.read_link_at(&entry.name).expect("a target"))
                }
                Kind::File => {
                    let file = directory.open(&entry.name).expect("a file");
                    format!("file of {}: {}", file.links(), fingerprint(&file.all()))
                }
            };
            found.insert(below, what);
        }
    }
    found
}

/// Length and content in few characters.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{} bytes, {sum:016x}", bytes.len())
}

/// Fails with what does not agree.
pub(crate) fn assert_consistent(filesystem: &Filesystem) {
    let report = filesystem.verify().expect("a report");
    assert_eq!(report.inconsistencies, [], "{report:?}");
}

/// The name of an error's variant.
pub(crate) fn name_of(error: &FsError) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// `a?=NotDirectory` in a test's table.
#[track_caller]
pub(crate) fn assert_error<T: std::fmt::Debug>(result: Result<T, FsError>, expected: &str) {
    let error = result.expect_err("an error");
    assert_eq!(name_of(&error), expected);
}
