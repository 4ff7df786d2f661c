//! Verifying client: nothing is sent to an enclave before its evidence was verified for this very session.
//!
//! [`Client::connect`] does the TLS handshake, asks for evidence that is bound to the session, and appraises it against
//! the policy. Only then there is a [`Session`], and only a `Session` can send anything else. A connection that was
//! lost is not mended: connecting again verifies again.
//!
//! ```no_run
//! use cloister_client::{Client, Endpoint, Measurement, Policy, TrustAnchor};
//!
//! # async fn example(mrenclave: [u8; 32]) -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::new(TrustAnchor::Intel, Measurement::Exactly(vec![mrenclave]));
//! let session = Client::new(policy).connect(&"enclave.example:8443".parse::<Endpoint>()?).await?;
//! println!("{}", session.report());
//! let answer = session.call_json(&"hello".parse()?, "greet", &serde_json::json!(["world"])).await?;
//! println!("{}", answer.result);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod ascii;
mod bundle;
mod connect;
mod deploy;
mod endorse;
mod endpoint;
mod error;
mod forward;
mod identity;
mod key;
mod lines;
mod run;
mod session;
mod tls;
mod token;
mod transport;
mod tree;
mod upgrade;
mod volume;

pub use bundle::Upload;
pub use cloister_api as api;
pub use cloister_attestation::verify::{
    Accepted, AppExpectation, Check, CheckResult, Collateral, ConfigurationDemand, FreshnessDemand,
    Measurement, OtherApps, Outcome, Platform, Policy, Presence, ReceivedEvidence, Refused, TcbStatus,
    TrustAnchor, UpgradeDemand, VerificationReport, Verified,
};
pub use cloister_attestation::{
    AppClaims, AssetsClaim, Claims, ConfigurationClaim, EndorsementError, Evidence, Freshness,
    ImageUpgradeClaim, IssuerClaim, MAX_EXTENSION_VALUE, PlatformClaim, UpgradePolicy, Volume,
    endorsement_statement, extension_oid, verify_endorsements,
};
pub use cloister_collateral::{CollateralError, CollateralServer, ServerTrust};
pub use connect::{Client, Timeouts};
pub use deploy::DeployProgress;
pub use endorse::{Deployment, NotDeployable, deployed_claims};
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::ClientError;
pub use forward::{ForwardBody, NotForwarded};
pub use identity::{Identity, IdentityError};
pub use key::KeyAlgorithm;
pub use run::{Run, RunOutput, Stdin, StdinSender};
pub use session::{LogStream, Session};
pub use tree::{Tree, TreeError};
pub use volume::{Backup, BackupChunk, VolumeCheck};
