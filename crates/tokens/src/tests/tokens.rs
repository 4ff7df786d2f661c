//! Whole tokens: which are accepted, and why others are not.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graviola::hashing::Sha256;
use graviola::hashing::hmac::Hmac;
use serde_json::{Value, json};

use super::signer::{ISSUER, NOW, Signer, at, claims, claims_with, issuer_with, key_set, now, settings};
use crate::{FixedDocuments, Issuers, TokenError, VerifiedToken};

async fn refusal(signer: &Signer, token: &str) -> TokenError {
    let (_, issuers) = issuer_with(&[signer]);
    issuers.verify(token, now()).await.unwrap_err()
}

fn of_clinic(error: impl FnOnce(String) -> TokenError) -> TokenError {
    error("clinic".to_owned())
}

#[tokio::test]
async fn what_a_good_token_says() {
    let signer = Signer::new("k");
    let (_, issuers) = issuer_with(&[&signer]);
    let expected = VerifiedToken {
        issuer: "clinic".into(),
        issuer_url: ISSUER.into(),
        subject: "alice".into(),
        roles: vec!["doctor".into()],
        expires: at(NOW + 300),
    };
    assert_eq!(issuers.verify(&signer.token(&claims()), now()).await.unwrap(), expected);
    // The only key there is needs no name.
    let unnamed = signer.sign(&json!({"alg": "EdDSA", "typ": "JWT"}), &claims());
    assert_eq!(issuers.verify(&unnamed, now()).await.unwrap(), expected);
}

#[tokio::test]
async fn each_claim_is_looked_at() {
    let signer = Signer::new("k");
    let cases = [
        ("iss", json!("https://login.example/other"), TokenError::UnknownIssuer),
        ("iss", json!("https://login.example/clinic/"), TokenError::UnknownIssuer),
        ("iss", json!("HTTPS://login.example/clinic"), TokenError::UnknownIssuer),
        ("iss", json!([ISSUER]), TokenError::Claim("iss")),
        ("iss", json!(null), TokenError::Claim("iss")),
        ("aud", json!("other"), TokenError::Audience),
        ("aud", json!(null), TokenError::Claim("aud")),
        ("exp", json!(NOW - 60), TokenError::Expired),
        ("exp", json!(null), TokenError::Claim("exp")),
        ("nbf", json!(NOW + 61), TokenError::NotYetValid),
        ("iat", json!(NOW + 61), TokenError::NotYetValid),
        ("sub", json!(""), TokenError::Claim("sub")),
        ("sub", json!(null), TokenError::Claim("sub")),
        ("roles", json!({"doctor": true}), TokenError::Roles),
    ];
    for (name, value, expected) in cases {
        let token = signer.token(&claims_with(name, value.clone()));
        assert_eq!(refusal(&signer, &token).await, expected, "{name} {value}");
    }
    let (_, issuers) = issuer_with(&[&signer]);
    for (name, value) in
        [("aud", json!(["a", "cloister"])), ("exp", json!(NOW - 59)), ("nbf", json!(NOW + 60))]
    {
        assert!(issuers.verify(&signer.token(&claims_with(name, value)), now()).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn claims_that_stand_twice_are_refused() {
    let signer = Signer::new("k");
    let claims = claims().to_string().replacen('{', r#"{"sub":"mallory","#, 1);
    // Signed by the issuer itself, and still two readers could take it for two people's.
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "EdDSA", "kid": "k"}).to_string());
    let token = signer.sign_text(&header, &URL_SAFE_NO_PAD.encode(claims));
    assert_eq!(refusal(&signer, &token).await, TokenError::Json(crate::Part::Claims));
}

#[tokio::test]
async fn what_is_not_signed_by_the_issuer_is_refused() {
    let (signer, stranger) = (Signer::new("k"), Signer::new("k"));
    let error = refusal(&signer, &stranger.token(&claims())).await;
    assert_eq!(error, of_clinic(|issuer| TokenError::Signature { issuer }));
    // The claims of one token under the signature of another.
    let (one, other) = (signer.token(&claims()), signer.token(&claims_with("sub", json!("bob"))));
    let (signed, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    let error = refusal(&signer, &format!("{signed}.{signature}")).await;
    assert_eq!(error, of_clinic(|issuer| TokenError::Signature { issuer }));
    let error = refusal(&signer, &format!("{signed}.")).await;
    assert_eq!(error, of_clinic(|issuer| TokenError::Signature { issuer }));
}

/// RFC 8725, section 2.1: the attacks by which a token chooses how it is verified.
#[tokio::test]
async fn a_token_does_not_choose_its_algorithm() {
    let signer = Signer::new("k");
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let unsigned = format!("{}.{}.", part(json!({"alg": "none"})), part(claims()));
    assert_eq!(refusal(&signer, &unsigned).await, TokenError::Unsigned);
    // The public key as the secret of an HMAC.
    let public = URL_SAFE_NO_PAD.decode(signer.jwk()["x"].as_str().unwrap()).unwrap();
    let signed = format!("{}.{}", part(json!({"alg": "HS256", "kid": "k"})), part(claims()));
    let mut mac = Hmac::<Sha256>::new(&public);
    mac.update(&signed);
    let confused = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finish()));
    assert_eq!(refusal(&signer, &confused).await, TokenError::SharedSecret);
    let other = signer.sign(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(refusal(&signer, &other).await, of_clinic(|issuer| TokenError::WrongAlgorithm { issuer }));
}

/// RFC 8725, section 2.7 and RFC 7515, section 10.5: a key that comes with a token proves nothing.
#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_used() {
    let (signer, stranger) = (Signer::new("k"), Signer::new("k"));
    let header = json!({
        "alg": "EdDSA", "kid": "k", "jwk": stranger.jwk(), "jku": "https://evil.example/keys", "x5c": ["AAAA"],
    });
    let (documents, issuers) = issuer_with(&[&signer]);
    let error = issuers.verify(&stranger.sign(&header, &claims()), now()).await.unwrap_err();
    assert_eq!(error, of_clinic(|issuer| TokenError::Signature { issuer }));
    assert!(documents.asked().iter().all(|url| !url.contains("evil")));
}

#[tokio::test]
async fn of_several_keys_the_token_says_which() {
    let (one, other) = (Signer::new("one"), Signer::new("other"));
    let (_, issuers) = issuer_with(&[&one, &other]);
    assert!(issuers.verify(&one.token(&claims()), now()).await.is_ok());
    assert!(issuers.verify(&other.token(&claims()), now()).await.is_ok());
    let unnamed = one.sign(&json!({"alg": "EdDSA"}), &claims());
    let error = issuers.verify(&unnamed, now()).await.unwrap_err();
    assert_eq!(error, of_clinic(|issuer| TokenError::KeyNeeded { issuer }));
    let misnamed = one.sign(&json!({"alg": "EdDSA", "kid": "other"}), &claims());
    let error = issuers.verify(&misnamed, now()).await.unwrap_err();
    assert_eq!(error, of_clinic(|issuer| TokenError::Signature { issuer }));
    let unknown = one.sign(&json!({"alg": "EdDSA", "kid": "third"}), &claims());
    let error = issuers.verify(&unknown, now()).await.unwrap_err();
    assert_eq!(error, of_clinic(|issuer| TokenError::UnknownKey { issuer }));
}

/// One issuer cannot speak for another, whatever it signs.
#[tokio::test]
async fn issuers_are_kept_apart() {
    let (clinic, lab) = (Signer::new("k"), Signer::new("k"));
    let documents = FixedDocuments::new();
    let of_lab = cloister_api::TokenIssuer {
        name: "lab".into(),
        issuer: "https://lab.example".into(),
        jwks: Some("https://lab.example/keys".into()),
        roles_claim: "groups".into(),
        ..settings()
    };
    let of_clinic =
        cloister_api::TokenIssuer { jwks: Some("https://login.example/keys".into()), ..settings() };
    documents.set("https://login.example/keys", key_set(&[&clinic]));
    documents.set("https://lab.example/keys", key_set(&[&lab]));
    let issuers = Issuers::with_documents(&[of_clinic, of_lab], Arc::new(documents)).unwrap();
    let verified = issuers.verify(&clinic.token(&claims()), now()).await.unwrap();
    assert_eq!((&*verified.issuer, verified.roles), ("clinic", vec!["doctor".to_owned()]));
    let claims_of_lab = claims_with("iss", json!("https://lab.example"));
    let verified = issuers.verify(&lab.token(&claims_of_lab), now()).await.unwrap();
    assert_eq!((&*verified.issuer, verified.roles), ("lab", vec![]));
    for forged in [lab.token(&claims()), clinic.token(&claims_of_lab)] {
        let error = issuers.verify(&forged, now()).await.unwrap_err();
        assert!(matches!(error, TokenError::Signature { .. }), "{error}");
    }
    assert!(!issuers.is_empty() && Issuers::default().is_empty());
    let error = Issuers::default().verify(&clinic.token(&claims()), now()).await.unwrap_err();
    assert_eq!(error, TokenError::UnknownIssuer);
}

#[tokio::test]
async fn refusals_say_nothing_of_the_token() {
    let signer = Signer::new("k");
    for token in [
        signer.token(&claims_with("aud", json!("a-secret-word"))),
        signer.sign(&json!({"alg": "a-secret-word"}), &claims()),
        signer.sign(&json!({"alg": "EdDSA", "kid": "a-secret-word"}), &claims()),
        signer.token(&claims_with("iss", json!("a-secret-word"))),
        "a-secret-word".to_owned(),
    ] {
        let error = refusal(&signer, &token).await;
        assert!(!format!("{error} {error:?}").contains("a-secret-word"), "{error:?}");
    }
}
