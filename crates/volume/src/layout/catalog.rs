//! The catalog: which datasets there are.

use std::fmt;

use zeroize::Zeroizing;

use super::{MAX_LEVEL, Malformed, POINTER_LEN, Pointer, array_at, u64_at};
use crate::MAX_NAME;
use crate::dataset::{Quota, Usage};
use crate::disk::BLOCK;

/// Bytes of an entry.
pub(crate) const ENTRY_LEN: usize = 256;
/// Entries in a block.
pub(crate) const ENTRIES: usize = BLOCK / ENTRY_LEN;
/// Where in an entry the pointer to the table begins.
pub(crate) const ENTRY_POINTER: usize = 48;

/// One dataset.
///
/// | bytes | |
/// |---|---|
/// | 0 | 1; 0 for no dataset |
/// | 1 | bytes of the name |
/// | 2 | level of the table's root |
/// | 8..16 | the dataset's number |
/// | 16..48 | its key |
/// | 48..88 | pointer to the root of its table of objects |
/// | 88..96 | records in the table |
/// | 96..104 | first free object number, 0 for none |
/// | 104..112 | bytes of data blocks |
/// | 112..120 | objects |
/// | 120..128 | quota: bytes |
/// | 128..136 | quota: objects |
/// | 136..144 | the root object's number, 0 for none |
/// | 160..240 | name |
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) table_level: u8,
    pub(crate) table: Option<Pointer>,
    pub(crate) records: u64,
    pub(crate) free: u64,
    pub(crate) usage: Usage,
    pub(crate) quota: Quota,
    pub(crate) root: u64,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

impl Entry {
    /// `bytes` are [`ENTRY_LEN`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Entry>, Malformed> {
        match bytes[0] {
            0 => return Ok(None),
            1 => {}
            _ => return Err(Malformed),
        }
        let (name_len, table_level) = (usize::from(bytes[1]), bytes[2]);
        let (id, records) = (u64_at(bytes, 8), u64_at(bytes, 88));
        let bounds =
            (1..=MAX_NAME).contains(&name_len) && table_level <= MAX_LEVEL && id != 0 && records < 1 << 42;
        if !bounds {
            return Err(Malformed);
        }
        let name = std::str::from_utf8(&bytes[160..160 + name_len]).map_err(|_| Malformed)?.to_owned();
        Ok(Some(Entry {
            name,
            id,
            key: Zeroizing::new(array_at(bytes, 16)),
            table_level,
            table: Pointer::decode(&bytes[ENTRY_POINTER..]),
            records,
            free: u64_at(bytes, 96),
            usage: Usage { bytes: u64_at(bytes, 104), objects: u64_at(bytes, 112) },
            quota: Quota { bytes: u64_at(bytes, 120), objects: u64_at(bytes, 128) },
            root: u64_at(bytes, 136),
        }))
    }

    pub(crate) fn encode(&self, into: &mut [u8]) {
        into.fill(0);
        into[0] = 1;
        into[1] = self.name.len() as u8;
        into[2] = self.table_level;
        into[16..48].copy_from_slice(&*self.key);
        Pointer::encode(self.table.as_ref(), &mut into[ENTRY_POINTER..ENTRY_POINTER + POINTER_LEN]);
        let numbers = [
            (8, self.id),
            (88, self.records),
            (96, self.free),
            (104, self.usage.bytes),
            (112, self.usage.objects),
            (120, self.quota.bytes),
            (128, self.quota.objects),
            (136, self.root),
        ];
        for (at, number) in numbers {
            into[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        into[160..160 + self.name.len()].copy_from_slice(self.name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_round_trip() {
        let entry = Entry {
            name: "a".repeat(MAX_NAME),
            id: 3,
            key: Zeroizing::new([9; 32]),
            table_level: 1,
            table: Some(Pointer { block: 5, counter: 6, key: [7; 12], tag: [8; 16] }),
            records: 40,
            free: 2,
            usage: Usage { bytes: 1, objects: 2 },
            quota: Quota { bytes: 3, objects: 4 },
            root: 5,
        };
        let mut bytes = [0; ENTRY_LEN];
        entry.encode(&mut bytes);
        assert_eq!(Entry::decode(&bytes), Ok(Some(entry)));
        bytes[1] = 81;
        assert_eq!(Entry::decode(&bytes), Err(Malformed));
        bytes[1] = 1;
        bytes[160] = 0xff;
        assert_eq!(Entry::decode(&bytes), Err(Malformed), "a name is UTF-8");
        assert_eq!(Entry::decode(&[0; ENTRY_LEN]), Ok(None));
    }
}
