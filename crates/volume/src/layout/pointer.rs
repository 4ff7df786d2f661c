//! Pointers: where a block is, under which key and nonce, and its tag.

use super::{Block, FANOUT, array_at, put_u48, u48_at};

/// Bytes of a pointer.
pub(crate) const POINTER_LEN: usize = 40;
/// Where in a pointer the tag begins.
pub(crate) const POINTER_TAG: usize = 24;

/// Names a block key of a dataset.
pub(crate) type KeyId = [u8; 12];

/// Names a block's one version.
///
/// | bytes | |
/// |---|---|
/// | 0..6 | block on the disk; 0 for no block |
/// | 6..12 | counter: the nonce |
/// | 12..24 | key id |
/// | 24..40 | tag |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) block: u64,
    pub(crate) counter: u64,
    pub(crate) key: KeyId,
    pub(crate) tag: [u8; 16],
}

impl Pointer {
    /// The pointer at the start of `bytes`, which are at least [`POINTER_LEN`]; none where there is no block.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Pointer> {
        let block = u48_at(bytes, 0);
        (block != 0).then(|| Pointer {
            block,
            counter: u48_at(bytes, 6),
            key: array_at(bytes, 12),
            tag: array_at(bytes, POINTER_TAG),
        })
    }

    pub(crate) fn encode(pointer: Option<&Pointer>, into: &mut [u8]) {
        let Some(pointer) = pointer else {
            into[..POINTER_LEN].fill(0);
            return;
        };
        put_u48(into, 0, pointer.block);
        put_u48(into, 6, pointer.counter);
        into[12..24].copy_from_slice(&pointer.key);
        into[POINTER_TAG..POINTER_LEN].copy_from_slice(&pointer.tag);
    }

    /// Whether both name the same encryption; the tag may not be known yet.
    pub(crate) fn is_same_encryption(&self, other: &Pointer) -> bool {
        (self.block, self.counter, self.key) == (other.block, other.counter, other.key)
    }
}

/// Pointer `slot` of a node.
pub(crate) fn pointer_at(node: &Block, slot: usize) -> Option<Pointer> {
    debug_assert!((slot as u64) < FANOUT);
    Pointer::decode(&node[slot * POINTER_LEN..])
}

pub(crate) fn put_pointer(node: &mut Block, slot: usize, pointer: Option<&Pointer>) {
    debug_assert!((slot as u64) < FANOUT);
    Pointer::encode(pointer, &mut node[slot * POINTER_LEN..(slot + 1) * POINTER_LEN]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::BLOCK;

    #[test]
    fn pointers_round_trip_in_the_last_slot() {
        let pointer = Pointer { block: (1 << 48) - 1, counter: 7, key: [3; 12], tag: [9; 16] };
        let mut node = [0; BLOCK];
        put_pointer(&mut node, FANOUT as usize - 1, Some(&pointer));
        assert_eq!(pointer_at(&node, FANOUT as usize - 1), Some(pointer));
        assert_eq!(pointer_at(&node, 0), None);
        put_pointer(&mut node, FANOUT as usize - 1, None);
        assert_eq!(node, [0; BLOCK]);
    }
}
