//! Superblocks: the two blocks that begin everything.

use super::{Block, KeyId};
use super::{Malformed, POINTER_LEN, Pointer, array_at, put_u48, u48_at, u64_at};
use crate::disk::BLOCK;
use crate::{MAX_BLOCKS, MAX_DATASETS, MAX_LINEAGE};

const MAGIC: [u8; 8] = *b"CLOISVOL";
const VERSION: u32 = 1;

/// Where the wrapped volume key begins: what is before it is authenticated with it.
pub(crate) const WRAPPED_AT: usize = 76;
/// Where the encrypted body begins. What is before its tag is authenticated with it.
pub(crate) const BODY_AT: usize = 160;
/// Bytes of the body.
pub(crate) const BODY_LEN: usize = BLOCK - BODY_AT;

/// Where the body names images.
const LINEAGE_AT: usize = 224;

/// Whether a superblock was never written.
pub(crate) fn is_blank(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// The part of a superblock that the host can read.
///
/// | bytes | |
/// |---|---|
/// | 0..8 | `CLOISVOL` |
/// | 8..12 | version: 1 |
/// | 12..16 | 0 |
/// | 16..32 | the volume's identifier |
/// | 32..64 | key identifier for `EGETKEY` |
/// | 64..76 | nonce of the wrapped key |
/// | 76..108 | the volume key, wrapped by the sealing key with AES-128-GCM |
/// | 108..124 | tag of the wrapped key |
/// | 124..136 | key id of the body |
/// | 136..142 | counter of the body |
/// | 142..144 | 0 |
/// | 144..160 | tag of the body |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) volume: [u8; 16],
    pub(crate) sealing_key: [u8; 32],
    pub(crate) wrap_nonce: [u8; 12],
    pub(crate) wrapped: [u8; 32],
    pub(crate) wrap_tag: [u8; 16],
    pub(crate) key: KeyId,
    pub(crate) counter: u64,
    pub(crate) tag: [u8; 16],
}

/// A superblock's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    NotOurs,
    Version(u32),
}

impl Header {
    /// Bytes that are authenticated with the body: all before the tag.
    pub(crate) const AAD_LEN: usize = 144;

    pub(crate) fn decode(block: &Block) -> Result<Header, HeaderError> {
        if block[..8] != MAGIC {
            return Err(HeaderError::NotOurs);
        }
        let version = u32::from_le_bytes(array_at(block, 8));
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        Ok(Header {
            volume: array_at(block, 16),
            sealing_key: array_at(block, 32),
            wrap_nonce: array_at(block, 64),
            wrapped: array_at(block, WRAPPED_AT),
            wrap_tag: array_at(block, 108),
            key: array_at(block, 124),
            counter: u48_at(block, 136),
            tag: array_at(block, 144),
        })
    }

    pub(crate) fn encode(&self, into: &mut Block) {
        into[..8].copy_from_slice(&MAGIC);
        into[8..12].copy_from_slice(&VERSION.to_le_bytes());
        into[12..16].fill(0);
        into[16..32].copy_from_slice(&self.volume);
        into[32..64].copy_from_slice(&self.sealing_key);
        into[64..76].copy_from_slice(&self.wrap_nonce);
        into[WRAPPED_AT..108].copy_from_slice(&self.wrapped);
        into[108..124].copy_from_slice(&self.wrap_tag);
        into[124..136].copy_from_slice(&self.key);
        put_u48(into, 136, self.counter);
        into[142..144].fill(0);
        into[144..160].copy_from_slice(&self.tag);
    }
}

/// The encrypted part: where a commit's trees begin. Its SHA-256 is the commit's root.
///
/// | bytes | |
/// |---|---|
/// | 0..8 | epoch |
/// | 8..16 | blocks of the disk that the volume takes |
/// | 16..24 | the anchor's value in this epoch |
/// | 24 | 1 with an anchor, 0 without |
/// | 32..64 | the anchor's identity |
/// | 64..96 | root of the commit before |
/// | 96..104 | the next dataset's number |
/// | 104..112 | entries of the catalog |
/// | 112..152 | pointer to the catalog's root |
/// | 152..192 | pointer to the bitmap's root |
/// | 192..208 | drawn when an operator's exception was last used; 0 where none ever was |
/// | 208..210 | how many images held the volume's key before |
/// | 224..2272 | their MRENCLAVEs, 32 bytes each |
/// | 2272..3936 | 0 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) epoch: u64,
    pub(crate) blocks: u64,
    pub(crate) anchor: Option<AnchorMark>,
    pub(crate) previous: [u8; 32],
    pub(crate) next_dataset: u64,
    pub(crate) entries: u64,
    pub(crate) catalog: Option<Pointer>,
    pub(crate) bitmap: Option<Pointer>,
    pub(crate) exception: [u8; 16],
    pub(crate) lineage: Vec<[u8; 32]>,
}

/// What a commit says of the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnchorMark {
    /// The value once the commit is acknowledged.
    pub(crate) value: u64,
    pub(crate) identity: [u8; 32],
}

impl Body {
    /// `bytes` are [`BODY_LEN`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Body, Malformed> {
        let (epoch, blocks, entries) = (u64_at(bytes, 0), u64_at(bytes, 8), u64_at(bytes, 104));
        if epoch == 0 || !(3..=MAX_BLOCKS).contains(&blocks) || entries > MAX_DATASETS as u64 {
            return Err(Malformed);
        }
        let images = usize::from(u16::from_le_bytes(array_at(bytes, 208)));
        if images > MAX_LINEAGE {
            return Err(Malformed);
        }
        let anchor = match bytes[24] {
            0 => None,
            1 => Some(AnchorMark { value: u64_at(bytes, 16), identity: array_at(bytes, 32) }),
            _ => return Err(Malformed),
        };
        Ok(Body {
            epoch,
            blocks,
            anchor,
            previous: array_at(bytes, 64),
            next_dataset: u64_at(bytes, 96),
            entries,
            catalog: Pointer::decode(&bytes[112..]),
            bitmap: Pointer::decode(&bytes[152..]),
            exception: array_at(bytes, 192),
            lineage: (0..images).map(|image| array_at(bytes, LINEAGE_AT + image * 32)).collect(),
        })
    }

    pub(crate) fn encode(&self) -> [u8; BODY_LEN] {
        let mut bytes = [0; BODY_LEN];
        bytes[..8].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.blocks.to_le_bytes());
        if let Some(anchor) = &self.anchor {
            bytes[16..24].copy_from_slice(&anchor.value.to_le_bytes());
            bytes[24] = 1;
            bytes[32..64].copy_from_slice(&anchor.identity);
        }
        bytes[64..96].copy_from_slice(&self.previous);
        bytes[96..104].copy_from_slice(&self.next_dataset.to_le_bytes());
        bytes[104..112].copy_from_slice(&self.entries.to_le_bytes());
        Pointer::encode(self.catalog.as_ref(), &mut bytes[112..112 + POINTER_LEN]);
        Pointer::encode(self.bitmap.as_ref(), &mut bytes[152..152 + POINTER_LEN]);
        bytes[192..208].copy_from_slice(&self.exception);
        // A mount adds no more than there is room for.
        bytes[208..210].copy_from_slice(&(self.lineage.len() as u16).to_le_bytes());
        for (into, image) in bytes[LINEAGE_AT..].chunks_exact_mut(32).zip(&self.lineage) {
            into.copy_from_slice(image);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_bodies_round_trip() {
        let header = Header {
            volume: [1; 16],
            sealing_key: [2; 32],
            wrap_nonce: [3; 12],
            wrapped: [4; 32],
            wrap_tag: [5; 16],
            key: [6; 12],
            counter: 7,
            tag: [8; 16],
        };
        let mut block = [0xee; BLOCK];
        header.encode(&mut block);
        assert_eq!(Header::decode(&block), Ok(header));
        block[8] = 2;
        assert_eq!(Header::decode(&block), Err(HeaderError::Version(2)));
        assert_eq!(Header::decode(&[0; BLOCK]), Err(HeaderError::NotOurs));

        let body = Body {
            epoch: 9,
            blocks: 1024,
            anchor: Some(AnchorMark { value: 5, identity: [6; 32] }),
            previous: [7; 32],
            next_dataset: 4,
            entries: 3,
            catalog: Some(Pointer { block: 5, counter: 6, key: [7; 12], tag: [8; 16] }),
            bitmap: None,
            exception: [9; 16],
            lineage: vec![[10; 32], [11; 32]],
        };
        assert_eq!(Body::decode(&body.encode()), Ok(body.clone()));
        for wrong in [Body { epoch: 0, ..body.clone() }, Body { blocks: u64::MAX, ..body.clone() }] {
            assert_eq!(Body::decode(&wrong.encode()), Err(Malformed));
        }
        assert_eq!(Body::decode(&Body { entries: u64::MAX, ..body.clone() }.encode()), Err(Malformed));
        let full = Body { lineage: vec![[12; 32]; MAX_LINEAGE], ..body };
        assert_eq!(Body::decode(&full.encode()), Ok(full.clone()));
        let mut over = full.encode();
        over[208] += 1;
        assert_eq!(Body::decode(&over), Err(Malformed));
    }
}
