//! Which directories are in memory: the ones used last, up to a number of bytes for one filesystem and for all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Directory;

/// Directories by the number of their inode. All of them are as on the volume, so any may be forgotten.
#[derive(Debug)]
pub(crate) struct Cache {
    directories: HashMap<u64, Held>,
    /// When each was used last.
    uses: BTreeMap<u64, u64>,
    next_use: u64,
    bytes: usize,
    all: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Held {
    directory: Directory,
    used: u64,
    bytes: usize,
}

impl Cache {
    /// An empty one. `all` counts the bytes of the caches that share it.
    pub(crate) fn new(all: Arc<AtomicUsize>) -> Self {
        Self { directories: HashMap::new(), uses: BTreeMap::new(), next_use: 0, bytes: 0, all }
    }

    /// Takes a directory out for use; [`Cache::put`] brings it back.
    pub(crate) fn take(&mut self, inode: u64) -> Option<Directory> {
        let used = self.directories.get(&inode)?.used;
        self.uses.remove(&used);
        self.remove(inode)
    }

    /// Forgets others where they would be too much together, and this one where other filesystems leave no room.
    pub(crate) fn put(&mut self, inode: u64, directory: Directory) {
        self.take(inode);
        let bytes = directory.bytes();
        while self.bytes + bytes > MAX_BYTES {
            let Some((_, oldest)) = self.uses.pop_first() else { break };
            self.remove(oldest);
        }
        while !self.claim(bytes) {
            let Some((_, oldest)) = self.uses.pop_first() else { return };
            self.remove(oldest);
        }
        let used = self.next_use;
        self.next_use += 1;
        self.bytes += bytes;
        self.uses.insert(used, inode);
        self.directories.insert(inode, Held { directory, used, bytes });
    }

    fn remove(&mut self, inode: u64) -> Option<Directory> {
        let held = self.directories.remove(&inode)?;
        self.bytes -= held.bytes;
        self.all.fetch_sub(held.bytes, Ordering::Relaxed);
        Some(held.directory)
    }

    /// Counts so many bytes more, where all caches together may take them.
    fn claim(&self, bytes: usize) -> bool {
        let more = |all: usize| all.checked_add(bytes).filter(|&all| all <= MAX_BYTES_OF_ALL);
        self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// What the directories in memory take, roughly.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Enclave memory for directories that are not in use at this moment, for each filesystem. One that is larger alone
/// is kept as the only one.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// The same for all filesystems of a process together.
const MAX_BYTES_OF_ALL: usize = 64 << 20;

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
        let mut cache = Cache::new(Arc::default());
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
    fn all_filesystems_together_are_bounded() {
        let all: Arc<AtomicUsize> = Arc::default();
        let mut caches: Vec<Cache> = (0..10).map(|_| Cache::new(Arc::clone(&all))).collect();
        for cache in &mut caches {
            cache.put(1, directory(1, MAX_BYTES / 200));
            cache.put(2, directory(2, MAX_BYTES / 400));
        }
        let sum: usize = caches.iter().map(Cache::bytes).sum();
        assert_eq!(sum, all.load(Ordering::Relaxed));
        assert!(sum <= MAX_BYTES_OF_ALL && sum > MAX_BYTES_OF_ALL * 3 / 4, "{sum}");
        let last = caches.last_mut().expect("there are ten");
        last.put(3, directory(3, 10));
        assert!(last.take(3).is_some(), "a small one finds room");
        drop(caches);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_is_too_large_is_alone() {
        let mut cache = Cache::new(Arc::default());
        cache.put(1, directory(1, 10));
        cache.put(2, directory(2, MAX_BYTES / 50));
        assert!(cache.take(1).is_none());
        assert!(cache.take(2).is_some());
        cache.put(1, directory(1, 10));
        cache.put(1, directory(1, 20));
        assert_eq!(cache.bytes(), directory(1, 20).bytes());
    }
}
