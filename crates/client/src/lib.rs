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
mod endpoint;
mod error;
mod identity;
mod lines;
mod run;
mod session;
mod tls;
mod transport;
mod tree;
mod volume;

pub use bundle::Upload;
pub use cloister_api as api;
pub use cloister_attestation::verify::{
    AppExpectation, Check, CheckResult, Collateral, ConfigurationDemand, FreshnessDemand, Measurement,
    Outcome, Platform, Policy, Refused, TcbStatus, TrustAnchor, VerificationReport,
};
pub use cloister_attestation::{
    AppClaims, AssetsClaim, Claims, ConfigurationClaim, Freshness, MAX_EXTENSION_VALUE, Volume, extension_oid,
};
pub use connect::{Client, Timeouts};
pub use deploy::DeployProgress;
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::ClientError;
pub use identity::{Identity, IdentityError};
pub use run::{Run, RunOutput, Stdin, StdinSender};
pub use session::{LogStream, Session};
pub use tree::{Tree, TreeError};
pub use volume::{Backup, BackupChunk, VolumeCheck};
