use serde::{Deserialize, Serialize};

/// The last requests that an app sent over wasi:http and `privasys:enclave-os/https`, since it was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressLog {
    /// Older requests that are no longer in the list.
    pub dropped: u64,
    /// Oldest first, at most [`MAX_EGRESS_REQUESTS`].
    pub requests: Vec<EgressRequest>,
}

/// One request that an app sent. Neither paths nor headers nor contents are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRequest {
    /// When it began: milliseconds since 1970, by the host's clock.
    pub time_ms: u64,
    pub method: String,
    /// `https` or `http`.
    pub scheme: String,
    pub host: String,
    pub port: u16,
    /// Of the response; absent where none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error code and what is known of it, where the request failed or was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Bytes of the request's body that were sent.
    pub bytes_sent: u64,
    /// Bytes of the response's body that were received.
    pub bytes_received: u64,
    /// Microseconds until the exchange was over, by the host's clock.
    pub duration_us: u64,
    /// The version of TLS, such as `TLSv1.3`; absent where none was spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// SHA-256 of the server's certificate in DER, lower-case hex; absent where none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
}

/// Most requests that the log of one app keeps.
pub const MAX_EGRESS_REQUESTS: usize = 1_000;
