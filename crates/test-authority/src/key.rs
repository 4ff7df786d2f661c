use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};

/// A key that certificates are for, and that signs them.
pub(crate) struct Key {
    key: SigningKey<P256>,
    /// RFC 5480, section 2.2: an uncompressed point.
    point: [u8; 65],
}

impl Key {
    pub(crate) fn generate() -> Self {
        let key = SigningKey::generate().expect("there is randomness");
        let spki = &mut [0; 128];
        let spki = key.to_spki_der(spki).expect("it fits");
        // It stands at the end.
        let point = *spki.last_chunk().expect("a key is longer than its point");
        Self { key, point }
    }

    pub(crate) fn to_pkcs8(&self) -> Vec<u8> {
        self.key.to_pkcs8_der(&mut [0; 256]).expect("it fits").to_vec()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = &mut [0; 128];
        let signature = self.key.sign_asn1::<Sha256>(&[message], signature);
        signature.map(|signature| signature.to_vec()).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
