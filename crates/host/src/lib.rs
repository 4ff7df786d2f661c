//! Loads the image and lends it sockets, a disk, quotes and a clock. Untrusted.
//!
//! The host enters the enclave, and serves each of its usercalls on the thread that left it with one: no queue and no
//! other thread stands in between. It never sees plaintext: what passes through it is TLS ciphertext, sealed blocks,
//! quotes, and the lines that the enclave means for a log. Everything it is told by the enclave is checked, and everything it tells
//! the enclave may be a lie, which [`Interference`] lets tests try.
//!
//! ```text
//! launch ── device ── enclave ── enter        loading, threads, crossing the boundary
//!             │
//!          quoting                            Intel's quoting enclave, through AESM or DCAP
//!                        │
//!                    usercalls ── memory      what the enclave asks for
//!                        │
//!                     streams ── listening, readiness, log, service ── disk, tpm
//! ```
#![deny(unsafe_code)]

mod abi;
mod clock;
mod device;
mod disk;
mod enclave;
mod enter;
mod error;
mod events;
mod interference;
mod launch;
mod listening;
mod log;
mod memory;
mod processor;
mod quoting;
mod readiness;
mod service;
mod signals;
mod sockets;
mod statistics;
mod streams;
mod sync;
mod tpm;
mod usercalls;

pub use abi::{UsercallError, UsercallKind};
pub use cloister_frames::{
    DiskFailure, DiskRequest, DiskResponse, SocketFailure, SocketRequest, SocketResponse,
};
pub use device::DeviceKind;
pub use disk::{DiskSettings, VOLUME_NAME};
pub use enclave::Exit;
pub use enter::Fault;
pub use error::HostError;
pub use interference::{Answer, Call, Interference, StreamKind};
pub use launch::{Launch, Running, Stopper};
pub use log::{LogSink, LogSource};
pub use memory::Breach;
pub use processor::{LoadValueInjection, Processor, Sgx};
pub use quoting::{
    DcapError, PROVIDER_CONFIGURATION, ProviderConfiguration, QuotingError, QuotingService, QuotingSettings,
    probe_quoting,
};
pub use signals::install_signal_handlers;
pub use statistics::{DiskStatistics, Statistics};
pub use tpm::TpmPath;
