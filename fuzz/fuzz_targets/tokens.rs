//! A token and an issuer's documents, each of whatever bytes; and whatever bytes that an issuer has signed.
//!
//! The input is up to three parts with lines that are empty between them: a token, a key set, a description of an issuer.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloister_api::TokenIssuer;
use cloister_tokens::{FixedDocuments, Issuers, TokenError};
use graviola::signing::eddsa::Ed25519SigningKey;
use tokio::runtime::{Builder, Runtime};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, "\n\n");
    let mut part = || parts.next().unwrap_or_default();
    let (token, keys, description) = (part(), part(), part());
    let refused = verify(token, keys.as_bytes(), description).expect_err("no key has signed it");
    assert!(!refused.to_string().is_empty());

    let [header, claims] =
        [&*format!(r#"{{"alg":"EdDSA","kid":"k"{token}}}"#), keys].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()));
    match verify(&format!("{signed}.{signature}"), SET.as_bytes(), "") {
        Ok(verified) => {
            // Another reader of the same claims sees the same.
            let claims: serde_json::Value = serde_json::from_str(keys).expect("they are JSON");
            assert_eq!((&*verified.issuer, claims["iss"].as_str()), ("one", Some(ISSUER)));
            assert_eq!(claims["sub"].as_str(), Some(&*verified.subject));
            assert!(verified.expires + Duration::from_secs(60) > now());
        }
        Err(error) => assert!(
            !matches!(error, TokenError::Signature { .. } | TokenError::UnknownKey { .. })
                || token.contains("kid")
        ),
    }
});

fn verify(token: &str, keys: &[u8], description: &str) -> Result<cloister_tokens::VerifiedToken, TokenError> {
    let documents = FixedDocuments::new();
    documents.set(KEYS, keys);
    documents.set(DISCOVERY, description);
    let discovered = (!description.is_empty()).then_some(());
    let issuer = TokenIssuer {
        name: "one".into(),
        issuer: ISSUER.into(),
        audience: "me".into(),
        roles_claim: "roles".into(),
        jwks: discovered.map_or(Some(KEYS.into()), |()| None),
        roots: Vec::new(),
    };
    let issuers = Issuers::with_documents(&[issuer], Arc::new(documents)).expect("the settings are good");
    RUNTIME.block_on(issuers.verify(token, now()))
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

const ISSUER: &str = "https://a.example";
const DISCOVERY: &str = "https://a.example/.well-known/openid-configuration";
const KEYS: &str = "https://a.example/keys";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
static KEY: LazyLock<Ed25519SigningKey> =
    LazyLock::new(|| Ed25519SigningKey::from_bytes(&[7; 32]).expect("any 32 bytes are a key"));
static SET: LazyLock<String> = LazyLock::new(|| {
    let public = URL_SAFE_NO_PAD.encode(KEY.public_key().as_bytes());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{public}"}}]}}"#)
});
