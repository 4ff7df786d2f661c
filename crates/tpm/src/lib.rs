//! A TPM 2.0's counter as the volume's freshness anchor.
//!
//! [`TpmAnchors`] keeps one NV counter for each volume. The host stands between the enclave and the TPM and sees every
//! command, so each command that matters is authorized by an HMAC over itself and fresh nonces, and so is its response
//! (TPM 2.0 Library, part 1, section 19): the host can neither forge, alter, repeat nor reorder one.
//!
//! Two secrets make the HMACs' key. One is the counter's authorization value: it is derived from the volume's key, and
//! goes to the TPM once, when the counter is made, encrypted. The other is the session's salt, a Diffie-Hellman secret
//! with the TPM's endorsement key: only that TPM can read what is encrypted under it. Which endorsement key that is,
//! the host says when the counter is made, and it is believed then (trust on first use). From then on whoever answers
//! must know the authorization value. The key and the counter's name are the anchor's
//! [`identity`](cloister_volume::Anchor::identity), which goes into the claims: a verifier who knows the machine's
//! endorsement key, and the volume's id, from which the counter's name follows, needs no trust on first use.
//!
//! ```text
//! counter ── session ── endorsement     the anchor; HMACs, nonces, encryption; the key that salts
//!    └────────── wire ─── kdf           bytes of commands and responses; key derivation
//! ```
#![forbid(unsafe_code)]

mod counter;
mod endorsement;
mod error;
mod kdf;
mod session;
mod wire;

pub use counter::TpmAnchors;
pub use error::{Operation, TpmError};

/// Carries commands to a TPM: through a host that may lie, or to a process in tests.
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// The response to a command; both are at most [`MAX_MESSAGE`] bytes.
    ///
    /// # Errors
    /// [`TpmError::Unreachable`] where there is none.
    fn transact(&self, command: &[u8]) -> Result<Vec<u8>, TpmError>;
}

/// Bytes of the longest command and response (`TPM2_MAX_COMMAND_SIZE` of the PC Client profile).
pub const MAX_MESSAGE: usize = 4096;
