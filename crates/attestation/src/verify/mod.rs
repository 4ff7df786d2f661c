//! Appraisal of evidence: is this the enclave that the relying party expects, at the other end of this very session?
//!
//! In three steps, each in its module: what is expected ([`Policy`]), what the peer's bytes say (extracted part by
//! part, each a value or the reason why not), and the comparison, a list of [`CheckResult`]s. Every check is made, so
//! that the report is whole, and evidence is accepted when none failed.

mod compare;
mod crypto;
mod extract;
mod facts;
mod policy;
mod quotes;
mod received;
mod report;
mod server;
mod statements;

pub use dcap_qvl::{QuoteCollateralV3 as Collateral, TcbStatus};
pub use facts::Facts;
pub use policy::{
    Accepted, AppExpectation, ConfigurationDemand, FreshnessDemand, Measurement, OtherApps, Policy, Presence,
    TrustAnchor, UpgradeDemand,
};
pub use quotes::VerifiedQuotes;
pub use received::{MAX_EVIDENCE_RESPONSE, ReceivedEvidence, UnreadableEvidence};
pub use report::{Check, CheckResult, Outcome, Platform, VerificationReport};
pub use server::{
    Attests, ExpectedExtension, ExpectedTee, InvalidExpectation, PckAuthority, QuoteOrigin,
    ServerCertificate, ServerEvidence, ServerPolicy, ServerRefused, SessionEvidence, Tee, VerifiedServer,
    verify_server,
};
pub use statements::extension_values;

use crate::{Claims, HASH_LEN, SessionBinding, Volume};
use cloister_api::AppName;
use extract::Extracted;
use rustls_pki_types::CertificateDer;
use std::time::SystemTime;

/// What the peer says.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// Canonical encoding of its claims.
    pub claims: &'a [u8],
    /// DCAP quote over them.
    pub quote: &'a [u8],
    /// The state of the volume at this moment.
    pub volume: Option<Volume>,
    /// By the session key that the claims name, over the session binding, the claims and the state of the volume.
    pub signature: &'a [u8],
}

/// What the verifier saw itself of the session that carries the evidence. No part of it can be left out: evidence
/// that is not bound to a session proves nothing about that session.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// This end's exporter, and the nonce that it chose.
    pub binding: &'a SessionBinding,
    /// The end-entity certificate whose key authenticated the handshake.
    pub certificate: &'a CertificateDer<'a>,
    /// The host name that was asked for.
    pub server_name: &'a str,
}

/// Evidence that passed every check of its policy.
#[derive(Clone, Debug)]
pub struct Verified {
    claims: Claims,
    measurement: [u8; HASH_LEN],
    volume: Option<Volume>,
    report: VerificationReport,
    facts: Facts,
}

impl Verified {
    /// What the enclave says of itself.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// MRENCLAVE.
    pub fn mrenclave(&self) -> &[u8; HASH_LEN] {
        &self.measurement
    }

    /// The state of the volume when the session was bound; `None` where the enclave keeps nothing.
    pub fn volume(&self) -> Option<Volume> {
        self.volume
    }

    /// Every check with its outcome.
    pub fn report(&self) -> &VerificationReport {
        &self.report
    }

    /// What the quote and Intel's lists say of image and platform, accepted or not asked for.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Evidence that failed at least one check.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the enclave's evidence was refused: {}", .report.failures())]
pub struct Refused {
    /// Every check with its outcome.
    pub report: Box<VerificationReport>,
}

/// Appraises evidence of a session at a time.
///
/// `collateral` is what the quote is verified against; without it the signatures cannot be checked, which is a failed
/// check. Whoever appraises many sessions with few enclaves does so with [`VerifiedQuotes`].
///
/// # Errors
/// [`Refused`] where any check failed.
pub fn verify(
    presented: &Presented<'_>,
    observed: &Observed<'_>,
    collateral: Option<&Collateral>,
    policy: &Policy,
    now: SystemTime,
) -> Result<Verified, Refused> {
    appraise(presented, observed, collateral, policy, now, None)
}

/// `quotes`: what of the signatures was verified before; `None`: they are verified now.
fn appraise(
    presented: &Presented<'_>,
    observed: &Observed<'_>,
    collateral: Option<&Collateral>,
    policy: &Policy,
    now: SystemTime,
    quotes: Option<&VerifiedQuotes>,
) -> Result<Verified, Refused> {
    let extracted = Extracted::new(presented, observed, collateral, &policy.anchor, now, quotes);
    let report = compare::compare(&extracted, presented, observed, policy, now);
    match (report.accepted(), extracted.claims, extracted.quote, extracted.signatures) {
        (true, Ok(claims), Ok(quote), Ok(platform)) => {
            let facts = Facts::new(&quote, platform);
            Ok(Verified { claims, measurement: quote.mr_enclave, volume: presented.volume, report, facts })
        }
        _ => Err(Refused { report: Box::new(report) }),
    }
}

/// The app whose host name this is: its first label (`hello.localhost` belongs to `hello`).
fn app_of_host(server_name: &str) -> Option<AppName> {
    server_name.split('.').next()?.parse().ok()
}
