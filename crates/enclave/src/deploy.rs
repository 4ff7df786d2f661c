//! Deploying and replacing: from the bytes of a component to an app that answers.

use crate::access::Caller;
use crate::app::{App, Counters};
use crate::body;
use crate::state::{Enclave, MAX_APPS};
use bytes::Bytes;
use cloister_api::{
    AppName, Code, DeployEvent, DeploySettings, KeyFingerprint, Limits, MAX_SETTINGS, NDJSON, Problem,
    SETTINGS_HEADER, WASM,
};
use cloister_runtime::Progress;
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
    kind.check(enclave, &name, owner)?;
    let permit = enclave
        .deploys
        .try_acquire()
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
    if !wants_events {
        let app = deployment.run(&events).await?;
        drop((permit, reservation));
        let status = if kind == Kind::Deploy { StatusCode::CREATED } else { StatusCode::OK };
        return Ok(body::json(status, &app.description()));
    }
    drop(permit);
    let (mut sender, channel) = Channel::new(16);
    let enclave = Arc::clone(enclave);
    tokio::spawn(async move {
        let _reservation = reservation;
        let permit = enclave.deploys.acquire().await;
        let work = async {
            let last = match deployment.run(&events).await {
                Ok(app) => DeployEvent::Deployed { app: Box::new(app.description()) },
                Err(problem) => DeployEvent::Failed { problem },
            };
            // A client that went away does not undo what it asked for.
            let _ = events.send(last).await;
            drop(events);
        };
        let report = async {
            while let Some(event) = received.recv().await {
                let _ = sender.send_data(body::line(&event)).await;
            }
        };
        tokio::join!(work, report);
        drop(permit);
    });
    Ok(body::lines(channel))
}

impl Kind {
    fn check(self, enclave: &Enclave, name: &AppName, owner: KeyFingerprint) -> Result<(), Problem> {
        self.check_in(&enclave.state().apps, name, owner)
    }

    fn check_in(
        self,
        apps: &std::collections::BTreeMap<AppName, Arc<App>>,
        name: &AppName,
        owner: KeyFingerprint,
    ) -> Result<(), Problem> {
        match (self, apps.get(name)) {
            (Self::Deploy, Some(_)) => Err(Problem::new(
                Code::AppExists,
                format!("an app '{name}' exists; replace it, or remove it first"),
            )),
            (Self::Deploy, None) if apps.len() >= MAX_APPS => {
                Err(Problem::new(Code::TooManyApps, format!("this enclave holds at most {MAX_APPS} apps")))
            }
            (Self::Replace, None) => Err(crate::state::unknown_app(name, apps)),
            (Self::Replace, Some(app)) if app.owner != owner => Err(not_yours(name)),
            _ => Ok(()),
        }
    }
}

/// The problem of a key that asks about another owner's app.
pub(crate) fn not_yours(name: &AppName) -> Problem {
    Problem::new(Code::Forbidden, format!("the app '{name}' belongs to another key"))
}

/// One component on its way to being an app.
struct Deployment {
    enclave: Arc<Enclave>,
    kind: Kind,
    name: AppName,
    owner: KeyFingerprint,
    settings: DeploySettings,
    wasm: Bytes,
}

impl Deployment {
    async fn run(self, events: &mpsc::Sender<DeployEvent>) -> Result<Arc<App>, Problem> {
        let Self { enclave, kind, name, owner, settings, wasm } = self;
        let received = DeployEvent::Received {
            bytes: wasm.len() as u64,
            code_hash: hex::encode(cloister_attestation::sha256(&wasm)),
        };
        let _ = events.try_send(received);
        let (stages, mut stage) = tokio::sync::watch::channel(Stage::Checking);
        let began = Instant::now();
        let compiling = {
            let enclave = Arc::clone(&enclave);
            tokio::task::spawn_blocking(move || enclave.runtime.prepare(&wasm, &Watched(stages)))
        };
        tokio::pin!(compiling);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let program = loop {
            tokio::select! {
                done = &mut compiling => {
                    break done
                        .map_err(|_| Problem::new(Code::Internal, "the compiler failed on this component"))?
                        .map_err(|error| error.into_problem())?;
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
        };
        let app = Arc::new(App {
            name: name.clone(),
            owner,
            program,
            limits: settings.limits,
            environment: settings
                .environment
                .into_iter()
                .map(|variable| (variable.name, variable.value))
                .collect(),
            counters: Counters::default(),
            log: Arc::default(),
        });
        let added = Arc::clone(&app);
        enclave
            .change(move |apps| {
                kind.check_in(apps, &name, owner)?;
                apps.insert(name, added);
                Ok(())
            })
            .await?;
        Ok(app)
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
