//! Clients' keys, and an issuer of tokens.

use super::server::{serve, whole};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloister_api::{KeyFingerprint, TokenIssuer};
use cloister_attestation::{TlsKey, client_certificate, key_fingerprint};
use cloister_test_authority::{Authority, Versions};
use graviola::hashing::Sha384;
use graviola::signing::ecdsa::{P384, SigningKey};
use graviola::signing::eddsa::Ed25519SigningKey;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// A client's key with its certificate.
pub(super) struct Key {
    pub(super) pkcs8: Vec<u8>,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) fingerprint: KeyFingerprint,
}

impl Key {
    pub(super) fn p256() -> Self {
        let key = TlsKey::generate().unwrap();
        let certificate = client_certificate(&key).unwrap().into_owned();
        Self::new(key.to_pkcs8_der().unwrap().to_vec(), certificate)
    }

    pub(super) fn p384() -> Self {
        let key = SigningKey::<P384>::generate().unwrap();
        let (mut spki, mut pkcs8) = ([0; 256], [0; 256]);
        let spki = key.to_spki_der(&mut spki).unwrap();
        // RFC 5480, section 2: the point is at the end.
        let public = spki[spki.len() - 97..].to_vec();
        let pkcs8 = key.to_pkcs8_der(&mut pkcs8).unwrap().to_vec();
        let signer = Signer {
            public,
            algorithm: &rcgen::PKCS_ECDSA_P384_SHA384,
            sign: Box::new(move |message| {
                let mut signature = [0; 128];
                key.sign_asn1::<Sha384>(&[message], &mut signature).unwrap().to_vec()
            }),
        };
        Self::new(pkcs8, signer.certificate())
    }

    pub(super) fn ed25519() -> Self {
        let key = Ed25519SigningKey::generate().unwrap();
        let mut pkcs8 = [0; 256];
        let pkcs8 = key.to_pkcs8_der(&mut pkcs8).unwrap().to_vec();
        let public = key.public_key().as_bytes().to_vec();
        let sign = Box::new(move |message: &[u8]| key.sign(message).to_vec());
        let signer = Signer { public, algorithm: &rcgen::PKCS_ED25519, sign };
        Self::new(pkcs8, signer.certificate())
    }

    fn new(pkcs8: Vec<u8>, certificate: CertificateDer<'static>) -> Self {
        let fingerprint = KeyFingerprint::from_hash(key_fingerprint(&certificate).unwrap());
        Self { pkcs8, certificate, fingerprint }
    }
}

/// Signs its own certificate.
struct Signer {
    public: Vec<u8>,
    algorithm: &'static rcgen::SignatureAlgorithm,
    sign: Sign,
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

impl Signer {
    fn certificate(&self) -> CertificateDer<'static> {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.serial_number = Some(vec![1].into());
        parameters.self_signed(self).unwrap().into()
    }
}

impl rcgen::SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok((self.sign)(message))
    }
}

impl rcgen::PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

/// An OpenID Connect issuer on the loopback interface.
pub(super) struct TestIssuer {
    key: Ed25519SigningKey,
    pub(super) settings: TokenIssuer,
}

impl TestIssuer {
    pub(super) async fn start(name: &str) -> Self {
        let key = Ed25519SigningKey::generate().unwrap();
        let public = URL_SAFE_NO_PAD.encode(key.public_key().as_bytes());
        let keys =
            json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": public }] }).to_string();
        let authority = Authority::new();
        let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
        let address = serve(acceptor, move |_| {
            let keys = keys.clone();
            async move { http::Response::new(whole(keys)) }
        })
        .await;
        let issuer = format!("https://localhost:{}", address.port());
        let settings = TokenIssuer {
            name: name.to_owned(),
            jwks: Some(format!("{issuer}/keys")),
            issuer,
            audience: AUDIENCE.to_owned(),
            roles_claim: "roles".to_owned(),
            roots: vec![STANDARD.encode(authority.der())],
        };
        Self { key, settings }
    }

    /// Claims of a token that is valid for five minutes.
    pub(super) fn claims(&self, subject: &str) -> Value {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let expires = (now + Duration::from_secs(300)).as_secs();
        json!({ "iss": self.settings.issuer, "sub": subject, "aud": AUDIENCE, "exp": expires })
    }

    /// The same with another value of one claim.
    pub(super) fn claims_with(&self, subject: &str, name: &str, value: Value) -> Value {
        let mut claims = self.claims(subject);
        claims[name] = value;
        claims
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        let signed = parts(&json!({ "alg": "EdDSA", "kid": "k" }), claims);
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// RFC 7519, section 6.
    pub(super) fn unsigned(&self, claims: &Value) -> String {
        format!("{}.", parts(&json!({ "alg": "none" }), claims))
    }
}

fn parts(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

const AUDIENCE: &str = "cloister";
