//! What a mounted volume holds in memory, and how blocks are found in it.
//!
//! Nothing here does I/O. A step that needs a block which is not in memory, or a longer disk, says so ([`Wait`]) before
//! it changed anything; its caller gets that without the lock and takes the step again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::cache::Cache;
use crate::dataset::ObjectId;
use crate::disk::BLOCK;
use crate::error::{Damage, Part, VolumeError};
use crate::keys::{Cipher, KeyRing};
use crate::layout::{
    BITMAP, Block, Body, CATALOG, ENTRIES, Entry, Place, Pointer, RECORD_LEN, RECORDS, Record, STRUCTURE,
    TABLE, pointer_at, put_pointer, span,
};
use crate::resident::ResidentTree;
use crate::space::Space;
use crate::tidy::Tidy;
use crate::volume::State as Commit;

/// Everything that the lock guards.
pub(crate) struct State {
    pub(crate) cache: Cache,
    pub(crate) space: Space,
    pub(crate) structure: KeyRing,
    pub(crate) superblock: KeyRing,
    pub(crate) datasets: HashMap<u64, DatasetState>,
    pub(crate) names: BTreeMap<String, u64>,
    /// The catalog's entries: the datasets' numbers.
    pub(crate) entries: Vec<Option<u64>>,
    pub(crate) catalog: ResidentTree,
    pub(crate) bitmap: ResidentTree,
    pub(crate) next_dataset: u64,
    pub(crate) durable: Durable,
    /// Something changed since the last snapshot.
    pub(crate) changed: bool,
    /// Snapshots taken since the volume was mounted; the last may not be durable yet.
    pub(crate) snapshots: u64,
    /// The last of them that is durable.
    pub(crate) settled: u64,
    /// A snapshot was begun and not finished; never so but after a panic.
    pub(crate) is_in_doubt: bool,
    /// How far the anchor advanced is not known.
    pub(crate) is_anchor_in_doubt: bool,
    /// The disk did not grow when it was last asked.
    pub(crate) stuck: bool,
    pub(crate) tidy: Tidy,
    pub(crate) sequences: [Sequence; SEQUENCES],
    pub(crate) counters: Counters,
}

/// The last durable commit.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    pub(crate) commit: Commit,
    pub(crate) body: Body,
    /// The superblock as it is on the disk.
    pub(crate) sealed: Box<Block>,
}

pub(crate) struct DatasetState {
    pub(crate) entry: Entry,
    /// Which entry of the catalog it is.
    pub(crate) slot: usize,
    pub(crate) ring: KeyRing,
    /// It is being removed: nobody but the remover finds it.
    pub(crate) is_removed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) commits: u64,
}

/// Where a reader will go on if it reads in sequence.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) dataset: u64,
    pub(crate) object: u64,
    pub(crate) next: u64,
}

pub(crate) const SEQUENCES: usize = 64;

/// A step cannot be taken now.
#[derive(Debug)]
pub(crate) enum Wait {
    /// This block must be in memory first.
    Fetch(Fetch),
    /// The disk must have this many more blocks first.
    Grow(u64),
    /// It cannot be taken at all.
    Error(VolumeError),
}

pub(crate) type Step<T> = Result<T, Wait>;

impl From<VolumeError> for Wait {
    fn from(error: VolumeError) -> Wait {
        Wait::Error(error)
    }
}

/// A block to read.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) place: Place,
    pub(crate) pointer: Pointer,
    pub(crate) cipher: Arc<Cipher>,
}

/// Where a tree begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) level: u8,
    pub(crate) pointer: Option<Pointer>,
}

/// What a step needs free blocks for; decides how much of the reserve it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To hold more than before.
    Growth,
    /// To change what is there.
    Change,
    /// To free some.
    Removal,
}

/// The most blocks that a path from a data block to the catalog can dirty, apart from the block.
pub(crate) const PATH: u64 = 16;

impl State {
    pub(crate) fn dataset(&mut self, id: u64) -> Result<&mut DatasetState, VolumeError> {
        self.datasets.get_mut(&id).filter(|dataset| !dataset.is_removed).ok_or(VolumeError::Removed)
    }

    /// A change to the dataset's entry must be written.
    pub(crate) fn touch_entry(&mut self, id: u64) {
        if let Some(dataset) = self.datasets.get(&id) {
            self.catalog.touch((dataset.slot / ENTRIES) as u64);
        }
        self.changed = true;
    }

    /// The block at `place`: none for a hole, or an order to fetch it.
    pub(crate) fn load(&mut self, place: &Place) -> Step<Option<&Arc<Block>>> {
        if !self.cache.contains(place) {
            let Some(pointer) = self.pointer(place)? else { return Ok(None) };
            return Err(Wait::Fetch(self.fetch(place, pointer)?));
        }
        Ok(self.cache.find(place))
    }

    /// What is needed to read the block at `place`, which `pointer` leads to.
    pub(crate) fn fetch(&mut self, place: &Place, pointer: Pointer) -> Result<Fetch, VolumeError> {
        if !self.space.contains(pointer.block) {
            return Err(self.damage(place, pointer.block).into());
        }
        let ring = match place.dataset {
            STRUCTURE => &mut self.structure,
            id => &mut self.datasets.get_mut(&id).ok_or(VolumeError::Removed)?.ring,
        };
        Ok(Fetch { place: *place, pointer, cipher: ring.cipher(&pointer.key) })
    }

    /// The pointer that leads to `place`.
    pub(crate) fn pointer(&mut self, place: &Place) -> Step<Option<Pointer>> {
        let root = self.root(place.dataset, place.object)?;
        self.pointer_below(root, place)
    }

    /// [`State::pointer`] in a tree whose root is known.
    pub(crate) fn pointer_below(&mut self, root: Root, place: &Place) -> Step<Option<Pointer>> {
        if place.level > root.level || place.index >= span(root.level - place.level) {
            return Ok(None);
        }
        if place.level == root.level {
            return Ok(root.pointer);
        }
        let slot = place.slot();
        let parent = place.parent();
        if let Some(node) = self.cache.find(&parent) {
            return Ok(pointer_at(node, slot));
        }
        match self.pointer_below(root, &parent)? {
            Some(pointer) => Err(Wait::Fetch(self.fetch(&parent, pointer)?)),
            None => Ok(None),
        }
    }

    /// Where an object's tree begins, or that of the table of objects.
    pub(crate) fn root(&mut self, dataset: u64, object: u64) -> Step<Root> {
        if object == TABLE {
            let entry = &self.dataset(dataset)?.entry;
            return Ok(Root { level: entry.table_level, pointer: entry.table });
        }
        match self.record(dataset, ObjectId(object))? {
            Record::Object { level, pointer, .. } => Ok(Root { level, pointer }),
            Record::Free { .. } => Err(VolumeError::NoObject(object).into()),
        }
    }

    pub(crate) fn record(&mut self, dataset: u64, id: ObjectId) -> Step<Record> {
        let records = self.dataset(dataset)?.entry.records;
        if id.0 == 0 || id.0 > records {
            return Err(VolumeError::NoObject(id.0).into());
        }
        let (place, slot) = record_place(dataset, id);
        let record = match self.load(&place)? {
            Some(block) => Record::at(block, slot),
            None => return Err(VolumeError::NoObject(id.0).into()),
        };
        Ok(record.map_err(|_| VolumeError::from(self.damage(&place, 0)))?)
    }

    /// Writes a record whose path was prepared.
    pub(crate) fn put_record(&mut self, dataset: u64, id: ObjectId, record: &Record) {
        let (place, slot) = record_place(dataset, id);
        let level = self.datasets.get(&dataset).map_or(0, |dataset| dataset.entry.table_level);
        self.soil_path(&place, level);
        if self.cache.change(&place).is_none() {
            self.cache.replace(place, &[0; BLOCK]);
        }
        if let Some(block) = self.cache.change(&place) {
            record.put(block, slot);
        }
        self.touch_entry(dataset);
    }

    /// Brings the nodes above `place` into memory, so that [`State::soil_path`] can be called.
    pub(crate) fn prepare_path(&mut self, root: Root, place: &Place) -> Step<()> {
        let mut node = *place;
        while node.level < root.level {
            node = node.parent();
            if self.cache.contains(&node) {
                continue;
            }
            if let Some(pointer) = self.pointer_below(root, &node)? {
                return Err(Wait::Fetch(self.fetch(&node, pointer)?));
            }
        }
        Ok(())
    }

    /// Brings the record's block and the nodes above it into memory.
    pub(crate) fn prepare_record(&mut self, dataset: u64, id: ObjectId) -> Step<()> {
        let (place, _) = record_place(dataset, id);
        let root = self.root(dataset, TABLE)?;
        self.prepare_path(root, &place)?;
        self.load(&place)?;
        Ok(())
    }

    /// Marks the nodes above `place`, up to `level`, as changed and makes those that are missing.
    pub(crate) fn soil_path(&mut self, place: &Place, level: u8) {
        let mut node = *place;
        while node.level < level {
            node = node.parent();
            if self.cache.change(&node).is_none() {
                self.cache.replace(node, &[0; BLOCK]);
            }
        }
    }

    /// Puts nodes on top of a tree until its root is at `level`.
    pub(crate) fn raise(&mut self, dataset: u64, object: u64, root: Root, level: u8) -> Root {
        if level <= root.level {
            return root;
        }
        let old = Place { dataset, object, level: root.level, index: 0 };
        if root.pointer.is_some() || self.cache.contains(&old) {
            for above in root.level + 1..=level {
                let mut node = [0; BLOCK];
                if above == root.level + 1 {
                    put_pointer(&mut node, 0, root.pointer.as_ref());
                }
                self.cache.replace(Place { level: above, ..old }, &node);
            }
        }
        Root { level, pointer: None }
    }

    /// Makes sure that the next commit can place `blocks` more blocks.
    pub(crate) fn room(&mut self, blocks: u64, purpose: Purpose) -> Step<()> {
        let needed = self.cache.dirty() as u64 + blocks + self.catalog.total() + self.bitmap.total() + PATH;
        let reserve = 64 + self.space.blocks() / 64;
        let available = self.space.available();
        if available >= needed + reserve {
            return Ok(());
        }
        if !self.stuck {
            return Err(Wait::Grow(needed + reserve - available));
        }
        let kept = match purpose {
            Purpose::Growth => reserve,
            Purpose::Change => reserve / 2,
            Purpose::Removal => 0,
        };
        if available >= needed + kept { Ok(()) } else { Err(VolumeError::Full.into()) }
    }

    /// Keeps a block that was read, if it is still what its place holds.
    pub(crate) fn keep(&mut self, fetch: &Fetch, block: Arc<Block>) {
        if !self.cache.contains(&fetch.place)
            && matches!(self.pointer(&fetch.place), Ok(Some(pointer)) if pointer == fetch.pointer)
        {
            self.cache.insert_clean(fetch.place, block);
        }
    }

    /// What is lost with the block at `place`.
    pub(crate) fn damage(&self, place: &Place, block: u64) -> Damage {
        let dataset = self.datasets.get(&place.dataset).map(|dataset| dataset.entry.name.clone());
        damage(place, block, dataset.unwrap_or_default())
    }
}

/// What is lost with the block at `place` of the dataset of that name.
pub(crate) fn damage(place: &Place, block: u64, dataset: String) -> Damage {
    let bytes = span(place.level).saturating_mul(BLOCK as u64);
    let (part, object) = match (place.dataset, place.object, place.level) {
        (STRUCTURE, BITMAP, _) => (Part::Bitmap, None),
        (STRUCTURE, _, _) => (Part::Catalog, None),
        (_, TABLE, _) => (Part::Objects, None),
        (_, object, 0) => (Part::Data, Some(object)),
        (_, object, _) => (Part::Node, Some(object)),
    };
    Damage { dataset, object, part, offset: place.index.saturating_mul(bytes), bytes, block }
}

/// Where an object's record is.
pub(crate) fn record_place(dataset: u64, id: ObjectId) -> (Place, usize) {
    let slot = id.0.saturating_sub(1);
    (Place { dataset, object: TABLE, level: 0, index: slot / RECORDS }, (slot % RECORDS) as usize)
}

/// Where in its block a record begins.
pub(crate) fn record_offset(id: ObjectId) -> usize {
    (id.0.saturating_sub(1) % RECORDS) as usize * RECORD_LEN
}

/// The catalog's block that has the entry `slot`.
pub(crate) fn entry_place(slot: usize) -> Place {
    Place { dataset: STRUCTURE, object: CATALOG, level: 0, index: (slot / ENTRIES) as u64 }
}
