use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Machine;
use crate::bindings::privasys::enclave_os::crypto::Host as _;
use crate::bindings::privasys::enclave_os::keystore::Host as _;
use crate::keystore::KeyName;
use crate::{DigestAlgorithm, Error, HmacAlgorithm, PlatformCtxView, SignAlgorithm};

const SIGNATURES: [SignAlgorithm; 2] = [SignAlgorithm::EcdsaP256Sha256, SignAlgorithm::EcdsaP384Sha384];
const CODES: [(HmacAlgorithm, usize); 3] =
    [(HmacAlgorithm::HmacSha256, 32), (HmacAlgorithm::HmacSha384, 48), (HmacAlgorithm::HmacSha512, 64)];

#[tokio::test]
async fn digests_are_as_long_as_their_algorithm_says() {
    let mut machine = Machine::new();
    let algorithms = [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512];
    for (algorithm, length) in algorithms.into_iter().zip([32, 48, 64]) {
        let digest = machine.view().digest(algorithm, b"data".to_vec()).await.unwrap().unwrap();
        assert_eq!(digest.len(), length);
    }
}

#[tokio::test]
async fn what_was_encrypted_decrypts_with_all_that_belongs_to_it() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    view.generate_symmetric_key("b".into()).await.unwrap().unwrap();
    for (iv, plaintext) in [(1, &b""[..]), (2, b"x"), (3, &[7; 100_000])] {
        let sealed = encrypt(&mut view, "a", iv, plaintext).await.unwrap();
        assert_eq!(sealed.len(), plaintext.len() + 16);
        assert_eq!(decrypt(&mut view, "a", iv, &sealed).await.unwrap(), plaintext);
        assert_eq!(decrypt(&mut view, "b", iv, &sealed).await.unwrap_err(), NOT_AUTHENTIC);
        assert_eq!(decrypt(&mut view, "a", iv + 1, &sealed).await.unwrap_err(), NOT_AUTHENTIC);
        assert_eq!(decrypt(&mut view, "a", iv, &sealed[1..]).await.unwrap_err(), NOT_AUTHENTIC);
    }
    assert_eq!(decrypt(&mut view, "a", 1, b"").await.unwrap_err(), NOT_AUTHENTIC);
}

#[tokio::test]
async fn an_iv_encrypts_once_under_whatever_name() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.import_symmetric_key("a".into(), vec![1; 32]).await.unwrap().unwrap();
    encrypt(&mut view, "a", 1, b"one").await.unwrap();
    assert_eq!(encrypt(&mut view, "a", 1, b"two").await.unwrap_err(), IV_USED);
    view.import_symmetric_key("b".into(), vec![1; 32]).await.unwrap().unwrap();
    assert_eq!(encrypt(&mut view, "b", 1, b"two").await.unwrap_err(), IV_USED);
    view.persist_key("a".into()).await.unwrap().unwrap();
    machine.replace();
    let mut view = machine.view();
    view.load_key("a".into()).await.unwrap().unwrap();
    assert_eq!(encrypt(&mut view, "a", 1, b"two").await.unwrap_err(), IV_USED);
    view.delete_key("a".into()).await.unwrap().unwrap();
    view.import_symmetric_key("a".into(), vec![1; 32]).await.unwrap().unwrap();
    assert_eq!(encrypt(&mut view, "a", 1, b"two").await.unwrap_err(), IV_USED);
    encrypt(&mut view, "a", 2, b"two").await.unwrap();
}

#[tokio::test]
async fn a_restart_forgets_ivs_and_another_key_never_knew_them() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    view.persist_key("a".into()).await.unwrap().unwrap();
    encrypt(&mut view, "a", 1, b"one").await.unwrap();
    view.generate_symmetric_key("b".into()).await.unwrap().unwrap();
    encrypt(&mut view, "b", 1, b"one").await.unwrap();
    machine.restart();
    let mut view = machine.view();
    view.load_key("a".into()).await.unwrap().unwrap();
    encrypt(&mut view, "a", 1, b"two").await.unwrap();
}

#[tokio::test]
async fn an_encryption_that_is_refused_spends_no_iv() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    let long = vec![0; 4 << 20];
    let refused = encrypt(&mut view, "a", 1, &long).await.unwrap_err();
    assert_eq!(refused, "what is passed in one call may have 4194304 bytes together, not 4194320");
    let fits = vec![0; (4 << 20) - "a".len() - 12 - "aad".len()];
    encrypt(&mut view, "a", 1, &fits).await.unwrap();
}

#[tokio::test]
async fn an_iv_has_12_bytes() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    for length in [0, 11, 13, 16] {
        let message = format!("an iv has 12 bytes, not {length}");
        let encrypted = view.encrypt("a".into(), vec![0; length], vec![], vec![]).await.unwrap();
        assert_eq!(encrypted.unwrap_err(), message);
        let decrypted = view.decrypt("a".into(), vec![0; length], vec![], vec![0; 16]).await.unwrap();
        assert_eq!(decrypted.unwrap_err(), message);
    }
}

#[test]
fn of_encryptions_at_the_same_time_with_one_iv_one_succeeds() {
    let machine = Machine::new();
    let keys = &machine.settings.keys;
    let name = KeyName::parse("a".to_owned()).unwrap();
    keys.generate_symmetric(name.clone()).unwrap();
    let (encrypted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for iv in 0..200 {
                    let held = keys.find(&name).unwrap();
                    match held.symmetric().unwrap().encrypt(&iv_of(iv), b"", b"plaintext".to_vec()) {
                        Ok(_) => encrypted.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert_eq!(error, Error::IvUsed);
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            });
        }
    });
    assert_eq!((encrypted.into_inner(), refused.into_inner()), (200, 1_400));
}

#[tokio::test]
async fn signatures_verify_with_their_key_and_data_alone() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for algorithm in SIGNATURES {
        for name in ["a", "b"] {
            view.generate_signing_key(name.into(), algorithm).await.unwrap().unwrap();
        }
        let signature = view.sign("a".into(), algorithm, b"data".to_vec()).await.unwrap().unwrap();
        for (name, data, signature, valid) in [
            ("a", &b"data"[..], signature.clone(), true),
            ("a", b"date", signature.clone(), false),
            ("b", b"data", signature.clone(), false),
            ("a", b"data", signature[..signature.len() - 1].to_vec(), false),
            ("a", b"data", [&signature[..], &[0]].concat(), false),
            ("a", b"data", Vec::new(), false),
        ] {
            let verified = view.verify(name.into(), algorithm, data.to_vec(), signature).await.unwrap();
            assert_eq!(verified, Ok(valid));
        }
        for name in ["a", "b"] {
            view.delete_key(name.into()).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn codes_verify_whole_with_their_key_and_data_alone() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for (algorithm, length) in CODES {
        for name in ["a", "b"] {
            view.generate_hmac_key(name.into(), algorithm).await.unwrap().unwrap();
        }
        let tag = view.hmac_sign("a".into(), algorithm, b"data".to_vec()).await.unwrap().unwrap();
        assert_eq!(tag.len(), length);
        for (name, data, tag, valid) in [
            ("a", &b"data"[..], tag.clone(), true),
            ("a", b"date", tag.clone(), false),
            ("b", b"data", tag.clone(), false),
            ("a", b"data", tag[..length - 1].to_vec(), false),
            ("a", b"data", [&tag[..], &[0]].concat(), false),
            ("a", b"data", Vec::new(), false),
        ] {
            let verified = view.hmac_verify(name.into(), algorithm, data.to_vec(), tag).await.unwrap();
            assert_eq!(verified, Ok(valid));
        }
        for name in ["a", "b"] {
            view.delete_key(name.into()).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_does_nothing_that_it_is_not_for() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("aes".into()).await.unwrap().unwrap();
    view.generate_signing_key("p256".into(), SIGNATURES[0]).await.unwrap().unwrap();
    view.generate_hmac_key("mac".into(), HmacAlgorithm::HmacSha384).await.unwrap().unwrap();
    assert_eq!(
        encrypt(&mut view, "p256", 1, b"").await.unwrap_err(),
        r#"the key "p256" is for ecdsa-p256-sha256, not for aes-256-gcm"#
    );
    assert_eq!(
        decrypt(&mut view, "mac", 1, &[0; 16]).await.unwrap_err(),
        r#"the key "mac" is for hmac-sha384, not for aes-256-gcm"#
    );
    assert_eq!(
        view.sign("p256".into(), SIGNATURES[1], vec![]).await.unwrap().unwrap_err(),
        r#"the key "p256" is for ecdsa-p256-sha256, not for ecdsa-p384-sha384"#
    );
    assert_eq!(
        view.verify("aes".into(), SIGNATURES[0], vec![], vec![]).await.unwrap().unwrap_err(),
        r#"the key "aes" is for aes-256-gcm, not for ecdsa-p256-sha256"#
    );
    assert_eq!(
        view.hmac_sign("mac".into(), HmacAlgorithm::HmacSha256, vec![]).await.unwrap().unwrap_err(),
        r#"the key "mac" is for hmac-sha384, not for hmac-sha256"#
    );
    assert_eq!(
        view.hmac_verify("p256".into(), HmacAlgorithm::HmacSha256, vec![], vec![])
            .await
            .unwrap()
            .unwrap_err(),
        r#"the key "p256" is for ecdsa-p256-sha256, not for hmac-sha256"#
    );
}

#[tokio::test]
async fn a_key_that_is_not_there_is_an_error_of_every_function() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    let no_key = r#"there is no key "a" in memory; load-key brings back one that was persisted"#;
    assert_eq!(encrypt(&mut view, "a", 1, b"").await.unwrap_err(), no_key);
    assert_eq!(decrypt(&mut view, "a", 1, &[0; 16]).await.unwrap_err(), no_key);
    assert_eq!(view.sign("a".into(), SIGNATURES[0], vec![]).await.unwrap().unwrap_err(), no_key);
    assert_eq!(view.verify("a".into(), SIGNATURES[0], vec![], vec![]).await.unwrap().unwrap_err(), no_key);
    assert_eq!(view.hmac_sign("a".into(), CODES[0].0, vec![]).await.unwrap().unwrap_err(), no_key);
    assert_eq!(view.hmac_verify("a".into(), CODES[0].0, vec![], vec![]).await.unwrap().unwrap_err(), no_key);
}

#[tokio::test]
async fn arguments_that_are_too_long_together_are_refused() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    let long = || vec![0; (4 << 20) + 1];
    let half = || vec![0; 2 << 20];
    let names = |refused: Result<_, String>| refused.unwrap_err();
    for refused in [
        names(view.digest(DigestAlgorithm::Sha256, long()).await.unwrap().map(drop)),
        names(view.encrypt("a".into(), vec![0; 12], half(), half()).await.unwrap().map(drop)),
        names(view.decrypt("a".into(), vec![0; 12], half(), half()).await.unwrap().map(drop)),
        names(view.sign("a".into(), SIGNATURES[0], long()).await.unwrap().map(drop)),
        names(view.verify("a".into(), SIGNATURES[0], half(), half()).await.unwrap().map(drop)),
        names(view.hmac_sign("a".into(), CODES[0].0, long()).await.unwrap().map(drop)),
        names(view.hmac_verify("a".into(), CODES[0].0, half(), half()).await.unwrap().map(drop)),
    ] {
        assert!(refused.starts_with("what is passed in one call may have 4194304 bytes"), "{refused}");
    }
    assert!(view.digest(DigestAlgorithm::Sha256, vec![0; 4 << 20]).await.unwrap().is_ok());
}

#[tokio::test]
async fn random_bytes_have_a_bound_and_differ() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for length in [0, 1, 32, 1 << 20] {
        assert_eq!(view.get_random_bytes(length).await.unwrap().unwrap().len(), length as usize);
    }
    for length in [(1 << 20) + 1, u32::MAX] {
        let refused = view.get_random_bytes(length).await.unwrap().unwrap_err();
        assert_eq!(refused, format!("one call gives 1048576 random bytes at most, not {length}"));
    }
    let (a, b) = (view.get_random_bytes(32).await.unwrap(), view.get_random_bytes(32).await.unwrap());
    assert_ne!(a, b);
}

#[tokio::test]
async fn every_use_of_a_key_is_counted() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.import_symmetric_key("aes".into(), vec![1; 32]).await.unwrap().unwrap();
    let sealed = encrypt(&mut view, "aes", 1, b"x").await.unwrap();
    decrypt(&mut view, "aes", 1, &sealed).await.unwrap();
    decrypt(&mut view, "aes", 2, &sealed).await.unwrap_err();
    encrypt(&mut view, "aes", 1, b"x").await.unwrap_err();
    view.generate_signing_key("p256".into(), SIGNATURES[0]).await.unwrap().unwrap();
    view.sign("p256".into(), SIGNATURES[0], vec![]).await.unwrap().unwrap();
    view.verify("p256".into(), SIGNATURES[0], vec![], vec![]).await.unwrap().unwrap();
    view.export_public_key("p256".into()).await.unwrap().unwrap();
    view.generate_hmac_key("mac".into(), CODES[0].0).await.unwrap().unwrap();
    view.hmac_sign("mac".into(), CODES[0].0, vec![]).await.unwrap().unwrap();
    view.hmac_verify("mac".into(), CODES[0].0, vec![], vec![]).await.unwrap().unwrap();
    view.persist_key("mac".into()).await.unwrap().unwrap();
    view.delete_key("mac".into()).await.unwrap().unwrap();
    let uses = machine.settings.keys.uses();
    let operations = |name: &str| uses[name].operations.clone();
    assert_eq!(operations("aes"), BTreeMap::from([("import", 1), ("encrypt", 1), ("decrypt", 2)]));
    assert_eq!(
        operations("p256"),
        BTreeMap::from([("generate", 1), ("sign", 1), ("verify", 1), ("export", 1)])
    );
    let of_mac = [("generate", 1), ("hmac-sign", 1), ("hmac-verify", 1), ("persist", 1), ("delete", 1)];
    assert_eq!(operations("mac"), BTreeMap::from(of_mac));
    assert!(uses["mac"].kind.is_none() && uses["aes"].kind.is_some());
}

async fn encrypt(
    view: &mut PlatformCtxView<'_>,
    name: &str,
    iv: u8,
    plaintext: &[u8],
) -> Result<Vec<u8>, String> {
    view.encrypt(name.into(), iv_of(iv).to_vec(), b"aad".to_vec(), plaintext.to_vec()).await.unwrap()
}

async fn decrypt(
    view: &mut PlatformCtxView<'_>,
    name: &str,
    iv: u8,
    sealed: &[u8],
) -> Result<Vec<u8>, String> {
    view.decrypt(name.into(), iv_of(iv).to_vec(), b"aad".to_vec(), sealed.to_vec()).await.unwrap()
}

fn iv_of(number: u8) -> [u8; 12] {
    [number; 12]
}

const NOT_AUTHENTIC: &str = "the ciphertext was not made with this key, iv and aad, or it was changed";
const IV_USED: &str =
    "this key has encrypted with this iv before; a second time would give both plaintexts away";
