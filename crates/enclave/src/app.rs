//! One deployed app, and what its calls did.

use crate::storage::{AppStorage, LoadedApp, Record, StorageError};
use cloister_api::{AppDescription, AppName, AppSummary, FunctionCounters};
use cloister_runtime::{LogSink, Program, Stdio};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroize;

/// A name, an owner, a program, its bounds, its data.
///
/// Calls hold the app that they began with: after a replacement they finish on the old code.
pub(crate) struct App {
    pub(crate) name: AppName,
    /// As it is in the volume.
    pub(crate) record: Record,
    pub(crate) program: Program,
    /// The record's, as calls take it. Values are secrets: neither logged nor described.
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) storage: AppStorage,
    pub(crate) counters: Counters,
    pub(crate) log: Arc<AppLog>,
}

impl App {
    pub(crate) fn new(name: AppName, record: Record, program: Program, storage: AppStorage) -> Self {
        Self {
            name,
            environment: record.environment.clone().into(),
            record,
            program,
            storage,
            counters: Counters::default(),
            log: Arc::default(),
        }
    }

    pub(crate) fn summary(&self) -> AppSummary {
        summary(&self.name, &self.record)
    }

    /// Blocks while the volume counts what the app keeps.
    ///
    /// # Errors
    /// [`StorageError`] where the disk fails.
    pub(crate) fn description(&self) -> Result<AppDescription, StorageError> {
        let (total, functions) = self.counters.read();
        Ok(AppDescription {
            summary: self.summary(),
            wit: self.program.wit().to_owned(),
            limits: self.record.limits.clone(),
            environment: self.environment.iter().map(|(name, _)| name.clone()).collect(),
            imports: self.program.imports().to_vec(),
            exports: self.program.exports(),
            code_bytes: self.program.code_bytes() as u64,
            compile_ms: u64::try_from(self.program.compile_time().as_millis()).unwrap_or(u64::MAX),
            storage: self.storage.usage_as_found()?,
            total,
            functions,
        })
    }
}

impl From<LoadedApp> for App {
    fn from(loaded: LoadedApp) -> Self {
        let LoadedApp { name, record, program, storage, counters } = loaded;
        let mut app = Self::new(name, record, program, storage);
        app.counters = Counters::of(counters);
        app
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // A call under way has its own hold of it.
        if let Some(environment) = Arc::get_mut(&mut self.environment) {
            environment.iter_mut().for_each(|(_, value)| value.zeroize());
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("record", &self.record).finish_non_exhaustive()
    }
}

/// What a list says of an app.
pub(crate) fn summary(name: &AppName, record: &Record) -> AppSummary {
    AppSummary {
        name: name.clone(),
        code_hash: record.code_hash.clone(),
        size: record.size,
        owner: record.owner.to_string(),
    }
}

/// The last of what the app's calls wrote to standard output and error. Its owner may read it, and nobody else.
#[derive(Default)]
pub(crate) struct AppLog(Mutex<VecDeque<u8>>);

impl AppLog {
    /// The bytes kept, oldest first.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl LogSink for AppLog {
    fn write(&self, _: Stdio, bytes: &[u8]) {
        #[cfg(feature = "provocations")]
        assert!(!bytes.starts_with(b"hello"), "provoked by {bytes:?}");
        let kept = &bytes[bytes.len().saturating_sub(APP_LOG)..];
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = (log.len() + kept.len()).saturating_sub(APP_LOG);
        log.drain(..over);
        log.extend(kept);
    }
}

impl std::fmt::Debug for AppLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppLog").finish_non_exhaustive()
    }
}

/// Bytes of output kept of one app.
const APP_LOG: usize = 256 << 10;

/// What calls did, by export.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    functions: Mutex<BTreeMap<String, FunctionCounters>>,
    /// They were counted on since the volume has them.
    changed: AtomicBool,
}

impl Counters {
    fn of(functions: BTreeMap<String, FunctionCounters>) -> Self {
        Self { functions: Mutex::new(functions), changed: AtomicBool::new(false) }
    }

    /// Counts one call that ended.
    pub(crate) fn record(&self, export: &str, ended: Ended) {
        self.changed.store(true, Ordering::Release);
        let mut functions = self.lock();
        if !functions.contains_key(export) {
            functions.insert(export.to_owned(), FunctionCounters::default());
        }
        if let Some(counters) = functions.get_mut(export) {
            add(counters, ended);
        }
    }

    /// All functions together, and each that was called.
    pub(crate) fn read(&self) -> (FunctionCounters, BTreeMap<String, FunctionCounters>) {
        let functions = self.lock().clone();
        let mut total = FunctionCounters::default();
        functions.values().for_each(|one| merge(&mut total, one));
        (total, functions)
    }

    /// Each function that was called, where that changed since this was asked last.
    pub(crate) fn take_changed(&self) -> Option<BTreeMap<String, FunctionCounters>> {
        self.changed.swap(false, Ordering::AcqRel).then(|| self.lock().clone())
    }

    /// They were taken, and could not be kept.
    pub(crate) fn mark_changed(&self) {
        self.changed.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FunctionCounters>> {
        self.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) fuel: u64,
    pub(crate) wall: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Returned,
    Failed,
}

fn add(counters: &mut FunctionCounters, ended: Ended) {
    let wall = u64::try_from(ended.wall.as_micros()).unwrap_or(u64::MAX);
    merge(
        counters,
        &FunctionCounters {
            calls: 1,
            errors: u64::from(ended.outcome == Outcome::Failed),
            fuel_min: ended.fuel,
            fuel_max: ended.fuel,
            fuel_total: ended.fuel,
            wall_us_min: wall,
            wall_us_max: wall,
            wall_us_total: wall,
        },
    );
}

fn merge(into: &mut FunctionCounters, other: &FunctionCounters) {
    let first = into.calls == 0;
    let least = |a: u64, b: u64| if first { b } else { a.min(b) };
    into.fuel_min = least(into.fuel_min, other.fuel_min);
    into.wall_us_min = least(into.wall_us_min, other.wall_us_min);
    into.fuel_max = into.fuel_max.max(other.fuel_max);
    into.wall_us_max = into.wall_us_max.max(other.wall_us_max);
    for (sum, part) in [
        (&mut into.calls, other.calls),
        (&mut into.errors, other.errors),
        (&mut into.fuel_total, other.fuel_total),
        (&mut into.wall_us_total, other.wall_us_total),
    ] {
        *sum = sum.saturating_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_the_last_bytes() {
        let log = AppLog::default();
        log.write(Stdio::Stdout, b"first");
        log.write(Stdio::Stderr, &vec![b'x'; APP_LOG - 2]);
        assert_eq!(log.read().len(), APP_LOG);
        assert!(log.read().starts_with(b"stx"));
        log.write(Stdio::Stdout, &vec![b'y'; 2 * APP_LOG]);
        assert_eq!(log.read(), vec![b'y'; APP_LOG]);
    }

    #[test]
    fn counters_keep_least_most_and_sum() {
        let counters = Counters::default();
        for (outcome, fuel, micros) in
            [(Outcome::Returned, 10, 7), (Outcome::Failed, 4, 30), (Outcome::Returned, 6, 2)]
        {
            counters.record("f", Ended { outcome, fuel, wall: Duration::from_micros(micros) });
        }
        counters.record("g", Ended { outcome: Outcome::Returned, fuel: 1, wall: Duration::from_micros(100) });
        let (total, functions) = counters.read();
        assert_eq!(
            functions["f"],
            FunctionCounters {
                calls: 3,
                errors: 1,
                fuel_min: 4,
                fuel_max: 10,
                fuel_total: 20,
                wall_us_min: 2,
                wall_us_max: 30,
                wall_us_total: 39,
            }
        );
        assert_eq!((total.calls, total.fuel_min, total.fuel_total, total.wall_us_max), (4, 1, 21, 100));
        assert_eq!(counters.take_changed(), Some(functions));
        assert_eq!(counters.take_changed(), None);
    }
}
