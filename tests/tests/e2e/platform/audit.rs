//! What the owner learns of an app's keys: which, of what kind, and how often each was used, never the keys.

use super::{App, Language, base64, settings};
use cloister_api::KeyDescription;
use cloister_client::Identity;
use cloister_tests::{Setup, shared};
use serde_json::json;

/// What is said of a key.
async fn described(app: &App, key: &str) -> KeyDescription {
    let keys = app.describe().await.keys;
    keys.iter().find(|described| described.name == key).unwrap_or_else(|| panic!("{keys:?}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_use_of_a_key_is_counted() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "audit").await;
        assert_eq!(app.describe().await.keys, []);
        app.symmetric_key("symmetric").await;
        let sealed = app.encrypt("symmetric", &[1; 12], "text").await;
        app.encrypt("symmetric", &[2; 12], "text").await;
        for _ in 0..3 {
            app.decrypt("symmetric", &[1; 12], &sealed).await;
        }
        app.signing_key("signing", "ecdsa-p384-sha384").await;
        let signature = app.bytes("crypto-sign", json!(["signing", "ecdsa-p384-sha384", ""])).await;
        for data in ["", "other"] {
            let arguments = json!(["signing", "ecdsa-p384-sha384", base64(data), base64(&signature)]);
            app.ok("crypto-verify", arguments).await;
        }
        app.bytes("keystore-export-public-key", json!(["signing"])).await;
        app.hmac_key("hmac", "hmac-sha512").await;
        let tag = app.bytes("crypto-hmac-sign", json!(["hmac", "hmac-sha512", ""])).await;
        app.ok("crypto-hmac-verify", json!(["hmac", "hmac-sha512", "", base64(&tag)])).await;
        app.ok("keystore-persist-key", json!(["hmac"])).await;

        for (key, kind, persisted, uses) in [
            ("symmetric", "aes-256-gcm", false, [("encrypt", 2), ("decrypt", 3)]),
            ("signing", "ecdsa-p384-sha384", false, [("sign", 1), ("verify", 2)]),
            ("hmac", "hmac-sha512", true, [("hmac-sign", 1), ("hmac-verify", 1)]),
        ] {
            let described = described(&app, key).await;
            assert_eq!(described.kind.as_deref(), Some(kind));
            assert_eq!((described.in_memory, described.persisted), (true, persisted), "{described:?}");
            for (operation, count) in uses {
                assert_eq!(described.uses.get(operation), Some(&count), "{described:?}");
            }
        }
        // What only a signing key does, no other was counted for.
        assert!(!described(&app, "symmetric").await.uses.contains_key("sign"));

        app.ok("keystore-delete-key", json!(["symmetric"])).await;
        let gone = described(&app, "symmetric").await;
        assert_eq!((gone.kind, gone.in_memory, gone.persisted), (None, false, false));
        assert_eq!(gone.uses.get("encrypt"), Some(&2));

        // Only its owner asks.
        let stranger = app.seen_by(shared(), &Identity::generate().unwrap()).await;
        assert!(stranger.session.describe(&stranger.name).await.is_err());
        assert!(app.anonymously(shared()).await.session.describe(&app.name).await.is_err());
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_go_on_after_a_restart() {
    let enclave = Setup::new().start();
    let app = App::deploy(&enclave, Language::Rust, "audit-kept").await;
    app.hmac_key("kept", "hmac-sha256").await;
    app.ok("keystore-persist-key", json!(["kept"])).await;
    for _ in 0..3 {
        app.bytes("crypto-hmac-sign", json!(["kept", "hmac-sha256", ""])).await;
    }
    drop(app);
    let enclave = enclave.stop_and_keep().start();
    let app = App::again(&enclave, Language::Rust, "audit-kept").await;
    let before = described(&app, "kept").await;
    assert_eq!((before.in_memory, before.persisted), (false, true));
    assert_eq!(before.kind.as_deref(), Some("hmac-sha256"), "{before:?}");
    assert_eq!(before.uses.get("hmac-sign"), Some(&3), "{before:?}");
    app.ok("keystore-load-key", json!(["kept"])).await;
    app.bytes("crypto-hmac-sign", json!(["kept", "hmac-sha256", ""])).await;
    assert_eq!(described(&app, "kept").await.uses.get("hmac-sign"), Some(&4));
    // A replacement keeps what it keeps of the keys.
    app.replace(Language::Rust, &settings()).await;
    let replaced = described(&app, "kept").await;
    assert_eq!((replaced.in_memory, replaced.persisted), (false, true));
}
