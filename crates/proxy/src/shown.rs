//! What the page shows of an enclave: every check, and what the evidence says of it and its apps.

use cloister_api::{AppName, ConfigurationState, NetworkPolicy};
use cloister_attestation::{AppClaims, ImageUpgradeClaim, IssuerClaim, UpgradePolicy};
use cloister_client::{
    CheckResult, Claims, ClientError, Endpoint, Freshness, Outcome, Platform, Session, VerificationReport,
};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// One verification.
#[derive(Debug, Serialize)]
pub(crate) struct Appraisal<'a> {
    /// Where the enclave was asked.
    enclave: &'a str,
    accepted: bool,
    /// The whole of it, handshake included.
    took_ms: u64,
    /// The app that the page opens with.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a AppName>,
    platform: Option<ShownPlatform>,
    checks: Vec<ShownCheck>,
    /// Why there is no session.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// What an accepted enclave is.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
}

#[derive(Debug, Serialize)]
struct ShownPlatform {
    kind: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct ShownCheck {
    name: String,
    outcome: &'static str,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Shown {
    mrenclave: String,
    /// The volume's present state.
    volume: Option<ShownVolume>,
    freshness: &'static str,
    /// Milliseconds since 1970, as the enclave's host told.
    started_ms: u64,
    starts: u64,
    operator: Option<String>,
    image_upgrade: String,
    owners: Vec<String>,
    issuers: Vec<String>,
    apps: Vec<ShownApp>,
}

#[derive(Debug, Serialize)]
struct ShownVolume {
    epoch: u64,
    root: String,
}

#[derive(Debug, Serialize)]
struct ShownApp {
    name: AppName,
    code_hash: String,
    owner: String,
    fuel: u64,
    network: NetworkPolicy,
    sends_plaintext: bool,
    /// Rules; none: it admits nobody.
    callers: Vec<String>,
    issuers: Vec<String>,
    upgrade: String,
    configuration: ConfigurationState,
    assets: Option<String>,
    extensions: Vec<String>,
}

impl<'a> Appraisal<'a> {
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        verified: &Result<Arc<Session>, Arc<ClientError>>,
        took: Duration,
        app: Option<&'a AppName>,
    ) -> Self {
        let report = match verified {
            Ok(session) => Some(session.report()),
            Err(error) => match &**error {
                ClientError::Refused(refused) => Some(&*refused.report),
                _ => None,
            },
        };
        Self {
            enclave: &endpoint.address,
            accepted: verified.is_ok(),
            took_ms: took.as_millis().try_into().unwrap_or(u64::MAX),
            app,
            platform: report.map(|report| platform(report.platform)),
            checks: report.map(checks).unwrap_or_default(),
            failure: verified.as_ref().err().map(ToString::to_string),
            shown: verified.as_ref().ok().map(|session| shown(session)),
        }
    }
}

fn platform(platform: Platform) -> ShownPlatform {
    let kind = match platform {
        Platform::Hardware => "hardware",
        Platform::Simulated { .. } => "simulated",
        Platform::Unknown => "unknown",
    };
    ShownPlatform { kind, text: platform.to_string() }
}

fn checks(report: &VerificationReport) -> Vec<ShownCheck> {
    let shown = |result: &CheckResult| {
        let (outcome, detail) = match &result.outcome {
            Outcome::Passed { detail } => ("passed", detail),
            Outcome::Failed { reason } => ("failed", reason),
            Outcome::NotAsked { why } => ("not-asked", why),
        };
        ShownCheck { name: result.check.to_string(), outcome, detail: detail.clone() }
    };
    report.checks.iter().map(shown).collect()
}

fn shown(session: &Session) -> Shown {
    let claims: &Claims = session.claims();
    let state = session.volume();
    Shown {
        mrenclave: hex::encode(session.mrenclave()),
        volume: state.map(|volume| ShownVolume { epoch: volume.epoch, root: hex::encode(volume.root) }),
        freshness: match claims.freshness {
            Freshness::None => "nothing keeps an older disk from being put back at a restart",
            Freshness::Tpm { .. } => "a TPM's counter: older disks are refused",
        },
        started_ms: claims.boot.told_time.saturating_mul(1000),
        starts: claims.boot.counter,
        operator: claims.operator.map(hex::encode),
        image_upgrade: image_upgrade(&claims.image_upgrade),
        owners: claims.owners.iter().map(hex::encode).collect(),
        issuers: issuers(&claims.issuers),
        apps: claims.apps.iter().map(app).collect(),
    }
}

fn app(app: &AppClaims) -> ShownApp {
    ShownApp {
        name: app.name.clone(),
        code_hash: hex::encode(app.code_hash),
        owner: hex::encode(app.owner),
        fuel: app.limits.fuel,
        network: app.network.clone(),
        sends_plaintext: app.network.is_plaintext(),
        callers: app.callers.rules().iter().map(ToString::to_string).collect(),
        issuers: issuers(&app.issuers),
        upgrade: upgrade(&app.upgrade),
        configuration: app.configuration.into(),
        assets: app.assets.as_ref().map(|assets| format!("{} at {}", hex::encode(assets.hash), assets.at)),
        extensions: app
            .extensions
            .iter()
            .map(|(suffix, hash)| format!("{suffix}: {}", hex::encode(hash)))
            .collect(),
    }
}

fn upgrade(policy: &UpgradePolicy) -> String {
    match policy {
        UpgradePolicy::Frozen => "frozen: no other code gets its data".to_owned(),
        UpgradePolicy::Owner => "its owner may replace the code, and the data stays".to_owned(),
        UpgradePolicy::Endorsed { threshold, keys } => format!(
            "its owner may replace the code by what {threshold} of these keys signed: {}",
            keys.iter().map(hex::encode).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn image_upgrade(claim: &ImageUpgradeClaim) -> String {
    match claim {
        ImageUpgradeClaim::Never => "never: no other image gets the volume's key".to_owned(),
        ImageUpgradeClaim::Operator => "to whichever image the operator names".to_owned(),
        ImageUpgradeClaim::Listed(listed) => {
            format!(
                "to these images, if the operator says so: {}",
                listed.iter().map(hex::encode).collect::<Vec<_>>().join(", ")
            )
        }
        ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn } => format!(
            "if the operator says so, to images of signer {}, product {product}, version {minimum_svn} or newer",
            hex::encode(mrsigner)
        ),
    }
}

fn issuers(issuers: &[IssuerClaim]) -> Vec<String> {
    issuers
        .iter()
        .map(|issuer| format!("{}: {} for {}", issuer.name, issuer.issuer, issuer.audience))
        .collect()
}
