//! Records: what a dataset's table says of its objects.

use super::{Block, MAX_LEVEL, Malformed, POINTER_LEN, Pointer, array_at, put_u48, u48_at, u64_at};
use crate::MAX_LENGTH;
use crate::disk::BLOCK;

/// Bytes of a record.
pub(crate) const RECORD_LEN: usize = 128;
/// Records in a block.
pub(crate) const RECORDS: u64 = (BLOCK / RECORD_LEN) as u64;
/// Where in a record its pointer begins.
pub(crate) const RECORD_POINTER: usize = 24;
/// How many objects can have one number, one after the other.
pub(crate) const GENERATIONS: u64 = 1 << 48;

/// One object, or a free number.
///
/// | bytes | object | free number |
/// |---|---|---|
/// | 0 | 1 | 0 |
/// | 1 | level of the root | 0 |
/// | 2..8 | generation | the last object's generation |
/// | 8..16 | length in bytes | the next free number, 0 for none |
/// | 16..24 | data blocks | 0 |
/// | 24..64 | pointer to the root | 0 |
/// | 64..128 | attributes | 0 |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Object {
        level: u8,
        generation: u64,
        length: u64,
        blocks: u64,
        pointer: Option<Pointer>,
        attributes: [u8; 64],
    },
    Free {
        generation: u64,
        next: u64,
    },
}

impl Record {
    /// Record `slot` of a table's block.
    pub(crate) fn at(block: &Block, slot: usize) -> Result<Record, Malformed> {
        Record::decode(&block[slot * RECORD_LEN..(slot + 1) * RECORD_LEN])
    }

    pub(crate) fn put(&self, block: &mut Block, slot: usize) {
        self.encode(&mut block[slot * RECORD_LEN..(slot + 1) * RECORD_LEN]);
    }

    /// `bytes` are [`RECORD_LEN`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Malformed> {
        let generation = u48_at(bytes, 2);
        match bytes[0] {
            0 => Ok(Record::Free { generation, next: u64_at(bytes, 8) }),
            1 => {
                let (level, length, blocks) = (bytes[1], u64_at(bytes, 8), u64_at(bytes, 16));
                if level > MAX_LEVEL || length > MAX_LENGTH || blocks > MAX_LENGTH / BLOCK as u64 {
                    return Err(Malformed);
                }
                let pointer = Pointer::decode(&bytes[RECORD_POINTER..]);
                Ok(Record::Object {
                    level,
                    generation,
                    length,
                    blocks,
                    pointer,
                    attributes: array_at(bytes, 64),
                })
            }
            _ => Err(Malformed),
        }
    }

    fn encode(&self, into: &mut [u8]) {
        into.fill(0);
        match self {
            Record::Free { generation, next } => {
                put_u48(into, 2, *generation);
                into[8..16].copy_from_slice(&next.to_le_bytes());
            }
            Record::Object { level, generation, length, blocks, pointer, attributes } => {
                into[0] = 1;
                into[1] = *level;
                put_u48(into, 2, *generation);
                into[8..16].copy_from_slice(&length.to_le_bytes());
                into[16..24].copy_from_slice(&blocks.to_le_bytes());
                Pointer::encode(pointer.as_ref(), &mut into[RECORD_POINTER..RECORD_POINTER + POINTER_LEN]);
                into[64..].copy_from_slice(attributes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let pointer = Some(Pointer { block: 5, counter: 6, key: [7; 12], tag: [8; 16] });
        let object = Record::Object {
            level: 2,
            generation: 9,
            length: 1 << 30,
            blocks: 3,
            pointer,
            attributes: [4; 64],
        };
        let free = Record::Free { generation: 9, next: 77 };
        let mut block = [0; BLOCK];
        object.put(&mut block, 31);
        free.put(&mut block, 0);
        assert_eq!(Record::at(&block, 31), Ok(object));
        assert_eq!(Record::at(&block, 0), Ok(free));
        assert_eq!(Record::at(&block, 1), Ok(Record::Free { generation: 0, next: 0 }));
    }

    #[test]
    fn impossible_records_are_refused() {
        let mut bytes = [0; RECORD_LEN];
        bytes[0] = 2;
        assert_eq!(Record::decode(&bytes), Err(Malformed));
        bytes[0] = 1;
        bytes[1] = MAX_LEVEL + 1;
        assert_eq!(Record::decode(&bytes), Err(Malformed));
        bytes[1] = 0;
        bytes[15] = 1;
        assert_eq!(Record::decode(&bytes), Err(Malformed), "longer than an object can be");
    }
}
