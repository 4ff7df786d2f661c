//! The signing key. This code names it, and never has it.

use crate::privasys::enclave_os::attestation::{set_attestation_extension, set_config_complete};
use crate::privasys::enclave_os::crypto::{self, DigestAlgorithm, SignAlgorithm};
use crate::privasys::enclave_os::keystore;

/// Makes the key, where there is none from before, and keeps it sealed on the disk. Gives the public half.
pub fn create() -> Result<Vec<u8>, String> {
    if ready().is_err() {
        keystore::generate_signing_key(NAME, SignAlgorithm::EcdsaP256Sha256)?;
        keystore::persist_key(NAME)?;
    }
    keystore::export_public_key(NAME)
}

/// Puts the public half into the app's certificate and its hash into the claims that the quote covers, and opens the app for calls.
pub fn publish(public: &[u8]) -> Result<(), String> {
    set_attestation_extension(EXTENSION, public)?;
    set_config_complete()
}

/// An ECDSA signature in DER.
pub fn sign(message: &[u8]) -> Result<Vec<u8>, String> {
    ready()?;
    crypto::sign(NAME, SignAlgorithm::EcdsaP256Sha256, message)
}

pub fn sha256(data: &[u8]) -> Result<Vec<u8>, String> {
    crypto::digest(DigestAlgorithm::Sha256, data)
}

/// After a restart the key is only on the disk until somebody asks for it.
fn ready() -> Result<(), String> {
    if keystore::key_exists(NAME)? {
        return Ok(());
    }
    // Another call may have been quicker.
    keystore::load_key(NAME).or_else(|error| if keystore::key_exists(NAME)? { Ok(()) } else { Err(error) })
}

pub const NAME: &str = "diagnosis";

/// The last arc of the extension's object identifier.
const EXTENSION: u32 = 1;
