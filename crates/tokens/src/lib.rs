//! Tokens of OpenID Connect issuers: who sent a request, as somebody else vouches for it.
//!
//! A token is a JWT (RFC 7519) signed as a compact JWS (RFC 7515). Its issuer publishes the keys as a JWK set (RFC 7517), at an
//! address that OpenID Connect Discovery 1.0 leads to, and this crate fetches both over https, with TLS that ends here. What
//! is accepted follows RFC 8725, the best practices for JWTs; `docs/design/tokens.md` has the rules one by one.
//!
//! The crates that read JWTs were looked at first. Those that are well kept either bring cryptography that does not build for
//! the enclave, or take it as a setting of the whole process that panics where it is missing; they read the clock themselves,
//! accept a list as `iss`, and leave to their users what matters most: which algorithm belongs to which key, what `crit` and
//! `typ` say, names that stand twice, and sizes. What is left of them is to split at two dots; so this crate does that itself,
//! on `base64`, `serde_json`, and the signatures of `graviola`.
#![forbid(unsafe_code)]

mod claims;
mod documents;
mod error;
mod issuer;
mod issuers;
mod jws;
mod key;
mod object;
mod settings;

pub use documents::{Documents, FetchError, FixedDocuments};
pub use error::{InvalidIssuer, KeysError, Part, TokenError};
pub use issuers::{Issuers, VerifiedToken};

use std::time::Duration;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 16 << 10;
/// Longest document of an issuer, such as its key set, in bytes.
pub const MAX_DOCUMENT: usize = 256 << 10;
/// Most keys in a key set.
pub const MAX_KEYS: usize = 64;
/// Most roles of one token.
pub const MAX_ROLES: usize = 256;
/// How far the clocks of an issuer and of the host may be apart.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// How long an issuer may take until its keys are there, discovery included.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two fetches for keys that were not in the set, and from a fetch that failed to the next.
pub const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Keys that are older are fetched again.
pub const REFRESH_AFTER: Duration = Duration::from_secs(10 * 60);
/// Keys that are older are used no more, even where the issuer cannot be reached.
pub const MAX_KEY_AGE: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
