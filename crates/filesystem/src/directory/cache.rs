//! Which directories are in memory: the ones used last, up to a number of bytes.

use std::collections::{BTreeMap, HashMap};

use super::Directory;

/// Directories by the number of their inode. All of them are as on the volume, so any may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    directories: HashMap<u64, Held>,
    /// When each was used last.
    uses: BTreeMap<u64, u64>,
    next_use: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    directory: Directory,
    used: u64,
    bytes: usize,
}

impl Cache {
    /// Takes a directory out for use; [`Cache::put`] brings it back.
    pub(crate) fn take(&mut self, inode: u64) -> Option<Directory> {
        let held = self.directories.remove(&inode)?;
        self.uses.remove(&held.used);
        self.bytes -= held.bytes;
        Some(held.directory)
    }

    /// Forgets others where they would be too much together.
    pub(crate) fn put(&mut self, inode: u64, directory: Directory) {
        self.take(inode);
        let bytes = directory.bytes();
        while self.bytes + bytes > MAX_BYTES {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            if let Some(held) = self.directories.remove(&oldest) {
                self.bytes -= held.bytes;
            }
        }
        let used = self.next_use;
        self.next_use += 1;
        self.bytes += bytes;
        self.uses.insert(used, inode);
        self.directories.insert(inode, Held { directory, used, bytes });
    }

    /// What the directories in memory take, roughly.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Enclave memory for directories that are not in use at this moment, for each filesystem. One that is larger alone
/// is kept as the only one.
pub(crate) const MAX_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use cloister_volume::ObjectId;

    use super::*;

    fn directory(inode: u64, entries: usize) -> Directory {
        let mut directory = Directory::empty(ObjectId(inode));
        directory.name_bytes = entries * 100;
        directory
    }

    #[test]
    fn those_used_last_stay() {
        let mut cache = Cache::default();
        let each = MAX_BYTES / 4;
        for inode in 1..=3 {
            cache.put(inode, directory(inode, each / 100));
        }
        let first = cache.take(1).expect("it was put");
        cache.put(1, first);
        for inode in 4..=5 {
            cache.put(inode, directory(inode, each / 100));
        }
        assert!(cache.bytes() <= MAX_BYTES);
        let kept: Vec<u64> = (1..=5).filter(|&inode| cache.take(inode).is_some()).collect();
        assert_eq!(kept, [1, 4, 5]);
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn one_that_is_too_large_is_alone() {
        let mut cache = Cache::default();
        cache.put(1, directory(1, 10));
        cache.put(2, directory(2, MAX_BYTES / 50));
        assert!(cache.take(1).is_none());
        assert!(cache.take(2).is_some());
        cache.put(1, directory(1, 10));
        cache.put(1, directory(1, 20));
        assert_eq!(cache.bytes(), directory(1, 20).bytes());
    }
}
