use std::fmt;

use zeroize::Zeroizing;

use super::nonces::KeyNonces;
use crate::primitives::{CIPHER_KEY_BYTES, Cipher, IV_BYTES, KeyPair};
use crate::{Error, HmacAlgorithm, SignAlgorithm};

/// What a key is for. Displayed as `aes-256-gcm`, `ecdsa-p256-sha256`, `hmac-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `encrypt` and `decrypt`
    Aes256Gcm,
    /// `sign` and `verify`
    EcdsaP256Sha256,
    /// `sign` and `verify`
    EcdsaP384Sha384,
    /// `hmac-sign` and `hmac-verify`
    HmacSha256,
    /// `hmac-sign` and `hmac-verify`
    HmacSha384,
    /// `hmac-sign` and `hmac-verify`
    HmacSha512,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [KeyKind; 6] = [
        KeyKind::Aes256Gcm,
        KeyKind::EcdsaP256Sha256,
        KeyKind::EcdsaP384Sha384,
        KeyKind::HmacSha256,
        KeyKind::HmacSha384,
        KeyKind::HmacSha512,
    ];

    /// The algorithm that such a key is for.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<SignAlgorithm> for KeyKind {
    fn from(algorithm: SignAlgorithm) -> Self {
        match algorithm {
            SignAlgorithm::EcdsaP256Sha256 => Self::EcdsaP256Sha256,
            SignAlgorithm::EcdsaP384Sha384 => Self::EcdsaP384Sha384,
        }
    }
}

impl From<HmacAlgorithm> for KeyKind {
    fn from(algorithm: HmacAlgorithm) -> Self {
        match algorithm {
            HmacAlgorithm::HmacSha256 => Self::HmacSha256,
            HmacAlgorithm::HmacSha384 => Self::HmacSha384,
            HmacAlgorithm::HmacSha512 => Self::HmacSha512,
        }
    }
}

/// A key in memory. Erased when dropped.
#[derive(Debug)]
pub(crate) enum Key {
    Symmetric(Box<SymmetricKey>),
    Signing(SignAlgorithm, KeyPair),
    Hmac(HmacKey),
}

impl Key {
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Symmetric(_) => KeyKind::Aes256Gcm,
            Self::Signing(algorithm, _) => (*algorithm).into(),
            Self::Hmac(key) => key.algorithm.into(),
        }
    }
}

/// A key of AES-256-GCM, which encrypts with no initialization vector twice.
pub(crate) struct SymmetricKey {
    bytes: Zeroizing<[u8; CIPHER_KEY_BYTES]>,
    cipher: Cipher,
    nonces: KeyNonces,
}

impl SymmetricKey {
    pub(super) fn new(bytes: Zeroizing<[u8; CIPHER_KEY_BYTES]>, nonces: KeyNonces) -> Self {
        Self { cipher: Cipher::new(&bytes), bytes, nonces }
    }

    /// The ciphertext, then the tag.
    ///
    /// # Errors
    /// [`Error::IvUsed`], and where no more can be remembered.
    pub(crate) fn encrypt(
        &self,
        iv: &[u8; IV_BYTES],
        aad: &[u8],
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        self.nonces.spend(iv)?;
        Ok(self.cipher.encrypt(iv, aad, plaintext))
    }

    /// # Errors
    /// [`Error::NotAuthentic`].
    pub(crate) fn decrypt(&self, iv: &[u8; IV_BYTES], aad: &[u8], sealed: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.cipher.decrypt(iv, aad, sealed)
    }

    pub(super) fn bytes(&self) -> &[u8; CIPHER_KEY_BYTES] {
        &self.bytes
    }

    pub(super) fn nonces(&self) -> &KeyNonces {
        &self.nonces
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SymmetricKey").finish_non_exhaustive()
    }
}

/// A key of HMAC, as long as its algorithm's hash.
pub(crate) struct HmacKey {
    pub(crate) algorithm: HmacAlgorithm,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl HmacKey {
    /// Bytes of a key.
    pub(super) fn length(algorithm: HmacAlgorithm) -> usize {
        match algorithm {
            HmacAlgorithm::HmacSha256 => 32,
            HmacAlgorithm::HmacSha384 => 48,
            HmacAlgorithm::HmacSha512 => 64,
        }
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
