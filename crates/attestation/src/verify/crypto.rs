//! The cryptography of quotes: the implementation that TLS has, so that an image that verifies quotes trusts no second one.

use crate::sha256;
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::signature::DerSigEncoder;
use dcap_qvl::x509::X509CertBackend;
use graviola::hashing::Sha256;
use graviola::hashing::sha2::Sha384Context;
use graviola::signing::ecdsa::{P256, VerifyingKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Quotes are verified with the library's parsers and this cryptography.
pub(super) struct Graviola;

impl Config for Graviola {
    type X509 = X509CertBackend;
    type SigEncoder = DerSigEncoder;
    type Crypto = Self;
}

impl CryptoProvider for Graviola {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &EcdsaP256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        let mut context = Sha384Context::new();
        context.update(data);
        context.finish()
    }
}

/// ECDSA on P-256 with SHA-256 (FIPS 186-5): all that quotes and their certificates are signed with.
#[derive(Debug)]
struct EcdsaP256;

impl SignatureVerificationAlgorithm for EcdsaP256 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::<P256>::from_x962_uncompressed(public_key).map_err(|_| InvalidSignature)?;
        key.verify_asn1::<Sha256>(&[message], signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's example of one block.
    #[test]
    fn the_digests_of_abc_are_those_of_fips_180_4() {
        assert_eq!(hex::encode(Graviola::sha256(b"abc"))[..16], *"ba7816bf8f01cfea");
        assert_eq!(hex::encode(Graviola::sha384(b"abc"))[..16], *"cb00753f45a35e8b");
    }
}
