//! The algorithms of `crypto`, over bytes: without names, fuel, or a memory of initialization vectors.
//!
//! All of it is `graviola`'s. Host functions use nothing but these, so what test vectors say of them holds for guests.

use graviola::aead::AesGcm;
use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Hash, HashOutput, Sha256, Sha384, Sha512};
use graviola::signing::ecdsa::{Curve, P256, P384, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::{DigestAlgorithm, Error, HmacAlgorithm, SignAlgorithm};

/// The digest of `data` (FIPS 180-4).
pub fn digest(algorithm: DigestAlgorithm, data: &[u8]) -> Vec<u8> {
    let digest = match algorithm {
        DigestAlgorithm::Sha256 => Sha256::hash(data),
        DigestAlgorithm::Sha384 => Sha384::hash(data),
        DigestAlgorithm::Sha512 => Sha512::hash(data),
    };
    digest.as_ref().to_vec()
}

/// The authentication code of `data` (RFC 2104), under a key of any length.
pub fn hmac(algorithm: HmacAlgorithm, key: &[u8], data: &[u8]) -> Vec<u8> {
    code(algorithm, key, data).as_ref().to_vec()
}

/// Whether `tag` is the whole authentication code of `data`, in time that does not depend on where they differ.
pub fn hmac_verify(algorithm: HmacAlgorithm, key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    code(algorithm, key, data).ct_equal(tag)
}

/// A key of AES-256-GCM (NIST SP 800-38D), with initialization vectors of 96 bits and tags of 128.
pub struct Cipher(AesGcm);

impl Cipher {
    /// Expands a key.
    pub fn new(key: &[u8; CIPHER_KEY_BYTES]) -> Self {
        Self(AesGcm::new(key))
    }

    /// The ciphertext, then the tag. Whoever calls sees to it that no `iv` is used twice.
    pub fn encrypt(&self, iv: &[u8; IV_BYTES], aad: &[u8], mut plaintext: Vec<u8>) -> Vec<u8> {
        let mut tag = [0; TAG_BYTES];
        self.0.encrypt(iv, aad, &mut plaintext, &mut tag);
        plaintext.extend_from_slice(&tag);
        plaintext
    }

    /// The plaintext of what [`encrypt`](Self::encrypt) gave.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`].
    pub fn decrypt(&self, iv: &[u8; IV_BYTES], aad: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, Error> {
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(Error::NotAuthentic)?;
        let (ciphertext, tag) = sealed.split_at_mut(length);
        self.0.decrypt(iv, aad, ciphertext, tag).map_err(|_| Error::NotAuthentic)?;
        sealed.truncate(length);
        Ok(sealed)
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

/// The public half of a key of ECDSA (FIPS 186-5).
pub struct PublicKey(Verifying);

enum Verifying {
    P256(Box<VerifyingKey<P256>>),
    P384(Box<VerifyingKey<P384>>),
}

impl PublicKey {
    /// A key from its uncompressed point (SEC 1, section 2.3.3); none where `point` is not one of the curve.
    pub fn new(algorithm: SignAlgorithm, point: &[u8]) -> Option<Self> {
        let key = match algorithm {
            SignAlgorithm::EcdsaP256Sha256 => {
                Verifying::P256(Box::new(VerifyingKey::from_x962_uncompressed(point).ok()?))
            }
            SignAlgorithm::EcdsaP384Sha384 => {
                Verifying::P384(Box::new(VerifyingKey::from_x962_uncompressed(point).ok()?))
            }
        };
        Some(Self(key))
    }

    /// Whether `signature` is one of `data`, in DER (RFC 3279, section 2.2.3).
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.0 {
            Verifying::P256(key) => key.verify_asn1::<Sha256>(&[data], signature),
            Verifying::P384(key) => key.verify_asn1::<Sha384>(&[data], signature),
        };
        verified.is_ok()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").finish_non_exhaustive()
    }
}

/// A key pair of ECDSA (FIPS 186-5). Signatures are deterministic (RFC 6979), with randomness of the CPU added.
pub struct KeyPair {
    private: Signing,
    public: PublicKey,
    spki: Vec<u8>,
}

enum Signing {
    P256(SigningKey<P256>),
    P384(SigningKey<P384>),
}

impl KeyPair {
    /// A new key pair.
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn generate(algorithm: SignAlgorithm) -> Result<Self, Error> {
        let private = match algorithm {
            SignAlgorithm::EcdsaP256Sha256 => SigningKey::generate().map(Signing::P256),
            SignAlgorithm::EcdsaP384Sha384 => SigningKey::generate().map(Signing::P384),
        };
        Self::of(private.map_err(|_| Error::NoRandomness)?).ok_or(Error::NoRandomness)
    }

    /// The key pair of a document of PKCS #8 (RFC 5958); none where it is not one of this algorithm.
    pub(crate) fn from_pkcs8(algorithm: SignAlgorithm, document: &[u8]) -> Option<Self> {
        Self::of(match algorithm {
            SignAlgorithm::EcdsaP256Sha256 => Signing::P256(SigningKey::from_pkcs8_der(document).ok()?),
            SignAlgorithm::EcdsaP384Sha384 => Signing::P384(SigningKey::from_pkcs8_der(document).ok()?),
        })
    }

    fn of(private: Signing) -> Option<Self> {
        let mut buffer = [0; PUBLIC_KEY_BUFFER];
        let (algorithm, spki, point_bytes) = match &private {
            Signing::P256(key) => (SignAlgorithm::EcdsaP256Sha256, key.to_spki_der(&mut buffer).ok()?, 65),
            Signing::P384(key) => (SignAlgorithm::EcdsaP384Sha384, key.to_spki_der(&mut buffer).ok()?, 97),
        };
        let spki = spki.to_vec();
        // RFC 5480, section 2: the BIT STRING at the end of the SubjectPublicKeyInfo is the point.
        let public = PublicKey::new(algorithm, &spki[spki.len().checked_sub(point_bytes)?..])?;
        Some(Self { private, public, spki })
    }

    /// The key pair as a document of PKCS #8 (RFC 5958), to be sealed.
    pub(crate) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = Zeroizing::new([0; PRIVATE_KEY_BUFFER]);
        let document = match &self.private {
            Signing::P256(key) => key.to_pkcs8_der(buffer.as_mut_slice()),
            Signing::P384(key) => key.to_pkcs8_der(buffer.as_mut_slice()),
        };
        document.ok().map(|document| Zeroizing::new(document.to_vec()))
    }

    /// A signature of `data`, in DER (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    /// [`Error::NoRandomness`].
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.private {
            Signing::P256(key) => sign::<P256, Sha256>(key, data),
            Signing::P384(key) => sign::<P384, Sha384>(key, data),
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as DER SubjectPublicKeyInfo (RFC 5480).
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

fn code(algorithm: HmacAlgorithm, key: &[u8], data: &[u8]) -> HashOutput {
    fn code<H: Hash>(key: &[u8], data: &[u8]) -> HashOutput {
        let mut hmac = Hmac::<H>::new(key);
        hmac.update(data);
        hmac.finish()
    }
    match algorithm {
        HmacAlgorithm::HmacSha256 => code::<Sha256>(key, data),
        HmacAlgorithm::HmacSha384 => code::<Sha384>(key, data),
        HmacAlgorithm::HmacSha512 => code::<Sha512>(key, data),
    }
}

fn sign<C: Curve, H: Hash>(key: &SigningKey<C>, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = [0; SIGNATURE_BUFFER];
    key.sign_asn1::<H>(&[data], &mut buffer).map(<[u8]>::to_vec).map_err(|_| Error::NoRandomness)
}

/// Bytes of a key of AES-256-GCM.
pub const CIPHER_KEY_BYTES: usize = 32;
/// Bytes of an initialization vector.
pub const IV_BYTES: usize = 12;
/// Bytes of the tag of AES-256-GCM.
pub const TAG_BYTES: usize = 16;
/// A signature of P-384 has 104 bytes at most.
const SIGNATURE_BUFFER: usize = 128;
/// A SubjectPublicKeyInfo of P-384 has 120 bytes.
const PUBLIC_KEY_BUFFER: usize = 128;
/// A key pair of P-384 has 185 bytes.
const PRIVATE_KEY_BUFFER: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ciphertext_without_room_for_a_tag_is_not_authentic() {
        let cipher = Cipher::new(&[1; 32]);
        for length in 0..TAG_BYTES {
            assert_eq!(cipher.decrypt(&[0; 12], b"", vec![0; length]), Err(Error::NotAuthentic));
        }
    }

    #[test]
    fn every_changed_bit_of_a_ciphertext_is_seen() {
        let cipher = Cipher::new(&[1; 32]);
        let sealed = cipher.encrypt(&[2; 12], b"aad", b"plaintext".to_vec());
        assert_eq!(cipher.decrypt(&[2; 12], b"aad", sealed.clone()).unwrap(), b"plaintext");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cipher.decrypt(&[2; 12], b"aad", changed), Err(Error::NotAuthentic));
        }
        assert_eq!(cipher.decrypt(&[2; 12], b"ada", sealed.clone()), Err(Error::NotAuthentic));
        assert_eq!(cipher.decrypt(&[3; 12], b"aad", sealed), Err(Error::NotAuthentic));
    }

    #[test]
    fn a_code_is_verified_whole() {
        let tag = hmac(HmacAlgorithm::HmacSha256, b"key", b"data");
        assert!(hmac_verify(HmacAlgorithm::HmacSha256, b"key", b"data", &tag));
        assert!(!hmac_verify(HmacAlgorithm::HmacSha256, b"key", b"data", &tag[..31]));
        assert!(!hmac_verify(HmacAlgorithm::HmacSha256, b"key", b"data", b""));
        assert!(!hmac_verify(HmacAlgorithm::HmacSha256, b"key", b"date", &tag));
    }

    #[test]
    fn key_pairs_sign_and_survive_pkcs8() {
        for algorithm in [SignAlgorithm::EcdsaP256Sha256, SignAlgorithm::EcdsaP384Sha384] {
            let pair = KeyPair::generate(algorithm).unwrap();
            let again = KeyPair::from_pkcs8(algorithm, &pair.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.spki_der(), pair.spki_der());
            let signature = pair.sign(b"data").unwrap();
            assert!(again.public().verify(b"data", &signature));
            assert!(!again.public().verify(b"date", &signature));
            assert!(!again.public().verify(b"data", &signature[1..]));
            assert!(!again.public().verify(b"data", b""));
        }
    }

    #[test]
    fn a_key_pair_of_the_other_curve_is_none() {
        let pair = KeyPair::generate(SignAlgorithm::EcdsaP256Sha256).unwrap().to_pkcs8().unwrap();
        assert!(KeyPair::from_pkcs8(SignAlgorithm::EcdsaP384Sha384, &pair).is_none());
        assert!(KeyPair::from_pkcs8(SignAlgorithm::EcdsaP256Sha256, &pair[1..]).is_none());
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let pair = KeyPair::generate(SignAlgorithm::EcdsaP256Sha256).unwrap();
        assert_eq!(format!("{:?} {pair:?}", Cipher::new(&[1; 32])), "Cipher { .. } KeyPair { .. }");
    }
}
