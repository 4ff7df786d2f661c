//! The read-only files that belong to an app's code, and the directories that a guest begins with.
//!
//! Assets are in a dataset of their own, `assets:<generation>`: they come with a component and go with it. Calls that
//! are under way when a component is replaced go on with the assets that they began with.

use super::app::AppStorage;
use super::{Record, Storage, StorageError};
use cloister_api::AssetsDescription;
use cloister_filesystem::Filesystem;
use cloister_runtime::{Access, Preopen};
use cloister_volume::{Quota, Volume};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a record says of an app's assets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssetsRecord {
    /// What [`AssetsHash`](cloister_attestation::AssetsHash) makes of them, hex.
    pub(crate) hash: String,
    /// All contents together.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// The tree of one generation's assets. The last holder of one that was replaced removes it.
pub(super) struct Assets {
    volume: Volume,
    pub(super) filesystem: Filesystem,
    pub(super) description: AssetsDescription,
    generation: String,
    is_retired: AtomicBool,
}

impl Assets {
    /// Its last holder removes it.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }
}

impl Drop for Assets {
    fn drop(&mut self) {
        if !*self.is_retired.get_mut() {
            return;
        }
        let (volume, generation) = (self.volume.clone(), std::mem::take(&mut self.generation));
        // What cannot be removed now is when the enclave starts.
        let remove = move || drop(remove(&volume, &generation));
        match tokio::runtime::Handle::try_current() {
            Ok(executor) => drop(executor.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

impl Storage {
    /// An empty tree for the assets of a generation.
    pub(super) fn create_assets(&self, generation: &str) -> Result<Filesystem, StorageError> {
        let dataset = {
            let operation = self.volume.begin();
            self.volume.create_dataset(&operation, &dataset_name(generation), QUOTA)?
        };
        Ok(Filesystem::open(dataset)?)
    }

    /// The assets that a record names, where it names any.
    pub(super) fn open_assets(&self, record: &Record) -> Result<Option<Arc<Assets>>, StorageError> {
        if record.assets.is_none() {
            return Ok(None);
        }
        let dataset =
            self.volume.dataset(&dataset_name(&record.generation))?.ok_or(StorageError::NoDataset)?;
        Ok(self.assets(record, Filesystem::open(dataset)?))
    }

    /// The assets that a record names, in this tree.
    pub(super) fn assets(&self, record: &Record, filesystem: Filesystem) -> Option<Arc<Assets>> {
        let AssetsRecord { hash, bytes, files } = record.assets.clone()?;
        Some(Arc::new(Assets {
            volume: self.volume.clone(),
            filesystem,
            description: AssetsDescription { hash, bytes, files, at: record.assets_at.clone() },
            generation: record.generation.clone(),
            is_retired: AtomicBool::new(false),
        }))
    }

    /// Removes a generation's assets. There may be none.
    pub(super) fn remove_assets(&self, generation: &str) -> Result<(), StorageError> {
        remove(&self.volume, generation)
    }

    /// Removes the assets of all generations but these: what a power cut left.
    pub(super) fn tidy_assets(&self, kept: &BTreeSet<String>) {
        for dataset in self.volume.datasets() {
            if let Some(generation) = dataset.name.strip_prefix(ASSETS)
                && !kept.contains(generation)
            {
                // What cannot be removed takes room, and nobody can name it.
                let _ = self.remove_assets(generation);
            }
        }
    }
}

impl AppStorage {
    /// The directories that are open when a guest of the app starts. None: all of the app's tree as `/`.
    pub(crate) fn preopens(&self, record: &Record) -> Arc<[Preopen]> {
        let own = |path: &str, guest: &str, access| Preopen {
            guest_path: guest.to_owned(),
            filesystem: self.filesystem.clone(),
            path: path.to_owned(),
            access,
        };
        let mut preopens: Vec<_> = record
            .directories
            .iter()
            .map(|directory| {
                let access = if directory.read_only { Access::ReadOnly } else { Access::ReadWrite };
                own(&directory.path, &directory.guest, access)
            })
            .collect();
        if let Some(assets) = &self.assets {
            if preopens.is_empty() {
                preopens.push(own("/", "/", Access::ReadWrite));
            }
            preopens.push(Preopen {
                guest_path: assets.description.at.clone(),
                filesystem: assets.filesystem.clone(),
                path: "/".to_owned(),
                access: Access::ReadOnly,
            });
        }
        preopens.into()
    }

    /// The read-only files that belong to the app's code.
    pub(crate) fn assets(&self) -> Option<AssetsDescription> {
        self.assets.as_ref().map(|assets| assets.description.clone())
    }
}

fn remove(volume: &Volume, generation: &str) -> Result<(), StorageError> {
    let name = dataset_name(generation);
    // A dataset that cannot be read can still be removed.
    if matches!(volume.dataset(&name), Ok(None)) {
        return Ok(());
    }
    let operation = volume.begin();
    volume.remove_dataset(&operation, &name)?;
    Ok(())
}

/// Generations are random: no two apps have the same.
fn dataset_name(generation: &str) -> String {
    format!("{ASSETS}{generation}")
}

/// What the names of assets' datasets begin with.
const ASSETS: &str = "assets:";
/// The bundle that they come in has bounds of its own.
const QUOTA: Quota = Quota { bytes: u64::MAX, objects: u64::MAX };
