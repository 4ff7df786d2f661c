//! Which blocks of the disk are free.
//!
//! A block may be written only if nothing that can still be mounted or is being copied refers to it. So there are two
//! maps: `used`, what the next commit refers to, and `busy`, that and what the last durable commit or a backup still
//! needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::BLOCK;
use crate::layout::Block;

/// Bits in a block of the bitmap.
pub(crate) const BITS: u64 = (BLOCK * 8) as u64;

/// The superblocks' slots.
pub(crate) const SUPERBLOCKS: u64 = 2;

/// Longest run of blocks that is written or read at once.
pub(crate) const RUN: usize = 128;

/// A free tail shorter than this many blocks stays.
pub(crate) const TAIL: u64 = 4096;
/// Free blocks left at the end at least when the tail is cut off.
pub(crate) const SLACK: u64 = 1024;

#[derive(Debug)]
pub(crate) struct Space {
    blocks: u64,
    used: Bits,
    busy: Bits,
    /// Blocks that are not busy.
    available: u64,
    /// No block below is available.
    lowest: u64,
    /// Blocks of the bitmap that changed since they were last written.
    changed: BTreeSet<u64>,
    /// Used by the last snapshot, not by the next.
    freed: Vec<u64>,
    /// Freed by a durable commit, by its epoch, but needed by a pinned one.
    deferred: Vec<(u64, Vec<u64>)>,
    /// Epochs that backups copy, and how many do.
    pins: BTreeMap<u64, usize>,
}

impl Space {
    /// All of a disk of `blocks` but the superblocks is free.
    pub(crate) fn new(blocks: u64) -> Space {
        let mut space = Space {
            blocks,
            used: Bits::new(blocks),
            busy: Bits::new(blocks),
            available: blocks,
            lowest: SUPERBLOCKS,
            changed: (0..blocks.div_ceil(BITS)).collect(),
            freed: Vec::new(),
            deferred: Vec::new(),
            pins: BTreeMap::new(),
        };
        for block in 0..SUPERBLOCKS.min(blocks) {
            space.mark(block);
        }
        space
    }

    /// From the bitmap of a commit, a block of it after the other.
    pub(crate) fn decode(blocks: u64, bitmap: &[std::sync::Arc<Block>]) -> Space {
        let mut used = Bits::new(blocks);
        for (words, block) in used.0.chunks_mut(BLOCK / 8).zip(bitmap) {
            for (word, bytes) in words.iter_mut().zip(block.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
        }
        for block in 0..SUPERBLOCKS {
            used.set(block);
        }
        used.truncate(blocks);
        Space::of_used(blocks, used)
    }

    /// The blocks of `used` are taken.
    pub(crate) fn of_used(blocks: u64, used: Bits) -> Space {
        let available = blocks - used.count();
        let busy = used.clone();
        Space { used, busy, available, changed: BTreeSet::new(), ..Space::new(blocks) }
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The whole bitmap must be written.
    pub(crate) fn touch_all(&mut self) {
        self.changed = (0..self.blocks.div_ceil(BITS)).collect();
    }

    /// Blocks that can be written now.
    pub(crate) fn available(&self) -> u64 {
        self.available
    }

    /// One more than the last block that is taken.
    pub(crate) fn end(&self) -> u64 {
        self.busy.end()
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.count()
    }

    /// Whether a pointer to `block` can be followed.
    pub(crate) fn contains(&self, block: u64) -> bool {
        (SUPERBLOCKS..self.blocks).contains(&block)
    }

    /// Takes `count` blocks, in runs where there are any, lowest first. None where fewer are available.
    pub(crate) fn allocate(&mut self, count: usize, into: &mut Vec<u64>) -> Option<()> {
        if (count as u64) > self.available {
            return None;
        }
        let mut left = count;
        let mut run = RUN.min(left);
        while left > 0 {
            run = run.min(left);
            let found = if run >= SHORTEST_RUN {
                self.busy.free_run(self.lowest, self.blocks, run as u64)
            } else {
                None
            };
            if run >= SHORTEST_RUN && found.is_none() {
                run /= 4;
                continue;
            }
            let start = match found {
                Some(start) => start,
                None => self.busy.first_free(self.lowest, self.blocks)?,
            };
            let length = if found.is_some() { run } else { 1 };
            for block in start..start + length as u64 {
                self.mark(block);
                into.push(block);
            }
            left -= length;
        }
        self.lowest = self.busy.first_free(self.lowest, self.blocks).unwrap_or(self.blocks);
        Some(())
    }

    /// The next commit no longer refers to `block`. It can be written again once that commit is durable.
    pub(crate) fn free(&mut self, block: u64) {
        // A pointer outside the disk, or to a block freed already, can only come from damage; it frees nothing.
        if !self.contains(block) || !self.used.is_set(block) {
            return;
        }
        self.used.clear(block);
        self.changed.insert(block / BITS);
        self.freed.push(block);
    }

    /// The blocks of the bitmap that changed, which are now taken as written.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.changed)
    }

    /// The contents of block `index` of the bitmap.
    pub(crate) fn bitmap(&self, index: u64) -> Box<Block> {
        let mut block = Box::new([0; BLOCK]);
        let words = BLOCK / 8;
        for (bytes, word) in block.chunks_exact_mut(8).zip(self.used.0.iter().skip(index as usize * words)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        block
    }

    /// Blocks that the snapshot that is being taken no longer refers to.
    pub(crate) fn take_freed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.freed)
    }

    /// The commit of `epoch` is durable, so what it freed can be written, if no backup needs it.
    pub(crate) fn release(&mut self, epoch: u64, freed: Vec<u64>) {
        if self.is_pinned(epoch) {
            self.deferred.push((epoch, freed));
        } else {
            self.make_available(&freed);
        }
    }

    /// Whether a backup needs blocks that the commit of `epoch` freed.
    pub(crate) fn is_pinned(&self, epoch: u64) -> bool {
        self.pins.first_key_value().is_some_and(|(&pinned, _)| pinned < epoch)
    }

    /// Keeps all blocks of the commit of `epoch`, which must be the last durable one.
    pub(crate) fn pin(&mut self, epoch: u64) {
        *self.pins.entry(epoch).or_default() += 1;
    }

    pub(crate) fn unpin(&mut self, epoch: u64) {
        if let Some(count) = self.pins.get_mut(&epoch) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(&epoch);
            }
        }
        for (epoch, freed) in std::mem::take(&mut self.deferred) {
            self.release(epoch, freed);
        }
    }

    /// The disk got longer.
    pub(crate) fn grow(&mut self, blocks: u64) {
        if blocks <= self.blocks {
            return;
        }
        let before = self.blocks.div_ceil(BITS);
        self.changed.extend(before..blocks.div_ceil(BITS));
        self.available += blocks - self.blocks;
        self.blocks = blocks;
        self.used.resize(blocks);
        self.busy.resize(blocks);
    }

    /// Gives up a long free tail but for `kept` blocks; the new length where there was one.
    pub(crate) fn cut_tail(&mut self, kept: u64) -> Option<u64> {
        let end = self.busy.end() + kept.max(SLACK);
        if end >= self.blocks {
            return None;
        }
        let tail = self.blocks - end;
        if tail <= TAIL || tail <= self.blocks / 4 {
            return None;
        }
        self.available -= tail;
        self.blocks = end;
        self.used.resize(end);
        self.busy.resize(end);
        self.changed.retain(|&index| index < end.div_ceil(BITS));
        self.lowest = self.lowest.min(end);
        Some(end)
    }

    fn mark(&mut self, block: u64) {
        self.used.set(block);
        self.busy.set(block);
        self.available -= 1;
        self.changed.insert(block / BITS);
    }

    fn make_available(&mut self, freed: &[u64]) {
        for &block in freed {
            // Beyond the end when the tail was cut off; used again never, since it was busy until now.
            if block < self.blocks && self.busy.is_set(block) {
                self.busy.clear(block);
                self.available += 1;
                self.lowest = self.lowest.min(block);
            }
        }
    }
}

/// Runs shorter than this are not looked for.
const SHORTEST_RUN: usize = 8;

/// A bit for each block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn new(bits: u64) -> Bits {
        Bits(vec![0; bits.div_ceil(64) as usize])
    }

    pub(crate) fn is_set(&self, bit: u64) -> bool {
        self.0[(bit / 64) as usize] & (1 << (bit % 64)) != 0
    }

    pub(crate) fn set(&mut self, bit: u64) {
        self.0[(bit / 64) as usize] |= 1 << (bit % 64);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Sets the first `bits`.
    pub(crate) fn fill(&mut self, bits: u64) {
        self.0.fill(u64::MAX);
        self.truncate(bits);
    }

    fn clear(&mut self, bit: u64) {
        self.0[(bit / 64) as usize] &= !(1 << (bit % 64));
    }

    fn resize(&mut self, bits: u64) {
        self.0.resize(bits.div_ceil(64) as usize, 0);
        self.truncate(bits);
    }

    /// Clears what is beyond `bits`.
    fn truncate(&mut self, bits: u64) {
        if !bits.is_multiple_of(64)
            && let Some(last) = self.0.get_mut((bits / 64) as usize)
        {
            *last &= (1 << (bits % 64)) - 1;
        }
    }

    /// One more than the last set bit.
    fn end(&self) -> u64 {
        let last = self.0.iter().rposition(|&word| word != 0);
        last.map_or(0, |at| at as u64 * 64 + 64 - u64::from(self.0[at].leading_zeros()))
    }

    fn first_free(&self, from: u64, end: u64) -> Option<u64> {
        let mut at = (from / 64) as usize;
        let mut below = (1_u64 << (from % 64)) - 1;
        while at < self.0.len() {
            let word = self.0[at] | below;
            if word != u64::MAX {
                let bit = at as u64 * 64 + u64::from(word.trailing_ones());
                return (bit < end).then_some(bit);
            }
            below = 0;
            at += 1;
        }
        None
    }

    fn first_set(&self, from: u64, end: u64) -> u64 {
        let mut at = (from / 64) as usize;
        let mut mask = u64::MAX << (from % 64);
        while at < self.0.len() {
            let word = self.0[at] & mask;
            if word != 0 {
                return (at as u64 * 64 + u64::from(word.trailing_zeros())).min(end);
            }
            mask = u64::MAX;
            at += 1;
        }
        end
    }

    /// The first `length` free bits in a row.
    fn free_run(&self, from: u64, end: u64, length: u64) -> Option<u64> {
        let mut start = self.first_free(from, end)?;
        loop {
            let stop = self.first_set(start, end);
            if stop - start >= length {
                return Some(start);
            }
            if stop >= end {
                return None;
            }
            start = self.first_free(stop, end)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn take(space: &mut Space, count: usize) -> Vec<u64> {
        let mut blocks = Vec::new();
        space.allocate(count, &mut blocks).unwrap();
        blocks
    }

    #[test]
    fn blocks_come_lowest_first_and_never_twice() {
        let mut space = Space::new(300);
        let first = take(&mut space, 200);
        assert_eq!(first, (2..202).collect::<Vec<_>>());
        let second = take(&mut space, 98);
        assert_eq!(second, (202..300).collect::<Vec<_>>());
        assert_eq!(space.available(), 0);
        assert!(space.allocate(1, &mut Vec::new()).is_none());
    }

    #[test]
    fn a_freed_block_waits_for_its_commit() {
        let mut space = Space::new(20);
        let blocks = take(&mut space, 18);
        space.free(blocks[3]);
        space.free(blocks[3]);
        assert_eq!(space.available(), 0);
        let freed = space.take_freed();
        assert_eq!(freed, vec![5]);
        space.release(1, freed);
        assert_eq!(take(&mut space, 1), vec![5]);
    }

    #[test]
    fn a_backup_keeps_what_later_commits_free() {
        let mut space = Space::new(20);
        let blocks = take(&mut space, 18);
        space.pin(7);
        space.free(blocks[0]);
        let freed = space.take_freed();
        space.release(8, freed);
        assert_eq!(space.available(), 0);
        space.unpin(7);
        assert_eq!(space.available(), 1);
    }

    #[test]
    fn long_runs_are_preferred_to_scattered_blocks() {
        let mut space = Space::new(1000);
        let blocks = take(&mut space, 500);
        let scattered = blocks.iter().copied().filter(|block| block % 5 == 0).collect::<Vec<_>>();
        for &block in &scattered {
            space.free(block);
        }
        let freed = space.take_freed();
        space.release(1, freed);
        assert_eq!(take(&mut space, 64), (502..566).collect::<Vec<_>>());
        assert_eq!(take(&mut space, 1), vec![scattered[0]]);
    }

    #[test]
    fn a_bitmap_round_trips_and_hostile_bits_are_cut_off() {
        let mut space = Space::new(BITS + 100);
        take(&mut space, 700);
        let bitmap = (0..2).map(|index| Arc::from(space.bitmap(index))).collect::<Vec<Arc<Block>>>();
        let again = Space::decode(BITS + 100, &bitmap);
        assert_eq!(again.used, space.used);
        assert_eq!(again.available(), space.available());
        let full = [Arc::new([0xff; BLOCK]), Arc::new([0xff; BLOCK])];
        assert_eq!(Space::decode(BITS + 100, &full).available(), 0);
    }

    #[test]
    fn the_disk_grows_and_its_tail_is_cut_off() {
        let mut space = Space::new(100);
        take(&mut space, 98);
        space.grow(BITS * 2);
        assert_eq!(space.available(), BITS * 2 - 100);
        assert!(space.take_changed().contains(&1));
        assert_eq!(space.cut_tail(0), Some(100 + SLACK));
        assert_eq!(space.available(), SLACK);
        assert_eq!(space.cut_tail(0), None);
        let blocks = take(&mut space, SLACK as usize);
        assert_eq!(blocks.last(), Some(&(99 + SLACK)));
    }
}
