//! A key for the certificate of a service.

use std::sync::Arc;

use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A certificate for `localhost` that vouches for itself, and what a service needs to show it.
pub(crate) fn own_certificate() -> (CertificateDer<'static>, Arc<rustls::ServerConfig>) {
    let key = Key::generate();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.serial_number = Some(rcgen::SerialNumber::from(1_u64));
    let certificate: CertificateDer<'static> = parameters.self_signed(&key).unwrap().into();
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()));
    let configuration = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivatePkcs8KeyDer::from(key.pkcs8()).into())
        .unwrap();
    (certificate, Arc::new(configuration))
}

struct Key {
    key: SigningKey<P256>,
    point: [u8; 65],
}

impl Key {
    fn generate() -> Self {
        let key = SigningKey::generate().unwrap();
        let point = *key.to_spki_der(&mut [0; 128]).unwrap().last_chunk().unwrap();
        Self { key, point }
    }

    fn pkcs8(&self) -> Vec<u8> {
        self.key.to_pkcs8_der(&mut [0; 256]).unwrap().to_vec()
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
        let mut signature = [0; 128];
        Ok(self.key.sign_asn1::<Sha256>(&[message], &mut signature).unwrap().to_vec())
    }
}
