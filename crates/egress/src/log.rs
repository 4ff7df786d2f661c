use std::time::{Duration, SystemTime};

/// Learns of the requests that an app sends.
pub trait EgressLog: Send + Sync + 'static {
    /// Called once for each request: when its response was received whole, when it failed, when it was refused, or when
    /// the guest let go of it. Must not block.
    fn record(&self, request: EgressRequest);
}

/// One request that a guest sent, or wanted to. It holds neither paths nor headers nor contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRequest {
    /// `GET`, `HEAD`, `POST`, `PUT`, `DELETE`, `CONNECT`, `OPTIONS`, `TRACE`, `PATCH`, or `other`.
    pub method: &'static str,
    /// `https`, `http` or `other`.
    pub scheme: &'static str,
    /// Lower-case, without brackets where it is an IPv6 address. Empty where the request named none that can be read.
    pub host: String,
    /// 0 where the request named none that can be read.
    pub port: u16,
    pub outcome: EgressOutcome,
    /// Bytes of the request's body that the connection took.
    pub bytes_sent: u64,
    /// Bytes of the response's body that the guest let in.
    pub bytes_received: u64,
    /// When the guest asked for it, by the host's clock.
    pub began: SystemTime,
    /// Until it was over, by the host's clock.
    pub duration: Duration,
    /// None where no TLS was agreed on.
    pub tls: Option<TlsVersion>,
    /// SHA-256 of the server's certificate, the end entity's in DER. None where no TLS was agreed on.
    pub peer: Option<[u8; 32]>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressOutcome {
    /// A response of this status. Its body may be shorter than it was to be where the guest let go of it.
    Status(u16),
    /// The [name](crate::EgressError::name) of an error, in lower case as in `tls-certificate-error`; or
    /// [`DROPPED_BY_GUEST`].
    Failed(&'static str),
    /// The app's network policy does not allow it.
    Refused,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

/// The [failure](EgressOutcome::Failed) of a request that the guest let go of before a response came.
pub const DROPPED_BY_GUEST: &str = "dropped-by-guest";
