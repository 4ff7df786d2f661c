//! `sealing`: a key that follows from the machine, the code, the app and its owner.

use super::{App, Language, bytes_of, settings};
use cloister_api::KeyFingerprint;
use cloister_client::Identity;
use cloister_tests::{Setup, code_hash, shared};
use serde_json::json;

/// The key, and the hash of the code.
async fn seal_key(app: &App) -> (Vec<u8>, Vec<u8>) {
    let answer = app.ok("sealing-get-seal-key", json!([])).await;
    let pair = (bytes_of(&answer[0]), bytes_of(&answer[1]));
    assert_eq!((pair.0.len(), pair.1.len()), (32, 32));
    assert!(pair.0.iter().any(|byte| *byte != 0));
    pair
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_the_same_for_the_same_code_and_app() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "sealing").await;
        let first = seal_key(&app).await;
        assert_eq!(first.1, code_hash(&language.component()));
        assert_eq!(seal_key(&app).await, first);
        let caller = app.anonymously(shared()).await;
        assert_eq!(seal_key(&caller).await, first, "it is the app's, whoever calls");
        // Settings do not matter, nor that it was away.
        app.replace(language, &settings()).await;
        assert_eq!(seal_key(&app).await, first);
        app.remove().await;
        let app = App::deploy(shared(), language, "sealing").await;
        assert_eq!(seal_key(&app).await, first);

        let other = App::deploy(shared(), language, "sealing-other").await;
        let of_other = seal_key(&other).await;
        assert_eq!(of_other.1, first.1);
        assert_ne!(of_other.0, first.0, "another app of the same code");
        other.remove().await;

        let (other, back) =
            if language == Language::Rust { (Language::C, language) } else { (Language::Rust, language) };
        app.replace(other, &settings()).await;
        let replaced = seal_key(&app).await;
        assert_eq!(replaced.1, code_hash(&other.component()));
        assert_ne!(replaced.0, first.0, "another code of the same app");
        app.replace(back, &settings()).await;
        assert_eq!(seal_key(&app).await, first);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_outlives_a_restart_and_is_no_other_machines_and_no_other_owners() {
    let mut setup = Setup::new();
    let second_owner = Identity::generate().unwrap();
    let fingerprint: KeyFingerprint = second_owner.fingerprint().parse().unwrap();
    setup.configuration.owners.push(fingerprint);
    let enclave = setup.start();
    let app = App::deploy(&enclave, Language::Rust, "sealing").await;
    let before = seal_key(&app).await;
    drop(app);
    let enclave = enclave.stop_and_keep().start();
    let app = App::again(&enclave, Language::Rust, "sealing").await;
    assert_eq!(seal_key(&app).await, before);

    // The same code under the same name, deployed by somebody else.
    app.remove().await;
    let of_other = app.seen_by(&enclave, &second_owner).await;
    let component = Language::Rust.component();
    of_other.session.deploy(&of_other.name, component, &settings(), |_| {}).await.unwrap();
    let others = seal_key(&of_other).await;
    assert_eq!(others.1, before.1);
    assert_ne!(others.0, before.0);

    let elsewhere = Setup::new().start();
    let app = App::deploy(&elsewhere, Language::Rust, "sealing").await;
    assert_ne!(seal_key(&app).await.0, before.0);
    let log = enclave.log().concat();
    assert!(!log.contains(&hex::encode(&before.0)));
}
