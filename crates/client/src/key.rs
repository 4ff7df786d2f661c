//! Private keys of clients, of any kind that enclaves know.

use cloister_api::Endorsement;
use cloister_attestation::{KeyError, TlsKey, endorsement_statement, sha256};
use graviola::hashing::Sha384;
use graviola::signing::ecdsa::{P384, SigningKey};
use graviola::signing::eddsa::Ed25519SigningKey;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// What kind of key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 (FIPS 186-5).
    #[default]
    P256,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

/// A private key with its public half in the forms that certificates need. Erased when dropped.
pub(crate) enum PrivateKey {
    P256(TlsKey),
    P384(Public, SigningKey<P384>),
    Ed25519(Public, Ed25519SigningKey),
}

/// The public half of a key.
pub(crate) struct Public {
    /// SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    spki: Vec<u8>,
    /// Bytes of the subject public key alone, which `spki` ends with.
    key_len: usize,
}

impl PrivateKey {
    /// # Errors
    /// [`KeyError::Randomness`] where the system has none.
    pub(crate) fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        match algorithm {
            KeyAlgorithm::P256 => TlsKey::generate().map(Self::P256),
            KeyAlgorithm::Ed25519 => {
                Self::ed25519(Ed25519SigningKey::generate().map_err(|_| KeyError::Randomness)?)
            }
        }
    }

    /// The key in a PKCS #8 document (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where it is of no known kind.
    pub(crate) fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = Ed25519SigningKey::from_pkcs8_der(der) {
            return Self::ed25519(key);
        }
        if let Ok(key) = SigningKey::<P384>::from_pkcs8_der(der) {
            let mut spki = [0; MAX_SPKI];
            let spki = key.to_spki_der(&mut spki).map_err(|_| KeyError::Encoding)?.to_vec();
            return Ok(Self::P384(Public { spki, key_len: P384_POINT }, key));
        }
        TlsKey::from_pkcs8_der(der).map(Self::P256)
    }

    fn ed25519(key: Ed25519SigningKey) -> Result<Self, KeyError> {
        let mut spki = [0; MAX_SPKI];
        let spki = key.public_key().to_spki_der(&mut spki).map_err(|_| KeyError::Encoding)?.to_vec();
        Ok(Self::Ed25519(Public { spki, key_len: ED25519_KEY }, key))
    }

    /// As PKCS #8.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], which would be a defect of the crypto library.
    pub(crate) fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut buffer = Zeroizing::new([0; MAX_PKCS8]);
        let used = match self {
            Self::P256(key) => return key.to_pkcs8_der(),
            Self::P384(_, key) => key.to_pkcs8_der(buffer.as_mut_slice()),
            Self::Ed25519(_, key) => key.to_pkcs8_der(buffer.as_mut_slice()),
        };
        Ok(Zeroizing::new(used.map_err(|_| KeyError::Encoding)?.to_vec()))
    }

    /// SubjectPublicKeyInfo in DER.
    pub(crate) fn spki_der(&self) -> &[u8] {
        match self {
            Self::P256(key) => key.spki_der(),
            Self::P384(public, _) | Self::Ed25519(public, _) => &public.spki,
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        sha256(self.spki_der())
    }

    /// Endorses what has this endorsement hash; `None` where endorsements know no keys of this kind.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub(crate) fn endorse(&self, hash: &[u8; 32]) -> Result<Option<Endorsement>, KeyError> {
        use base64::Engine;
        use base64::prelude::BASE64_STANDARD;
        match self {
            Self::P256(key) => key.endorse(hash).map(Some),
            Self::P384(..) => Ok(None),
            Self::Ed25519(public, key) => Ok(Some(Endorsement {
                key: BASE64_STANDARD.encode(&public.spki),
                signature: BASE64_STANDARD.encode(key.sign(&endorsement_statement(hash))),
            })),
        }
    }

    /// A certificate around the key, signed by itself: it says nothing but the key.
    ///
    /// # Errors
    /// Where the key cannot sign.
    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>, rcgen::Error> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
        // RFC 5280, section 4.1.2.5: 99991231235959Z says that there is no well-defined end.
        parameters.not_after = rcgen::date_time_ymd(9999, 12, 31) + Duration::from_secs(24 * 60 * 60 - 1);
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "Cloister client");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        // Positive, and at most 20 bytes (RFC 5280, section 4.1.2.2).
        let mut serial = self.fingerprint()[..16].to_vec();
        serial[0] = serial[0] & 0x7f | 0x40;
        parameters.serial_number = Some(serial.into());
        Ok(parameters.self_signed(self)?.into())
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::P256(key) => rcgen::SigningKey::sign(key, message),
            Self::P384(_, key) => {
                let mut signature = [0; MAX_SIGNATURE];
                let signed = key.sign_asn1::<Sha384>(&[message], &mut signature);
                signed.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
            }
            Self::Ed25519(_, key) => Ok(key.sign(message).to_vec()),
        }
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::P256(key) => key.der_bytes(),
            Self::P384(public, _) | Self::Ed25519(public, _) => {
                &public.spki[public.spki.len().saturating_sub(public.key_len)..]
            }
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::P256(key) => key.algorithm(),
            Self::P384(..) => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519(..) => &rcgen::PKCS_ED25519,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256(_) => "P256",
            Self::P384(..) => "P384",
            Self::Ed25519(..) => "Ed25519",
        })
    }
}

/// Bytes of an uncompressed P-384 point (SEC 1, section 2.3.3).
const P384_POINT: usize = 97;
/// Bytes of an Ed25519 public key (RFC 8032, section 5.1.5).
const ED25519_KEY: usize = 32;
/// A P-384 key's is the longest, with 120 bytes.
const MAX_SPKI: usize = 128;
/// A P-384 key's is the longest, with 185 bytes.
const MAX_PKCS8: usize = 256;
/// ECDSA on P-384 in DER has at most 104 bytes.
const MAX_SIGNATURE: usize = 112;
