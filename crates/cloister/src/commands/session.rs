//! A verified session, with the client's errors in this program's words.

mod errors;
mod found;
mod policy;
mod proxied;
mod upgrade;

use super::input::Input;
use super::keys;
use super::upload::{Mode, Upload};
use crate::failure::{Failure, FileAction};
use crate::progress::Progress;
use crate::settings::{Host, Settings, default_key_path};
use cloister_api::{
    AppDescription, AppList, AppName, CallResponse, CallerRule, CheckEvent, EgressLog, EntryPattern,
    KeyFingerprint, Removal, RunRequest, VolumeState, VolumeStatistics, Who,
};
use cloister_client::{
    AppExpectation, Backup, BackupChunk, Claims, Client, ClientError, Collateral, CollateralServer,
    DeployProgress, Identity, LogStream, Policy, Run, RunOutput, Session, Stdin, Timeouts,
    VerificationReport, VolumeCheck,
};
use errors::{Phase, failure, unconnected};
use policy::{endpoint, names, policy, policy_of_caller};
pub(crate) use proxied::Proxied;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
pub(crate) use upgrade::OwnEnclave;

/// Who asks, of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// An owner or the operator, who needs a key or a token.
    Owner,
    /// A caller of this app, whose code may be pinned.
    App(&'a AppName),
}

/// A session with an enclave that passed every check.
#[derive(Debug)]
pub(crate) struct Connection {
    session: Session,
    host: Host,
}

/// What came of looking at an enclave.
#[derive(Debug)]
pub(crate) enum Appraisal {
    Accepted(VerificationReport, Box<Shown>),
    Refused(VerificationReport, Failure),
}

/// What an accepted enclave shows of itself.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// As it is now; `None` where the enclave keeps nothing.
    pub(crate) volume: Option<VolumeState>,
    pub(crate) claims: Option<Claims>,
    /// Of this session, DER.
    pub(crate) certificate: Vec<u8>,
    /// Of this session, as a Conceptual Message Wrapper (RFC 9999).
    pub(crate) evidence: Vec<u8>,
    /// What the app that was asked for shows in the certificate, as claimed, by number.
    pub(crate) values: BTreeMap<u32, Vec<u8>>,
}

impl Connection {
    /// Connects and verifies. Where no image is pinned, nothing is connected to.
    pub(crate) async fn open(settings: &Settings, target: Target<'_>) -> Result<Self, Failure> {
        if settings.accepts_nothing() {
            return Err(Failure::Unpinned { host: settings.host.to_string() });
        }
        let (policy, identity) = match target {
            Target::Owner => (policy(settings), owner_identity(settings)?),
            Target::App(app) => {
                let identity = settings.key.as_deref().map(keys::identity).transpose()?;
                (policy_of_caller(settings, app)?, identity)
            }
        };
        let endpoint = endpoint(&settings.host, None);
        let client = client(settings, policy, identity)?;
        let mut session = client.connect(&endpoint).await.map_err(|error| unconnected(error, settings))?;
        if let Target::App(app) = target
            && settings.key.is_none()
            && settings.token.is_none()
            && let Some(identity) = usual_identity(&session, app)
        {
            let connected =
                client.with_identity_for(identity, session.claims().tls_key).connect(&endpoint).await;
            session = connected.map_err(|error| unconnected(error, settings))?;
        }
        Ok(Self { session, host: settings.host.clone() })
    }

    /// Connects and verifies, and keeps the report also where the enclave is refused. With an app, under the app's own
    /// host name, so that its certificate has to show what concerns the app too. Against what this service
    /// has, where one is named, and not what the settings name or the enclave offers.
    pub(crate) async fn appraise(
        settings: &Settings,
        app: Option<(&AppName, AppExpectation)>,
        pccs: Option<CollateralServer>,
    ) -> Result<Appraisal, Failure> {
        let identity = settings.key.as_deref().map(keys::identity).transpose()?;
        let mut policy = policy(settings);
        let asked = app.as_ref().map(|(name, _)| *name);
        if let (Some(named), Some(name)) = (&settings.policy, asked) {
            names(named, name, settings)?;
        }
        let endpoint = endpoint(&settings.host, asked);
        if let (Some((name, expected)), None) = (app, &settings.policy) {
            let code = settings.code_hash(name).map(|hash| hash.0).into();
            policy.apps.insert(name.clone(), AppExpectation { code, ..expected });
        }
        let mut client = client(settings, policy, identity)?;
        if let Some(server) = pccs {
            client = client.with_collateral_server(server);
        }
        match client.connect(&endpoint).await {
            Ok(session) => {
                let volume = session.volume();
                let state =
                    volume.map(|state| VolumeState { epoch: state.epoch, root: hex::encode(state.root) });
                let shown = Shown {
                    volume: state,
                    claims: Some(session.claims().clone()),
                    certificate: session.certificate().to_vec(),
                    evidence: session.evidence().to_cmw(),
                    values: asked.map(|app| values(&session, app)).unwrap_or_default(),
                };
                Ok(Appraisal::Accepted(session.report().clone(), Box::new(shown)))
            }
            Err(ClientError::Refused(refused)) => {
                let report = (*refused.report).clone();
                Ok(Appraisal::Refused(report, unconnected(refused.into(), settings)))
            }
            Err(error) => Err(unconnected(error, settings)),
        }
    }

    pub(crate) async fn upload(
        &self,
        mode: Mode,
        upload: Upload,
        progress: &mut Progress,
    ) -> Result<AppDescription, Failure> {
        let Upload { name, contents, settings, endorsements } = upload;
        let report = |step| match step {
            DeployProgress::Uploaded { sent, total } => progress.uploaded(sent, total),
            DeployProgress::Enclave(event) => progress.event(&event),
        };
        let result = match mode {
            Mode::Deploy => self.session.deploy(&name, contents, &settings, report).await,
            Mode::Replace => {
                self.session.replace_endorsed(&name, contents, &settings, &endorsements, report).await
            }
        };
        result.map_err(|error| self.failed(error))
    }

    pub(crate) async fn apps(&self) -> Result<AppList, Failure> {
        self.session.apps().await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn describe(&self, app: &AppName) -> Result<AppDescription, Failure> {
        self.session.describe(app).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn run(
        &self,
        app: &AppName,
        request: &RunRequest,
        stdin: Stdin,
    ) -> Result<Run<'_>, Failure> {
        self.session.run(app, request, stdin).await.map_err(|error| self.failed(error))
    }

    /// What a command that runs does next. That it trapped or reached a limit is a failure of its own.
    pub(crate) async fn next_output(&self, run: &mut Run<'_>) -> Result<RunOutput, Failure> {
        run.next().await.map_err(|error| match self.failed(error) {
            Failure::Problem { problem, help } => Failure::ended(problem, help),
            other => other,
        })
    }

    pub(crate) async fn follow_logs(&self, app: &AppName) -> Result<LogStream<'_>, Failure> {
        self.session.follow_logs(app).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn next_log(&self, log: &mut LogStream<'_>) -> Result<Option<Vec<u8>>, Failure> {
        let next = log.next().await.map_err(|error| self.failed(error))?;
        Ok(next.map(|piece| piece.to_vec()))
    }

    pub(crate) async fn egress(&self, app: &AppName) -> Result<EgressLog, Failure> {
        self.session.egress(app).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn remove(&self, app: &AppName) -> Result<Removal, Failure> {
        self.session.remove(app).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn volume_statistics(&self) -> Result<VolumeStatistics, Failure> {
        self.session.volume_statistics().await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn check_volume(
        &self,
        progress: impl FnMut(CheckEvent) + Send,
    ) -> Result<VolumeCheck, Failure> {
        self.session.check_volume(progress).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn backup(&self) -> Result<BackupStream<'_>, Failure> {
        match self.session.backup().await {
            Ok(backup) => Ok(BackupStream { connection: self, backup }),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(crate) async fn logs(&self, app: &AppName) -> Result<String, Failure> {
        self.session.logs(app).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn metrics(&self) -> Result<String, Failure> {
        self.session.metrics().await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn call(
        &self,
        app: &AppName,
        export: &str,
        input: &Input,
    ) -> Result<CallResponse, Failure> {
        let result = match input {
            Input::Wave(arguments) => self.session.call_wave(app, export, arguments).await,
            Input::Json(arguments) => self.session.call_json(app, export, arguments).await,
        };
        result.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ClientError) -> Failure {
        failure(error, &self.host.to_string(), Phase::Request)
    }
}

/// A backup on its way.
#[derive(Debug)]
pub(crate) struct BackupStream<'a> {
    connection: &'a Connection,
    backup: Backup<'a>,
}

impl BackupStream<'_> {
    /// The commit that it is a copy of.
    pub(crate) fn epoch(&self) -> u64 {
        self.backup.epoch()
    }

    /// The next blocks; `None` when the backup is whole.
    pub(crate) async fn next_chunk(&mut self) -> Result<Option<BackupChunk>, Failure> {
        self.backup.next_chunk().await.map_err(|error| self.connection.failed(error))
    }
}

fn values(session: &Session, app: &AppName) -> BTreeMap<u32, Vec<u8>> {
    let claimed = session.claims().app(app).map(|app| app.extensions.as_slice()).unwrap_or_default();
    claimed.iter().filter_map(|(suffix, _)| Some((*suffix, session.extension(app, *suffix)?))).collect()
}

fn client(settings: &Settings, policy: Policy, identity: Option<Identity>) -> Result<Client, Failure> {
    let mut client = Client::new(policy).with_timeouts(Timeouts { idle: IDLE, ..Timeouts::default() });
    if let Some(identity) = identity {
        client = client.with_identity(identity);
    }
    if let Some(path) = &settings.token {
        client = client.with_token(keys::token(path)?);
    }
    if let Some(named) = &settings.policy
        && let Some(server) = named.collateral_server()?
    {
        client = client.with_collateral_server(server);
    }
    if let Some(path) = settings.collateral() {
        client = client.with_collateral(collateral(path)?);
    }
    Ok(client)
}

/// The quote that the enclave presents. Nothing of it is verified.
pub(super) async fn presented_quote(settings: &Settings) -> Result<Vec<u8>, Failure> {
    let presented = client(settings, policy(settings), None)?.present(&endpoint(&settings.host, None)).await;
    presented.map(|evidence| evidence.quote).map_err(|error| unconnected(error, settings))
}

/// The key of an owner; none is needed beside a token.
fn owner_identity(settings: &Settings) -> Result<Option<Identity>, Failure> {
    if let Some(key) = &settings.key {
        return keys::identity(key).map(Some);
    }
    if settings.token.is_some() {
        return Ok(None);
    }
    let usual = default_key_path()?;
    if usual.is_file() {
        return keys::identity(&usual).map(Some);
    }
    Err(Failure::Usage {
        what: format!("this needs an owner's key, and none was named nor is at {}", usual.display()),
        help: Some(
            "name one with --key FILE, which `cloister keygen` makes, or a token with --token FILE"
                .to_owned(),
        ),
    })
}

/// The key at its usual place, where the evidence names it as one whom the app answers, and the app does not answer everybody.
/// It is shown to nobody else, so that a caller who needs no key stays unknown.
fn usual_identity(session: &Session, app: &AppName) -> Option<Identity> {
    let claimed = session.claims().app(app)?;
    let identity = keys::identity(&default_key_path().ok()?).ok()?;
    let key: KeyFingerprint = identity.fingerprint().parse().ok()?;
    let owner = KeyFingerprint::from_hash(claimed.owner);
    let rules = claimed.callers.rules();
    let open = rules.iter().any(|rule| rule.entry == EntryPattern::Any && rule.who == Who::Public);
    let named = |rule: &CallerRule| match &rule.who {
        Who::Owner => key == owner,
        Who::Key(caller) => key == *caller,
        Who::Public | Who::Token { .. } => false,
    };
    (!open && rules.iter().any(named)).then_some(identity)
}

fn collateral(path: &Path) -> Result<Collateral, Failure> {
    let text = fs::read(path).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::usage(format!("{} is not collateral: {error}", path.display())))
}

/// A component can wait in a queue and be compiled for minutes, and a call may be allowed as long.
const IDLE: Duration = Duration::from_secs(15 * 60);
