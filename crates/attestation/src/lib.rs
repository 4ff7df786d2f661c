//! Claims, evidence and certificates: made in the enclave, verified at the client.
//!
//! An enclave writes down what it is in [`Claims`], has the hash of their canonical encoding quoted by the hardware,
//! and puts claims and quote ([`Evidence`]) into the certificate of its TLS key. Whoever holds a leaked TLS key could
//! relay all of that, so a client also asks for a signature over the TLS exporter of its own session
//! ([`SessionBinding`]). With the feature `verify`, [`verify`] appraises the whole against a policy.
//!
//! The byte layouts are in `docs/design/evidence.md`.
#![forbid(unsafe_code)]

mod assets;
mod binding;
mod certificate;
mod claims;
mod codec;
mod digest;
mod endorsement;
mod evidence;
mod keys;
#[cfg(feature = "verify")]
pub mod verify;

pub use assets::{AssetsHash, AssetsOutOfOrder, ContentsHash};
pub use binding::{EXPORTER_LABEL, InvalidBinding, SessionBinding};
pub use certificate::{
    AppExtensions, CertificateError, InvalidCertificate, client_certificate, extension_oid, fits_certificate,
    key_fingerprint, leaf_certificate,
};
pub use claims::{
    AppClaims, AssetsClaim, Boot, Claims, ConfigurationClaim, Freshness, ImageUpgradeClaim, IssuerClaim,
    MAX_EXTENSION_VALUE, MAX_EXTENSION_VALUES, MAX_EXTENSIONS, MAX_LINEAGE, PlatformClaim, UpgradePolicy,
    Volume, environment_hash, report_data, roots_hash,
};
pub use codec::{ClaimsError, MAX_CLAIMS};
pub use digest::sha256;
pub use endorsement::{EndorsementError, endorsement_statement, verify_endorsements};
pub use evidence::{Evidence, EvidenceError, MAX_QUOTE};
pub use keys::{KeyError, SessionKey, TlsKey};

/// Bytes of a SHA-256 digest.
pub const HASH_LEN: usize = 32;
