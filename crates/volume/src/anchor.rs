//! What a freshness anchor is: a counter that tells an old volume from the newest.

use std::fmt::Debug;
use std::io;

use zeroize::Zeroizing;

/// A monotonic counter that the host cannot roll back.
pub trait Anchor: Send + Sync + Debug {
    /// The counter's present value, authentic.
    fn value(&self) -> Result<u64, AnchorError>;
    /// Adds exactly one and returns the new value.
    fn advance(&self) -> Result<u64, AnchorError>;
    /// 32 bytes that name the anchor, for the claims. For a TPM: SHA-256 of the endorsement key's public area and the
    /// name of the counter.
    fn identity(&self) -> [u8; 32];
}

/// Opens the anchor of a volume.
pub trait AnchorProvider: Send + Sync {
    /// `secret` is derived from the volume key, so that only an enclave that can open the volume has it.
    fn open(
        &self,
        volume: &[u8; 16],
        secret: &Zeroizing<[u8; 32]>,
        purpose: AnchorPurpose,
    ) -> Result<Box<dyn Anchor>, AnchorError>;
}

/// Why an anchor is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorPurpose {
    /// For a new volume: the anchor must not exist yet ([`AnchorError::Exists`]) and is made.
    Create,
    /// For a volume that has one: it must exist ([`AnchorError::Missing`]).
    Existing,
}

/// The anchor could not be asked, or what it said is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The host did not carry the question to the anchor.
    #[error("the freshness anchor cannot be reached ({0}); start it, or let the host reach it")]
    Unreachable(io::ErrorKind),
    /// There is no anchor for this volume.
    #[error(
        "there is no freshness anchor for this volume here: it was removed, or belongs to another machine"
    )]
    Missing,
    /// An anchor of this volume exists already.
    #[error("a freshness anchor for this volume exists already")]
    Exists,
    /// The anchor answered with an error code of its own.
    #[error("the freshness anchor refused with code {0:#x}")]
    Refused(u32),
    /// The answer does not verify: the host changed it or speaks for another device.
    #[error("the freshness anchor's answer is not authentic: {0}")]
    Forged(&'static str),
    /// The anchor does not stand where this volume left it.
    #[error(
        "the freshness anchor stands at {found} where {expected} was expected: something else advances it"
    )]
    OutOfStep {
        /// The value after the volume's last commit.
        expected: u64,
        /// The value it has.
        found: u64,
    },
}
