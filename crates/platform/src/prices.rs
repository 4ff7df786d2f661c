//! What host functions cost beside [`CALL_FUEL`](cloister_wasi::CALL_FUEL), in units of about one wasm instruction.
//!
//! An instruction takes about 0.4 ns, counted and bounds-checked. The prices are what the work took natively, on an AMD EPYC,
//! in instructions and rounded up: so a guest gains nothing by having the host work for it. `docs/design/platform.md` has the
//! times.

use crate::keystore::KeyKind;
use crate::{DigestAlgorithm, HmacAlgorithm, SignAlgorithm};

/// A byte that is encrypted or decrypted, and copied in and out: 0.1 ns beside the copies.
pub(crate) const CIPHER_BYTE: u64 = 2;
/// An encryption or decryption beside its bytes: 0.4 µs, and the memory of initialization vectors.
pub(crate) const CIPHER: u64 = 2_000;
/// An authentication code beside its bytes: four blocks more are hashed, in 1.2 µs.
pub(crate) const HMAC: u64 = 3_000;
/// A byte of RDRAND takes about as long as this many copied ones, as in `wasi:random`.
pub(crate) const RANDOM_BYTE: u64 = 8;
/// A look at what the vault keeps: a page may have to be read and decrypted.
pub(crate) const VAULT_LOOK: u64 = 2_000;
/// A change of what the vault keeps: a transaction writes ten pages or so.
pub(crate) const VAULT_CHANGE: u64 = 25_000;
/// A user of a list: their id and roles are read and decrypted.
pub(crate) const LISTED_USER: u64 = 1_000;
/// Two keys are asked of the CPU, and one is derived from both.
pub(crate) const SEAL_KEY: u64 = 50_000;
/// New certificates and new evidence are made, and a commit of the volume.
pub(crate) const EVIDENCE_CHANGE: u64 = 500_000;

/// A byte that is hashed, and copied in: 0.5 ns by SHA-256, 1.6 ns by the others.
pub(crate) fn digest_byte(algorithm: DigestAlgorithm) -> u64 {
    match algorithm {
        DigestAlgorithm::Sha256 => 2,
        DigestAlgorithm::Sha384 | DigestAlgorithm::Sha512 => 5,
    }
}

/// A byte of what gets an authentication code.
pub(crate) fn hmac_byte(algorithm: HmacAlgorithm) -> u64 {
    digest_byte(match algorithm {
        HmacAlgorithm::HmacSha256 => DigestAlgorithm::Sha256,
        HmacAlgorithm::HmacSha384 => DigestAlgorithm::Sha384,
        HmacAlgorithm::HmacSha512 => DigestAlgorithm::Sha512,
    })
}

/// A byte of what is signed or verified.
pub(crate) fn signed_byte(algorithm: SignAlgorithm) -> u64 {
    digest_byte(match algorithm {
        SignAlgorithm::EcdsaP256Sha256 => DigestAlgorithm::Sha256,
        SignAlgorithm::EcdsaP384Sha384 => DigestAlgorithm::Sha384,
    })
}

/// A signature beside its bytes: 17 and 130 µs.
pub(crate) fn sign(algorithm: SignAlgorithm) -> u64 {
    match algorithm {
        SignAlgorithm::EcdsaP256Sha256 => 45_000,
        SignAlgorithm::EcdsaP384Sha384 => 330_000,
    }
}

/// The verification of a signature beside its bytes: 43 and 210 µs.
pub(crate) fn verify(algorithm: SignAlgorithm) -> u64 {
    match algorithm {
        SignAlgorithm::EcdsaP256Sha256 => 110_000,
        SignAlgorithm::EcdsaP384Sha384 => 530_000,
    }
}

/// A new key, or an imported one: a public half takes as long as a signature.
pub(crate) fn new_key(kind: KeyKind) -> u64 {
    match kind {
        KeyKind::Aes256Gcm => HMAC + CIPHER,
        KeyKind::EcdsaP256Sha256 => sign(SignAlgorithm::EcdsaP256Sha256),
        KeyKind::EcdsaP384Sha384 => sign(SignAlgorithm::EcdsaP384Sha384),
        KeyKind::HmacSha256 | KeyKind::HmacSha384 | KeyKind::HmacSha512 => 64 * RANDOM_BYTE,
    }
}

/// A key that is read from the vault, beside the look: a key pair's public half is checked against the private one.
pub(crate) fn loaded_key(kind: KeyKind) -> u64 {
    2 * new_key(kind)
}
