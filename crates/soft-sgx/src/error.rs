//! What can go wrong, written for the operator who reads it.

use std::{io, path::PathBuf};

use sgx_isa::ErrorCode;

/// Everything this crate refuses or fails at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the soft platform could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    State {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The platform file exists but is not what this crate wrote.
    #[error(
        "the soft platform's file {} is damaged: {reason}; restore it from a backup, or remove it to \
         begin a new platform, on which nothing that the old one sealed can be opened",
        path.display()
    )]
    StateDamaged {
        /// The platform file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The platform file was written by another version of the format.
    #[error("the soft platform's file {} has format {found}; this program reads format {supported}", path.display())]
    StateVersion {
        /// The platform file.
        path: PathBuf,
        /// The version it names.
        found: u32,
        /// The version this program reads.
        supported: u32,
    },
    /// The operating system has no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The image does not parse as an SGXS stream.
    #[error("the enclave image is not a valid SGXS stream: {0:#}")]
    Stream(anyhow::Error),
    /// The image parses, but ECREATE, EADD or EEXTEND would refuse a record.
    #[error("the enclave image is invalid at offset {offset:#x}: {reason}")]
    Layout {
        /// Offset inside the enclave, in bytes.
        offset: u64,
        /// The rule that the record breaks.
        reason: &'static str,
    },
    /// EINIT: the image's measurement is not the signed one (SGX_INVALID_MEASUREMENT).
    #[error(
        "the enclave image measures {}, but its signature is for {}: the image is corrupted, or the \
         signature belongs to another build",
        hex::encode(measured),
        hex::encode(signed)
    )]
    Measurement {
        /// SHA-256 of the measured records.
        measured: [u8; 32],
        /// ENCLAVEHASH of the SIGSTRUCT.
        signed: [u8; 32],
    },
    /// EINIT: the SIGSTRUCT is malformed or its signature does not verify.
    #[error("the enclave's SIGSTRUCT is refused ({code:?}): {reason}")]
    Sigstruct {
        /// EINIT's error code.
        code: ErrorCode,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// EINIT: attributes or MISCSELECT are not those that were signed, or not supported here.
    #[error("the enclave's attributes are refused (InvalidAttribute): {0}")]
    Attributes(&'static str),
    /// Address space or memory for the enclave could not be had.
    #[error("no memory for an enclave of {size} bytes: {source}")]
    Memory {
        /// The enclave's size (ELRANGE), in bytes.
        size: u64,
        /// The operating system's reason.
        source: io::Error,
    },
    /// This machine cannot stand in for one with SGX.
    #[error("this machine cannot stand in for one with SGX: {0}")]
    Machine(&'static str),
    /// A report whose MAC this platform's quoting enclave did not accept.
    #[error(
        "the report's MAC does not verify: it was changed, made on another platform, or not targeted at \
         this platform's quoting enclave"
    )]
    ReportMac,
    /// A certificate or revocation list could not be made.
    #[error("cannot make the soft platform's certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Collateral could not be encoded.
    #[error("cannot encode the soft platform's collateral: {0}")]
    Collateral(#[from] serde_json::Error),
    /// An enclave signing key does not load.
    #[error("the enclave signing key is refused: {0}")]
    SigningKey(String),
    /// The file given for disassembly is not an ELF file this crate can read.
    #[error("cannot read the enclave's ELF file: {0}")]
    Elf(#[from] object::Error),
}
