//! What the enclave holds: the apps, and the evidence that names them. Both change together or not at all.

use crate::app::App;
use crate::attest::{AttestError, Attested, Attestor};
use crate::storage::{Affected, Loaded, Storage};
use crate::upgrade::Upgrade;
use cloister_api::{AppName, Code, Configuration, KeyFingerprint, Problem};
use cloister_runtime::{Runtime, Settings};
use cloister_tokens::{InvalidIssuer, Issuers};
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
    pub(crate) storage: Storage,
    /// Whose tokens owners may show.
    pub(crate) issuers: Issuers,
    /// Calls under way.
    pub(crate) calls: Arc<Semaphore>,
    /// Calls under way whose body is larger than [`SMALL_BODY`]: each holds it in memory.
    pub(crate) large_bodies: Semaphore,
    /// Units of [`ANSWER_UNIT`] bytes for answers larger than [`SMALL_BODY`] that their clients have not taken.
    pub(crate) answers: Arc<Semaphore>,
    /// Uploads and compiles under way: each holds a component in memory.
    pub(crate) deploys: Arc<Semaphore>,
    /// Checks and backups of the volume under way: each reads all of it.
    pub(crate) surveys: Arc<Semaphore>,
    pub(crate) connections: Arc<Semaphore>,
    /// Another image taking over.
    pub(crate) upgrade: Upgrade,
    state: RwLock<Arc<State>>,
    /// Held by whoever makes the next state, to the end of it: also where nobody waits for the answer any more.
    changing: Arc<tokio::sync::Mutex<()>>,
    deploying: Mutex<BTreeSet<AppName>>,
}

/// The apps and their evidence at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) apps: Apps,
    pub(crate) attested: Attested,
}

/// Every name that is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apps {
    /// Those that answer. The claims name them.
    pub(crate) running: BTreeMap<AppName, Arc<App>>,
    /// Those whose part of the volume does not verify. The claims do not name them.
    pub(crate) affected: BTreeMap<AppName, Arc<Affected>>,
}

impl Apps {
    /// Whose the name is.
    pub(crate) fn holder(&self, name: &AppName) -> Holder {
        if let Some(app) = self.running.get(name) {
            return Holder::Owner(app.record.owner);
        }
        match self.affected.get(name) {
            Some(affected) => affected.record.as_ref().map_or(Holder::Unknown, |r| Holder::Owner(r.owner)),
            None => Holder::Nobody,
        }
    }

    /// How many names are taken.
    pub(crate) fn len(&self) -> usize {
        self.running.len() + self.affected.len()
    }

    fn of(loaded: Loaded) -> Self {
        let affected = loaded.affected.into_iter().map(|(name, affected)| (name, Arc::new(affected)));
        let mut apps = Self { running: BTreeMap::new(), affected: affected.collect() };
        for app in loaded.apps {
            match App::try_from(app) {
                Ok(app) => drop(apps.running.insert(app.name.clone(), Arc::new(app))),
                Err(unusable) => {
                    let (name, affected) = *unusable;
                    apps.affected.insert(name, Arc::new(affected));
                }
            }
        }
        apps
    }
}

/// Whose a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Owner(KeyFingerprint),
    /// Somebody's, and the record that says whose does not verify.
    Unknown,
}

impl Enclave {
    /// An enclave with the apps of its volume.
    ///
    /// # Errors
    /// [`StartError`] where the platform gives no evidence, or the configuration's issuers are none.
    pub(crate) fn new(
        configuration: Configuration,
        runtime: Runtime,
        settings: Settings,
        attestor: Attestor,
        storage: Storage,
        loaded: Loaded,
    ) -> Result<Self, StartError> {
        let issuers = Issuers::new(&configuration.issuers)?;
        let apps = Apps::of(loaded);
        let attested = attestor.attest(&apps.running, &storage)?;
        Ok(Self {
            calls: Arc::new(Semaphore::new(configuration.max_concurrent_calls as usize)),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
            answers: Arc::new(Semaphore::new(ANSWER_UNITS)),
            deploys: Arc::new(Semaphore::new(MAX_DEPLOYS)),
            surveys: Arc::new(Semaphore::new(1)),
            connections: Arc::new(Semaphore::new(configuration.max_connections as usize)),
            state: RwLock::new(Arc::new(State { apps, attested })),
            changing: Arc::default(),
            upgrade: Upgrade::default(),
            deploying: Mutex::default(),
            configuration,
            runtime,
            settings,
            attestor,
            storage,
            issuers,
        })
    }

    /// The present state. It stays as it is for as long as it is held.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The app of this name.
    ///
    /// # Errors
    /// [`Code::UnknownApp`], with near names, or [`Code::AppDamaged`], with what is affected.
    pub(crate) fn app(&self, name: &AppName) -> Result<Arc<App>, Problem> {
        let state = self.state();
        let Apps { running, affected } = &state.apps;
        match (running.get(name), affected.get(name)) {
            (Some(app), _) => Ok(Arc::clone(app)),
            (None, Some(affected)) => Err(damaged(name, affected)),
            (None, None) => Err(unknown_app(name, running)),
        }
    }

    /// Makes the next state: `change` edits the apps, asks for [`evidence`](Self::evidence) of them and makes them
    /// durable. Then both are shown at once.
    ///
    /// # Errors
    /// As `change` says, which must have changed nothing then.
    pub(crate) async fn change<T, E>(
        self: &Arc<Self>,
        change: impl FnOnce(&Self, Apps) -> Result<(State, T), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Problem> + Send + 'static,
    {
        let one_at_a_time = self.unchanged().await;
        let enclave = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _one_at_a_time = one_at_a_time;
            let (next, changed) = change(&enclave, enclave.state().apps.clone())?;
            *enclave.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
            Ok(changed)
        })
        .await
        .unwrap_or_else(|_| {
            Err(Problem::new(Code::Internal, "the change was broken off; nothing was changed").into())
        })
    }

    /// Keeps changes off until the answer is dropped.
    pub(crate) async fn unchanged(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }

    /// A state with these apps. Blocks while the platform quotes.
    ///
    /// # Errors
    /// [`Code::EvidenceUnavailable`]; [`Code::TooManyApps`] where the claims would be too long.
    pub(crate) fn evidence(&self, apps: Apps) -> Result<State, Problem> {
        let attested =
            self.attestor.attest(&apps.running, &self.storage).map_err(|error| error.into_problem())?;
        Ok(State { apps, attested })
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

/// The enclave cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Attestation(#[from] AttestError),
    #[error("the configuration's issuers: {0}")]
    Issuers(#[from] InvalidIssuer),
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

/// The problem of an app that cannot be loaded.
pub(crate) fn damaged(name: &AppName, affected: &Affected) -> Problem {
    let remedy = match affected {
        Affected { record: Some(_), storage: Some(_), .. } => {
            "its data is whole. Its owner can deploy the component again with a replacement, or remove the app"
        }
        Affected { record: Some(_), storage: None, .. } => "its owner can remove it",
        Affected { record: None, .. } => "any owner of this enclave can remove it",
    };
    Problem::new(
        Code::AppDamaged,
        format!(
            "a part of the app '{name}' on the host's disk is not what this enclave wrote: {}. Nothing of it is \
             served; {remedy}",
            affected.what
        ),
    )
}

/// Apps in one enclave: their claims must fit the evidence.
pub(crate) const MAX_APPS: usize = 128;

/// Bytes that every call may send without waiting for its turn.
pub(crate) const SMALL_BODY: u64 = 64 << 10;

/// Of [`cloister_api::MAX_CALL_BODY`] each.
const MAX_LARGE_BODIES: usize = 4;

/// Bytes.
pub(crate) const ANSWER_UNIT: u64 = 64 << 10;

/// 64 MiB of answers.
pub(crate) const ANSWER_UNITS: usize = 1 << 10;

/// One compiles while one more uploads and waits.
const MAX_DEPLOYS: usize = 2;
