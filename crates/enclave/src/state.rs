//! What the enclave holds: the apps, and the evidence that names them. Both change together or not at all.

use crate::app::App;
use crate::attest::{AttestError, Attested, Attestor};
use cloister_api::{AppName, Code, Configuration, Problem};
use cloister_runtime::{Runtime, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Semaphore;

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Enclave {
    pub(crate) configuration: Configuration,
    pub(crate) runtime: Runtime,
    pub(crate) settings: Settings,
    pub(crate) attestor: Attestor,
    /// Calls under way.
    pub(crate) calls: Semaphore,
    /// Calls under way whose body is larger than [`SMALL_BODY`]: each holds it in memory.
    pub(crate) large_bodies: Semaphore,
    /// Uploads and compiles under way: each holds a component in memory.
    pub(crate) deploys: Semaphore,
    pub(crate) connections: Arc<Semaphore>,
    state: RwLock<Arc<State>>,
    /// Held by whoever makes the next state.
    changing: tokio::sync::Mutex<()>,
    deploying: Mutex<BTreeSet<AppName>>,
}

/// The apps and their evidence at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) apps: BTreeMap<AppName, Arc<App>>,
    pub(crate) attested: Attested,
}

impl Enclave {
    /// An enclave without apps.
    ///
    /// # Errors
    /// [`AttestError`] where the platform gives no evidence.
    pub(crate) fn new(
        configuration: Configuration,
        runtime: Runtime,
        settings: Settings,
        attestor: Attestor,
    ) -> Result<Self, AttestError> {
        let apps = BTreeMap::new();
        let attested = attestor.attest(&apps)?;
        Ok(Self {
            calls: Semaphore::new(configuration.max_concurrent_calls as usize),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
            deploys: Semaphore::new(MAX_DEPLOYS),
            connections: Arc::new(Semaphore::new(configuration.max_connections as usize)),
            state: RwLock::new(Arc::new(State { apps, attested })),
            changing: tokio::sync::Mutex::default(),
            deploying: Mutex::default(),
            configuration,
            runtime,
            settings,
            attestor,
        })
    }

    /// The present state. It stays as it is for as long as it is held.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The app of this name.
    ///
    /// # Errors
    /// [`Code::UnknownApp`], with near names.
    pub(crate) fn app(&self, name: &AppName) -> Result<Arc<App>, Problem> {
        let state = self.state();
        state.apps.get(name).cloned().ok_or_else(|| unknown_app(name, &state.apps))
    }

    /// Makes the next state: `change` edits the apps, evidence for them is made, then both are shown at once.
    ///
    /// # Errors
    /// As `change` says, and [`Code::EvidenceUnavailable`]; nothing is changed then.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut BTreeMap<AppName, Arc<App>>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _one_at_a_time = self.changing.lock().await;
        let enclave = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let mut apps = enclave.state().apps.clone();
            let changed = change(&mut apps)?;
            let attested = enclave.attestor.attest(&apps).map_err(|error| {
                Problem::new(Code::EvidenceUnavailable, format!("nothing was changed: {error}"))
            })?;
            let next = Arc::new(State { apps, attested });
            *enclave.state.write().unwrap_or_else(PoisonError::into_inner) = next;
            Ok(changed)
        })
        .await
        .unwrap_or_else(|_| {
            Err(Problem::new(Code::Internal, "the change was broken off; nothing was changed"))
        })
    }

    /// Keeps other deploys off a name until the reservation is dropped.
    ///
    /// # Errors
    /// [`Code::Busy`] where the name is being deployed.
    pub(crate) fn reserve(self: &Arc<Self>, name: &AppName) -> Result<Reservation, Problem> {
        let fresh = self.deploying.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        if fresh {
            Ok(Reservation { enclave: Arc::clone(self), name: name.clone() })
        } else {
            Err(Problem::new(Code::Busy, format!("the app '{name}' is being deployed by another request")))
        }
    }
}

/// A name that is being deployed.
#[derive(Debug)]
pub(crate) struct Reservation {
    enclave: Arc<Enclave>,
    name: AppName,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.enclave.deploying.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// The problem of a name that no app has.
pub(crate) fn unknown_app(name: &AppName, apps: &BTreeMap<AppName, Arc<App>>) -> Problem {
    let near = cloister_runtime::nearest(name.as_str(), apps.keys().map(AppName::as_str));
    Problem::new(Code::UnknownApp, format!("there is no app '{name}'")).with_suggestions(near)
}

/// Apps in one enclave: their claims must fit the evidence.
pub(crate) const MAX_APPS: usize = 128;

/// Bytes that every call may send without waiting for its turn.
pub(crate) const SMALL_BODY: u64 = 64 << 10;

/// Of [`cloister_api::MAX_CALL_BODY`] each.
const MAX_LARGE_BODIES: usize = 4;

/// One compiles while one more uploads and waits.
const MAX_DEPLOYS: usize = 2;
