//! The one door between the enclave and its host: sockets, readiness, services, a disk, the host's log.
//!
//! Everything that arrives here comes from a host that may lie: lengths are checked against the buffer that was
//! offered, bytes are copied into the enclave before anyone looks at them, unknown error codes are errors, and an event
//! is a hint that costs one `WouldBlock` when it is false. What a lying host can do is make a socket fail or wait.
//!
//! A native build has the same interface over sockets of its own process and a file, for tests and profiling.
#![cfg_attr(target_env = "sgx", feature(sgx_platform))]
#![deny(unsafe_code)]

mod connection;
#[cfg(any(target_env = "sgx", test))]
mod disk;
#[cfg(any(target_env = "sgx", test))]
mod lanes;
pub mod net;
#[cfg(target_env = "sgx")]
#[path = "sgx/mod.rs"]
mod platform;
#[cfg(not(target_env = "sgx"))]
#[path = "native/mod.rs"]
mod platform;
mod readiness;
#[cfg(any(target_env = "sgx", test))]
mod sockets;

pub use platform::{Disk, Listener, Quotes, Stream, Tpm, configuration, log, shutdown_requested, start};

use cloister_frames::{FrameError, MAX_TPM_MESSAGE};
use std::io;

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
    /// The TPM cannot be used.
    #[error("the host's TPM cannot be used: {0}")]
    Tpm(TpmFault),
}

/// Why the host's TPM cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpmFault {
    /// The host lends none.
    #[error("it lends none; `cloister serve --tpm PATH` names one")]
    None,
    /// The host has lost it; its log says why.
    #[error("it cannot reach it, and its log says why")]
    Unreachable,
    /// The command is longer than a TPM takes.
    #[error("the command is longer than {MAX_TPM_MESSAGE} bytes")]
    TooLong,
}

impl cloister_volume::Disk for Disk {
    fn blocks(&self) -> io::Result<u64> {
        self.lent().blocks()
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        self.lent().resize(blocks)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        self.lent().read(block, into)
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.lent().write(block, bytes)
    }

    fn discard(&self, block: u64, count: u64) -> io::Result<()> {
        self.lent().discard(block, count)
    }

    fn flush(&self) -> io::Result<()> {
        self.lent().flush()
    }
}
