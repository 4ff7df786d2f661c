//! A verified session, with the client's errors in this program's words.

use super::input::Input;
use super::keys;
use super::upload::{Mode, Upload};
use crate::failure::{Failure, FileAction, HOW_TO_PIN};
use crate::progress::Progress;
use crate::settings::{Host, Settings, default_key_path};
use cloister_api::{
    AppDescription, AppList, AppName, CallResponse, CheckEvent, EgressLog, NetworkPolicy, Removal,
    RunRequest, VolumeState, VolumeStatistics,
};
use cloister_client::{
    AppClaims, AssetsClaim, Backup, BackupChunk, Check, Client, ClientError, Collateral, DeployProgress,
    Endpoint, Identity, LogStream, Measurement, Outcome, Policy, Run, RunOutput, Session, Stdin, Timeouts,
    TrustAnchor, VerificationReport, VolumeCheck,
};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Who asks, of whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// An owner, who needs a key.
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

/// What an app may be at most, beside its code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    pub(crate) network: Option<NetworkPolicy>,
    pub(crate) assets: Option<AssetsClaim>,
}

impl Demands {
    fn of(self, mut policy: Policy, app: Option<&AppName>) -> Policy {
        let Some(app) = app else { return policy };
        if let Some(network) = self.network {
            policy = policy.with_network(app.clone(), network);
        }
        if let Some(assets) = self.assets {
            policy = policy.with_assets(app.clone(), assets);
        }
        policy
    }
}

/// What came of looking at an enclave.
#[derive(Debug)]
pub(crate) enum Appraisal {
    /// With the volume as it is now, where the enclave keeps anything, and with its apps.
    Accepted(VerificationReport, Option<VolumeState>, Vec<AppClaims>),
    Refused(VerificationReport, Failure),
}

impl Connection {
    /// Connects and verifies. Where no image is pinned, nothing is connected to.
    pub(crate) async fn open(settings: &Settings, target: Target<'_>) -> Result<Self, Failure> {
        if settings.mrenclave.is_empty() {
            return Err(Failure::Unpinned { host: settings.host.to_string() });
        }
        let (app, identity) = match target {
            Target::Owner => (None, Some(owner_identity(settings)?)),
            Target::App(app) => (Some(app), settings.key.as_deref().map(keys::identity).transpose()?),
        };
        let client = client(settings, app, identity)?;
        let session = client
            .connect(&endpoint(&settings.host, None))
            .await
            .map_err(|error| unconnected(error, settings))?;
        Ok(Self { session, host: settings.host.clone() })
    }

    /// Connects and verifies, and keeps the report also where the enclave is refused. With an app, under the app's own
    /// host name, so that its certificate has to name the app's code too.
    pub(crate) async fn appraise(
        settings: &Settings,
        app: Option<&AppName>,
        demands: Demands,
    ) -> Result<Appraisal, Failure> {
        let identity = settings.key.as_deref().map(keys::identity).transpose()?;
        let client = client_with(settings, demands.of(policy(settings, app), app), identity)?;
        match client.connect(&endpoint(&settings.host, app)).await {
            Ok(session) => {
                let volume = session.volume();
                let volume =
                    volume.map(|state| VolumeState { epoch: state.epoch, root: hex::encode(state.root) });
                let apps = session.claims().apps.clone();
                Ok(Appraisal::Accepted(session.report().clone(), volume, apps))
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
        let Upload { name, contents, settings } = upload;
        let report = |step| match step {
            DeployProgress::Uploaded { sent, total } => progress.uploaded(sent, total),
            DeployProgress::Enclave(event) => progress.event(&event),
        };
        let result = match mode {
            Mode::Deploy => self.session.deploy(&name, contents, &settings, report).await,
            Mode::Replace => self.session.replace(&name, contents, &settings, report).await,
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

/// How far the session was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    Request,
}

fn client(settings: &Settings, app: Option<&AppName>, identity: Option<Identity>) -> Result<Client, Failure> {
    client_with(settings, policy(settings, app), identity)
}

fn client_with(settings: &Settings, policy: Policy, identity: Option<Identity>) -> Result<Client, Failure> {
    let mut client = Client::new(policy).with_timeouts(Timeouts { idle: IDLE, ..Timeouts::default() });
    if let Some(identity) = identity {
        client = client.with_identity(identity);
    }
    if let Some(path) = &settings.collateral {
        client = client.with_collateral(collateral(path)?);
    }
    Ok(client)
}

fn policy(settings: &Settings, app: Option<&AppName>) -> Policy {
    let anchor = match settings.simulated_root {
        Some(root) => TrustAnchor::Simulated { root_fingerprint: root.0 },
        None => TrustAnchor::Intel,
    };
    let measurement = Measurement::Exactly(settings.mrenclave.iter().map(|digest| digest.0).collect());
    let mut policy = Policy::new(anchor, measurement).with_freshness(settings.freshness.0);
    policy.minimum_epoch = settings.min_epoch;
    policy.volume_root = settings.volume_root.map(|root| root.0);
    match app.and_then(|app| Some((app, settings.code_hash(app)?))) {
        Some((app, hash)) => policy.with_app(app.clone(), hash.0),
        None => policy,
    }
}

/// An address has no labels to put the app's name before, so an app behind one is asked for below `localhost`.
fn endpoint(host: &Host, app: Option<&AppName>) -> Endpoint {
    let server_name = match app {
        None => host.name.clone(),
        Some(app) if host.name.parse::<IpAddr>().is_ok() => format!("{app}.localhost"),
        Some(app) => format!("{app}.{}", host.name),
    };
    Endpoint { address: host.to_string(), server_name }
}

fn owner_identity(settings: &Settings) -> Result<Identity, Failure> {
    if let Some(key) = &settings.key {
        return keys::identity(key);
    }
    let usual = default_key_path()?;
    if usual.is_file() {
        return keys::identity(&usual);
    }
    Err(Failure::Usage {
        what: format!("this needs an owner's key, and none was named nor is at {}", usual.display()),
        help: Some("name one with --key FILE; `cloister keygen` makes one".to_owned()),
    })
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

fn unconnected(error: ClientError, settings: &Settings) -> Failure {
    let pinned = !settings.mrenclave.is_empty();
    match failure(error, &settings.host.to_string(), Phase::Connecting) {
        Failure::Refused { host, reasons, .. } if !pinned => {
            Failure::Refused { host, reasons, help: Some(HOW_TO_PIN.to_owned()) }
        }
        other => other,
    }
}

fn failure(error: ClientError, host: &str, phase: Phase) -> Failure {
    let host = || host.to_owned();
    match error {
        ClientError::Refused(refused) => Failure::Refused {
            host: host(),
            reasons: reasons(&refused.report),
            help: advice(&refused.report).map(str::to_owned),
        },
        ClientError::NotAnEnclave { reason, .. } => Failure::Refused {
            host: host(),
            reasons: vec![format!("it does not answer as an enclave does: {reason}")],
            help: Some("is it a Cloister enclave? --host or the profile says where to connect".to_owned()),
        },
        ClientError::CodeHash { .. } | ClientError::Assets { .. } => {
            Failure::OtherCode { reason: error.to_string() }
        }
        ClientError::Tree(error) => super::upload::failed(error),
        ClientError::Problem(problem) => Failure::problem(*problem),
        ClientError::Unreachable { source, .. } => {
            Failure::Connect { host: host(), reason: source.to_string() }
        }
        ClientError::Tls { source, .. } => {
            Failure::Connect { host: host(), reason: format!("no TLS session: {source}") }
        }
        ClientError::NotTls { .. } => Failure::Connect {
            host: host(),
            reason: "it does not speak TLS; perhaps it is a plain HTTP server".to_owned(),
        },
        ClientError::TimedOut { .. } | ClientError::ConnectionLost(_) => match phase {
            Phase::Connecting => Failure::Connect { host: host(), reason: error.to_string() },
            Phase::Request => Failure::Lost { host: host(), reason: error.to_string() },
        },
        ClientError::UnexpectedResponse(_) | ClientError::ResponseTooLarge { .. } => {
            Failure::Protocol { host: host(), reason: error.to_string() }
        }
        ClientError::RequestTooLarge { .. } | ClientError::ServerName(_) | ClientError::Identity(_) => {
            Failure::usage(error.to_string())
        }
        ClientError::Randomness => Failure::Internal(error.to_string()),
    }
}

fn reasons(report: &VerificationReport) -> Vec<String> {
    let failed = report.checks.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed { reason } => Some(format!("{}: {reason}", result.check)),
        _ => None,
    });
    failed.collect()
}

/// What to do about the check that failed first.
fn advice(report: &VerificationReport) -> Option<&'static str> {
    report.failed().find_map(|check| match check {
        Check::RootOfTrust => {
            Some("--allow-simulated ROOT_FINGERPRINT accepts a soft platform, which is for trying things out")
        }
        Check::MrEnclave => Some("if that is an image that you built or reviewed, accept it with --mrenclave HEX"),
        Check::CodeHash { .. } => {
            Some("`cloister hash FILE` prints the hash of a .wasm; --code-hash or the profile says which is accepted")
        }
        Check::NetworkRules { .. } => {
            Some("its owner allowed it more than you accept: --allow says what is fine, each rule by itself")
        }
        Check::Assets { .. } => Some("`cloister assets-hash DIR` prints the hash of a directory; --assets says which is accepted"),
        Check::MinimumEpoch => Some(
            "ask its operator whether a backup was restored, and which; a lower --min-epoch accepts the older state, in \
             which later writes never happened",
        ),
        Check::VolumeRoot => Some(
            "every write makes a new root: pin an epoch with --min-epoch, unless nothing may have been written since",
        ),
        Check::Freshness => {
            Some("its operator decides on the anchor with `cloister serve --tpm`; --freshness says what you demand")
        }
        _ => None,
    })
}

/// A component can wait in a queue and be compiled for minutes, and a call may be allowed as long.
const IDLE: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::GlobalArguments;
    use crate::failure::Exit;
    use crate::profile::Profile;
    use crate::quantity::Digest;
    use cloister_client::{CheckResult, FreshnessDemand, Platform};
    use std::io;

    fn settings(global: &GlobalArguments) -> Settings {
        Settings::merge(global, Profile::default()).unwrap()
    }

    #[test]
    fn by_default_the_policy_accepts_nothing() {
        let policy = policy(&settings(&GlobalArguments::default()), None);
        assert_eq!(policy.anchor, TrustAnchor::Intel);
        assert_eq!(policy.mrenclave, Measurement::Exactly(vec![]));
        assert_eq!((policy.minimum_epoch, policy.volume_root), (None, None));
    }

    #[test]
    fn options_become_the_policy() {
        let global = GlobalArguments {
            mrenclave: vec![Digest([1; 32]), Digest([2; 32])],
            allow_simulated: Some(Digest([3; 32])),
            code_hash: Some(Digest([4; 32])),
            min_epoch: Some(9),
            volume_root: Some(Digest([5; 32])),
            freshness: Some("tpm".parse().unwrap()),
            ..GlobalArguments::default()
        };
        let app: AppName = "hello".parse().unwrap();
        let made = policy(&settings(&global), Some(&app));
        assert_eq!(made.anchor, TrustAnchor::Simulated { root_fingerprint: [3; 32] });
        assert_eq!(made.mrenclave, Measurement::Exactly(vec![[1; 32], [2; 32]]));
        assert_eq!(made.apps.get(&app), Some(&[4; 32]));
        assert_eq!((made.minimum_epoch, made.volume_root), (Some(9), Some([5; 32])));
        assert_eq!(made.freshness, FreshnessDemand::Tpm { identity: None });
        assert!(policy(&settings(&global), None).apps.is_empty());
    }

    #[test]
    fn apps_have_host_names() {
        let app: AppName = "hello".parse().unwrap();
        for (host, plain, own) in [
            ("e.example.com", "e.example.com", "hello.e.example.com"),
            ("localhost:1", "localhost", "hello.localhost"),
            ("127.0.0.1", "127.0.0.1", "hello.localhost"),
            ("[::1]:5", "::1", "hello.localhost"),
        ] {
            let host: Host = host.parse().unwrap();
            assert_eq!(endpoint(&host, None).server_name, plain);
            assert_eq!(endpoint(&host, Some(&app)).server_name, own);
            assert_eq!(endpoint(&host, None).address, host.to_string());
        }
    }

    #[test]
    fn client_errors_have_exit_codes() {
        let text = || "x".to_owned();
        let late = || ClientError::TimedOut { doing: "x", after: Duration::from_secs(1) };
        let other = || io::Error::other("x");
        let report = VerificationReport { platform: Platform::Unknown, checks: vec![] };
        let refused = cloister_client::Refused { report: Box::new(report) };
        for (error, phase, exit) in [
            (ClientError::Unreachable { address: text(), source: other() }, Phase::Connecting, Exit::Connect),
            (ClientError::Tls { address: text(), source: other() }, Phase::Connecting, Exit::Connect),
            (ClientError::NotTls { address: text() }, Phase::Connecting, Exit::Connect),
            (late(), Phase::Connecting, Exit::Connect),
            (late(), Phase::Request, Exit::Server),
            (ClientError::ConnectionLost(text()), Phase::Request, Exit::Server),
            (ClientError::UnexpectedResponse(text()), Phase::Request, Exit::Server),
            (ClientError::ResponseTooLarge { limit: 1 }, Phase::Request, Exit::Server),
            (ClientError::Refused(refused), Phase::Connecting, Exit::Refused),
            (ClientError::NotAnEnclave { address: text(), reason: text() }, Phase::Connecting, Exit::Refused),
            (
                ClientError::CodeHash { app: text(), expected: text(), answered: text() },
                Phase::Request,
                Exit::Refused,
            ),
            (ClientError::RequestTooLarge { what: "x", length: 2, limit: 1 }, Phase::Request, Exit::Usage),
            (ClientError::ServerName(text()), Phase::Connecting, Exit::Usage),
            (ClientError::Identity(text()), Phase::Connecting, Exit::Usage),
            (ClientError::Randomness, Phase::Connecting, Exit::Internal),
        ] {
            let shown = error.to_string();
            assert_eq!(failure(error, "h:1", phase).exit(), exit, "{shown}");
        }
    }

    #[test]
    fn a_refusal_lists_what_failed_and_says_what_to_do() {
        let check = |check, outcome| CheckResult { check, outcome };
        let report = VerificationReport {
            platform: Platform::Unknown,
            checks: vec![
                check(Check::Debug, Outcome::Passed { detail: "off".into() }),
                check(Check::MrEnclave, Outcome::Failed { reason: "it is aa".into() }),
            ],
        };
        assert_eq!(reasons(&report), ["MRENCLAVE: it is aa"]);
        assert!(advice(&report).unwrap().contains("--mrenclave"));
    }

    #[test]
    fn a_refused_volume_has_its_own_advice() {
        for (refused, expected) in [
            (Check::MinimumEpoch, "--min-epoch"),
            (Check::VolumeRoot, "--min-epoch"),
            (Check::Freshness, "--tpm"),
        ] {
            let outcome = Outcome::Failed { reason: "x".into() };
            let checks = vec![CheckResult { check: refused, outcome }];
            let report = VerificationReport { platform: Platform::Hardware, checks };
            assert!(advice(&report).unwrap().contains(expected));
        }
    }
}
