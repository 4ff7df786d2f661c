//! Deploying and replacing: from the bytes of a component to an app that answers.

use crate::access::Caller;
use crate::app::App;
use crate::body;
use crate::state::{Apps, Enclave, Holder, MAX_APPS, State, damaged, unknown_app};
use crate::storage::{AppStorage, Record, Staged, StorageError};
use bytes::Bytes;
use cloister_api::{
    AppDescription, AppName, Code, DeployEvent, DeploySettings, KeyFingerprint, Limits, MAX_SETTINGS, NDJSON,
    Problem, SETTINGS_HEADER, WASM,
};
use cloister_runtime::{Program, Progress};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Channel;
use hyper::body::Incoming;
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
    caller: Caller,
    kind: Kind,
    name: AppName,
    request: Request<Incoming>,
) -> Result<Response<body::Body>, Problem> {
    let owner = caller.owner(&enclave.configuration)?;
    let wants_events = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains(NDJSON));
    let settings = settings(request.headers())?;
    check_media_type(request.headers())?;
    let reservation = enclave.reserve(&name)?;
    kind.check(&enclave.state().apps, &name, owner)?;
    let permit = Arc::clone(&enclave.deploys)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Busy, "other deploys are under way; try again when they are done"))?;
    let limit = enclave.settings.max_component;
    let patience = Duration::from_millis(enclave.configuration.body_timeout_ms);
    let wasm =
        body::read(request.into_body(), limit, patience).await.map_err(|problem| match problem.code {
            Code::BodyTooLarge => Problem::new(
                Code::ComponentTooLarge,
                format!("this image takes components of at most {limit} bytes, and this one is larger"),
            ),
            _ => problem,
        })?;
    let deployment = Deployment { enclave: Arc::clone(enclave), kind, name, owner, settings, wasm };
    let (events, mut received) = mpsc::channel(16);
    // A task of its own: a client that goes away does not undo what it asked for, and leaves nothing half done.
    let deploying = tokio::spawn(async move {
        let _held = (reservation, permit);
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
            (Self::Replace, _) => match apps.affected.get(name) {
                Some(affected) if affected.storage.is_none() || affected.record.is_none() => {
                    Err(damaged(name, affected))
                }
                _ => Ok(()),
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

/// The problem of a key that asks about another owner's app.
pub(crate) fn not_yours(name: &AppName) -> Problem {
    Problem::new(Code::Forbidden, format!("the app '{name}' belongs to another key"))
}

/// One component on its way to being an app.
pub(crate) struct Deployment {
    pub(crate) enclave: Arc<Enclave>,
    pub(crate) kind: Kind,
    pub(crate) name: AppName,
    pub(crate) owner: KeyFingerprint,
    pub(crate) settings: DeploySettings,
    pub(crate) wasm: Bytes,
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
        let program = self.compile(events).await?;
        let Self { enclave, kind, name, owner, settings, wasm } = self;
        let (storage, staged_name, compiled) = (enclave.storage.clone(), name.clone(), program.clone());
        let staged = tokio::task::spawn_blocking(move || storage.stage(&staged_name, &wasm, &compiled)).await;
        let staged = staged
            .map_err(|_| Problem::new(Code::Internal, "keeping the component failed inside the enclave"))?
            .map_err(|error| error.into_problem())?;
        let ready = Ready { kind, name, owner, settings, program, staged };
        enclave.change(move |enclave, apps| ready.install(enclave, apps)).await
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
    settings: DeploySettings,
    program: Program,
    staged: Staged,
}

impl Ready {
    /// Makes it an app: in the evidence, on the disk, or neither.
    fn install(self, enclave: &Enclave, mut apps: Apps) -> Result<(State, AppDescription), Problem> {
        let Self { kind, name, owner, settings, program, staged } = self;
        let environment = settings.environment.into_iter().map(|variable| (variable.name, variable.value));
        let before = Kind::before(&apps, &name);
        let refused = kind.check(&apps, &name, owner);
        if refused.is_err() {
            enclave.storage.discard(&staged);
        }
        refused?;
        let failed = |error: StorageError| error.into_problem();
        let before = before.as_ref().map(|(storage, record)| (storage, record));
        let incarnation = enclave.storage.incarnation(&name, before.map(|(_, record)| record));
        let incarnation = incarnation.inspect_err(|_| enclave.storage.discard(&staged)).map_err(failed)?;
        let record = Record::new(&staged, incarnation, owner, settings.limits, environment.collect());
        // Until it is kept, dropping it undoes it.
        let installation = enclave.storage.install(staged, &record, before).map_err(failed)?;
        let storage = installation.storage().map_err(failed)?;
        let app = Arc::new(App::new(name.clone(), record.clone(), program, storage));
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

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if given == WASM || given == "application/octet-stream" {
        Ok(())
    } else {
        Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("a component is uploaded as {WASM}, and this request says '{given}'"),
        ))
    }
}

fn settings(headers: &HeaderMap) -> Result<DeploySettings, Problem> {
    let Some(value) = headers.get(SETTINGS_HEADER) else { return Ok(DeploySettings::default()) };
    let invalid = |why: String| Problem::new(Code::InvalidSettings, why);
    if value.len() > MAX_SETTINGS {
        return Err(invalid(format!("the settings are longer than {MAX_SETTINGS} bytes")));
    }
    let settings: DeploySettings = serde_json::from_slice(value.as_bytes())
        .map_err(|error| invalid(format!("{SETTINGS_HEADER}: {error}")))?;
    check_limits(&settings.limits)?;
    let mut names = std::collections::BTreeSet::new();
    for variable in &settings.environment {
        let name = variable.name.as_str();
        if name.is_empty() || name.contains(['=', '\0']) || variable.value.contains('\0') {
            return Err(invalid(format!("'{}' cannot be an environment variable", name.escape_debug())));
        }
        if !names.insert(name) {
            return Err(invalid(format!("the environment variable '{name}' is given twice")));
        }
    }
    Ok(settings)
}

fn check_limits(limits: &Limits) -> Result<(), Problem> {
    let checks = [
        ("fuel", limits.fuel, MAX_FUEL),
        ("memory", limits.memory, MAX_MEMORY),
        ("table_elements", limits.table_elements, MAX_TABLE_ELEMENTS),
        ("instances", limits.instances.into(), MAX_INSTANCES),
        ("handles", limits.handles.into(), MAX_HANDLES),
        ("result", limits.result, MAX_RESULT),
        ("log", limits.log, MAX_LOG),
        ("wall_time_ms", limits.wall_time_ms, MAX_WALL_TIME_MS),
        ("storage", limits.storage, MAX_STORAGE),
        ("files", limits.files, MAX_FILES),
    ];
    for (name, value, most) in checks {
        if value > most {
            return Err(Problem::new(
                Code::InvalidSettings,
                format!("the limit '{name}' is {value}, and this image allows at most {most}"),
            ));
        }
    }
    Ok(())
}

const HEARTBEAT: Duration = Duration::from_secs(1);

/// What one call may be allowed at most; the image's heap is shared by all.
const MAX_FUEL: u64 = 1_000_000_000_000;
const MAX_MEMORY: u64 = 512 << 20;
const MAX_TABLE_ELEMENTS: u64 = 10_000_000;
const MAX_INSTANCES: u64 = 1_000;
const MAX_HANDLES: u64 = 1_000_000;
const MAX_RESULT: u64 = 16 << 20;
const MAX_LOG: u64 = 16 << 20;
const MAX_WALL_TIME_MS: u64 = 3_600_000;
/// What one app may keep at most; the disk is shared by all.
const MAX_STORAGE: u64 = 1 << 40;
const MAX_FILES: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with_settings(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SETTINGS_HEADER, HeaderValue::from_str(text).unwrap());
        headers
    }

    #[test]
    fn settings_have_defaults() {
        assert_eq!(settings(&HeaderMap::new()).unwrap(), DeploySettings::default());
        let given = settings(&with_settings(r#"{"limits":{"fuel":5}}"#)).unwrap();
        assert_eq!(given.limits, Limits { fuel: 5, ..Limits::default() });
    }

    #[test]
    fn bad_settings_are_refused_with_their_reason() {
        for (text, reason) in [
            ("{", "EOF"),
            (r#"{"fuel":5}"#, "unknown field `fuel`"),
            (r#"{"limits":{"memory":1000000000000}}"#, "'memory' is 1000000000000"),
            (r#"{"environment":[{"name":"A=B","value":""}]}"#, "'A=B' cannot be"),
            (r#"{"environment":[{"name":"A","value":""},{"name":"A","value":""}]}"#, "'A' is given twice"),
        ] {
            let problem = settings(&with_settings(text)).unwrap_err();
            assert_eq!(problem.code, Code::InvalidSettings);
            assert!(problem.detail.contains(reason), "{text}: {}", problem.detail);
        }
        let long = format!("{:width$}", "{}", width = MAX_SETTINGS + 1);
        assert_eq!(settings(&with_settings(&long)).unwrap_err().code, Code::InvalidSettings);
    }

    #[test]
    fn a_component_is_uploaded_as_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(check_media_type(&headers).unwrap_err().code, Code::UnsupportedMediaType);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(WASM));
        assert_eq!(check_media_type(&headers), Ok(()));
    }
}
