//! Keys and signatures of others: of the RFCs, and of OpenSSL by way of Python's cryptography 48.0.0.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::signer::{Signer, key_set};
use crate::jws::Jws;
use crate::key::{Found, KeySet};
use crate::{KeysError, MAX_DOCUMENT, MAX_KEYS};

/// Whether one of these keys, which the token may name or not, made its signature.
fn is_signed_by(keys: &[Value], token: &str) -> bool {
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    let jws = Jws::parse(token).unwrap();
    let Found::These(keys) = set.find(jws.key_id.as_deref()) else { return false };
    keys.iter()
        .any(|key| key.algorithm() == jws.algorithm && key.signed(jws.signed.as_bytes(), &jws.signature))
}

/// The same token with one bit of its signature changed.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let middle = signature.len() / 2;
    signature[middle] ^= 1;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

/// RFC 7515, section A.2.
#[test]
fn rfc_7515_rs256() {
    let key = json!({"kty": "RSA", "n": RFC_7515_MODULUS, "e": "AQAB"});
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{RFC_7515_PAYLOAD}.{RFC_7515_RSA_SIGNATURE}");
    assert!(is_signed_by(std::slice::from_ref(&key), &token));
    assert!(!is_signed_by(&[key], &forged(&token)));
}

/// RFC 7515, section A.3.
#[test]
fn rfc_7515_es256() {
    let key = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{RFC_7515_PAYLOAD}.{signature}");
    assert!(is_signed_by(std::slice::from_ref(&key), &token));
    assert!(!is_signed_by(&[key], &forged(&token)));
}

/// RFC 8037, section A.4.
#[test]
fn rfc_8037_ed25519() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                 hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(is_signed_by(std::slice::from_ref(&key), token));
    assert!(!is_signed_by(&[key], &forged(token)));
}

#[test]
fn signatures_of_others_are_understood() {
    let vectors = vectors("accepted");
    assert_eq!(vectors.len(), 8);
    for vector in &vectors {
        let (key, token) = (vector["jwk"].clone(), vector["token"].as_str().unwrap());
        assert!(is_signed_by(std::slice::from_ref(&key), token), "{}", vector["name"]);
        assert!(!is_signed_by(std::slice::from_ref(&key), &forged(token)), "{}", vector["name"]);
        // Not by another key of the same name.
        for other in
            vectors.iter().filter(|other| other["jwk"]["x"] != key["x"] || other["jwk"]["n"] != key["n"])
        {
            let mut other = other["jwk"].clone();
            other["kid"] = key["kid"].clone();
            assert!(!is_signed_by(&[other], token), "{}", vector["name"]);
        }
    }
}

#[test]
fn weak_and_unknown_kinds_of_keys_are_left_out() {
    for vector in vectors("refused") {
        assert!(
            !is_signed_by(&[vector["jwk"].clone()], vector["token"].as_str().unwrap()),
            "{}",
            vector["name"]
        );
    }
}

#[test]
fn a_key_has_one_algorithm() {
    let [rs256, .., ps256] = [0, 1, 2].map(|at| vectors("accepted")[at].clone());
    // The same key of the issuer's, with which it makes signatures of both kinds.
    assert_eq!(rs256["jwk"]["n"], ps256["jwk"]["n"]);
    for (vector, other) in [(&rs256, "PS256"), (&ps256, "RS256")] {
        let token = vector["token"].as_str().unwrap();
        let mut key = vector["jwk"].clone();
        assert!(is_signed_by(std::slice::from_ref(&key), token));
        key["alg"] = json!(other);
        assert!(!is_signed_by(&[key], token), "{other}");
    }
}

/// Each change makes a key useless.
#[test]
fn keys_that_are_left_out() {
    let signer = Signer::new("k");
    let token = signer.token(&json!({}));
    let with = |name: &str, value: Value| {
        let mut key = signer.jwk();
        key[name] = value;
        key
    };
    for good in [
        signer.jwk(),
        with("use", json!("sig")),
        with("key_ops", json!(["sign", "verify"])),
        with("alg", json!("EdDSA")),
        with("alg", json!("Ed25519")),
        with("x5c", json!(["not looked at"])),
    ] {
        assert!(is_signed_by(std::slice::from_ref(&good), &token), "{good}");
    }
    for bad in [
        with("use", json!("enc")),
        with("use", json!(["sig"])),
        with("key_ops", json!(["encrypt"])),
        with("key_ops", json!([])),
        with("key_ops", json!("verify")),
        with("alg", json!("ES256")),
        with("alg", json!("HS256")),
        with("alg", json!(1)),
        with("kty", json!("EC")),
        with("kty", json!("oct")),
        with("kty", json!(null)),
        with("crv", json!("X25519")),
        with("crv", json!("Ed448")),
        with("x", json!("AAAA")),
        with("x", json!(format!("{}=", signer.jwk()["x"].as_str().unwrap()))),
        with("x", json!(1)),
        with("kid", json!(1)),
        with("kid", json!("other")),
        // Whoever reads the set can sign with it.
        with("d", json!("AAAA")),
        with("k", json!("AAAA")),
        json!("k"),
    ] {
        assert!(!is_signed_by(std::slice::from_ref(&bad), &token), "{bad}");
    }
}

#[test]
fn points_are_on_their_curve_and_whole() {
    let vector = &vectors("accepted")[4];
    let token = vector["token"].as_str().unwrap();
    for (name, value) in [
        ("x", json!("AAAA")),
        ("y", vector["jwk"]["x"].clone()),
        ("x", json!(format!("AAAA{}", vector["jwk"]["x"].as_str().unwrap()))),
        ("crv", json!("P-384")),
        ("y", json!(null)),
    ] {
        let mut key = vector["jwk"].clone();
        key[name] = value;
        assert!(!is_signed_by(&[key], token), "{name}");
    }
}

#[test]
fn moduli_and_exponents_have_bounds() {
    let vector = &vectors("accepted")[0];
    let (key, token) = (&vector["jwk"], vector["token"].as_str().unwrap());
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let with = |name: &str, value: Vec<u8>| {
        let mut key = key.clone();
        key[name] = json!(URL_SAFE_NO_PAD.encode(value));
        key
    };
    // As some issuers write numbers.
    assert!(is_signed_by(&[with("n", [vec![0], bytes("n")].concat())], token));
    assert!(is_signed_by(&[with("e", vec![0, 1, 0, 1])], token));
    for bad in [
        with("n", Vec::new()),
        with("n", vec![0; 256]),
        with("n", bytes("n")[1..].to_vec()),
        with("n", vec![0xff; 1025]),
        with("n", [bytes("n"), vec![0]].concat()),
        with("e", Vec::new()),
        with("e", vec![0]),
        with("e", vec![1]),
        with("e", vec![2]),
        with("e", vec![1, 0, 0, 0, 1]),
    ] {
        assert!(!is_signed_by(std::slice::from_ref(&bad), token), "{bad}");
    }
}

#[test]
fn a_name_that_several_keys_have_means_each_of_them() {
    let (one, other) = (Signer::new("k"), Signer::new("k"));
    for signer in [&one, &other] {
        assert!(is_signed_by(&[one.jwk(), other.jwk()], &signer.token(&json!({}))));
    }
}

#[test]
fn sets_that_are_none() {
    let signer = Signer::new("k");
    let many = |count: usize| json!({ "keys": vec![signer.jwk(); count] }).to_string();
    assert!(KeySet::parse(many(MAX_KEYS).as_bytes()).is_ok());
    assert!(KeySet::parse(br#"{"keys":[]}"#).is_ok());
    assert!(KeySet::parse(br#"{"keys":[1,"a",[],{},null]}"#).is_ok());
    let long = format!("{}{}", key_set(&[&signer]), " ".repeat(MAX_DOCUMENT));
    for none in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, &many(MAX_KEYS + 1), &long] {
        assert_eq!(KeySet::parse(none.as_bytes()).unwrap_err(), KeysError::KeySet);
    }
}

const RFC_7515_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RFC_7515_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RFC_7515_RSA_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
