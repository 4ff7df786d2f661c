//! What the blocks hold, to the byte. `docs/design/volume.md` has the same in tables.
//!
//! Numbers are little-endian. Decoders bound everything although the blocks are authentic by then: a mistake in an
//! earlier program must not become a panic in this one.

mod catalog;
mod pointer;
mod record;
mod superblock;

use std::sync::Arc;

use crate::disk::BLOCK;

pub(crate) use catalog::{ENTRIES, ENTRY_LEN, ENTRY_POINTER, Entry};
pub(crate) use pointer::{KeyId, POINTER_LEN, POINTER_TAG, Pointer, pointer_at, put_pointer};
pub(crate) use record::{GENERATIONS, RECORD_LEN, RECORD_POINTER, RECORDS, Record};
pub(crate) use superblock::{AnchorMark, BODY_AT, BODY_LEN, Body, Header, HeaderError, WRAPPED_AT, is_blank};

/// A block's contents.
pub(crate) type Block = [u8; BLOCK];

/// A block of its own with these bytes, copied once.
pub(crate) fn shared(bytes: &Block) -> Arc<Block> {
    let slice: Arc<[u8]> = Arc::from(&bytes[..]);
    // A slice of this length is a block, so the copy is never made again.
    slice.try_into().unwrap_or_else(|_| Arc::new(*bytes))
}

/// Pointers in a node.
pub(crate) const FANOUT: u64 = 102;

/// The highest level that a root can have: `FANOUT.pow(6)` blocks are more than [`crate::MAX_LENGTH`] bytes.
pub(crate) const MAX_LEVEL: u8 = 6;

/// The object number of a dataset's table of objects.
pub(crate) const TABLE: u64 = 0;
/// The dataset number of the volume's own structures.
pub(crate) const STRUCTURE: u64 = 0;
/// The catalog's object number in [`STRUCTURE`].
pub(crate) const CATALOG: u64 = 1;
/// The bitmap's object number in [`STRUCTURE`].
pub(crate) const BITMAP: u64 = 2;

/// Blocks that a node of `level` leads to; 1 for level 0, the data.
pub(crate) fn span(level: u8) -> u64 {
    FANOUT.saturating_pow(u32::from(level))
}

/// The level of a root that reaches block `index`.
pub(crate) fn level_for(index: u64) -> u8 {
    (0..=MAX_LEVEL).find(|&level| index < span(level)).unwrap_or(MAX_LEVEL)
}

/// Where a block stands in the volume's trees, whatever the place on the disk. It is the additional authenticated data
/// of the block, so that no block can stand for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The dataset's number, never reused.
    pub(crate) dataset: u64,
    /// The object's number.
    pub(crate) object: u64,
    /// 0 for data.
    pub(crate) level: u8,
    /// Which block of the level.
    pub(crate) index: u64,
}

impl Place {
    /// Bytes of the additional authenticated data.
    pub(crate) const AAD_LEN: usize = 25;

    pub(crate) fn aad(&self) -> [u8; Self::AAD_LEN] {
        let mut aad = [0; Self::AAD_LEN];
        aad[..8].copy_from_slice(&self.dataset.to_le_bytes());
        aad[8..16].copy_from_slice(&self.object.to_le_bytes());
        aad[16] = self.level;
        aad[17..].copy_from_slice(&self.index.to_le_bytes());
        aad
    }

    /// The node above.
    pub(crate) fn parent(&self) -> Place {
        Place { level: self.level + 1, index: self.index / FANOUT, ..*self }
    }

    /// Which pointer of the node above leads here.
    pub(crate) fn slot(&self) -> usize {
        (self.index % FANOUT) as usize
    }

    /// The block that pointer `slot` of this node leads to.
    pub(crate) fn child(&self, slot: usize) -> Place {
        Place { level: self.level - 1, index: self.index * FANOUT + slot as u64, ..*self }
    }
}

/// The bytes of a block are not of the form that they should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

fn u48_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number[..6].copy_from_slice(&bytes[at..at + 6]);
    u64::from_le_bytes(number)
}

fn put_u48(bytes: &mut [u8], at: usize, number: u64) {
    debug_assert!(number < 1 << 48);
    bytes[at..at + 6].copy_from_slice(&number.to_le_bytes()[..6]);
}

pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_reaches_the_longest_object() {
        assert!(span(MAX_LEVEL) * BLOCK as u64 >= crate::MAX_LENGTH);
        assert_eq!(level_for(0), 0);
        assert_eq!(level_for(1), 1);
        assert_eq!(level_for(101), 1);
        assert_eq!(level_for(102), 2);
        assert_eq!(level_for(crate::MAX_LENGTH / BLOCK as u64 - 1), MAX_LEVEL);
    }

    #[test]
    fn places_know_their_relatives() {
        let place = Place { dataset: 1, object: 2, level: 0, index: 102 * 7 + 3 };
        assert_eq!(place.parent(), Place { level: 1, index: 7, ..place });
        assert_eq!(place.parent().child(place.slot()), place);
        assert_ne!(place.aad(), place.parent().aad());
    }
}
