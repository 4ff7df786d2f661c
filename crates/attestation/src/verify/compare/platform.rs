//! What the evidence is rooted in, and what Intel says of the platform.

use super::{Compared, not_asked, others, passed};
use crate::verify::extract::{Extracted, ForeignRoot, Unverified, VerifiedPlatform};
use crate::verify::{Accepted, Platform, TcbStatus, TrustAnchor};
use crate::{Claims, PlatformClaim};

pub(super) fn platform(extracted: &Extracted, anchor: &TrustAnchor) -> Platform {
    match (&extracted.root, anchor) {
        (Err(_), _) => Platform::Unknown,
        (Ok(_), TrustAnchor::Intel) => Platform::Hardware,
        (Ok(_), TrustAnchor::Simulated { root_fingerprint }) => {
            Platform::Simulated { root: *root_fingerprint }
        }
    }
}

pub(super) fn root_of_trust(extracted: &Extracted, anchor: &TrustAnchor) -> Compared {
    match (&extracted.root, anchor) {
        (Ok(_), TrustAnchor::Intel) => passed("Intel SGX Root CA"),
        (Ok(_), TrustAnchor::Simulated { root_fingerprint }) => {
            passed(format!("SIMULATED, the pinned root {}", hex::encode(root_fingerprint)))
        }
        (Err(ForeignRoot::None), _) => Err("the quote has no readable certificate chain".to_owned()),
        (Err(ForeignRoot::Other { fingerprint, subject }), TrustAnchor::Intel) => Err(format!(
            "the quote is rooted in \"{subject}\", not in Intel's root: no SGX hardware is proven. If this is a soft \
             platform that you mean to use, accept its root {}",
            hex::encode(fingerprint)
        )),
        (Err(ForeignRoot::Other { fingerprint, subject }), TrustAnchor::Simulated { root_fingerprint }) => {
            Err(format!(
                "the quote is rooted in \"{subject}\" with the fingerprint {}, and the soft platform {} is expected",
                hex::encode(fingerprint),
                hex::encode(root_fingerprint)
            ))
        }
    }
}

pub(super) fn signatures(extracted: &Extracted) -> Compared {
    match &extracted.signatures {
        Ok(_) => passed("from the root down to the enclave's report, against collateral that is valid now"),
        Err(Unverified::NoRoot) => not_asked("there is no accepted root to verify them under"),
        Err(Unverified::Failed(reason)) => Err(reason.clone()),
    }
}

pub(super) fn tcb_status(platform: &VerifiedPlatform, accepted: &[TcbStatus]) -> Compared {
    let status = platform.status;
    if accepted.contains(&status) && status != TcbStatus::Revoked {
        return passed(format!("{status}"));
    }
    Err(format!("the platform is {status}, which this policy does not accept"))
}

pub(super) fn advisories(platform: &VerifiedPlatform, accepted: &Accepted<String>) -> Compared {
    let found = super::listed(&platform.advisories, Clone::clone);
    match accepted {
        Accepted::Any => not_asked(format!("{found}; this policy accepts any")),
        Accepted::OneOf(list) => match others(&platform.advisories, list, Clone::clone) {
            Some(others) => {
                Err(format!("the platform is subject to {others}, which this policy does not accept"))
            }
            None => passed(found),
        },
    }
}

/// What the host told the enclave of its machine, against what the quote's root says.
pub(super) fn claim(claims: &Claims, extracted: &Extracted, anchor: &TrustAnchor) -> Compared {
    if extracted.root.is_err() {
        return not_asked("no accepted root says what the platform is");
    }
    match (claims.platform, anchor) {
        (PlatformClaim::Hardware, TrustAnchor::Intel) => passed("SGX hardware"),
        (PlatformClaim::Simulated, TrustAnchor::Simulated { .. }) => passed("SIMULATED"),
        (PlatformClaim::Simulated, TrustAnchor::Intel) => {
            Err("the enclave was told that it is simulated, and its quote is of Intel's hardware".to_owned())
        }
        (PlatformClaim::Hardware, TrustAnchor::Simulated { .. }) => {
            Err("the enclave was told that it runs on hardware, and its quote is of a simulation".to_owned())
        }
    }
}
