//! Deploying, replacing and removing, so that a power cut at any moment leaves all of it or nothing.

use super::app::AppStorage;
use super::{Record, Storage, StorageError};
use cloister_api::{AppName, StorageUsage};
use cloister_runtime::Program;

/// A component that was written and belongs to no app yet.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    name: AppName,
    generation: String,
    code_hash: [u8; 32],
    size: u64,
}

impl Staged {
    pub(super) fn generation(&self) -> &str {
        &self.generation
    }

    pub(super) fn code_hash(&self) -> [u8; 32] {
        self.code_hash
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Storage {
    /// Writes a component and what compiling made of it. Nothing refers to it until [`install`](Self::install).
    ///
    /// # Errors
    /// [`StorageError`]; nothing is kept then.
    pub(crate) fn stage(
        &self,
        name: &AppName,
        wasm: &[u8],
        program: &Program,
    ) -> Result<Staged, StorageError> {
        let mut generation = [0; 8];
        cloister_tee::random(&mut generation)?;
        let staged = Staged {
            name: name.clone(),
            generation: hex::encode(generation),
            code_hash: program.code_hash(),
            size: wasm.len() as u64,
        };
        let written = self.write_component(&staged, wasm, program);
        if written.is_err() {
            self.discard(&staged);
        }
        written.map(|()| staged)
    }

    /// Removes a component that is not going to be installed. What cannot be removed now is when the enclave starts.
    pub(crate) fn discard(&self, staged: &Staged) {
        let _ = self.remove_component(&staged.name, &staged.generation);
        // Only where it is empty: it is, where the app was to be a new one.
        let _ = self.files.remove_empty_directory(&app_path(&staged.name));
    }

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
        let name = staged.name.clone();
        let mut installation =
            Installation { storage: self, staged, record, before, app: None, is_kept: false };
        installation.app = Some(match before {
            Some((app, _)) => self.limit_app(&name, app, record)?,
            None => self.create_app(&name, record)?,
        });
        Ok(installation)
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
        // Last, so that whatever is left can be found.
        self.files.remove_directory(&app_path(name))?;
        self.commit_now()?;
        Ok(removed)
    }

    fn write_component(&self, staged: &Staged, wasm: &[u8], program: &Program) -> Result<(), StorageError> {
        let artifact = program.artifact(&self.seal)?;
        self.files.make_directory(APPS)?;
        self.files.make_directory(&app_path(&staged.name))?;
        self.files.write(&wasm_path(&staged.name, &staged.generation), &[wasm])?;
        self.files.write(&artifact_path(&staged.name, &staged.generation), &artifact.parts())?;
        // The large part of it, before others have to wait.
        self.commit_now()?;
        Ok(())
    }

    fn remove_component(&self, name: &AppName, generation: &str) -> Result<(), StorageError> {
        self.files.remove(&wasm_path(name, generation))?;
        self.files.remove(&artifact_path(name, generation))
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
        let Self { storage, staged, record, before, .. } = &self;
        storage.files.replace(&record_path(&staged.name), &[&record.encode()?])?;
        storage.commit_now()?;
        if let Some((_, old)) = before {
            // What stays is removed when the enclave starts.
            let _ = storage.remove_component(&staged.name, &old.generation);
        }
        self.is_kept = true;
        Ok(())
    }

    fn undo(&self) -> Result<(), StorageError> {
        let Self { storage, staged, before, .. } = self;
        match before {
            Some((app, record)) => {
                storage.files.replace(&record_path(&staged.name), &[&record.encode()?])?;
                storage.limit_app(&staged.name, app, record)?;
            }
            None => {
                storage.files.remove(&record_path(&staged.name))?;
                storage.clear_app(&staged.name)?;
            }
        }
        storage.discard(staged);
        Ok(())
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            // It failed since the disk fails, and then this may too; the next start finds what is left.
            let _ = self.undo();
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
    format!("{APPS}/{name}/{generation}.wasm")
}

pub(super) fn artifact_path(name: &AppName, generation: &str) -> String {
    format!("{APPS}/{name}/{generation}.artifact")
}

/// The directory of all apps' directories.
pub(super) const APPS: &str = "apps";
