use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Machine;
use crate::bindings::privasys::enclave_os::crypto::Host as _;
use crate::bindings::privasys::enclave_os::keystore::Host as _;
use crate::primitives::PublicKey;
use crate::{HmacAlgorithm, KeyKind, PlatformCtxView, SignAlgorithm, persisted_keys};

const P256: SignAlgorithm = SignAlgorithm::EcdsaP256Sha256;
const P384: SignAlgorithm = SignAlgorithm::EcdsaP384Sha384;
const MAC: HmacAlgorithm = HmacAlgorithm::HmacSha512;

#[tokio::test]
async fn a_key_is_there_for_every_call_until_it_is_deleted() {
    let mut machine = Machine::new();
    machine.view().generate_signing_key("a".into(), P256).await.unwrap().unwrap();
    assert_eq!(machine.call(None).view().key_exists("a".into()).await.unwrap(), Ok(true));
    machine.call(None).view().sign("a".into(), P256, vec![1]).await.unwrap().unwrap();
    machine.call(None).view().delete_key("a".into()).await.unwrap().unwrap();
    assert_eq!(machine.view().key_exists("a".into()).await.unwrap(), Ok(false));
    let again = machine.view().delete_key("a".into()).await.unwrap();
    assert_eq!(again.unwrap_err(), r#"there is no key "a", neither in memory nor persisted"#);
}

#[tokio::test]
async fn a_name_that_is_taken_is_an_error_of_whatever_makes_keys() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    view.persist_key("a".into()).await.unwrap().unwrap();
    let before = view.encrypt("a".into(), vec![0; 12], vec![], b"x".to_vec()).await.unwrap().unwrap();
    let taken = r#"there is a key "a" in memory already; delete-key forgets it"#;
    assert_eq!(view.generate_symmetric_key("a".into()).await.unwrap().unwrap_err(), taken);
    assert_eq!(view.generate_signing_key("a".into(), P256).await.unwrap().unwrap_err(), taken);
    assert_eq!(view.generate_hmac_key("a".into(), MAC).await.unwrap().unwrap_err(), taken);
    assert_eq!(view.import_symmetric_key("a".into(), vec![1; 32]).await.unwrap().unwrap_err(), taken);
    assert_eq!(view.load_key("a".into()).await.unwrap().unwrap_err(), taken);
    let same = view.decrypt("a".into(), vec![0; 12], vec![], before).await.unwrap();
    assert_eq!(same, Ok(b"x".to_vec()));
}

#[tokio::test]
async fn what_cannot_be_a_name_is_an_error_of_every_function() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for name in ["", "a\0b", "a\nb", &"x".repeat(129)] {
        let name = || name.to_owned();
        for refused in [
            view.generate_symmetric_key(name()).await.unwrap(),
            view.generate_signing_key(name(), P256).await.unwrap(),
            view.generate_hmac_key(name(), MAC).await.unwrap(),
            view.import_symmetric_key(name(), vec![1; 32]).await.unwrap(),
            view.export_public_key(name()).await.unwrap().map(drop),
            view.delete_key(name()).await.unwrap(),
            view.key_exists(name()).await.unwrap().map(drop),
            view.persist_key(name()).await.unwrap(),
            view.load_key(name()).await.unwrap(),
            view.encrypt(name(), vec![0; 12], vec![], vec![]).await.unwrap().map(drop),
            view.decrypt(name(), vec![0; 12], vec![], vec![0; 16]).await.unwrap().map(drop),
            view.sign(name(), P256, vec![]).await.unwrap().map(drop),
            view.verify(name(), P256, vec![], vec![]).await.unwrap().map(drop),
            view.hmac_sign(name(), MAC, vec![]).await.unwrap().map(drop),
            view.hmac_verify(name(), MAC, vec![], vec![]).await.unwrap().map(drop),
        ] {
            assert_eq!(refused.unwrap_err(), "a key's name has 1 to 128 bytes and no control characters");
        }
    }
}

#[tokio::test]
async fn a_raw_key_has_32_bytes() {
    let mut machine = Machine::new();
    for length in [0, 16, 31, 33] {
        let refused = machine.view().import_symmetric_key("a".into(), vec![1; length]).await.unwrap();
        assert_eq!(refused.unwrap_err(), format!("a key for aes-256-gcm has 32 bytes, not {length}"));
    }
    assert_eq!(machine.view().key_exists("a".into()).await.unwrap(), Ok(false));
}

#[tokio::test]
async fn a_public_key_verifies_outside_what_the_key_signed() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for (algorithm, name, length, point) in [(P256, "a", 91, 65), (P384, "b", 120, 97)] {
        view.generate_signing_key(name.into(), algorithm).await.unwrap().unwrap();
        let public = view.export_public_key(name.into()).await.unwrap().unwrap();
        assert_eq!(public.len(), length);
        let signature = view.sign(name.into(), algorithm, b"data".to_vec()).await.unwrap().unwrap();
        let public = PublicKey::new(algorithm, &public[length - point..]).unwrap();
        assert!(public.verify(b"data", &signature));
    }
    view.generate_symmetric_key("c".into()).await.unwrap().unwrap();
    let refused = view.export_public_key("c".into()).await.unwrap().unwrap_err();
    assert_eq!(refused, r#"the key "c" is for aes-256-gcm, which has no public key"#);
    assert!(view.export_public_key("d".into()).await.unwrap().unwrap_err().starts_with("there is no key"));
}

#[tokio::test]
async fn persisted_keys_of_every_kind_survive_a_restart_and_a_replacement() {
    let mut machine = Machine::new();
    let before = make_all(&mut machine.view()).await;
    assert!(machine.has_used_storage());
    for restart in [true, false] {
        if restart {
            machine.restart()
        } else {
            machine.replace()
        }
        assert_eq!(machine.view().key_exists("aes".into()).await.unwrap(), Ok(false));
        let mut view = machine.view();
        for name in ["aes", "p256", "p384", "mac"] {
            view.load_key(name.into()).await.unwrap().unwrap();
        }
        assert_eq!(what_they_do(&mut view, &before).await, [true; 4]);
    }
}

#[tokio::test]
async fn what_was_not_persisted_is_gone_after_a_restart() {
    let mut machine = Machine::new();
    machine.view().generate_symmetric_key("a".into()).await.unwrap().unwrap();
    machine.restart();
    assert_eq!(machine.view().key_exists("a".into()).await.unwrap(), Ok(false));
    let refused = machine.view().load_key("a".into()).await.unwrap();
    assert_eq!(refused.unwrap_err(), r#"no key "a" was persisted"#);
}

#[tokio::test]
async fn deleting_forgets_what_was_persisted_too() {
    let mut machine = Machine::new();
    machine.view().generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    machine.view().persist_key("a".into()).await.unwrap().unwrap();
    machine.view().delete_key("a".into()).await.unwrap().unwrap();
    assert!(machine.view().load_key("a".into()).await.unwrap().is_err());

    machine.view().generate_hmac_key("b".into(), MAC).await.unwrap().unwrap();
    machine.view().persist_key("b".into()).await.unwrap().unwrap();
    machine.restart();
    machine.view().delete_key("b".into()).await.unwrap().unwrap();
    assert!(machine.view().load_key("b".into()).await.unwrap().is_err());
    assert!(persisted_keys(&machine.vault()).unwrap().is_empty());
}

#[tokio::test]
async fn persisting_again_replaces() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    view.generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    view.persist_key("a".into()).await.unwrap().unwrap();
    machine.restart();
    let mut view = machine.view();
    view.generate_signing_key("a".into(), P256).await.unwrap().unwrap();
    view.persist_key("a".into()).await.unwrap().unwrap();
    let persisted = persisted_keys(&machine.vault()).unwrap();
    assert_eq!(persisted, [("a".to_owned(), KeyKind::EcdsaP256Sha256)]);
}

#[tokio::test]
async fn only_a_key_of_the_memory_can_be_persisted() {
    let mut machine = Machine::new();
    let refused = machine.view().persist_key("a".into()).await.unwrap();
    assert!(refused.unwrap_err().starts_with(r#"there is no key "a" in memory"#));
}

#[tokio::test]
async fn without_a_vault_keys_live_in_memory_alone() {
    let mut machine = Machine::without_vault();
    let mut view = machine.view();
    view.generate_symmetric_key("a".into()).await.unwrap().unwrap();
    let no_vault = "this app has no storage, so nothing can be kept for it";
    assert_eq!(view.persist_key("a".into()).await.unwrap().unwrap_err(), no_vault);
    assert_eq!(view.load_key("a".into()).await.unwrap().unwrap_err(), no_vault);
    view.delete_key("a".into()).await.unwrap().unwrap();
    assert!(view.delete_key("a".into()).await.unwrap().is_err());
}

#[tokio::test]
async fn keys_in_memory_have_a_bound() {
    let mut machine = Machine::new();
    let mut view = machine.view();
    for n in 0..1_024 {
        view.generate_hmac_key(format!("key {n}"), MAC).await.unwrap().unwrap();
    }
    let refused = view.generate_hmac_key("one more".into(), MAC).await.unwrap();
    assert_eq!(refused.unwrap_err(), "an app has 1024 keys in memory at most");
    view.delete_key("key 7".into()).await.unwrap().unwrap();
    view.generate_hmac_key("one more".into(), MAC).await.unwrap().unwrap();
}

#[tokio::test]
async fn persisted_keys_have_a_bound() {
    let mut machine = Machine::new();
    let others: Vec<_> = (0..1_000).map(|n| (format!("user:{n}"), "x")).collect();
    machine.vault().set_many(&others).unwrap();
    let keys: Vec<_> = (0..1_023).map(|n| (format!("key:{n}"), "x")).collect();
    machine.vault().set_many(&keys[..1_000]).unwrap();
    machine.vault().set_many(&keys[1_000..]).unwrap();
    let mut view = machine.view();
    for name in ["last", "one more"] {
        view.generate_hmac_key(name.into(), MAC).await.unwrap().unwrap();
    }
    view.persist_key("last".into()).await.unwrap().unwrap();
    view.persist_key("last".into()).await.unwrap().unwrap();
    let refused = view.persist_key("one more".into()).await.unwrap();
    assert_eq!(refused.unwrap_err(), "an app has 1024 persisted keys at most");
}

#[tokio::test]
async fn a_full_vault_is_told() {
    let mut machine = Machine::with_quota(100);
    let mut view = machine.view();
    view.generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    let refused = view.persist_key("a".into()).await.unwrap();
    assert_eq!(refused.unwrap_err(), "there is no more room for the app's persisted keys and roles");
}

#[tokio::test]
async fn where_much_waits_for_the_disk_a_change_waits_too() {
    let mut machine = Machine::with_quota(1 << 30);
    machine.view().generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    machine.view().persist_key("a".into()).await.unwrap().unwrap();
    assert_eq!(machine.commits.load(Ordering::Relaxed), 0);
    let vault = machine.vault();
    let crowds = (0..200).find(|n: &u32| {
        vault.set(&n.to_be_bytes(), &vec![1; 1 << 20]).unwrap();
        vault.is_crowded()
    });
    assert!(crowds.is_some());
    machine.view().delete_key("a".into()).await.unwrap().unwrap();
    assert_eq!(machine.commits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_no_persisted_key_is_not_loaded() {
    let mut machine = Machine::new();
    let values: [&[u8]; 9] = [
        b"",
        b"\x01",
        b"\x02\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x01\x00aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x01\x07aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x01\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x01\x02aaaa",
        b"\x01\x03",
        b"\x01\x06aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ];
    for value in values {
        machine.vault().set(b"key:a", value).unwrap();
        let refused = machine.view().load_key("a".into()).await.unwrap();
        assert_eq!(refused.unwrap_err(), r#"the persisted key "a" cannot be read"#, "{value:?}");
    }
    assert_eq!(machine.view().key_exists("a".into()).await.unwrap(), Ok(false));
}

#[tokio::test]
async fn a_removed_vault_tells_no_more_than_that_it_does_not_work() {
    let mut machine = Machine::new();
    machine.view().generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    machine.remove_vault();
    let unavailable = "what the app keeps cannot be read or written at present";
    assert_eq!(machine.view().persist_key("a".into()).await.unwrap().unwrap_err(), unavailable);
    assert_eq!(machine.view().delete_key("a".into()).await.unwrap().unwrap_err(), unavailable);
    assert_eq!(machine.view().key_exists("a".into()).await.unwrap(), Ok(true));
}

#[tokio::test]
async fn persisted_keys_are_told_by_name_and_kind() {
    let mut machine = Machine::new();
    make_all(&mut machine.view()).await;
    machine.vault().set(b"user:key", b"no key").unwrap();
    machine.vault().set(b"kex", b"no key").unwrap();
    let persisted = persisted_keys(&machine.vault()).unwrap();
    assert_eq!(
        persisted,
        [
            ("aes".to_owned(), KeyKind::Aes256Gcm),
            ("mac".to_owned(), KeyKind::HmacSha512),
            ("p256".to_owned(), KeyKind::EcdsaP256Sha256),
            ("p384".to_owned(), KeyKind::EcdsaP384Sha384),
        ]
    );
}

#[tokio::test]
async fn uses_go_on_over_a_replacement_and_from_a_record() {
    let mut machine = Machine::new();
    machine.view().generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    machine.replace();
    let uses = machine.settings.keys.uses();
    assert_eq!(uses["a"].operations, BTreeMap::from([("generate", 1)]));
    assert_eq!(uses["a"].kind, None);
    let record = uses.into_iter().map(|(name, used)| {
        (name, used.operations.into_iter().map(|(operation, count)| (operation.to_owned(), count)).collect())
    });
    let record = record.collect();
    machine.restart();
    machine.settings.keys.restore_uses(&record);
    machine.view().generate_hmac_key("a".into(), MAC).await.unwrap().unwrap();
    let uses = machine.settings.keys.uses();
    assert_eq!(uses["a"].operations, BTreeMap::from([("generate", 2)]));
    assert_eq!(uses["a"].kind, Some(KeyKind::HmacSha512));
}

#[tokio::test]
async fn no_debug_output_has_a_key() {
    let mut machine = Machine::new();
    machine.view().import_symmetric_key("a".into(), vec![0x61; 32]).await.unwrap().unwrap();
    let held = machine.settings.keys.find(&crate::keystore::KeyName::parse("a".into()).unwrap()).unwrap();
    let text = format!("{:?} {held:?}", machine.settings);
    assert!(!text.contains("97, 97") && !text.contains("aaa"), "{text}");
}

/// Persists a key of each sort, and gives what tells whether they are the same again.
async fn make_all(view: &mut PlatformCtxView<'_>) -> Made {
    view.generate_symmetric_key("aes".into()).await.unwrap().unwrap();
    view.generate_signing_key("p256".into(), P256).await.unwrap().unwrap();
    view.generate_signing_key("p384".into(), P384).await.unwrap().unwrap();
    view.generate_hmac_key("mac".into(), MAC).await.unwrap().unwrap();
    for name in ["aes", "p256", "p384", "mac"] {
        view.persist_key(name.into()).await.unwrap().unwrap();
    }
    Made {
        sealed: view.encrypt("aes".into(), vec![1; 12], vec![], b"x".to_vec()).await.unwrap().unwrap(),
        p256: view.sign("p256".into(), P256, vec![1]).await.unwrap().unwrap(),
        p384: view.sign("p384".into(), P384, vec![1]).await.unwrap().unwrap(),
        tag: view.hmac_sign("mac".into(), MAC, vec![1]).await.unwrap().unwrap(),
    }
}

async fn what_they_do(view: &mut PlatformCtxView<'_>, made: &Made) -> [bool; 4] {
    let Made { sealed, p256, p384, tag } = made;
    let opened = view.decrypt("aes".into(), vec![1; 12], vec![], sealed.clone()).await.unwrap();
    [
        opened == Ok(b"x".to_vec()),
        view.verify("p256".into(), P256, vec![1], p256.clone()).await.unwrap() == Ok(true),
        view.verify("p384".into(), P384, vec![1], p384.clone()).await.unwrap() == Ok(true),
        view.hmac_verify("mac".into(), MAC, vec![1], tag.clone()).await.unwrap() == Ok(true),
    ]
}

struct Made {
    sealed: Vec<u8>,
    p256: Vec<u8>,
    p384: Vec<u8>,
    tag: Vec<u8>,
}
