//! `keystore`: keys in memory.

use super::{App, Language, base64, settings};
use cloister_tests::shared;
use serde_json::{Value, json};

/// Each way to get a key of this name.
fn origins(key: &str) -> [(&'static str, Value); 4] {
    [
        ("keystore-generate-symmetric-key", json!([key])),
        ("keystore-generate-signing-key", json!([key, "ecdsa-p384-sha384"])),
        ("keystore-generate-hmac-key", json!([key, "hmac-sha384"])),
        ("keystore-import-symmetric-key", json!([key, base64([1; 32])])),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_one_key() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "one-key").await;
        for (first, arguments) in origins("taken") {
            assert!(!app.exists("taken").await);
            app.ok(first, arguments).await;
            assert!(app.exists("taken").await);
            for (second, arguments) in origins("taken") {
                app.refused(second, arguments).await;
            }
            app.ok("keystore-delete-key", json!(["taken"])).await;
        }
        // What was refused changed nothing.
        app.ok("keystore-import-symmetric-key", json!(["kept", base64([1; 32])])).await;
        let sealed = app.encrypt("kept", &[1; 12], "text").await;
        for (again, arguments) in origins("kept") {
            app.refused(again, arguments).await;
        }
        assert_eq!(app.decrypt("kept", &[1; 12], &sealed).await, "text");
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_key_has_thirty_two_bytes() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "raw-keys").await;
        for length in [0, 1, 16, 24, 31, 33, 64, 4096] {
            app.refused("keystore-import-symmetric-key", json!(["raw", base64(vec![1; length])])).await;
            assert!(!app.exists("raw").await);
        }
        app.ok("keystore-import-symmetric-key", json!(["raw", base64([1; 32])])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_are_those_of_signing_keys_alone() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "public-keys").await;
        // RFC 5480: 91 and 120 bytes, which begin with the curve and end with an uncompressed point.
        for (algorithm, start, length) in [
            ("ecdsa-p256-sha256", "3059301306072a8648ce3d020106082a8648ce3d03010703420004", 91),
            ("ecdsa-p384-sha384", "3076301006072a8648ce3d020106052b8104002203620004", 120),
        ] {
            app.signing_key(algorithm, algorithm).await;
            let public = app.bytes("keystore-export-public-key", json!([algorithm])).await;
            assert_eq!(public.len(), length);
            assert!(hex::encode(&public).starts_with(start), "{}", hex::encode(&public));
            assert_eq!(public, app.bytes("keystore-export-public-key", json!([algorithm])).await);
            app.signing_key("another", algorithm).await;
            assert_ne!(public, app.bytes("keystore-export-public-key", json!(["another"])).await);
            app.ok("keystore-delete-key", json!(["another"])).await;
        }
        app.symmetric_key("symmetric").await;
        app.hmac_key("hmac", "hmac-sha256").await;
        for key in ["symmetric", "hmac", "absent"] {
            app.refused("keystore-export-public-key", json!([key])).await;
        }
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_is_gone() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "deleted").await;
        app.symmetric_key("key").await;
        let sealed = app.encrypt("key", &[1; 12], "text").await;
        app.ok("keystore-delete-key", json!(["key"])).await;
        assert!(!app.exists("key").await);
        app.refused("keystore-delete-key", json!(["key"])).await;
        app.refused("crypto-decrypt", json!(["key", base64([1; 12]), "", base64(&sealed)])).await;
        // A new key of the name is another key.
        app.symmetric_key("key").await;
        app.refused("crypto-decrypt", json!(["key", base64([1; 12]), "", base64(&sealed)])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_absent_keys_are_refused() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "absent").await;
        assert!(!app.exists("absent").await);
        for export in
            ["keystore-delete-key", "keystore-persist-key", "keystore-load-key", "keystore-export-public-key"]
        {
            let why = app.refused(export, json!(["absent"])).await;
            assert!(why.contains("absent"), "{export}: {why}");
        }
        assert!(!app.exists("absent").await);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_share_keys_and_apps_do_not() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "shared-one").await;
        let other = App::deploy(shared(), language, "shared-other").await;
        app.symmetric_key("key").await;
        let sealed = app.encrypt("key", &[1; 12], "text").await;
        let caller = app.anonymously(shared()).await;
        assert_eq!(caller.decrypt("key", &[1; 12], &sealed).await, "text");
        assert!(!other.exists("key").await);
        other.symmetric_key("key").await;
        other.refused("crypto-decrypt", json!(["key", base64([1; 12]), "", base64(&sealed)])).await;
        other.ok("keystore-delete-key", json!(["key"])).await;
        assert_eq!(app.decrypt("key", &[1; 12], &sealed).await, "text");
        for name in ["app:shared-one/key:key", "../key", "shared-one/key", "key:key"] {
            other.refused("keystore-load-key", json!([name])).await;
            assert!(!other.exists(name).await);
        }
        app.remove().await;
        other.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_has_a_thousand_and_twenty_four_keys() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "many-keys").await;
        app.signing_key("first", "ecdsa-p256-sha256").await;
        assert_eq!(app.ok("fill-keystore", json!(["filler", 2000])).await, json!(MOST_KEYS - 1));
        for (origin, arguments) in origins("one-more") {
            app.refused(origin, arguments).await;
        }
        app.ok("keystore-delete-key", json!(["filler-7"])).await;
        app.hmac_key("one-more", "hmac-sha512").await;
        app.refused("keystore-generate-symmetric-key", json!(["filler-7"])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_begins_without_keys() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "replaced-keys").await;
        for (origin, arguments) in origins("key") {
            app.ok(origin, arguments).await;
            app.replace(language, &settings()).await;
            assert!(!app.exists("key").await, "{origin}");
            app.refused("keystore-load-key", json!(["key"])).await;
        }
        app.remove().await;
    }
}

/// What `wit/keystore.wit` says.
const MOST_KEYS: u32 = 1_024;
