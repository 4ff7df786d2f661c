use crate::HASH_LEN;
use cloister_api::AppName;
use serde::Serialize;
use std::fmt;

/// Every check of one appraisal, in a fixed order.
///
/// Its text is one line a check, under a line that says what the evidence was rooted in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerificationReport {
    pub platform: Platform,
    pub checks: Vec<CheckResult>,
}

impl VerificationReport {
    /// Whether no check failed.
    pub fn accepted(&self) -> bool {
        self.checks.iter().all(|result| !matches!(result.outcome, Outcome::Failed { .. }))
    }

    /// What became of a check; for checks of an app with its name in them.
    pub fn outcome(&self, check: &Check) -> Option<&Outcome> {
        self.checks.iter().find(|result| result.check == *check).map(|result| &result.outcome)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|result| matches!(result.outcome, Outcome::Failed { .. }))
            .map(|result| &result.check)
    }

    /// The failed checks with their reasons, on one line.
    pub fn failures(&self) -> String {
        let reasons = self.checks.iter().filter_map(|result| match &result.outcome {
            Outcome::Failed { reason } => Some(format!("{}: {reason}", result.check)),
            _ => None,
        });
        Vec::from_iter(reasons).join("; ")
    }
}

impl fmt::Display for VerificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.platform)?;
        for CheckResult { check, outcome } in &self.checks {
            let (word, detail) = match outcome {
                Outcome::Passed { detail } => ("passed", detail),
                Outcome::Failed { reason } => ("FAILED", reason),
                Outcome::NotAsked { why } => ("not asked", why),
            };
            writeln!(f, "{word:<9}  {check}: {detail}")?;
        }
        Ok(())
    }
}

/// What the evidence is rooted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Platform {
    /// SGX hardware that Intel certified.
    Hardware,
    /// A soft platform, with the SHA-256 of its root.
    Simulated {
        #[serde(serialize_with = "hex::serde::serialize")]
        root: [u8; HASH_LEN],
    },
    /// No root that the policy names.
    Unknown,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware => f.write_str("SGX hardware, certified by Intel"),
            Self::Simulated { root } => {
                write!(
                    f,
                    "SIMULATED: no hardware protects this enclave (soft platform {})",
                    hex::encode(root)
                )
            }
            Self::Unknown => f.write_str("UNKNOWN: the evidence has no root that the policy accepts"),
        }
    }
}

/// One check and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    #[serde(flatten)]
    pub check: Check,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It holds; the detail says what was found.
    Passed { detail: String },
    /// It does not hold, or could not be made.
    Failed { reason: String },
    /// The policy leaves it out, or there is nothing to check, also since what it is about could not be read or verified:
    /// the check of that has failed then.
    NotAsked { why: String },
}

/// The checks of an appraisal, in the order of its report. `docs/design/evidence.md` says when each fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "check")]
pub enum Check {
    Claims,
    Quote,
    RootOfTrust,
    Signatures,
    TcbStatus,
    Advisories,
    CollateralAge,
    Fmspc,
    Ppid,
    Debug,
    #[serde(rename = "mrenclave")]
    MrEnclave,
    #[serde(rename = "mrsigner")]
    MrSigner,
    IsvProdId,
    IsvSvn,
    ClaimsQuoted,
    QuoteAge,
    PlatformClaim,
    TlsKey,
    SessionBinding,
    CertificateCodeHash,
    CertificateClaims,
    Identity,
    BootConfiguration,
    BootCounter,
    Operator,
    Owners,
    OwnerIssuers,
    ImageUpgrade,
    Lineage,
    OtherApps,
    App {
        app: AppName,
    },
    CodeHash {
        app: AppName,
    },
    Owner {
        app: AppName,
    },
    Upgrade {
        app: AppName,
    },
    Callers {
        app: AppName,
    },
    CallerIssuers {
        app: AppName,
    },
    NetworkRules {
        app: AppName,
    },
    QuoteRoots {
        app: AppName,
    },
    Assets {
        app: AppName,
    },
    Configuration {
        app: AppName,
    },
    Extension {
        app: AppName,
        suffix: u32,
    },
    Volume,
    MinimumEpoch,
    VolumeRoot,
    Freshness,
}

impl Check {
    /// The app that it is about.
    pub fn app(&self) -> Option<&AppName> {
        match self {
            Self::App { app }
            | Self::CodeHash { app }
            | Self::Owner { app }
            | Self::Upgrade { app }
            | Self::Callers { app }
            | Self::CallerIssuers { app }
            | Self::NetworkRules { app }
            | Self::QuoteRoots { app }
            | Self::Assets { app }
            | Self::Configuration { app }
            | Self::Extension { app, .. } => Some(app),
            _ => None,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claims => "claims",
            Self::Quote => "quote",
            Self::RootOfTrust => "root of trust",
            Self::Signatures => "signatures",
            Self::TcbStatus => "TCB status",
            Self::Advisories => "advisories",
            Self::CollateralAge => "collateral's age",
            Self::Fmspc => "FMSPC",
            Self::Ppid => "PPID",
            Self::Debug => "debug",
            Self::MrEnclave => "MRENCLAVE",
            Self::MrSigner => "MRSIGNER",
            Self::IsvProdId => "ISVPRODID",
            Self::IsvSvn => "ISVSVN",
            Self::ClaimsQuoted => "claims quoted",
            Self::QuoteAge => "quote's age",
            Self::PlatformClaim => "claimed platform",
            Self::TlsKey => "TLS key",
            Self::SessionBinding => "session binding",
            Self::CertificateCodeHash => "code hash in the certificate",
            Self::CertificateClaims => "claims in the certificate",
            Self::Identity => "identity",
            Self::BootConfiguration => "boot configuration",
            Self::BootCounter => "boot counter",
            Self::Operator => "operator",
            Self::Owners => "owners",
            Self::OwnerIssuers => "issuers of owners' tokens",
            Self::ImageUpgrade => "image upgrade",
            Self::Lineage => "lineage",
            Self::OtherApps => "other apps",
            Self::App { app } => return write!(f, "app {app}"),
            Self::CodeHash { app } => return write!(f, "code hash of {app}"),
            Self::Owner { app } => return write!(f, "owner of {app}"),
            Self::Upgrade { app } => return write!(f, "upgrade of {app}"),
            Self::Callers { app } => return write!(f, "callers of {app}"),
            Self::CallerIssuers { app } => return write!(f, "issuers of tokens of {app}'s callers"),
            Self::NetworkRules { app } => return write!(f, "network rules of {app}"),
            Self::QuoteRoots { app } => return write!(f, "roots of quotes of {app}"),
            Self::Assets { app } => return write!(f, "assets of {app}"),
            Self::Configuration { app } => return write!(f, "configuration of {app}"),
            Self::Extension { app, suffix } => return write!(f, "extension {suffix} of {app}"),
            Self::Volume => "volume",
            Self::MinimumEpoch => "minimum epoch",
            Self::VolumeRoot => "volume root",
            Self::Freshness => "freshness",
        })
    }
}
