//! A directory in memory: its entries by name and in the order of iteration, over the blocks of its object.

pub(crate) mod block;
pub(crate) mod cache;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use cloister_volume::{Dataset, ObjectId, Operation};

use crate::{FsError, Kind, path};
use block::Block;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) inode: ObjectId,
    pub(crate) kind: Kind,
    /// Where it stands in the iteration order.
    pub(crate) cookie: u64,
    block: u32,
}

/// The entries of one directory. A change is written to the one block that it concerns, then done here: where the
/// write fails, nothing has changed.
#[derive(Debug)]
pub(crate) struct Directory {
    id: ObjectId,
    names: BTreeMap<Arc<str>, Slot>,
    cookies: BTreeMap<u64, Arc<str>>,
    /// Bytes of entries in each block.
    used: Vec<u16>,
    /// Blocks with room for any name.
    roomy: BTreeSet<u32>,
    next_cookie: u64,
    name_bytes: usize,
}

impl Directory {
    /// Reads all of it.
    ///
    /// # Errors
    ///
    /// [`FsError::Malformed`], or those of reading.
    pub(crate) fn load(dataset: &Dataset, id: ObjectId) -> Result<Directory, FsError> {
        let length = dataset.object(id)?.length;
        let mut directory = Directory::empty(id);
        let mut bytes = vec![0; READ_AT_ONCE];
        let mut offset = 0;
        while offset < length {
            let wanted = usize::try_from(length - offset).unwrap_or(READ_AT_ONCE).min(READ_AT_ONCE);
            let into = &mut bytes[..wanted];
            if dataset.read(id, offset, into)? != wanted {
                return Err(directory.malformed("a directory ends before its end"));
            }
            let (blocks, rest) = into.as_chunks::<{ block::SIZE }>();
            if !rest.is_empty() {
                return Err(directory.malformed("a directory is not made of whole blocks"));
            }
            for bytes in blocks {
                directory.add_block(bytes)?;
            }
            offset += wanted as u64;
        }
        Ok(directory)
    }

    /// The directory that these bytes are, were they an object's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<usize, FsError> {
        let mut directory = Directory::empty(ObjectId(1));
        let (blocks, _) = bytes.as_chunks::<{ block::SIZE }>();
        for bytes in blocks {
            directory.add_block(bytes)?;
        }
        Ok(directory.len())
    }

    /// Whether both have the same entries in the same places.
    pub(crate) fn agrees_with(&self, other: &Directory) -> bool {
        self.names == other.names && self.used == other.used && self.roomy == other.roomy
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn slot(&self, name: &str) -> Option<Slot> {
        self.names.get(name).copied()
    }

    /// Entries behind a cookie (0: all), in the order of iteration.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = (&str, Slot)> {
        self.cookies
            .range((Bound::Excluded(cookie), Bound::Unbounded))
            .filter_map(|(_, name)| Some((&**name, self.slot(name)?)))
    }

    /// What it takes of the enclave's memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.names.len() * BYTES_OF_ENTRY + self.name_bytes + self.used.len() * 2 + BYTES_OF_DIRECTORY
    }

    /// Adds an entry that is not there yet.
    ///
    /// # Errors
    ///
    /// [`FsError::Full`] where it has too many entries, [`FsError::Quota`], or those of the volume.
    pub(crate) fn insert(
        &mut self,
        dataset: &Dataset,
        op: &Operation<'_>,
        name: &str,
        inode: ObjectId,
        kind: Kind,
    ) -> Result<(), FsError> {
        if self.bytes() + BYTES_OF_ENTRY + name.len() > MAX_BYTES {
            return Err(FsError::Full);
        }
        if !path::is_entry_name(name) || self.names.contains_key(name) {
            return Err(FsError::Exists);
        }
        let next = u32::try_from(self.used.len()).map_err(|_| FsError::Full)?;
        let number = self.roomy.first().copied().unwrap_or(next);
        let mut block = if number == next { Block::empty() } else { self.read_block(dataset, number)? };
        let cookie = self.next_cookie;
        if !block.push(block::Entry { inode: inode.0, cookie, kind, name }) {
            return Err(self.malformed("a directory's block has less room than it had"));
        }
        dataset.write(op, self.id, offset_of(number), block.bytes())?;
        self.remember(name, Slot { inode, kind, cookie, block: number })?;
        self.set_used(number, block.used());
        Ok(())
    }

    /// Lets an entry that is there name another inode. It keeps its place in the iteration.
    ///
    /// # Errors
    ///
    /// [`FsError::NoEntry`], or those of the volume.
    pub(crate) fn replace(
        &mut self,
        dataset: &Dataset,
        op: &Operation<'_>,
        name: &str,
        inode: ObjectId,
        kind: Kind,
    ) -> Result<(), FsError> {
        let slot = self.slot(name).ok_or(FsError::NoEntry)?;
        let mut block = self.read_block(dataset, slot.block)?;
        if !block.replace(name, inode.0, kind) {
            return Err(self.malformed("an entry of a directory is not in its block"));
        }
        dataset.write(op, self.id, offset_of(slot.block), block.bytes())?;
        if let Some(known) = self.names.get_mut(name) {
            *known = Slot { inode, kind, ..slot };
        }
        Ok(())
    }

    /// Takes an entry away. Empty blocks at the end are given back.
    ///
    /// # Errors
    ///
    /// [`FsError::NoEntry`], or those of the volume.
    pub(crate) fn remove(
        &mut self,
        dataset: &Dataset,
        op: &Operation<'_>,
        name: &str,
    ) -> Result<(), FsError> {
        let slot = self.slot(name).ok_or(FsError::NoEntry)?;
        let mut block = self.read_block(dataset, slot.block)?;
        if !block.remove(name) {
            return Err(self.malformed("an entry of a directory is not in its block"));
        }
        if block.used() == 0 && slot.block as usize + 1 == self.used.len() {
            let left =
                self.used[..slot.block as usize].iter().rposition(|&used| used > 0).map_or(0, |at| at + 1);
            dataset.set_length(op, self.id, left as u64 * block::SIZE as u64)?;
            self.used.truncate(left);
            self.roomy.retain(|&number| (number as usize) < left);
        } else {
            dataset.write(op, self.id, offset_of(slot.block), block.bytes())?;
            self.set_used(slot.block, block.used());
        }
        self.names.remove(name);
        self.cookies.remove(&slot.cookie);
        self.name_bytes -= name.len();
        Ok(())
    }

    fn empty(id: ObjectId) -> Directory {
        Directory {
            id,
            names: BTreeMap::new(),
            cookies: BTreeMap::new(),
            used: Vec::new(),
            roomy: BTreeSet::new(),
            next_cookie: 1,
            name_bytes: 0,
        }
    }

    fn read_block(&self, dataset: &Dataset, number: u32) -> Result<Block, FsError> {
        let mut bytes = Box::new([0; block::SIZE]);
        if dataset.read(self.id, offset_of(number), &mut bytes[..])? != block::SIZE {
            return Err(self.malformed("a directory ends before its end"));
        }
        Block::parse(bytes).map_err(|what| self.malformed(what))
    }

    fn add_block(&mut self, bytes: &[u8; block::SIZE]) -> Result<(), FsError> {
        let block = Block::parse(Box::new(*bytes)).map_err(|what| self.malformed(what))?;
        let number =
            u32::try_from(self.used.len()).map_err(|_| self.malformed("a directory is too large"))?;
        for entry in block.entries() {
            let slot =
                Slot { inode: ObjectId(entry.inode), kind: entry.kind, cookie: entry.cookie, block: number };
            self.remember(entry.name, slot)?;
        }
        if self.bytes() > MAX_BYTES {
            return Err(self.malformed("a directory is too large"));
        }
        self.set_used(number, block.used());
        Ok(())
    }

    fn remember(&mut self, name: &str, slot: Slot) -> Result<(), FsError> {
        let after =
            slot.cookie.checked_add(1).ok_or(self.malformed("a directory has the last of all cookies"))?;
        let name: Arc<str> = name.into();
        let cookie_is_new = self.cookies.insert(slot.cookie, name.clone()).is_none();
        let length = name.len();
        if self.names.insert(name, slot).is_some() || !cookie_is_new {
            return Err(self.malformed("a directory has an entry twice"));
        }
        self.next_cookie = self.next_cookie.max(after);
        self.name_bytes += length;
        Ok(())
    }

    fn set_used(&mut self, number: u32, used: usize) {
        let at = number as usize;
        if at == self.used.len() {
            self.used.push(0);
        }
        // At most 4080.
        self.used[at] = used as u16;
        if block::ROOM - used >= block::ENTRY_OVERHEAD + path::MAX_NAME {
            self.roomy.insert(number);
        } else {
            self.roomy.remove(&number);
        }
    }

    fn malformed(&self, what: &'static str) -> FsError {
        FsError::Malformed { inode: self.id.0, what }
    }
}

fn offset_of(block: u32) -> u64 {
    u64::from(block) * block::SIZE as u64
}

/// Blocks read together while a directory is loaded.
const READ_AT_ONCE: usize = 16 * block::SIZE;

/// Enclave memory that one directory may take while it is in use: about 170,000 entries with names of 20 bytes.
pub(crate) const MAX_BYTES: usize = 24 << 20;

/// Two tree maps' share of an entry, and the allocation of its name.
const BYTES_OF_ENTRY: usize = 120;

const BYTES_OF_DIRECTORY: usize = 256;
