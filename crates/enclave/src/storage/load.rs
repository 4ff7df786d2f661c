//! Starting: every app that was there is there again, and what does not verify is named.

use super::app::{AppStorage, app_of_dataset};
use super::install::{APPS, app_path, artifact_path, counters_path, record_path, wasm_path};
use super::record::CountersRecord;
use super::{KeptCounters, Record, Storage, StorageError};
use cloister_api::AppName;
use cloister_runtime::{Program, Runtime, pool::POOL_BYTES};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// What the volume holds.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) apps: Vec<LoadedApp>,
    /// Names that stay taken although nothing answers under them.
    pub(crate) affected: Vec<(AppName, Affected)>,
}

/// An app as it was before the restart.
#[derive(Debug)]
pub(crate) struct LoadedApp {
    pub(crate) name: AppName,
    pub(crate) record: Record,
    pub(crate) program: Program,
    pub(crate) storage: AppStorage,
    pub(crate) counters: KeptCounters,
}

/// What is left of an app whose part of the volume does not verify.
#[derive(Clone, Debug)]
pub(crate) struct Affected {
    /// Without it, nobody knows whose the app was.
    pub(crate) record: Option<Record>,
    /// The app's data, where only its component is affected.
    pub(crate) storage: Option<AppStorage>,
    /// What is wrong, for the owner.
    pub(crate) what: String,
}

impl Storage {
    /// Loads all apps. Nothing is compiled whose artifact is good.
    ///
    /// # Errors
    /// [`StorageError`] where not even the list of apps can be read, or the disk takes nothing.
    pub(crate) fn load(&self, runtime: &Runtime) -> Result<Loaded, StorageError> {
        let names = match self.files.list(APPS) {
            Err(error) if error.is_absence() => Vec::new(),
            names => names?,
        };
        // Only the enclave writes here, and it writes names of apps alone.
        let names: BTreeSet<AppName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let mut loaded = Loaded::default();
        let mut generations = BTreeSet::new();
        for name in &names {
            match self.load_app(runtime, name) {
                Ok(Some(app)) => {
                    generations.insert(app.record.generation.clone());
                    loaded.apps.push(app);
                }
                // Power went while it was deployed or removed, and nobody was told that it is there.
                Ok(None) => drop(self.purge(name)),
                Err(affected) => {
                    generations.extend(self.generations(name));
                    generations.extend(affected.record.as_ref().map(|record| record.generation.clone()));
                    loaded.affected.push((name.clone(), *affected));
                }
            }
        }
        let nobodys = self.volume.datasets().into_iter().filter_map(|summary| app_of_dataset(&summary.name));
        for name in nobodys.filter(|name| !names.contains(name)) {
            // What cannot be removed takes room, and nobody can name it.
            let _ = self.clear_app(&name);
        }
        self.tidy_assets(&generations);
        self.commit_now()?;
        Ok(loaded)
    }

    /// Keeps what an app's calls did until the next commit makes it durable.
    ///
    /// # Errors
    /// [`StorageError`]; what was kept before stays.
    pub(crate) fn write_counters(
        &self,
        name: &AppName,
        record: &Record,
        counters: KeptCounters,
    ) -> Result<(), StorageError> {
        let counters = CountersRecord::new(record, counters).encode()?;
        self.files.replace(&counters_path(name), &[&counters])
    }

    /// One app; `None` where there is no record of it.
    fn load_app(&self, runtime: &Runtime, name: &AppName) -> Result<Option<LoadedApp>, Box<Affected>> {
        let record = match self.record(name) {
            Ok(record) => record,
            Err(error) if error.is_absence() => return Ok(None),
            Err(error) => {
                let what = format!("the record of its deployment: {error}");
                return Err(Box::new(Affected { record: None, storage: None, what }));
            }
        };
        let mut storage = match self.open_app(name, &record) {
            Ok(storage) => storage,
            Err(error) => {
                let what = format!("its files: {error}");
                return Err(Box::new(Affected { record: Some(record), storage: None, what }));
            }
        };
        storage.assets = match self.open_assets(&record) {
            Ok(assets) => assets,
            Err(error) => {
                let what = format!("its assets: {error}");
                return Err(Box::new(Affected { record: Some(record), storage: Some(storage), what }));
            }
        };
        match self.program(runtime, name, &record) {
            Ok(program) => {
                let counters = self.counters(name, &record);
                self.tidy(name, &record);
                Ok(Some(LoadedApp { name: name.clone(), record, program, storage, counters }))
            }
            Err(error) => {
                let what = format!("its component: {error}");
                Err(Box::new(Affected { record: Some(record), storage: Some(storage), what }))
            }
        }
    }

    fn record(&self, name: &AppName) -> Result<Record, StorageError> {
        let text = Zeroizing::new(self.files.read(&record_path(name), MAX_RECORD)?);
        Record::decode(&text)
    }

    fn program(&self, runtime: &Runtime, name: &AppName, record: &Record) -> Result<Program, StorageError> {
        let wasm = self.files.read(&wasm_path(name, &record.generation), record.size)?;
        if hex::encode(cloister_attestation::sha256(&wasm)) != record.code_hash {
            return Err(StorageError::OtherComponent);
        }
        let path = artifact_path(name, &record.generation);
        let artifact = self.files.read(&path, MAX_ARTIFACT);
        if let Ok(artifact) = artifact
            && let Ok(program) = runtime.restore(&wasm, &artifact, &self.seal)
        {
            return Ok(program);
        }
        let program = runtime.prepare(&wasm, &())?;
        // Without it the next start compiles again.
        let _ = program
            .artifact(&self.seal)
            .map_err(StorageError::from)
            .and_then(|artifact| self.files.replace(&path, &artifact.parts()));
        Ok(program)
    }

    /// Where they cannot be read, they begin anew.
    fn counters(&self, name: &AppName, record: &Record) -> KeptCounters {
        let kept = self.files.read(&counters_path(name), MAX_COUNTERS);
        let kept = kept.and_then(|text| CountersRecord::decode(&text));
        kept.map(|kept| kept.of(record)).unwrap_or_default()
    }

    /// Removes what a power cut left in an app's directory.
    fn tidy(&self, name: &AppName, record: &Record) {
        let generation = &record.generation;
        let kept = [
            record_path(name),
            counters_path(name),
            wasm_path(name, generation),
            artifact_path(name, generation),
        ];
        for file in self.files.list(&app_path(name)).unwrap_or_default() {
            let path = format!("{}/{file}", app_path(name));
            if !kept.contains(&path) {
                // What cannot be removed now is when the enclave starts next.
                let _ = self.files.remove(&path);
            }
        }
    }
}

/// Bytes of a record: settings come in a header of 48 KiB, and values of extensions have 8 KiB.
const MAX_RECORD: u64 = 4 << 20;
/// Bytes of counters: some 200 for each function that was called, of at most 10,000, and at most 1 KiB for each key that was
/// used, of a few thousand.
const MAX_COUNTERS: u64 = 16 << 20;
/// Bytes of an artifact: what fits the pool.
const MAX_ARTIFACT: u64 = POOL_BYTES as u64 + 4096;
