//! Reading sealed blocks from the disk.

use std::io;
use std::sync::Arc;

use crate::disk::{BLOCK, Disk};
use crate::error::VolumeError;
use crate::layout::{Block, shared};
use crate::state::Fetch;

impl Fetch {
    /// Decrypts the block in place; whether it is what was written.
    pub(crate) fn open(&self, bytes: &mut [u8]) -> bool {
        self.cipher.open(self.pointer.counter, &self.place.aad(), bytes, &self.pointer.tag).is_ok()
    }
}

/// Reads and decrypts one block; none where it is not what was written.
pub(crate) fn read_block(disk: &dyn Disk, fetch: &Fetch) -> Result<Option<Arc<Block>>, VolumeError> {
    let mut block = Arc::new([0; BLOCK]);
    let bytes = Arc::make_mut(&mut block);
    let is_authentic = read_run(disk, fetch.pointer.block, bytes)? && fetch.open(bytes);
    Ok(is_authentic.then_some(block))
}

/// Reads and decrypts blocks that follow each other on the disk; none for each that is not what was written.
pub(crate) fn read_together<'a>(
    disk: &dyn Disk,
    fetches: impl ExactSizeIterator<Item = &'a Fetch> + Clone,
) -> Result<Vec<Option<Arc<Block>>>, VolumeError> {
    let one_by_one = || fetches.clone().map(|fetch| read_block(disk, fetch)).collect();
    let Some(first) = fetches.clone().next() else { return Ok(Vec::new()) };
    if fetches.len() == 1 {
        return one_by_one();
    }
    let mut bytes = vec![0; fetches.len() * BLOCK];
    if !read_run(disk, first.pointer.block, &mut bytes)? {
        return one_by_one();
    }
    let blocks = bytes.chunks_exact_mut(BLOCK).zip(fetches).map(|(bytes, fetch)| {
        if !fetch.open(bytes) {
            return None;
        }
        let bytes: &Block = (&*bytes).try_into().ok()?;
        Some(shared(bytes))
    });
    Ok(blocks.collect())
}

/// Reads blocks as they are; false where the disk ends before.
pub(crate) fn read_run(disk: &dyn Disk, block: u64, into: &mut [u8]) -> Result<bool, VolumeError> {
    match disk.read(block, into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(VolumeError::disk("reading", &error)),
    }
}
