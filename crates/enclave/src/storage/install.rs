//! Deploying, replacing and removing, so that a power cut at any moment leaves all of it or nothing.

use super::app::AppStorage;
use super::assets::AssetsRecord;
use super::{Record, Storage, StorageError, Upload};
use cloister_api::{AppName, StorageUsage};
use cloister_runtime::Program;

/// A component that was written with all that came with it, and belongs to no app yet. Dropping it removes it, blocking.
#[derive(Debug)]
pub(crate) struct Staged {
    upload: Upload,
    code_hash: [u8; 32],
    size: u64,
}

impl Staged {
    pub(super) fn generation(&self) -> &str {
        self.upload.generation()
    }

    pub(super) fn code_hash(&self) -> [u8; 32] {
        self.code_hash
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn assets(&self) -> Option<AssetsRecord> {
        self.upload.assets()
    }
}

impl Upload {
    /// Writes the component and what compiling made of it. Nothing refers to it until [`Storage::install`].
    ///
    /// # Errors
    /// [`StorageError`]; nothing is kept then.
    pub(crate) fn stage(self, wasm: &[u8], program: &Program) -> Result<Staged, StorageError> {
        self.storage().write_component(&self, wasm, program)?;
        Ok(Staged { code_hash: program.code_hash(), size: wasm.len() as u64, upload: self })
    }
}

impl Storage {
    /// Makes an app of a staged component, in memory: with `before`'s data where it replaces it, else with none.
    /// [`Installation::keep`] makes it durable; without that, all is as before when the answer is dropped.
    ///
    /// # Errors
    /// [`StorageError`]; nothing is changed then.
    pub(crate) fn install<'a>(
        &'a self,
        staged: Staged,
        record: &'a Record,
        before: Option<(&'a AppStorage, &'a Record)>,
    ) -> Result<Installation<'a>, StorageError> {
        let mut installation =
            Installation { storage: self, staged, record, before, app: None, is_kept: false };
        let upload = &installation.staged.upload;
        let mut app = match before {
            Some((app, _)) => self.limit_app(upload.name(), app, record)?,
            None => self.create_app(upload, record)?,
        };
        app.assets = upload.assets_tree().and_then(|tree| self.assets(record, tree));
        installation.app = Some(app);
        Ok(installation)
    }

    /// Replaces the record of an app that stays, durably.
    ///
    /// # Errors
    /// [`StorageError`]; the app is as it was then.
    pub(crate) fn rewrite(
        &self,
        name: &AppName,
        record: &Record,
        before: &Record,
    ) -> Result<(), StorageError> {
        let path = record_path(name);
        let written = self.files.replace(&path, &[&record.encode()?]).and_then(|()| self.commit_now());
        if written.is_err() {
            // The next commit that the disk takes must not bring what was refused.
            self.files.replace(&path, &[&before.encode()?])?;
        }
        written.map(|_| ())
    }

    /// Makes an app's name free, durably. Its data is still there, and nobody's: [`purge`](Self::purge) follows.
    ///
    /// # Errors
    /// [`StorageError`]; the app is as it was then.
    pub(crate) fn retire(&self, name: &AppName) -> Result<(), StorageError> {
        let (record, retired) = (record_path(name), retired_path(name));
        self.files.rename(&record, &retired)?;
        let committed = self.commit_now();
        if committed.is_err() {
            // The next commit that the disk takes must not remove an app which answers.
            self.files.rename(&retired, &record)?;
        }
        committed.map(|_| ())
    }

    /// Removes the data and the component of a retired app, durably, and says what was there.
    ///
    /// # Errors
    /// [`StorageError`]: what is left is removed when the enclave starts next, or the name is used again.
    pub(crate) fn purge(&self, name: &AppName) -> Result<StorageUsage, StorageError> {
        let removed = self.clear_app(name)?;
        for generation in self.generations(name) {
            self.remove_assets(&generation)?;
        }
        // Last, so that whatever is left can be found.
        self.files.remove_directory(&app_path(name))?;
        self.commit_now()?;
        Ok(removed)
    }

    fn write_component(&self, upload: &Upload, wasm: &[u8], program: &Program) -> Result<(), StorageError> {
        let artifact = program.artifact(&self.seal)?;
        self.files.make_directory(APPS)?;
        self.files.make_directory(&app_path(upload.name()))?;
        self.files.write(&wasm_path(upload.name(), upload.generation()), &[wasm])?;
        self.files.write(&artifact_path(upload.name(), upload.generation()), &artifact.parts())?;
        // The large part of it, before others have to wait.
        self.commit_now()?;
        Ok(())
    }

    pub(super) fn remove_component(&self, name: &AppName, generation: &str) -> Result<(), StorageError> {
        self.files.remove(&wasm_path(name, generation))?;
        self.files.remove(&artifact_path(name, generation))
    }

    /// Removes an app's directory where there is nothing in it.
    pub(super) fn remove_app_directory(&self, name: &AppName) -> Result<(), StorageError> {
        self.files.remove_empty_directory(&app_path(name))
    }

    /// Every generation of which there is a component in an app's directory.
    pub(super) fn generations(&self, name: &AppName) -> Vec<String> {
        let files = self.files.list(&app_path(name)).unwrap_or_default();
        files.iter().filter_map(|file| file.strip_suffix(COMPONENT)).map(str::to_owned).collect()
    }
}

/// An app that is deployed or replaced in memory and not yet on the disk.
pub(crate) struct Installation<'a> {
    storage: &'a Storage,
    staged: Staged,
    record: &'a Record,
    before: Option<(&'a AppStorage, &'a Record)>,
    app: Option<AppStorage>,
    is_kept: bool,
}

impl Installation<'_> {
    /// The new app's storage.
    ///
    /// # Errors
    /// None once [`Storage::install`] has answered.
    pub(crate) fn storage(&self) -> Result<AppStorage, StorageError> {
        self.app.clone().ok_or(StorageError::NoDataset)
    }

    /// Makes the app durable.
    ///
    /// # Errors
    /// [`StorageError`]; all is as before then.
    pub(crate) fn keep(mut self) -> Result<(), StorageError> {
        let name = self.staged.upload.name().clone();
        self.storage.files.replace(&record_path(&name), &[&self.record.encode()?])?;
        self.storage.commit_now()?;
        self.is_kept = true;
        self.staged.upload.mark_installed();
        if let Some((app, old)) = self.before {
            // What stays is removed when the enclave starts.
            let _ = self.storage.remove_component(&name, &old.generation);
            match &app.assets {
                Some(assets) => assets.retire(),
                None => drop(self.storage.remove_assets(&old.generation)),
            }
        }
        Ok(())
    }

    fn undo(&self) -> Result<(), StorageError> {
        let Self { storage, staged, before, .. } = self;
        let name = staged.upload.name();
        match before {
            Some((app, record)) => {
                storage.files.replace(&record_path(name), &[&record.encode()?])?;
                storage.limit_app(name, app, record)?;
            }
            None => {
                storage.files.remove(&record_path(name))?;
                storage.clear_app(name)?;
            }
        }
        Ok(())
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            // It failed since the disk fails, and then this may too; the next start finds what is left.
            let _ = self.undo();
            // The upload goes after it, with whatever of it is left.
        }
    }
}

pub(super) fn app_path(name: &AppName) -> String {
    format!("{APPS}/{name}")
}

pub(super) fn record_path(name: &AppName) -> String {
    format!("{APPS}/{name}/record")
}

fn retired_path(name: &AppName) -> String {
    format!("{APPS}/{name}/retired")
}

pub(super) fn counters_path(name: &AppName) -> String {
    format!("{APPS}/{name}/counters")
}

pub(super) fn wasm_path(name: &AppName, generation: &str) -> String {
    format!("{APPS}/{name}/{generation}{COMPONENT}")
}

pub(super) fn artifact_path(name: &AppName, generation: &str) -> String {
    format!("{APPS}/{name}/{generation}.artifact")
}

/// What the names of components end with.
const COMPONENT: &str = ".wasm";
/// The directory of all apps' directories.
pub(super) const APPS: &str = "apps";
