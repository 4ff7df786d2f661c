//! One app's part of a volume, or the system's.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::{QuotaExceeded, VolumeError};
use crate::keys::{self, Key};
use crate::layout::{GENERATIONS, Record, TABLE, level_for};
use crate::state::{PATH, Purpose, State, Step, Wait, record_place};
use crate::volume::{Operation, Volume};

/// 64 bytes that the layer above keeps with an object; opaque to the volume.
pub type Attributes = [u8; 64];

/// An object's number in its dataset; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u64);

/// What the volume knows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes, unwritten ones included.
    pub length: u64,
    /// Data blocks that it has on the disk.
    pub blocks: u64,
    /// Counts the objects that have had this number.
    pub generation: u64,
    /// The layer above's.
    pub attributes: Attributes,
}

/// What a dataset may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of data blocks.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
}

impl Quota {
    /// No bound but the disk's.
    pub const UNLIMITED: Quota = Quota { bytes: u64::MAX, objects: u64::MAX };
}

/// What a dataset holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of data blocks: a started block counts whole, a hole not at all.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
}

/// A dataset, as [`Volume::datasets`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSummary {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub usage: Usage,
    /// What it may hold.
    pub quota: Quota,
}

/// A handle to a dataset: objects by their numbers, each an array of bytes.
#[derive(Clone)]
pub struct Dataset {
    pub(crate) volume: Volume,
    pub(crate) id: u64,
    name: Arc<str>,
    key: Arc<Key>,
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Dataset {
    pub(crate) fn new(volume: Volume, id: u64, name: &str, key: Key) -> Dataset {
        Dataset { volume, id, name: name.into(), key: Arc::new(key) }
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The volume that it is part of.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// What it holds; nothing once it was removed.
    pub fn usage(&self) -> Usage {
        self.volume.inner.lock().dataset(self.id).map(|dataset| dataset.entry.usage).unwrap_or_default()
    }

    /// What it may hold; nothing once it was removed.
    pub fn quota(&self) -> Quota {
        let none = Quota { bytes: 0, objects: 0 };
        self.volume.inner.lock().dataset(self.id).map_or(none, |dataset| dataset.entry.quota)
    }

    /// Sets what it may hold. Less than it holds is allowed: then it cannot grow.
    ///
    /// # Errors
    /// [`VolumeError::Removed`].
    pub fn set_quota(&self, _operation: &Operation<'_>, quota: Quota) -> Result<(), VolumeError> {
        let mut state = self.volume.inner.lock();
        state.dataset(self.id)?.entry.quota = quota;
        state.touch_entry(self.id);
        Ok(())
    }

    /// A key below the dataset's own random one; gone with the dataset.
    pub fn derive_key(&self, label: &str) -> Zeroizing<[u8; 32]> {
        keys::derive(&self.key, &[b"cloister volume 1 label\0", label.as_bytes()])
    }

    /// The one object that the layer above can find without knowing its number.
    pub fn root(&self) -> Option<ObjectId> {
        let mut state = self.volume.inner.lock();
        state.dataset(self.id).ok().map(|dataset| dataset.entry.root).filter(|&root| root != 0).map(ObjectId)
    }

    /// Makes `id` the object that [`Dataset::root`] names.
    ///
    /// # Errors
    /// [`VolumeError::NoObject`], [`VolumeError::Removed`], and those of reading the object's record.
    pub fn set_root(&self, _operation: &Operation<'_>, id: ObjectId) -> Result<(), VolumeError> {
        self.volume.inner.run(|state| {
            state.root(self.id, id.0)?;
            state.dataset(self.id)?.entry.root = id.0;
            state.touch_entry(self.id);
            Ok(())
        })
    }

    /// Makes an empty object.
    ///
    /// # Errors
    /// [`VolumeError::QuotaExceeded`], [`VolumeError::Full`], [`VolumeError::Removed`], or the disk's and damage to the
    /// table of objects.
    pub fn create_object(
        &self,
        _operation: &Operation<'_>,
        attributes: &Attributes,
    ) -> Result<ObjectId, VolumeError> {
        self.volume.inner.run(|state| create_object(state, self.id, attributes))
    }

    /// What the volume knows of an object.
    ///
    /// # Errors
    /// [`VolumeError::NoObject`], [`VolumeError::Removed`], or the disk's and damage to the table of objects.
    pub fn object(&self, id: ObjectId) -> Result<Object, VolumeError> {
        self.volume.inner.run(|state| match state.record(self.id, id)? {
            Record::Object { generation, length, blocks, attributes, .. } => {
                Ok(Object { length, blocks, generation, attributes })
            }
            Record::Free { .. } => Err(VolumeError::NoObject(id.0).into()),
        })
    }

    /// Replaces an object's attributes.
    ///
    /// # Errors
    /// As [`Dataset::object`], and [`VolumeError::Full`].
    pub fn set_attributes(
        &self,
        _operation: &Operation<'_>,
        id: ObjectId,
        new: &Attributes,
    ) -> Result<(), VolumeError> {
        self.volume.inner.run(|state| {
            let mut record = state.record(self.id, id)?;
            let Record::Object { attributes, .. } = &mut record else {
                return Err(VolumeError::NoObject(id.0).into());
            };
            *attributes = *new;
            state.prepare_record(self.id, id)?;
            state.room(PATH, Purpose::Change)?;
            state.put_record(self.id, id, &record);
            Ok(())
        })
    }
}

fn create_object(state: &mut State, dataset: u64, attributes: &Attributes) -> Step<ObjectId> {
    let entry = &state.dataset(dataset)?.entry;
    let (usage, quota, records) = (entry.usage, entry.quota, entry.records);
    if usage.objects >= quota.objects {
        return Err(VolumeError::from(QuotaExceeded::Objects { allowed: quota.objects }).into());
    }
    let (id, generation, free) = match free_number(state, dataset)? {
        Some(free) => free,
        None => (ObjectId(records + 1), 1, 0),
    };
    let (place, _) = record_place(dataset, id);
    let root = state.root(dataset, TABLE)?;
    state.prepare_path(root, &place)?;
    state.load(&place)?;
    state.room(PATH, Purpose::Growth)?;

    let root = state.raise(dataset, TABLE, root, level_for(place.index));
    let entry = &mut state.dataset(dataset)?.entry;
    entry.table_level = root.level;
    entry.table = root.pointer;
    entry.records = records.max(id.0);
    entry.free = free;
    entry.usage.objects += 1;
    let record =
        Record::Object { level: 0, generation, length: 0, blocks: 0, pointer: None, attributes: *attributes };
    state.put_record(dataset, id, &record);
    Ok(id)
}

/// A number that an object had before, its next generation, and the number that is free after it.
fn free_number(state: &mut State, dataset: u64) -> Step<Option<(ObjectId, u64, u64)>> {
    let mut free = state.dataset(dataset)?.entry.free;
    while free != 0 {
        match state.record(dataset, ObjectId(free)) {
            Ok(Record::Free { generation, next }) if generation + 1 < GENERATIONS => {
                return Ok(Some((ObjectId(free), generation + 1, next)));
            }
            // This number has had all its generations.
            Ok(Record::Free { next, .. }) => free = next,
            // The list leads nowhere: its numbers are given up.
            Ok(Record::Object { .. })
            | Err(Wait::Error(VolumeError::Damaged(_) | VolumeError::NoObject(_))) => break,
            Err(wait) => return Err(wait),
        }
    }
    Ok(None)
}
