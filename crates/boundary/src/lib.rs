//! The one door between the enclave and its host: sockets, readiness, services, the host's log.
//!
//! Everything that arrives here comes from a host that may lie: lengths are checked against the buffer that was
//! offered, bytes are copied into the enclave before anyone looks at them, unknown error codes are errors, and an event
//! is a hint that costs one `WouldBlock` when it is false. What a lying host can do is make a socket fail or wait.
//!
//! A native build has the same interface over tokio's sockets, for tests and profiling.
#![cfg_attr(target_env = "sgx", feature(sgx_platform))]
#![deny(unsafe_code)]

#[cfg(target_env = "sgx")]
#[path = "sgx/mod.rs"]
mod platform;
#[cfg(not(target_env = "sgx"))]
#[path = "native.rs"]
mod platform;

pub use platform::{Listener, Quotes, Stream, configuration, log, shutdown_requested, start};

use cloister_frames::FrameError;

/// The host did not serve a request.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A usercall failed.
    #[error("the host failed: {0}")]
    Io(#[from] std::io::Error),
    /// The answer is not a frame of the service.
    #[error("the host's answer cannot be read: {0}")]
    Frame(#[from] FrameError),
    /// The answer is of another kind than was asked for.
    #[error("the host's answer is not of the kind that was asked for")]
    Unexpected,
    /// The service says why it cannot.
    #[error("the host's quoting service cannot: {0}")]
    Quotes(String),
}
