//! `keystore`: keys that are kept in the volume.

use super::{App, Language, base64, settings};
use cloister_tests::{Enclave, Setup, shared};
use serde_json::json;

/// A key of each kind, persisted, and what tells that it is the same one.
struct Kept {
    sealed: Vec<u8>,
    public: [Vec<u8>; 2],
    tags: [Vec<u8>; 3],
}

const SIGNING: [&str; 2] = ["ecdsa-p256-sha256", "ecdsa-p384-sha384"];
const HMAC: [&str; 3] = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];

impl Kept {
    async fn in_app(app: &App) -> Self {
        app.ok("keystore-import-symmetric-key", json!(["symmetric", base64(PLANTED)])).await;
        for algorithm in SIGNING {
            app.signing_key(algorithm, algorithm).await;
        }
        for algorithm in HMAC {
            app.hmac_key(algorithm, algorithm).await;
        }
        let kept = Self {
            sealed: app.encrypt("symmetric", &[1; 12], "text").await,
            public: [public(app, SIGNING[0]).await, public(app, SIGNING[1]).await],
            tags: [tag(app, HMAC[0]).await, tag(app, HMAC[1]).await, tag(app, HMAC[2]).await],
        };
        for key in keys() {
            app.ok("keystore-persist-key", json!([key])).await;
        }
        kept
    }

    /// Nothing is in memory, all of it can be loaded, and all of it is the same.
    async fn comes_back(&self, app: &App) {
        for key in keys() {
            assert!(!app.exists(key).await, "{key}");
            app.ok("keystore-load-key", json!([key])).await;
            assert!(app.exists(key).await, "{key}");
        }
        assert_eq!(app.decrypt("symmetric", &[1; 12], &self.sealed).await, "text");
        for (algorithm, before) in SIGNING.iter().zip(&self.public) {
            assert_eq!(public(app, algorithm).await, *before, "{algorithm}");
            let signature = app.bytes("crypto-sign", json!([algorithm, algorithm, ""])).await;
            let verified =
                app.ok("crypto-verify", json!([algorithm, algorithm, "", base64(signature)])).await;
            assert_eq!(verified, json!(true));
        }
        for (algorithm, before) in HMAC.iter().zip(&self.tags) {
            assert_eq!(tag(app, algorithm).await, *before, "{algorithm}");
        }
    }
}

fn keys() -> impl Iterator<Item = &'static str> {
    ["symmetric"].into_iter().chain(SIGNING).chain(HMAC)
}

async fn public(app: &App, key: &str) -> Vec<u8> {
    app.bytes("keystore-export-public-key", json!([key])).await
}

async fn tag(app: &App, key: &str) -> Vec<u8> {
    app.bytes("crypto-hmac-sign", json!([key, key, base64("data")])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn persisting_needs_a_key_in_memory_and_loading_a_free_name() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "persisting").await;
        app.refused("keystore-persist-key", json!(["key"])).await;
        app.refused("keystore-load-key", json!(["key"])).await;
        app.symmetric_key("key").await;
        // What was not persisted cannot be loaded, in memory or not.
        app.refused("keystore-load-key", json!(["key"])).await;
        app.ok("keystore-persist-key", json!(["key"])).await;
        app.refused("keystore-load-key", json!(["key"])).await;
        assert!(app.exists("key").await);
        app.replace(language, &settings()).await;
        // Kept is not in memory.
        assert!(!app.exists("key").await);
        app.refused("keystore-persist-key", json!(["key"])).await;
        app.symmetric_key("key").await;
        app.refused("keystore-load-key", json!(["key"])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persisted_key_that_is_deleted_is_gone() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "kept-deleted").await;
        app.symmetric_key("both").await;
        app.ok("keystore-persist-key", json!(["both"])).await;
        app.ok("keystore-delete-key", json!(["both"])).await;
        app.refused("keystore-load-key", json!(["both"])).await;
        app.refused("keystore-delete-key", json!(["both"])).await;
        app.symmetric_key("kept").await;
        app.ok("keystore-persist-key", json!(["kept"])).await;
        app.replace(language, &settings()).await;
        // It is only in the volume now.
        app.ok("keystore-delete-key", json!(["kept"])).await;
        app.refused("keystore-load-key", json!(["kept"])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persisting_again_takes_the_place_of_what_was_there() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "kept-again").await;
        app.signing_key("key", SIGNING[0]).await;
        app.ok("keystore-persist-key", json!(["key"])).await;
        app.replace(language, &settings()).await;
        // Another key of the name, and of another kind.
        app.hmac_key("key", HMAC[2]).await;
        let tag = app.bytes("crypto-hmac-sign", json!(["key", HMAC[2], ""])).await;
        app.ok("keystore-persist-key", json!(["key"])).await;
        app.replace(language, &settings()).await;
        app.ok("keystore-load-key", json!(["key"])).await;
        app.refused("keystore-export-public-key", json!(["key"])).await;
        assert_eq!(app.bytes("crypto-hmac-sign", json!(["key", HMAC[2], ""])).await, tag);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persisted_keys_outlive_a_replacement() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "kept-replaced").await;
        let kept = Kept::in_app(&app).await;
        app.replace(language, &settings()).await;
        kept.comes_back(&app).await;
        // By other code, too: the owner may replace it, and the keys are the app's.
        let other = if language == Language::Rust { Language::C } else { Language::Rust };
        app.replace(other, &settings()).await;
        kept.comes_back(&app).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn persisted_keys_outlive_a_restart_and_the_host_sees_none() {
    for language in Language::BOTH {
        let enclave = Setup::new().start();
        let app = App::deploy(&enclave, language, "planted-name").await;
        let kept = Kept::in_app(&app).await;
        app.symmetric_key("planted-unkept").await;
        drop(app);
        let setup = enclave.stop_and_keep();
        let disk = std::fs::read(setup.state().join("volume")).unwrap();
        let enclave = setup.start();
        let app = App::again(&enclave, language, "planted-name").await;
        assert!(!app.exists("planted-unkept").await);
        app.refused("keystore-load-key", json!(["planted-unkept"])).await;
        kept.comes_back(&app).await;
        // The same after the enclave was killed: a key that was said to be kept is on the disk.
        app.symmetric_key("late").await;
        let sealed = app.encrypt("late", &[1; 12], "text").await;
        app.ok("keystore-persist-key", json!(["late"])).await;
        drop(app);
        let enclave = enclave.kill_and_keep().start();
        let app = App::again(&enclave, language, "planted-name").await;
        app.ok("keystore-load-key", json!(["late"])).await;
        assert_eq!(app.decrypt("late", &[1; 12], &sealed).await, "text");
        kept.comes_back(&app).await;
        nothing_is_seen(&enclave, &disk);
    }
}

/// Neither a key's bytes nor a key's name are on the disk or in the log.
fn nothing_is_seen(enclave: &Enclave, disk: &[u8]) {
    let log = enclave.log().concat();
    let encoded = [PLANTED.to_vec(), hex::encode(PLANTED).into_bytes(), b"planted-unkept".to_vec()];
    for marker in &encoded {
        for (place, bytes) in [("the host's disk", disk), ("the host's log", log.as_bytes())] {
            let found = bytes.windows(marker.len()).any(|window| window == marker);
            assert!(!found, "{} is in {place}", String::from_utf8_lossy(marker));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_apps_keys_are_gone() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "kept-removed").await;
        app.symmetric_key("key").await;
        app.ok("keystore-persist-key", json!(["key"])).await;
        app.remove().await;
        let app = App::deploy(shared(), language, "kept-removed").await;
        assert!(!app.exists("key").await);
        app.refused("keystore-load-key", json!(["key"])).await;
        app.refused("keystore-delete-key", json!(["key"])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_keeps_a_thousand_and_twenty_four_keys() {
    let app = App::deploy(shared(), Language::Rust, "many-kept").await;
    assert_eq!(app.ok("fill-keystore", json!(["filler", MOST_KEYS])).await, json!(MOST_KEYS));
    for number in 0..MOST_KEYS {
        app.ok("keystore-persist-key", json!([format!("filler-{number}")])).await;
    }
    app.replace(Language::Rust, &settings()).await;
    app.symmetric_key("one-more").await;
    app.refused("keystore-persist-key", json!(["one-more"])).await;
    // One that is there may be kept anew, and one that is deleted makes room.
    app.symmetric_key("filler-5").await;
    app.ok("keystore-persist-key", json!(["filler-5"])).await;
    app.ok("keystore-delete-key", json!(["filler-6"])).await;
    app.ok("keystore-persist-key", json!(["one-more"])).await;
    app.remove().await;
}

/// A raw key by which it would be noticed on the disk.
const PLANTED: &[u8; 32] = b"PlantedRawKeyOf32Bytes--Planted!";
/// What `wit/keystore.wit` says.
const MOST_KEYS: u32 = 1_024;
