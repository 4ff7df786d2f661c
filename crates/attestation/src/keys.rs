use crate::{HASH_LEN, SessionBinding, Volume, sha256};
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of an uncompressed P-256 point (SEC 1, section 2.3.3).
pub(crate) const POINT_LEN: usize = 65;

/// A P-256 key that authenticates one end of TLS sessions: the enclave's own, or an owner's.
///
/// Randomness comes from the platform's generator, which is RDRAND inside an enclave. The key is erased when dropped.
pub struct TlsKey {
    key: SigningKey<P256>,
    public: PublicKey,
}

impl TlsKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where the generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        Self::new(SigningKey::generate().map_err(|_| KeyError::Randomness)?)
    }

    /// The key in a PKCS #8 document (RFC 5958).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where the document is not one of a P-256 key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        Self::new(SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Malformed)?)
    }

    fn new(key: SigningKey<P256>) -> Result<Self, KeyError> {
        let public = PublicKey::of(&key)?;
        Ok(Self { key, public })
    }

    /// The key as a PKCS #8 document, for the TLS implementation. Erased when dropped.
    ///
    /// # Errors
    /// [`KeyError::Encoding`], which would be a defect of the crypto library.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut buffer = Zeroizing::new([0; 256]);
        let used = self.key.to_pkcs8_der(buffer.as_mut_slice()).map_err(|_| KeyError::Encoding)?.len();
        Ok(Zeroizing::new(buffer[..used].to_vec()))
    }

    /// The public key as a DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub fn spki_der(&self) -> &[u8] {
        &self.public.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo: how claims and owner lists name a key.
    pub fn fingerprint(&self) -> [u8; HASH_LEN] {
        sha256(&self.public.spki)
    }

    /// ECDSA with SHA-256 (FIPS 186-5), in DER.
    pub(crate) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        sign(&self.key, &[message])
    }
}

/// Signs certificates of this key.
impl rcgen::SigningKey for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

impl rcgen::PublicKeyData for TlsKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl fmt::Debug for TlsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsKey").finish_non_exhaustive()
    }
}

/// The P-256 key with which an enclave binds its evidence to sessions.
///
/// A type of its own, without any export: its private half never leaves this value, so leaking a TLS key (which has
/// to be handed to the TLS implementation) does not leak the power to bind evidence.
pub struct SessionKey {
    key: SigningKey<P256>,
    public: PublicKey,
}

impl SessionKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where the generator fails.
    pub fn generate() -> Result<Self, KeyError> {
        let key = SigningKey::generate().map_err(|_| KeyError::Randomness)?;
        let public = PublicKey::of(&key)?;
        Ok(Self { key, public })
    }

    /// The public key: an uncompressed point (SEC 1, section 2.3.3), as the claims carry it.
    pub fn public(&self) -> [u8; POINT_LEN] {
        self.public.point
    }

    /// Binds claims and the present state of the volume to one TLS session: an ECDSA signature with SHA-256 (FIPS 186-5), in DER.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where the generator fails.
    pub fn sign(
        &self,
        binding: &SessionBinding,
        claims: &[u8],
        volume: Option<Volume>,
    ) -> Result<Vec<u8>, KeyError> {
        sign(&self.key, &[&binding.message(claims, volume)])
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").finish_non_exhaustive()
    }
}

/// A key could not be made, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The random number generator failed.
    #[error("the random number generator failed, so no key or signature can be made")]
    Randomness,
    /// The document is not the PKCS #8 of a P-256 key.
    #[error("this is not a P-256 private key in PKCS #8")]
    Malformed,
    /// The crypto library could not encode its own key.
    #[error("the key cannot be encoded")]
    Encoding,
}

struct PublicKey {
    point: [u8; POINT_LEN],
    spki: Vec<u8>,
}

impl PublicKey {
    fn of(key: &SigningKey<P256>) -> Result<Self, KeyError> {
        let mut buffer = [0; 128];
        let spki = key.to_spki_der(&mut buffer).map_err(|_| KeyError::Encoding)?.to_vec();
        // RFC 5480, section 2: the BIT STRING at the end of a P-256 SubjectPublicKeyInfo is the point.
        let point = *spki.last_chunk::<POINT_LEN>().ok_or(KeyError::Encoding)?;
        Ok(Self { point, spki })
    }
}

fn sign(key: &SigningKey<P256>, message: &[&[u8]]) -> Result<Vec<u8>, KeyError> {
    let mut buffer = [0; 128];
    key.sign_asn1::<Sha256>(message, &mut buffer).map(<[u8]>::to_vec).map_err(|_| KeyError::Randomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_key_survives_pkcs8() {
        let key = TlsKey::generate().unwrap();
        let again = TlsKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        assert_eq!(again.spki_der(), key.spki_der());
        assert_eq!(again.fingerprint(), sha256(key.spki_der()));
    }

    #[test]
    fn keys_differ() {
        assert_ne!(TlsKey::generate().unwrap().fingerprint(), TlsKey::generate().unwrap().fingerprint());
        assert_ne!(SessionKey::generate().unwrap().public(), SessionKey::generate().unwrap().public());
    }

    #[test]
    fn the_point_is_uncompressed_and_ends_the_public_key_info() {
        let key = TlsKey::generate().unwrap();
        assert_eq!(key.public.point[0], 4);
        assert_eq!(key.spki_der().len(), 91);
        assert!(key.spki_der().ends_with(&key.public.point));
    }

    #[test]
    fn what_is_not_a_key_is_an_error() {
        let good = TlsKey::generate().unwrap().to_pkcs8_der().unwrap();
        for bad in [&[][..], &[0x30, 0x80], &good[..good.len() - 1], &[7; 200]] {
            assert_eq!(TlsKey::from_pkcs8_der(bad).map(|_| ()), Err(KeyError::Malformed));
        }
    }

    #[test]
    fn debug_output_has_no_secrets() {
        assert_eq!(format!("{:?}", TlsKey::generate().unwrap()), "TlsKey { .. }");
        assert_eq!(format!("{:?}", SessionKey::generate().unwrap()), "SessionKey { .. }");
    }
}
