use std::fmt;
use std::io;
use std::time::Duration;

/// Why there is no collateral.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollateralError {
    /// the service is not named by a URL that can be used
    #[error("'{url}' names no attestation service: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// certificates that should vouch for the service cannot be read
    #[error("the file holds no certificates in PEM that could vouch for the attestation service")]
    Certificates,
    /// the quote does not say which platform it comes from
    #[error("the quote cannot be read: {0}")]
    Quote(&'static str),
    /// no connection
    #[error("{server} cannot be reached: {source}")]
    Unreachable {
        /// URL of the service.
        server: String,
        /// The operating system's or TLS's reason.
        source: io::Error,
    },
    /// it takes too long
    #[error("{server} did not give the {part} within {after:?}")]
    TimedOut {
        /// URL of the service.
        server: String,
        /// What was asked for.
        part: Part,
        /// How long it was waited for.
        after: Duration,
    },
    /// the connection ended
    #[error("{server} broke off while it gave the {part}")]
    BrokenOff {
        /// URL of the service.
        server: String,
        /// What was asked for.
        part: Part,
    },
    /// it does not have it
    #[error("{server} has no {part} for this platform: it answered {status}")]
    Status {
        /// URL of the service.
        server: String,
        /// What was asked for.
        part: Part,
        /// HTTP status.
        status: u16,
    },
    /// more than it may be
    #[error("{server} answered with more than {limit} bytes of {part}")]
    TooLong {
        /// URL of the service.
        server: String,
        /// What was asked for.
        part: Part,
        /// In bytes.
        limit: usize,
    },
    /// not in the interface's form
    #[error("{server} answered with a {part} that cannot be read: {reason}")]
    Malformed {
        /// URL of the service.
        server: String,
        /// What was asked for.
        part: Part,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A part of the collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// TCB info of the platform's family.
    TcbInfo,
    /// QE identity.
    QeIdentity,
    /// The list of revoked platform certificates.
    PckRevocations,
    /// The list of authorities that the root revoked.
    RootRevocations,
    /// The platform's own certificate.
    PckCertificate,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcbInfo => "TCB info",
            Self::QeIdentity => "identity of the quoting enclave",
            Self::PckRevocations => "revocation list",
            Self::RootRevocations => "revocation list of the root",
            Self::PckCertificate => "certificate",
        })
    }
}
