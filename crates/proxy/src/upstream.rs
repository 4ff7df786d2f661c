//! Verified sessions with one enclave: for its own paths, and for each web service that is asked for.

use crate::guard::Target;
use crate::{Notice, Notices, ProxyError};
use cloister_api::AppName;
use cloister_client::{Check, CheckResult, Client, ClientError, Endpoint, Outcome, Refused, Session};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Opens sessions, keeps them while they last, and opens them again.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client,
    endpoint: Endpoint,
    notices: Notices,
    /// By server name; those of apps only for apps that the enclave claims.
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    /// The newest state of the volume that any session began with.
    latest_epoch: Mutex<Option<u64>>,
}

/// Where the sessions for one server name are. Whoever holds the lock is opening one, and the others wait for that.
#[derive(Debug, Default)]
struct Slot(tokio::sync::Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// One, and further ones while as many requests are under way as the enclave takes in one. Each request holds its own.
    sessions: Vec<(Arc<Session>, Instant)>,
    /// The last attempt, where it failed.
    failure: Option<(Arc<ClientError>, Instant)>,
}

impl Upstream {
    pub(crate) fn new(client: Client, endpoint: Endpoint, notices: Notices) -> Self {
        Self { client, endpoint, notices, slots: Mutex::default(), latest_epoch: Mutex::default() }
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The server name of the sessions that carry requests for this target.
    pub(crate) fn server_name(&self, target: &Target) -> String {
        let own = &self.endpoint.server_name;
        match target {
            Target::Enclave => own.clone(),
            // An address has no labels to put the app's name before.
            Target::App(app) if own.parse::<IpAddr>().is_ok() => format!("{app}.localhost"),
            Target::App(app) => format!("{app}.{own}"),
        }
    }

    /// A verified session for the target, whose evidence names `app` where that is asked for.
    ///
    /// An app that the evidence does not name may be new: then the enclave is verified again, with the app, before anything is
    /// sent to it.
    pub(crate) async fn session(
        &self,
        target: &Target,
        app: Option<&AppName>,
    ) -> Result<Arc<Session>, ProxyError> {
        let own = self.held(&self.endpoint.server_name, app).await?;
        let Target::App(name) = target else { return Ok(own) };
        if own.claims().app(name).is_none() {
            return Err(ProxyError::UnknownApp(name.clone()));
        }
        self.held(&self.server_name(target), Some(name)).await
    }

    /// Verifies the enclave in a new session, which carries the requests from now on. Where that fails none does: each opens a
    /// session of its own, and so verifies first.
    pub(crate) async fn verify(&self) -> Result<Arc<Session>, Arc<ClientError>> {
        let slot = self.slot(&self.endpoint.server_name);
        let mut state = slot.0.lock().await;
        state.sessions.clear();
        let opened = self.open(&self.endpoint.server_name, &mut state).await;
        match &opened {
            Ok(session) => self.keep_what_agrees(session),
            Err(_) => self.slots().retain(|name, _| *name == self.endpoint.server_name),
        }
        opened
    }

    /// The next request verifies first.
    pub(crate) fn forget(&self, lost: &Arc<Session>) {
        for slot in self.slots().values() {
            // Whoever has the lock looks whether the session is lost.
            let Ok(mut state) = slot.0.try_lock() else { continue };
            state.sessions.retain(|(held, _)| !Arc::ptr_eq(held, lost));
        }
    }

    /// The next request of every kind verifies first.
    pub(crate) fn forget_all(&self) {
        self.slots().clear();
    }

    async fn held(&self, server_name: &str, app: Option<&AppName>) -> Result<Arc<Session>, ProxyError> {
        let asked = Instant::now();
        let slot = self.slot(server_name);
        let mut state = slot.0.lock().await;
        state.sessions.retain(|(session, since)| {
            let names = app.is_none_or(|app| session.claims().app(app).is_some());
            !session.is_lost() && (names || since.elapsed() < LEAST_AGE)
        });
        let loads = state.sessions.iter().map(|(session, _)| (load(session), session));
        let least = loads.min_by_key(|(load, _)| *load).map(|(load, session)| (load, Arc::clone(session)));
        if let Some((load, session)) = &least
            && (*load < MAX_LOAD || state.sessions.len() >= MAX_SESSIONS)
        {
            return Ok(Arc::clone(session));
        }
        // What failed while this one waited would fail again.
        if let Some((failure, at)) = &state.failure
            && *at >= asked
        {
            let failure = ProxyError::NoSession(Arc::clone(failure));
            return least.map(|(_, session)| session).ok_or(failure);
        }
        let opened = self.open(server_name, &mut state).await;
        match (opened, least) {
            // An enclave that takes no further session goes on with those that it has.
            (Err(error), Some((_, session))) if !matches!(*error, ClientError::Refused(_)) => Ok(session),
            (opened, _) => opened.map_err(ProxyError::NoSession),
        }
    }

    /// A further session. Where the enclave is refused, nothing more is sent in those that there are.
    async fn open(&self, server_name: &str, state: &mut State) -> Result<Arc<Session>, Arc<ClientError>> {
        let endpoint =
            Endpoint { address: self.endpoint.address.clone(), server_name: server_name.to_owned() };
        let opened = match self.client.connect(&endpoint).await {
            Ok(session) => self.not_older(session),
            Err(error) => Err(error),
        };
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                self.notices.tell(Notice::Verified { mrenclave: *session.mrenclave() });
                state.sessions.push((Arc::clone(&session), Instant::now()));
                state.failure = None;
                Ok(session)
            }
            Err(error) => {
                if matches!(error, ClientError::Refused(_)) {
                    state.sessions.clear();
                }
                let error = Arc::new(error);
                self.notices.tell(Notice::Refused(Arc::clone(&error)));
                state.failure = Some((Arc::clone(&error), Instant::now()));
                Err(error)
            }
        }
    }

    /// Refuses a session with an older state of the volume than one before it had: whatever was written since is gone.
    fn not_older(&self, session: Session) -> Result<Session, ClientError> {
        let mut latest = self.latest_epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = session.volume().map(|volume| volume.epoch);
        if let Some(seen) = *latest
            && epoch < Some(seen)
        {
            let found = epoch.map_or("no volume".to_owned(), |epoch| format!("epoch {epoch}"));
            let reason = format!("it has {found}, and epoch {seen} was seen by this proxy");
            let mut report = session.report().clone();
            report.checks.retain(|result| result.check != Check::MinimumEpoch);
            let outcome = Outcome::Failed { reason };
            report.checks.push(CheckResult { check: Check::MinimumEpoch, outcome });
            return Err(Refused { report: Box::new(report) }.into());
        }
        *latest = epoch.max(*latest);
        Ok(session)
    }

    /// Drops the sessions for apps that are gone or are other code now.
    fn keep_what_agrees(&self, verified: &Session) {
        self.slots().retain(|name, slot| {
            if *name == self.endpoint.server_name {
                return true;
            }
            let Ok(state) = slot.0.try_lock() else { return true };
            let app = name.split('.').next().and_then(|app| app.parse::<AppName>().ok());
            app.is_some_and(|app| {
                let now = verified.claims().app(&app);
                now.is_some() && state.sessions.iter().all(|(held, _)| held.claims().app(&app) == now)
            })
        });
    }

    fn slot(&self, server_name: &str) -> Arc<Slot> {
        Arc::clone(self.slots().entry(server_name.to_owned()).or_default())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that are under way in a session of a slot: whose answers have not been taken to their end.
fn load(session: &Arc<Session>) -> usize {
    Arc::strong_count(session) - 1
}

/// Requests that an enclave takes at once in one session (`docs/design/protocol.md`).
const MAX_LOAD: usize = 64;
/// Sessions for one server name: with four, as many requests as there may be connections.
const MAX_SESSIONS: usize = 4;
/// A session is not opened again for an app that it does not name before this time has passed.
const LEAST_AGE: Duration = Duration::from_secs(1);
