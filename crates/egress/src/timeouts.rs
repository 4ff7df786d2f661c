use std::time::Duration;

/// How long a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection is there, its name looked up and TLS agreed on.
    pub connect: Duration,
    /// From a request that is sent to the head of its response.
    pub first_byte: Duration,
    /// Between two pieces of a response's body.
    pub between_bytes: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            first_byte: FIRST_BYTE_TIMEOUT,
            between_bytes: BETWEEN_BYTES_TIMEOUT,
        }
    }
}

/// Until a connection is there, its name looked up and TLS agreed on, where the guest says nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From a request that is sent to the head of its response, where the guest says nothing.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of a response's body, where the guest says nothing.
pub const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest of each that a request waits, whatever the guest says.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);
