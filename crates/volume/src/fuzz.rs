//! The decoders of what is on the disk, for fuzzing: none may panic, whatever the bytes.

use crate::disk::BLOCK;
use crate::layout::{
    self, BODY_AT, BODY_LEN, Block, Body, ENTRY_LEN, Entry, FANOUT, Header, RECORD_LEN, RECORDS, Record,
    pointer_at,
};
use crate::space::Space;

/// A superblock: its header, and its body as if it had been decrypted.
pub fn superblock(bytes: &[u8]) {
    let block = block(bytes);
    let _ = Header::decode(&block);
    if let Ok(body) = Body::decode(&block[BODY_AT..]) {
        debug_assert_eq!(body.encode().len(), BODY_LEN);
    }
    layout::is_blank(&block[..]);
}

/// A node of a tree.
pub fn node(bytes: &[u8]) {
    let block = block(bytes);
    for slot in 0..FANOUT as usize {
        let _ = pointer_at(&block, slot);
    }
}

/// A block of a table of objects.
pub fn record(bytes: &[u8]) {
    let block = block(bytes);
    for slot in 0..RECORDS as usize {
        if let Ok(record) = Record::at(&block, slot) {
            let mut again = [0; BLOCK];
            record.put(&mut again, slot);
            assert_eq!(Record::decode(&again[slot * RECORD_LEN..(slot + 1) * RECORD_LEN]), Ok(record));
        }
    }
}

/// A block of the catalog.
pub fn catalog(bytes: &[u8]) {
    for bytes in block(bytes).chunks_exact(ENTRY_LEN) {
        if let Ok(Some(entry)) = Entry::decode(bytes) {
            let mut again = [0; ENTRY_LEN];
            entry.encode(&mut again);
            assert_eq!(Entry::decode(&again), Ok(Some(entry)));
        }
    }
}

/// A block of the map of used blocks, of a disk of a length that fits it and of one that does not.
pub fn bitmap(bytes: &[u8]) {
    let block = std::sync::Arc::new(*block(bytes));
    for blocks in [3, 100, 32_768, 40_000] {
        Space::decode(blocks, std::slice::from_ref(&block));
    }
}

/// `bytes` in a block, cut or with zeros after.
fn block(bytes: &[u8]) -> Box<Block> {
    let mut block = Box::new([0; BLOCK]);
    let length = bytes.len().min(BLOCK);
    block[..length].copy_from_slice(&bytes[..length]);
    block
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_decoder_panics(bytes in proptest::collection::vec(any::<u8>(), 0..5000), first in 0_u8..3) {
            let mut bytes = bytes;
            for record in bytes.chunks_mut(128) {
                record[0] = first;
            }
            super::superblock(&bytes);
            super::node(&bytes);
            super::record(&bytes);
            super::catalog(&bytes);
            super::bitmap(&bytes);
        }
    }
}
