use std::fmt;

use cloister_api::InvalidTokenIssuer;

use crate::{FetchError, MAX_DOCUMENT, MAX_KEYS, MAX_ROLES, MAX_TOKEN};

/// Why a token is not accepted. It says nothing of what is in the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than [`MAX_TOKEN`].
    #[error("the token has more than {MAX_TOKEN} bytes")]
    TooLong,
    /// RFC 7515, section 7.1: three parts of base64url without padding.
    #[error("the token is no signed JWT: three parts of base64url with dots between them")]
    Malformed,
    /// RFC 7515, section 4: an object, of which no name stands twice.
    #[error("the token's {0} is no object in JSON, or has a name twice")]
    Json(Part),
    /// RFC 7515, section 4.1.1.
    #[error("the token's header names no algorithm")]
    NoAlgorithm,
    /// `none`: RFC 8725, section 3.2.
    #[error("the token is not signed")]
    Unsigned,
    /// An algorithm of which both sides know the same secret: an issuer's public key is none.
    #[error("the token is protected by a shared secret, and not signed with an issuer's key")]
    SharedSecret,
    /// Another one that is not accepted.
    #[error("the token's algorithm is not accepted; RS256, PS256, ES256, ES384 and EdDSA are")]
    Algorithm,
    /// RFC 7515, section 4.1.11: nothing in `crit` is understood here.
    #[error("the token's header demands something in 'crit' that is not understood")]
    Critical,
    /// RFC 8725, section 3.11.
    #[error("the token is of another kind: 'typ' is neither JWT nor at+jwt")]
    Type,
    /// `kid` is no text of 1 to 256 bytes.
    #[error("the token's 'kid' is no name of a key")]
    KeyId,
    /// Its `iss` is none of those that are accepted.
    #[error("the token is of no issuer that is accepted here")]
    UnknownIssuer,
    /// The issuer has several keys, and the token says not which.
    #[error("the token does not say with which of the keys of '{issuer}' it is signed")]
    KeyNeeded { issuer: String },
    /// The issuer has no such key.
    #[error("the token's key is none of those that '{issuer}' publishes")]
    UnknownKey { issuer: String },
    /// RFC 8725, section 3.1: a key has one algorithm.
    #[error("the token's algorithm is not that of the key of '{issuer}' that it names")]
    WrongAlgorithm { issuer: String },
    /// The signature is not the key's.
    #[error("the token's signature is not that of '{issuer}'")]
    Signature { issuer: String },
    /// A claim is missing, or has a type that it must not have.
    #[error("the token's claim '{0}' is missing or malformed")]
    Claim(&'static str),
    /// The claim with roles has a type that it must not have, or too many.
    #[error("the token's claim with roles is neither text nor a list of at most {MAX_ROLES} texts")]
    Roles,
    /// RFC 8725, section 3.9.
    #[error("the token is for another audience")]
    Audience,
    /// By the clock of the caller.
    #[error("the token has expired")]
    Expired,
    /// By the clock of the caller.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// There are no keys to verify it with.
    #[error("the keys of '{issuer}' are not there: {error}")]
    Keys { issuer: String, error: KeysError },
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Header,
    Claims,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "payload",
        })
    }
}

/// Why an issuer's keys are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A document did not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// They did not come in time.
    #[error("the issuer took too long")]
    Timeout,
    /// What was to describe the issuer does not.
    #[error("the issuer's openid-configuration is no object in JSON, or has a name twice")]
    Discovery,
    /// OpenID Connect Discovery 1.0, section 4.3.
    #[error("the issuer's openid-configuration is that of another issuer")]
    OtherIssuer,
    /// It names no place that keys can be fetched from.
    #[error("the issuer's openid-configuration names no https URL as 'jwks_uri'")]
    NoKeySet,
    /// What was to be keys is none.
    #[error("the issuer's key set is no JWK set of at most {MAX_KEYS} keys and {MAX_DOCUMENT} bytes")]
    KeySet,
    /// A fetch failed a moment ago, and the next is not due yet.
    #[error("the issuer could not be reached a moment ago")]
    FailedBefore,
    /// The fetch was given up, for the enclave ends.
    #[error("the fetch was given up")]
    GivenUp,
}

/// Settings of an issuer that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    /// They are malformed, too large, or too many.
    #[error(transparent)]
    Settings(#[from] InvalidTokenIssuer),
    /// Two have the same URL.
    #[error("there are two token issuers with the URL of '{0}'")]
    SameUrl(String),
    /// One of its URLs leads nowhere.
    #[error("a URL of token issuer '{name}' cannot be used: {why}")]
    Url { name: String, why: &'static str },
    /// One of the roots is no certificate.
    #[error("root {index} of token issuer '{name}' cannot be used: {why}")]
    Root {
        name: String,
        /// Counted from 0.
        index: usize,
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS for token issuer '{name}' cannot be set up: {why}")]
    Tls { name: String, why: String },
}
