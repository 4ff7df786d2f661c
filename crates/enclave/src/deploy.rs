//! Deploying and replacing: from the bytes of a component to an app that answers.

mod bundle;
pub(crate) mod receive;
mod replacement;
pub(crate) mod settings;

use crate::access::Requester;
use crate::app::App;
use crate::state::{Apps, Enclave, Holder, MAX_APPS, State, damaged, unknown_app};
use crate::storage::{AppSettings, AppStorage, Record, Staged, StorageError, Upload};
use crate::{attest, body};
use bytes::Bytes;
use cloister_api::{
    AppDescription, AppName, BUNDLE, Code, DeployEvent, Endorsement, KeyFingerprint, NDJSON, Problem, WASM,
};
use cloister_channel_body::Channel;
use cloister_runtime::{Program, Progress};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use receive::Receiver;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Whether a name must be free or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new app.
    Deploy,
    /// New code for an app of the same owner.
    Replace,
}

/// Serves a deploy or replace request: with a stream of events where the client asked for one.
///
/// # Errors
/// A [`Problem`]; the apps are as they were then.
pub(crate) async fn serve(
    enclave: &Arc<Enclave>,
    requester: Requester,
    kind: Kind,
    name: AppName,
    request: Request<Incoming>,
) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner(&enclave.configuration)?;
    let wants_events = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains(NDJSON));
    let settings = settings::parse(request.headers())?;
    let endorsements = replacement::endorsements(request.headers())?;
    let body = BodyKind::of(request.headers())?;
    let reservation = enclave.reserve(&name)?;
    let owner = owners.acting_on(enclave.state().apps.holder(&name));
    kind.check(&enclave.state().apps, &name, owner)?;
    let permit = Arc::clone(&enclave.deploys)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Busy, "other deploys are under way; try again when they are done"))?;
    let upload = enclave.storage.upload(&name, &settings.limits).map_err(|error| error.into_problem())?;
    let receiver = Receiver::new(enclave, upload, (reservation, permit));
    let (wasm, upload, held) = match body {
        BodyKind::Component => receiver.component(request.into_body()).await?,
        BodyKind::Bundle => {
            let files = (kind == Kind::Deploy).then_some(settings.limits.storage);
            receiver.bundle(request.into_body(), files).await?
        }
    };
    let enclave = Arc::clone(enclave);
    let deployment = Deployment { enclave, kind, name, owner, settings, endorsements, wasm, upload };
    let (events, mut received) = mpsc::channel(16);
    // A task of its own: a client that goes away does not undo what it asked for, and leaves nothing half done.
    let deploying = tokio::spawn(async move {
        let _held = held;
        deployment.run(&events).await
    });
    let deployed = async move {
        let failed = |_| Err(Problem::new(Code::Internal, "the deploy failed inside the enclave"));
        deploying.await.unwrap_or_else(failed)
    };
    if !wants_events {
        let description = deployed.await?;
        let status = if kind == Kind::Deploy { StatusCode::CREATED } else { StatusCode::OK };
        return Ok(body::json(status, &description));
    }
    let (mut sender, channel) = Channel::new(16);
    tokio::spawn(async move {
        while let Some(event) = received.recv().await {
            let _ = sender.send_data(body::line(&event)).await;
        }
        let last = match deployed.await {
            Ok(description) => DeployEvent::Deployed { app: Box::new(description) },
            Err(problem) => DeployEvent::Failed { problem },
        };
        let _ = sender.send_data(body::line(&last)).await;
    });
    Ok(body::lines(channel))
}

impl Kind {
    fn check(self, apps: &Apps, name: &AppName, owner: KeyFingerprint) -> Result<(), Problem> {
        match (self, apps.holder(name)) {
            (Self::Deploy, Holder::Nobody) if apps.len() >= MAX_APPS => {
                Err(Problem::new(Code::TooManyApps, format!("this enclave holds at most {MAX_APPS} apps")))
            }
            (Self::Deploy, Holder::Nobody) => Ok(()),
            (Self::Deploy, _) => Err(Problem::new(
                Code::AppExists,
                format!("an app '{name}' exists; replace it, or remove it first"),
            )),
            (Self::Replace, Holder::Nobody) => Err(unknown_app(name, &apps.running)),
            (Self::Replace, Holder::Owner(other)) if other != owner => Err(not_yours(name)),
            (Self::Replace, _) => match Self::before(apps, name) {
                Some((_, present)) => replacement::check_possible(&present),
                None => Err(apps
                    .affected
                    .get(name)
                    .map_or_else(|| unknown_app(name, &apps.running), |affected| damaged(name, affected))),
            },
        }
    }

    /// What a replacement takes over: the app's data, and what it was.
    fn before(apps: &Apps, name: &AppName) -> Option<(AppStorage, Record)> {
        if let Some(app) = apps.running.get(name) {
            return Some((app.storage.clone(), app.record.clone()));
        }
        let affected = apps.affected.get(name)?;
        Some((affected.storage.clone()?, affected.record.clone()?))
    }
}

/// The problem of an owner that asks about another's app.
pub(crate) fn not_yours(name: &AppName) -> Problem {
    Problem::new(Code::Forbidden, format!("the app '{name}' belongs to another owner"))
}

/// One component on its way to being an app, and what came with it.
pub(crate) struct Deployment {
    pub(crate) enclave: Arc<Enclave>,
    pub(crate) kind: Kind,
    pub(crate) name: AppName,
    pub(crate) owner: KeyFingerprint,
    pub(crate) settings: AppSettings,
    /// For a replacement, where the present app's policy asks for them.
    pub(crate) endorsements: Vec<Endorsement>,
    pub(crate) wasm: Bytes,
    pub(crate) upload: Upload,
}

impl Deployment {
    /// Compiles, keeps, attests, shows. Tells `events` how far it is.
    ///
    /// # Errors
    /// A [`Problem`]; the apps are as they were then.
    pub(crate) async fn run(self, events: &mpsc::Sender<DeployEvent>) -> Result<AppDescription, Problem> {
        let received = DeployEvent::Received {
            bytes: self.wasm.len() as u64,
            code_hash: hex::encode(cloister_attestation::sha256(&self.wasm)),
        };
        let _ = events.try_send(received);
        let program = self.program(events).await;
        let Self { enclave, kind, name, owner, mut settings, endorsements, wasm, upload } = self;
        let staged = tokio::task::spawn_blocking(move || {
            let program = program?;
            settings::find_configuring(&mut settings, &program)?;
            settings::find_callers(&mut settings, &program)?;
            let staged = upload.stage(&wasm, &program).map_err(|error| error.into_problem())?;
            Ok((program, settings, staged))
        });
        let (program, settings, staged) = staged.await.unwrap_or_else(|_| {
            Err(Problem::new(Code::Internal, "keeping the component failed inside the enclave"))
        })?;
        let ready = Ready { kind, name, owner, settings, endorsements, program, staged };
        enclave.change(move |enclave, apps| ready.install(enclave, apps)).await
    }

    async fn program(&self, events: &mpsc::Sender<DeployEvent>) -> Result<Program, Problem> {
        if self.upload.has_assets() {
            settings::check_assets(&self.settings)?;
        }
        self.compile(events).await
    }

    /// Compiles, and tells how far that is.
    async fn compile(&self, events: &mpsc::Sender<DeployEvent>) -> Result<Program, Problem> {
        let (stages, mut stage) = tokio::sync::watch::channel(Stage::Checking);
        let began = Instant::now();
        let compiling = {
            let (enclave, wasm) = (Arc::clone(&self.enclave), self.wasm.clone());
            tokio::task::spawn_blocking(move || enclave.runtime.prepare(&wasm, &Watched(stages)))
        };
        tokio::pin!(compiling);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                done = &mut compiling => {
                    return done
                        .map_err(|_| Problem::new(Code::Internal, "the compiler failed on this component"))?
                        .map_err(|error| error.into_problem());
                }
                _ = heartbeat.tick() => {}
                Ok(()) = stage.changed() => {}
            }
            let event = match *stage.borrow() {
                Stage::Checking => continue,
                Stage::Queued => DeployEvent::Queued,
                Stage::Compiling { functions } => {
                    DeployEvent::Compiling { functions, elapsed_ms: began.elapsed().as_millis() as u64 }
                }
            };
            // A client that reads slowly misses news, not the result.
            let _ = events.try_send(event);
        }
    }
}

/// A component that was compiled and written, and who wants what of it.
struct Ready {
    kind: Kind,
    name: AppName,
    owner: KeyFingerprint,
    settings: AppSettings,
    endorsements: Vec<Endorsement>,
    program: Program,
    staged: Staged,
}

impl Ready {
    /// Makes it an app: in the evidence, on the disk, or neither.
    fn install(self, enclave: &Enclave, mut apps: Apps) -> Result<(State, AppDescription), Problem> {
        let Self { kind, name, owner, settings, endorsements, program, staged } = self;
        let before = Kind::before(&apps, &name);
        kind.check(&apps, &name, owner)?;
        let failed = |error: StorageError| error.into_problem();
        let before = before.as_ref().map(|(storage, record)| (storage, record));
        let incarnations =
            enclave.storage.incarnations(&name, before.map(|(_, record)| record)).map_err(failed)?;
        let record = Record::new(&staged, incarnations, owner, settings);
        if let Some((_, present)) = before {
            let next = attest::app_claims(&name, &record, program.code_hash());
            let next = next.map_err(|error| attest::AttestError::from(error).into_problem())?;
            replacement::check(present, &next, &endorsements)?;
        }
        // Until it is kept, dropping it undoes it.
        let installation = enclave.storage.install(staged, &record, before).map_err(failed)?;
        let storage = installation.storage().map_err(failed)?;
        // What the keys of the code before encrypted with is remembered: it may have persisted some.
        let keys = apps.running.get(&name).map(|before| before.keys.successor()).unwrap_or_default();
        let app = Arc::new(App::new(name.clone(), record.clone(), program, storage, keys)?);
        let description = app.description().map_err(failed)?;
        apps.affected.remove(&name);
        apps.running.insert(name, app);
        let next = enclave.evidence(apps)?;
        installation.keep().map_err(failed)?;
        Ok((next, description))
    }
}

/// How far a deploy is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Checking,
    Queued,
    Compiling { functions: u64 },
}

struct Watched(tokio::sync::watch::Sender<Stage>);

impl Progress for Watched {
    fn queued(&self) {
        self.0.send_replace(Stage::Queued);
    }

    fn compiling(&self, functions: u64) {
        self.0.send_replace(Stage::Compiling { functions });
    }
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyKind {
    Component,
    Bundle,
}

impl BodyKind {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("") {
            WASM | "application/octet-stream" => Ok(Self::Component),
            BUNDLE => Ok(Self::Bundle),
            given => Err(Problem::new(
                Code::UnsupportedMediaType,
                format!(
                    "a component is uploaded as {WASM}, one with files as {BUNDLE}, and this request says '{given}'"
                ),
            )),
        }
    }
}

const HEARTBEAT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_component_is_uploaded_as_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(BodyKind::of(&headers).unwrap_err().code, Code::UnsupportedMediaType);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(WASM));
        assert_eq!(BodyKind::of(&headers), Ok(BodyKind::Component));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(BUNDLE));
        assert_eq!(BodyKind::of(&headers), Ok(BodyKind::Bundle));
    }
}
