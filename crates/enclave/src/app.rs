//! One deployed app, and what its calls did.

use crate::app_log::AppLog;
use crate::egress::Egress;
use crate::own::Own;
use crate::state::Enclave;
use crate::storage::{Affected, AppStorage, KeptCounters, LoadedApp, Record, StorageError};
use crate::{keys, own};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_api::{
    AppDescription, AppName, AppSummary, Code, ConfigurationState, ExtensionDescription, FunctionCounters,
    Problem,
};
use cloister_attestation::{ConfigurationClaim, extension_oid, sha256};
use cloister_runtime::platform::{Caller, Keystore, PlatformSettings};
use cloister_runtime::{Client, Context, EgressLog, HttpSettings, LogSink, Preopen, Program, Roots};
use cloister_tokens::Issuers;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroize;

/// A name, an owner, a program, its bounds, its data.
///
/// Calls hold the app that they began with: after a replacement they finish on the old code. Where an app declares something
/// of itself, its record changes and nothing else: the new app shares the rest with the old one.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) name: AppName,
    /// As it is in the volume.
    pub(crate) record: Record,
    pub(crate) program: Program,
    /// The record's, as calls take it. Values are secrets: neither logged nor described.
    pub(crate) environment: Arc<[(String, String)]>,
    /// As the environment.
    config: Arc<[(String, String)]>,
    preopens: Arc<[Preopen]>,
    network: HttpSettings,
    /// Whose tokens its callers may show.
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) storage: AppStorage,
    /// In memory.
    pub(crate) keys: Keystore,
    quote_roots: Arc<[Vec<u8>]>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Arc<AppLog>,
    /// Ends the log with the last app that shares it.
    _end_of_log: Arc<EndOfLog>,
    pub(crate) egress: Arc<Egress>,
    /// Held while the app declares something of itself.
    pub(crate) declaring: own::Turn,
}

struct EndOfLog(Arc<AppLog>);

impl Drop for EndOfLog {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl App {
    /// # Errors
    /// [`Code::InvalidSettings`] where the app's root certificates or its issuers are none.
    pub(crate) fn new(
        name: AppName,
        record: Record,
        program: Program,
        storage: AppStorage,
        keys: Keystore,
    ) -> Result<Self, Problem> {
        let egress: Arc<Egress> = Arc::default();
        let log: Arc<AppLog> = Arc::default();
        let network = HttpSettings {
            policy: Arc::new(record.network.clone()),
            client: client(&record.roots)?,
            egress: Arc::clone(&egress) as Arc<dyn EgressLog>,
        };
        let issuers = Issuers::new(&record.issuers).map_err(|error| {
            Problem::new(Code::InvalidSettings, format!("the issuers of the app's tokens: {error}"))
        })?;
        Ok(Self {
            name,
            issuers: Arc::new(issuers),
            environment: record.environment.clone().into(),
            config: record.config.clone().into(),
            preopens: storage.preopens(&record),
            network,
            quote_roots: record.quote_roots().into(),
            record,
            program,
            storage,
            keys,
            counters: Arc::default(),
            _end_of_log: Arc::new(EndOfLog(Arc::clone(&log))),
            log,
            egress,
            declaring: own::Turn::default(),
        })
    }

    /// The same app after it declared what this record has.
    pub(crate) fn with_record(&self, record: Record) -> Self {
        let mut app = self.clone();
        app.record = record;
        app
    }

    /// What one call of the app sees. The flag tells afterwards whether the guest looked at what the app keeps.
    pub(crate) fn context<'a>(
        self: &'a Arc<Self>,
        enclave: &Arc<Enclave>,
        caller: Option<Caller>,
        used: &Arc<AtomicBool>,
    ) -> Context<'a> {
        Context {
            limits: &self.record.limits,
            environment: Arc::clone(&self.environment),
            config: Arc::clone(&self.config),
            log: Arc::clone(&self.log) as Arc<dyn LogSink>,
            storage: Some(self.storage.for_call(&enclave.storage, used)),
            preopens: Arc::clone(&self.preopens),
            network: self.network.clone(),
            platform: PlatformSettings {
                keys: self.keys.clone(),
                vault: Some(self.storage.vault().clone()),
                app: Arc::new(Own::new(enclave, self)),
                quote_roots: Arc::clone(&self.quote_roots),
            },
            caller,
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
            config: self.config.iter().map(|(name, _)| name.clone()).collect(),
            directories: self.record.directories.clone(),
            network: self.record.network.clone(),
            sends_plaintext: self.record.network.is_plaintext(),
            roots: self.record.roots_hash().map(hex::encode),
            quote_roots: self.record.quote_roots_hash().map(hex::encode),
            configuration: match self.record.configuration() {
                ConfigurationClaim::NotNeeded => ConfigurationState::NotNeeded,
                ConfigurationClaim::Awaited => ConfigurationState::Awaited,
                ConfigurationClaim::Complete => ConfigurationState::Complete,
            },
            configure_with: self.record.configure_with.clone(),
            callers: self.record.callers.clone(),
            issuers: self.record.issuers.clone(),
            upgrade: self.record.upgrade.clone(),
            extensions: self.record.extensions.iter().map(extension).collect(),
            keys: keys::described(&self.keys, self.storage.vault())?,
            assets: self.storage.assets(),
            serves_http: self.program.handles_http(),
            runs: self.program.runs(),
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

impl TryFrom<LoadedApp> for App {
    type Error = Box<(AppName, Affected)>;

    fn try_from(loaded: LoadedApp) -> Result<Self, Self::Error> {
        let LoadedApp { name, record, program, storage, counters } = loaded;
        let KeptCounters { functions, keys: uses } = counters;
        let keys = Keystore::default();
        keys.restore_uses(&uses);
        let app = Self::new(name.clone(), record.clone(), program, storage.clone(), keys);
        let mut app = app.map_err(|problem| {
            let what = problem.detail;
            Box::new((name, Affected { record: Some(record), storage: Some(storage), what }))
        })?;
        app.counters = Arc::new(Counters::of(functions));
        Ok(app)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // A call under way has its own hold of them, and so has the app after a declaration.
        for secrets in [&mut self.environment, &mut self.config] {
            if let Some(secrets) = Arc::get_mut(secrets) {
                secrets.iter_mut().for_each(|(_, value)| value.zeroize());
            }
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("record", &self.record).finish_non_exhaustive()
    }
}

/// TLS of what the app sends.
fn client(roots: &[String]) -> Result<Client, Problem> {
    let invalid =
        |why: String| Problem::new(Code::InvalidSettings, format!("the app's root certificates: {why}"));
    let certificates = roots.iter().map(|root| BASE64.decode(root).map(CertificateDer::from));
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
    let roots = if certificates.is_empty() { Roots::Mozilla } else { Roots::These(certificates) };
    Client::new(roots).map_err(|error| invalid(error.to_string()))
}

fn extension((suffix, value): (&u32, &Vec<u8>)) -> ExtensionDescription {
    ExtensionDescription {
        oid: extension_oid(*suffix),
        bytes: value.len() as u64,
        hash: hex::encode(sha256(value)),
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

    /// Each function that was called, where that changed since this was asked last. Keys are used by calls: where their uses
    /// changed, this does.
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
