//! What a volume should contain, and work that changes both alike.

use crate::random::Random;
use cloister_volume::{Attributes, BLOCK, Dataset, ObjectId, Quota, Volume, VolumeError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) const QUOTA: Quota = Quota { bytes: 1 << 30, objects: 10_000 };

/// The contents of a volume, in memory. Clones are cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) datasets: BTreeMap<String, BTreeMap<ObjectId, Content>>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) attributes: Attributes,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} bytes", self.bytes.len())
    }
}

/// A volume with its model.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) volume: Volume,
    pub(crate) model: Model,
    /// Every object that ever was.
    pub(crate) seen: BTreeSet<(String, ObjectId)>,
}

impl World {
    pub(crate) fn new(volume: Volume) -> Self {
        Self { volume, model: Model::default(), seen: BTreeSet::new() }
    }

    pub(crate) fn dataset(&self, name: &str) -> Dataset {
        self.volume.dataset(name).expect("the catalog is intact").expect("the model has this dataset")
    }

    pub(crate) fn create_dataset(&mut self, name: &str) {
        self.volume.create_dataset(&self.volume.begin(), name, QUOTA).expect("a dataset is created");
        self.model.datasets.insert(name.to_owned(), BTreeMap::new());
    }

    pub(crate) fn remove_dataset(&mut self, name: &str) {
        self.volume.remove_dataset(&self.volume.begin(), name).expect("a dataset is removed");
        self.model.datasets.remove(name);
    }

    pub(crate) fn create_object(&mut self, dataset: &str, attributes: Attributes) -> ObjectId {
        let handle = self.dataset(dataset);
        let id = handle.create_object(&self.volume.begin(), &attributes).expect("an object is created");
        let objects = self.objects(dataset);
        assert!(!objects.contains_key(&id), "{id:?} is given twice");
        objects.insert(id, Content { bytes: Arc::default(), attributes });
        self.seen.insert((dataset.to_owned(), id));
        id
    }

    pub(crate) fn remove_object(&mut self, dataset: &str, id: ObjectId) {
        self.dataset(dataset).remove_object(&self.volume.begin(), id).expect("an object is removed");
        self.objects(dataset).remove(&id);
    }

    pub(crate) fn write(&mut self, dataset: &str, id: ObjectId, offset: usize, bytes: &[u8]) {
        self.dataset(dataset)
            .write(&self.volume.begin(), id, offset as u64, bytes)
            .expect("an object is written");
        let content = self.content(dataset, id);
        let end = offset + bytes.len();
        if content.len() < end && !bytes.is_empty() {
            content.resize(end, 0);
        }
        if !bytes.is_empty() {
            content[offset..end].copy_from_slice(bytes);
        }
    }

    pub(crate) fn set_length(&mut self, dataset: &str, id: ObjectId, length: usize) {
        self.dataset(dataset)
            .set_length(&self.volume.begin(), id, length as u64)
            .expect("an object's length is set");
        self.content(dataset, id).resize(length, 0);
    }

    pub(crate) fn set_attributes(&mut self, dataset: &str, id: ObjectId, attributes: Attributes) {
        self.dataset(dataset)
            .set_attributes(&self.volume.begin(), id, &attributes)
            .expect("an object's attributes are set");
        if let Some(content) = self.objects(dataset).get_mut(&id) {
            content.attributes = attributes;
        }
    }

    /// Something at random.
    pub(crate) fn step(&mut self, random: &mut Random, sizes: Sizes) {
        let names: Vec<String> = self.model.datasets.keys().cloned().collect();
        let Some(name) = random.choose(&names) else { return self.create_dataset("first") };
        let ids: Vec<ObjectId> = self.model.datasets[name].keys().copied().collect();
        let Some(&id) = random.choose(&ids) else {
            self.create_object(name, attributes(random));
            return;
        };
        let offset = |random: &mut Random| match random.below(3) {
            0 => 0,
            1 => random.below(sizes.blocks) as usize * BLOCK,
            _ => random.below(sizes.blocks * BLOCK as u64) as usize,
        };
        match random.below(100) {
            0..=1 if names.len() < sizes.datasets => self.create_dataset(&format!("data {}", random.next())),
            2..=3 if names.len() > 1 => self.remove_dataset(name),
            4..=17 if ids.len() < sizes.objects => {
                self.create_object(name, attributes(random));
            }
            18..=27 => self.remove_object(name, id),
            28..=37 => {
                let length = offset(random);
                self.set_length(name, id, length);
            }
            38..=42 => self.set_attributes(name, id, attributes(random)),
            _ => {
                let at = offset(random);
                let length = match random.below(4) {
                    0 => random.below(100),
                    1 => BLOCK as u64,
                    _ => random.below(sizes.write_bytes),
                };
                let bytes = random.bytes(length as usize);
                self.write(name, id, at, &bytes);
            }
        }
    }

    fn objects(&mut self, dataset: &str) -> &mut BTreeMap<ObjectId, Content> {
        self.model.datasets.get_mut(dataset).expect("the model has this dataset")
    }

    fn content(&mut self, dataset: &str, id: ObjectId) -> &mut Vec<u8> {
        let content = self.objects(dataset).get_mut(&id).expect("the model has this object");
        Arc::make_mut(&mut content.bytes)
    }
}

/// How large things get in [`World::step`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) datasets: usize,
    /// In each dataset.
    pub(crate) objects: usize,
    /// Writes begin before this one.
    pub(crate) blocks: u64,
    pub(crate) write_bytes: u64,
}

pub(crate) const SMALL: Sizes = Sizes { datasets: 3, objects: 6, blocks: 6, write_bytes: 3 * BLOCK as u64 };

/// With trees of two levels of nodes, and holes.
pub(crate) const LARGE: Sizes = Sizes { datasets: 4, objects: 8, blocks: 120, write_bytes: 9 * BLOCK as u64 };

impl Model {
    /// In what a volume differs, where it does. Damage is a difference.
    pub(crate) fn difference(&self, volume: &Volume, seen: &BTreeSet<(String, ObjectId)>) -> Option<String> {
        let names: Vec<String> = volume.datasets().into_iter().map(|summary| summary.name).collect();
        if !names.iter().eq(self.datasets.keys()) {
            return Some(format!("datasets are {names:?}, not {:?}", self.datasets.keys()));
        }
        self.datasets.keys().find_map(|name| {
            let differs = match volume.dataset(name) {
                Ok(Some(dataset)) => self.dataset_difference(&dataset, seen),
                Ok(None) => Some("it is not there".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            differs.map(|what| format!("{name}: {what}"))
        })
    }

    fn dataset_difference(&self, dataset: &Dataset, seen: &BTreeSet<(String, ObjectId)>) -> Option<String> {
        let objects = &self.datasets[dataset.name()];
        if dataset.usage().objects != objects.len() as u64 {
            return Some(format!("{} objects are counted, not {}", dataset.usage().objects, objects.len()));
        }
        let mut blocks = 0;
        for (id, content) in objects {
            match content.difference(dataset, *id) {
                Ok(present) => blocks += present,
                Err(what) => return Some(format!("{id:?}: {what}")),
            }
        }
        if dataset.usage().bytes != blocks * BLOCK as u64 {
            return Some(format!("{} bytes are counted, not {blocks} blocks", dataset.usage().bytes));
        }
        let gone = seen.iter().filter(|(name, id)| name == dataset.name() && !objects.contains_key(id));
        gone.map(|(_, id)| (id, dataset.object(*id))).find_map(|(id, found)| match found {
            Err(VolumeError::NoObject(_)) => None,
            Err(error) => Some(format!("{id:?}, which was removed: {error}")),
            Ok(_) => Some(format!("{id:?} was removed and is still there")),
        })
    }
}

impl Content {
    /// How many blocks the object has, or in what it differs.
    fn difference(&self, dataset: &Dataset, id: ObjectId) -> Result<u64, String> {
        let object = dataset.object(id).map_err(|error| error.to_string())?;
        if object.length != self.bytes.len() as u64 {
            return Err(format!("it has {} bytes, not {}", object.length, self.bytes.len()));
        }
        if object.attributes != self.attributes {
            return Err("other attributes".to_owned());
        }
        let mut found = vec![0xEE; self.bytes.len() + 1];
        let read = dataset.read(id, 0, &mut found).map_err(|error| error.to_string())?;
        if read != self.bytes.len() {
            return Err(format!("{read} bytes are read, not {}", self.bytes.len()));
        }
        match found.iter().zip(self.bytes.iter()).position(|(found, expected)| found != expected) {
            None => Ok(object.blocks),
            Some(byte) => Err(format!("other contents from byte {byte} on")),
        }
    }
}

pub(crate) fn attributes(random: &mut Random) -> Attributes {
    let mut attributes = [0; 64];
    attributes.copy_from_slice(&random.bytes(64));
    attributes
}
