//! One app's part of the volume.

use super::assets::Assets;
use super::{Incarnations, Record, Storage, StorageError, Upload};
use cloister_api::{AppName, Limits, StorageUsage};
use cloister_filesystem::Filesystem;
use cloister_runtime as runtime;
use cloister_volume::kv::{Namespace, Removal};
use cloister_volume::{Dataset, Quota};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The files, the keys, the vault and the assets of one app. Clones share them.
#[derive(Clone)]
pub(crate) struct AppStorage {
    pub(super) filesystem: Filesystem,
    pub(super) keys: Namespace,
    /// The app's cryptographic keys and its users' roles: no bucket of the guest's.
    pub(super) vault: Namespace,
    pub(super) assets: Option<Arc<Assets>>,
}

impl AppStorage {
    /// What one call of the app gets to see. The flag tells afterwards whether the guest looked.
    pub(crate) fn for_call(&self, storage: &Storage, used: &Arc<AtomicBool>) -> runtime::Storage {
        runtime::Storage {
            filesystem: self.filesystem.clone(),
            keys: Some(self.keys.clone()),
            durability: Arc::new(storage.clone()),
            used: Arc::clone(used),
        }
    }

    /// Where the enclave keeps the app's cryptographic keys and its users' roles.
    pub(crate) fn vault(&self) -> &Namespace {
        &self.vault
    }

    /// What the app keeps now. Blocks.
    ///
    /// # Errors
    /// [`StorageError`] where the keys cannot be counted.
    pub(crate) fn usage(&self) -> Result<StorageUsage, StorageError> {
        let keys = self.keys.usage()?;
        Ok(StorageUsage { keys: keys.keys, key_bytes: keys.bytes, ..self.usage_of_files() })
    }

    /// As [`usage`](Self::usage); keys that damage keeps from being counted are left out.
    ///
    /// # Errors
    /// [`StorageError`] where the disk fails.
    pub(crate) fn usage_as_found(&self) -> Result<StorageUsage, StorageError> {
        match self.usage() {
            Err(error) if error.is_damage() => Ok(self.usage_of_files()),
            usage => usage,
        }
    }

    fn usage_of_files(&self) -> StorageUsage {
        let files = self.filesystem.usage();
        // The root directory is no file of the app's.
        let count = files.objects.saturating_sub(1);
        StorageUsage { bytes: files.bytes, files: count, ..StorageUsage::default() }
    }

    #[cfg(test)]
    pub(crate) fn write_file(&self, file: &str, contents: &[u8]) {
        use cloister_filesystem::{Follow, OpenHow};
        let how = OpenHow { create: true, ..OpenHow::default() };
        let node = self.filesystem.root().unwrap().open_at(file, Follow::No, &how).unwrap();
        assert_eq!(node.write_at(0, contents).unwrap(), contents.len());
    }

    #[cfg(test)]
    pub(crate) fn set_key(&self, key: &[u8], value: &[u8]) {
        self.keys.set(key, value).unwrap();
    }

    #[cfg(test)]
    pub(crate) fn has_key(&self, key: &[u8]) -> bool {
        self.keys.exists(key).unwrap()
    }

    fn dataset(&self) -> &Dataset {
        self.filesystem.dataset()
    }
}

impl std::fmt::Debug for AppStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppStorage").finish_non_exhaustive()
    }
}

impl Storage {
    /// The storage of an app that has one, without its assets. At most one may be open of each app: a second would not
    /// see what the first does.
    pub(super) fn open_app(&self, name: &AppName, record: &Record) -> Result<AppStorage, StorageError> {
        let dataset = self.volume.dataset(&dataset_name(name))?.ok_or(StorageError::NoDataset)?;
        self.over_dataset(name, dataset, record)
    }

    /// The incarnations of an app's keys: those of the app that it replaces, else new ones.
    ///
    /// # Errors
    /// [`StorageError`] where the disk or the CPU fails.
    pub(crate) fn incarnations(
        &self,
        name: &AppName,
        before: Option<&Record>,
    ) -> Result<Incarnations, StorageError> {
        match before {
            Some(record) => Ok(record.incarnations()),
            None => Ok(Incarnations {
                keys: self.keys.incarnation(&dataset_name(name))?,
                vault: self.keys.incarnation(&vault_name(name))?,
            }),
        }
    }

    /// Storage for a new app: the uploaded files and no keys. What an app of this name may have left behind is removed.
    pub(super) fn create_app(&self, upload: &Upload, record: &Record) -> Result<AppStorage, StorageError> {
        let name = upload.name();
        let filesystem = match upload.files_tree() {
            Some(filesystem) => filesystem,
            None => self.create_tree(name, &record.limits)?,
        };
        self.over_tree(name, filesystem, record)
    }

    /// An empty tree for a new app. What an app of this name may have left behind is removed, its keys too.
    pub(super) fn create_tree(&self, name: &AppName, limits: &Limits) -> Result<Filesystem, StorageError> {
        self.clear_app(name)?;
        let dataset = {
            let operation = self.volume.begin();
            self.volume.create_dataset(&operation, &dataset_name(name), quota(limits))?
        };
        Ok(Filesystem::open(dataset)?)
    }

    /// The same files and keys under other limits. What they hold beyond them stays; they cannot grow.
    pub(super) fn limit_app(
        &self,
        name: &AppName,
        app: &AppStorage,
        record: &Record,
    ) -> Result<AppStorage, StorageError> {
        {
            let operation = self.volume.begin();
            app.dataset().set_quota(&operation, quota(&record.limits))?;
        }
        let AppStorage { filesystem, vault, .. } = app.clone();
        let keys = self.namespace(name, app.dataset(), record)?;
        Ok(AppStorage { filesystem, keys, vault, assets: None })
    }

    /// Removes an app's files, keys and vault, and says what files and keys they were. Keys that damage keeps on the disk are
    /// not counted; no other app can name them, and what opened their values goes with the files.
    pub(super) fn clear_app(&self, name: &AppName) -> Result<StorageUsage, StorageError> {
        let dataset = dataset_name(name);
        let vault = self.keys.remove_namespace(&vault_name(name))?;
        let Removal { keys, is_complete } = self.keys.remove_namespace(&dataset)?;
        if !(is_complete && vault.is_complete) {
            cloister_boundary::log(
                "some keys of an app that is removed are damaged on the disk and stay there; nothing can read them",
            );
        }
        // A dataset that cannot be read can still be removed.
        if matches!(self.volume.dataset(&dataset), Ok(None)) {
            return Ok(StorageUsage { keys, ..StorageUsage::default() });
        }
        let operation = self.volume.begin();
        let usage = self.volume.remove_dataset(&operation, &dataset)?;
        Ok(StorageUsage { bytes: usage.bytes, files: usage.objects.saturating_sub(1), keys, key_bytes: 0 })
    }

    fn over_dataset(
        &self,
        name: &AppName,
        dataset: Dataset,
        record: &Record,
    ) -> Result<AppStorage, StorageError> {
        self.over_tree(name, Filesystem::open(dataset)?, record)
    }

    fn over_tree(
        &self,
        name: &AppName,
        filesystem: Filesystem,
        record: &Record,
    ) -> Result<AppStorage, StorageError> {
        let keys = self.namespace(name, filesystem.dataset(), record)?;
        let key = filesystem.dataset().derive_key("vault");
        let vault = self.keys.namespace(&vault_name(name), &record.vault, key, VAULT_QUOTA)?;
        Ok(AppStorage { filesystem, keys, vault, assets: None })
    }

    /// The key is the dataset's, so values die with it.
    fn namespace(
        &self,
        name: &AppName,
        dataset: &Dataset,
        record: &Record,
    ) -> Result<Namespace, StorageError> {
        let (name, key) = (dataset_name(name), dataset.derive_key("values"));
        Ok(self.keys.namespace(&name, &record.incarnation, key, record.limits.storage)?)
    }
}

/// Also the name of the app's keys.
pub(super) fn dataset_name(name: &AppName) -> String {
    format!("{APP}{name}")
}

/// The namespace of the app's vault. No app's keys have it: theirs are named as datasets are.
pub(super) fn vault_name(name: &AppName) -> String {
    format!("{VAULT}{name}")
}

/// The app whose dataset has this name.
pub(crate) fn app_of_dataset(dataset: &str) -> Option<AppName> {
    dataset.strip_prefix(APP)?.parse().ok()
}

/// Of its files alone; its keys may take as much again. The root directory is there before the app's first file.
fn quota(limits: &Limits) -> Quota {
    Quota { bytes: limits.storage, objects: limits.files.saturating_add(1) }
}

/// What the names of apps' datasets begin with.
const APP: &str = "app:";
/// What the names of apps' vaults begin with.
const VAULT: &str = "keystore:";
/// Bytes of an app's vault: 1,024 keys of some 400 bytes and 10,000 users with a few roles fit.
const VAULT_QUOTA: u64 = 4 << 20;
