//! An issuer of tests: what it publishes, and tokens that it signs.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_api::TokenIssuer;
use graviola::signing::eddsa::Ed25519SigningKey;
use serde_json::{Value, json};

use crate::{FixedDocuments, Issuers};

/// A key with a name.
pub(super) struct Signer {
    pub(super) id: String,
    key: Ed25519SigningKey,
}

impl Signer {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), key: Ed25519SigningKey::generate().unwrap() }
    }

    pub(super) fn jwk(&self) -> Value {
        let public = URL_SAFE_NO_PAD.encode(self.key.public_key().as_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": public})
    }

    pub(super) fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "EdDSA", "kid": self.id}), claims)
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        self.sign_text(&header, &claims)
    }

    /// Of what is encoded already.
    pub(super) fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// The settings of the issuer of these tests.
pub(super) fn settings() -> TokenIssuer {
    TokenIssuer {
        name: "clinic".into(),
        issuer: ISSUER.into(),
        audience: "cloister".into(),
        roles_claim: "roles".into(),
        jwks: None,
        roots: Vec::new(),
    }
}

/// Claims that are accepted at [`now`].
pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "cloister", "exp": NOW + 300, "roles": ["doctor"]})
}

/// The same with another value of a claim.
pub(super) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub(super) fn key_set(keys: &[&Signer]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Documents of the issuer with these keys, and who reads them.
pub(super) fn issuer_with(keys: &[&Signer]) -> (FixedDocuments, Issuers) {
    let documents = FixedDocuments::new();
    documents.set(DISCOVERY, json!({"issuer": ISSUER, "jwks_uri": KEYS}).to_string());
    documents.set(KEYS, key_set(keys));
    let issuers = Issuers::with_documents(&[settings()], std::sync::Arc::new(documents.clone())).unwrap();
    (documents, issuers)
}

pub(super) fn now() -> SystemTime {
    at(NOW)
}

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) const ISSUER: &str = "https://login.example/clinic";
pub(super) const DISCOVERY: &str = "https://login.example/clinic/.well-known/openid-configuration";
pub(super) const KEYS: &str = "https://keys.example/clinic";
pub(super) const NOW: u64 = 1_800_000_000;
