//! The datasets of a volume: finding, making and removing them.

use crate::MAX_DATASETS;
use crate::dataset::{Dataset, DatasetSummary, Quota, Usage};
use crate::error::VolumeError;
use crate::keys::{self, KeyRing};
use crate::layout::{ENTRIES, Entry};
use crate::prune::detach_table;
use crate::state::{DatasetState, PATH, Purpose, Root};
use crate::volume::{Operation, Volume, check_name};

impl Volume {
    /// Makes a dataset. It has a random key of its own.
    ///
    /// # Errors
    /// [`VolumeError::Exists`], [`VolumeError::BadName`], [`VolumeError::TooManyDatasets`], [`VolumeError::Full`],
    /// [`VolumeError::Randomness`].
    pub fn create_dataset(
        &self,
        _operation: &Operation<'_>,
        name: &str,
        quota: Quota,
    ) -> Result<Dataset, VolumeError> {
        check_name(name)?;
        let key = keys::draw()?;
        let id = self.inner.run(|state| {
            if state.names.contains_key(name) {
                return Err(VolumeError::Exists(name.to_owned()).into());
            }
            let slot = state.entries.iter().position(Option::is_none).unwrap_or(state.entries.len());
            if slot >= MAX_DATASETS {
                return Err(VolumeError::TooManyDatasets.into());
            }
            state.room(PATH, Purpose::Growth)?;
            if slot == state.entries.len() {
                state.entries.push(None);
                // A longer catalog gives no blocks up.
                state.catalog.resize(state.entries.len().div_ceil(ENTRIES) as u64);
            }
            let id = state.next_dataset;
            state.next_dataset += 1;
            state.entries[slot] = Some(id);
            state.names.insert(name.to_owned(), id);
            let entry = Entry {
                name: name.to_owned(),
                id,
                key: key.clone(),
                table_level: 0,
                table: None,
                records: 0,
                free: 0,
                usage: Usage::default(),
                quota,
                root: 0,
            };
            let ring = KeyRing::new(key.clone());
            state.datasets.insert(id, DatasetState { entry, slot, ring, is_removed: false });
            state.touch_entry(id);
            Ok(id)
        })?;
        Ok(Dataset::new(self.clone(), id, name, key))
    }

    /// The dataset of that name, where there is one.
    ///
    /// # Errors
    /// None at present; the catalog is in memory.
    pub fn dataset(&self, name: &str) -> Result<Option<Dataset>, VolumeError> {
        let state = self.inner.lock();
        let Some(id) = state.names.get(name).copied() else { return Ok(None) };
        let key = state.datasets.get(&id).map(|dataset| dataset.ring.key().clone());
        drop(state);
        Ok(key.map(|key| Dataset::new(self.clone(), id, name, key)))
    }

    /// All datasets, by name.
    pub fn datasets(&self) -> Vec<DatasetSummary> {
        let state = self.inner.lock();
        let entries =
            state.names.values().filter_map(|id| state.datasets.get(id)).map(|dataset| &dataset.entry);
        entries
            .map(|entry| DatasetSummary { name: entry.name.clone(), usage: entry.usage, quota: entry.quota })
            .collect()
    }

    /// Removes a dataset, its objects and its key, and frees their blocks; returns what it held. Handles that still
    /// exist answer [`VolumeError::Removed`].
    ///
    /// # Errors
    /// [`VolumeError::NoDataset`], [`VolumeError::Full`]. Damage is none: what cannot be found is not freed.
    pub fn remove_dataset(&self, _operation: &Operation<'_>, name: &str) -> Result<Usage, VolumeError> {
        let (id, usage, parts) = self.inner.run(|state| {
            let id = *state.names.get(name).ok_or_else(|| VolumeError::NoDataset(name.to_owned()))?;
            state.room(PATH, Purpose::Removal)?;
            let entry = &state.dataset(id)?.entry;
            let (usage, root) = (entry.usage, Root { level: entry.table_level, pointer: entry.table });
            state.touch_entry(id);
            let parts = detach_table(state, id, root);
            state.names.remove(name);
            if let Some(dataset) = state.datasets.get_mut(&id) {
                dataset.is_removed = true;
                state.entries[dataset.slot] = None;
            }
            Ok((id, usage, parts))
        })?;
        self.inner.free_detached(parts);
        let mut state = self.inner.lock();
        state.datasets.remove(&id);
        state.cache.purge(|place| place.dataset == id);
        Ok(usage)
    }
}
