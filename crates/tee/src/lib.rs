//! What the hardware gives: randomness, a report, sealing keys.
//!
//! On `x86_64-fortanix-unknown-sgx` the answers come from the CPU (RDRAND, EREPORT, EGETKEY). A native build has
//! RDRAND alone: it exists for tests and profiling, and every question about an enclave is answered with
//! [`NotAnEnclave`].
#![deny(unsafe_code)]

mod identity;
#[allow(unsafe_code, reason = "RDRAND is an instruction that the compiler offers as an unsafe intrinsic")]
mod random;
mod report;

#[cfg(target_env = "sgx")]
#[path = "sgx.rs"]
mod platform;
#[cfg(not(target_env = "sgx"))]
#[path = "native.rs"]
mod platform;

pub use identity::Identity;
pub use platform::{identity, report, sealing_key, target_info, verify_report};
pub use random::{RandomError, random};
pub use report::{NotATarget, ReportError, TargetInfo, VerifiedReport};

/// Bytes of REPORTDATA, what a report says for the enclave.
pub const REPORT_DATA_LEN: usize = 64;
/// Bytes of TARGETINFO (Intel SDM volume 3D, table 38-21).
pub const TARGET_INFO_LEN: usize = 512;
/// Bytes of REPORT (Intel SDM volume 3D, table 38-22).
pub const REPORT_LEN: usize = 432;

/// The code does not run in an enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this build does not run in an enclave, so it has no measurement, report or sealing key")]
pub struct NotAnEnclave;

/// A sealing key could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealingError {
    /// The code does not run in an enclave.
    #[error(transparent)]
    NotAnEnclave(#[from] NotAnEnclave),
    /// EGETKEY refused, with its error code (Intel SDM volume 3D, table 38-8).
    #[error("EGETKEY refused the key request with error code {0}")]
    Refused(u32),
}
