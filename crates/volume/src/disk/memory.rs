//! A disk in memory, for tests and for volumes that need not outlive their process.

use super::Disk;
use crate::BLOCK;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk in memory. A clone is the same disk; [`fork`](Self::fork) makes another with the same contents.
///
/// A block that was never written, or discarded, reads as zeros and takes no memory.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    image: Arc<Mutex<Image>>,
    max_blocks: u64,
}

impl MemoryDisk {
    /// An empty disk that grows to `max_blocks` blocks of [`BLOCK`] bytes.
    pub fn new(max_blocks: u64) -> Self {
        Self::of(Image::default(), max_blocks)
    }

    /// A disk that holds `bytes`, the last block filled up with zeros, and grows to `max_blocks` blocks.
    pub fn from_bytes(bytes: &[u8], max_blocks: u64) -> Self {
        let mut image = Image::default();
        image.resize(bytes.len().div_ceil(BLOCK));
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let mut content = [0; BLOCK];
            content[..block.len()].copy_from_slice(block);
            image.put(index, Arc::new(content));
        }
        Self::of(image, max_blocks)
    }

    /// All of its bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let image = self.image();
        let mut bytes = vec![0; image.len() * BLOCK];
        for (index, into) in bytes.chunks_exact_mut(BLOCK).enumerate() {
            image.copy(index, into);
        }
        bytes
    }

    /// Another disk with the same contents. Blocks are shared until one of the two writes them, so this is cheap.
    pub fn fork(&self) -> Self {
        Self::of(self.image().clone(), self.max_blocks)
    }

    /// Changes a block behind its user's back, as a host can. Nothing happens where the disk has no such block.
    pub fn modify(&self, block: u64, change: impl FnOnce(&mut [u8])) {
        let mut image = self.image();
        let Some(index) = image.index(block) else { return };
        let mut content = [0; BLOCK];
        image.copy(index, &mut content);
        change(&mut content);
        image.put(index, Arc::new(content));
    }

    pub(super) fn of(image: Image, max_blocks: u64) -> Self {
        Self { image: Arc::new(Mutex::new(image)), max_blocks }
    }

    pub(super) fn max_blocks(&self) -> u64 {
        self.max_blocks
    }

    pub(super) fn image(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many blocks a disk of `blocks` has as a number that addresses memory.
    pub(super) fn checked_length(&self, blocks: u64) -> io::Result<usize> {
        if blocks > self.max_blocks {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk cannot grow that far"));
        }
        usize::try_from(blocks).map_err(|_| io::ErrorKind::StorageFull.into())
    }
}

impl Disk for MemoryDisk {
    fn blocks(&self) -> io::Result<u64> {
        Ok(self.image().len() as u64)
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        let length = self.checked_length(blocks)?;
        self.image().resize(length);
        Ok(())
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        let image = self.image();
        let first = image.run(block, into.len())?;
        for (index, into) in into.chunks_exact_mut(BLOCK).enumerate() {
            image.copy(first + index, into);
        }
        Ok(())
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let mut image = self.image();
        let first = image.run(block, bytes.len())?;
        for (index, content) in contents(bytes).enumerate() {
            image.put(first + index, content);
        }
        Ok(())
    }

    fn discard(&self, block: u64, count: u64) -> io::Result<()> {
        self.image().discard(block, count);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One block's bytes.
pub(super) type Content = Arc<[u8; BLOCK]>;

/// The whole blocks of `bytes`.
pub(super) fn contents(bytes: &[u8]) -> impl Iterator<Item = Content> {
    bytes.chunks_exact(BLOCK).map(|chunk| {
        let mut content = [0; BLOCK];
        content.copy_from_slice(chunk);
        Arc::new(content)
    })
}

/// What is on a disk. A clone shares the blocks.
#[derive(Clone, Default)]
pub(super) struct Image(Vec<Option<Content>>);

impl Image {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn resize(&mut self, blocks: usize) {
        self.0.resize(blocks, None);
    }

    pub(super) fn discard(&mut self, block: u64, count: u64) {
        let (Some(first), Ok(count)) = (self.index(block), usize::try_from(count)) else { return };
        let end = first.saturating_add(count).min(self.len());
        self.0[first..end].fill(None);
    }

    /// The block as memory is addressed, where there is such a block.
    pub(super) fn index(&self, block: u64) -> Option<usize> {
        usize::try_from(block).ok().filter(|index| *index < self.len())
    }

    /// Where `length` bytes from `block` on begin, if they are whole blocks and all of them exist.
    pub(super) fn run(&self, block: u64, length: usize) -> io::Result<usize> {
        if !length.is_multiple_of(BLOCK) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a whole number of blocks"));
        }
        usize::try_from(block)
            .ok()
            .filter(|first| first.checked_add(length / BLOCK).is_some_and(|end| end <= self.len()))
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "past the end of the disk"))
    }

    /// # Panics
    /// Where there is no such block, or `into` is not of a block's length.
    pub(super) fn copy(&self, index: usize, into: &mut [u8]) {
        match &self.0[index] {
            Some(content) => into.copy_from_slice(&content[..]),
            None => into.fill(0),
        }
    }

    /// # Panics
    /// Where there is no such block.
    pub(super) fn put(&mut self, index: usize, content: Content) {
        self.0[index] = Some(content);
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Image").field("blocks", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_disk_and_a_fork_is_not() {
        let disk = MemoryDisk::new(8);
        disk.resize(2).unwrap();
        let (clone, fork) = (disk.clone(), disk.fork());
        disk.write(1, &[7; BLOCK]).unwrap();
        assert_eq!(read(&clone, 1), [7; BLOCK]);
        assert_eq!(read(&fork, 1), [0; BLOCK]);
    }

    #[test]
    fn it_grows_to_its_limit() {
        let disk = MemoryDisk::new(3);
        disk.resize(3).unwrap();
        assert_eq!(disk.resize(4).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.resize(u64::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.blocks().unwrap(), 3);
    }

    #[test]
    fn what_was_cut_off_comes_back_as_zeros() {
        let disk = MemoryDisk::new(3);
        disk.resize(3).unwrap();
        disk.write(2, &[1; BLOCK]).unwrap();
        disk.resize(2).unwrap();
        disk.resize(3).unwrap();
        assert_eq!(read(&disk, 2), [0; BLOCK]);
    }

    #[test]
    fn past_the_end_is_an_error() {
        let disk = MemoryDisk::new(3);
        disk.resize(3).unwrap();
        for block in [2, 3, u64::MAX] {
            let kind = io::ErrorKind::UnexpectedEof;
            assert_eq!(disk.write(block, &[1; 2 * BLOCK]).unwrap_err().kind(), kind);
            assert_eq!(disk.read(block, &mut [1; 2 * BLOCK]).unwrap_err().kind(), kind);
            disk.discard(block, u64::MAX).unwrap();
        }
        assert_eq!(disk.read(0, &mut [1; 100]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_snapshot_makes_an_equal_disk() {
        let disk = MemoryDisk::new(3);
        disk.resize(3).unwrap();
        disk.write(1, &[9; BLOCK]).unwrap();
        let again = MemoryDisk::from_bytes(&disk.snapshot(), 3);
        assert_eq!(again.snapshot(), disk.snapshot());
        assert_eq!(again.blocks().unwrap(), 3);
        assert_eq!(MemoryDisk::from_bytes(&[1; BLOCK + 1], 9).blocks().unwrap(), 2);
    }

    #[test]
    fn a_block_is_changed_behind_its_users_back() {
        let disk = MemoryDisk::new(3);
        disk.resize(1).unwrap();
        disk.modify(0, |bytes| bytes[5] ^= 1);
        assert_eq!(read(&disk, 0)[5], 1);
        disk.modify(1, |_| panic!("there is no such block"));
    }

    fn read(disk: &MemoryDisk, block: u64) -> [u8; BLOCK] {
        let mut into = [0xAA; BLOCK];
        disk.read(block, &mut into).unwrap();
        into
    }
}
