//! An app that has to be configured answers nothing else before.

use super::{App, Language, settings};
use crate::apps::code;
use cloister_api::{Code, ConfigurationState, DeploySettings};
use cloister_client::{ClientError, Identity};
use cloister_tests::{Setup, shared};
use serde_json::json;

/// Of an app that this export configures.
fn to_be_configured() -> DeploySettings {
    DeploySettings { configure_with: Some(CONFIGURE.to_owned()), ..settings() }
}

async fn is_unanswered(app: &App, export: &str) {
    let arguments = match export {
        "crypto-digest" => json!(["sha256", ""]),
        _ => json!([]),
    };
    assert_eq!(code(app.call(export, arguments).await), Code::NotConfigured, "{export}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_owners_configuring_is_answered() {
    for language in Language::BOTH {
        let app = App::deploy_with(shared(), language, "unconfigured", &to_be_configured()).await;
        let described = app.describe().await;
        assert_eq!(described.configuration, ConfigurationState::Awaited);
        assert_eq!(described.configure_with.as_deref(), Some(CONFIGURE));
        let anonymous = app.anonymously(shared()).await;
        let stranger = app.seen_by(shared(), &Identity::generate().unwrap()).await;
        for caller in [&app, &anonymous, &stranger] {
            for export in ["crypto-digest", "auth-get-my-roles", "sealing-get-seal-key"] {
                is_unanswered(caller, export).await;
            }
        }
        // Others do not get so far as to the guest.
        let others = [(&anonymous, Code::Unauthenticated), (&stranger, Code::Forbidden)];
        for (caller, refusal) in others {
            assert_eq!(code(caller.call(CONFIGURE, json!([])).await), refusal);
        }
        assert_eq!(app.describe().await.total.calls, 0);
        // Who expects something of the app accepts none that is not configured.
        let hash = shared().caller().await.claims().app(&app.name).unwrap().code_hash;
        let expecting = || shared().policy().with_app(app.name.clone(), hash);
        assert!(matches!(shared().connect(expecting()).await, Err(ClientError::Refused(_))));

        app.ok(CONFIGURE, json!([])).await;
        assert_eq!(app.describe().await.configuration, ConfigurationState::Complete);
        shared().connect(expecting()).await.unwrap();
        for caller in [&app, &anonymous, &stranger] {
            caller.ok("crypto-digest", json!(["sha256", ""])).await;
        }
        // It stays its owner's, and twice is an error.
        app.refused(CONFIGURE, json!([])).await;
        for (caller, refusal) in others {
            assert_eq!(code(caller.call(CONFIGURE, json!([])).await), refusal);
        }
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_needs_none_cannot_be_configured() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "needs-none").await;
        assert_eq!(app.describe().await.configuration, ConfigurationState::NotNeeded);
        app.refused(CONFIGURE, json!([])).await;
        app.ok("crypto-digest", json!(["sha256", ""])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_has_to_be_configured_again() {
    for language in Language::BOTH {
        let app = App::deploy_with(shared(), language, "reconfigured", &to_be_configured()).await;
        app.ok(CONFIGURE, json!([])).await;
        app.ok("crypto-digest", json!(["sha256", ""])).await;
        app.replace(language, &to_be_configured()).await;
        assert_eq!(app.describe().await.configuration, ConfigurationState::Awaited);
        is_unanswered(&app, "crypto-digest").await;
        // A replacement that needs none.
        app.replace(language, &settings()).await;
        assert_eq!(app.describe().await.configuration, ConfigurationState::NotNeeded);
        app.ok("crypto-digest", json!(["sha256", ""])).await;
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_configures_nor_forgets() {
    let enclave = Setup::new().start();
    let awaited = App::deploy_with(&enclave, Language::Rust, "awaited", &to_be_configured()).await;
    let complete = App::deploy_with(&enclave, Language::Rust, "complete", &to_be_configured()).await;
    complete.ok(CONFIGURE, json!([])).await;
    drop((awaited, complete));
    let enclave = enclave.kill_and_keep().start();
    let awaited = App::again(&enclave, Language::Rust, "awaited").await;
    let complete = App::again(&enclave, Language::Rust, "complete").await;
    is_unanswered(&awaited, "crypto-digest").await;
    assert_eq!(complete.describe().await.configuration, ConfigurationState::Complete);
    complete.ok("crypto-digest", json!(["sha256", ""])).await;
    awaited.ok(CONFIGURE, json!([])).await;
    awaited.ok("crypto-digest", json!(["sha256", ""])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_configures_an_app_is_one_of_its_exports() {
    let session = shared().owner().await;
    for absent in ["configure", "", "attestation#set-config-complete"] {
        let settings = DeploySettings { configure_with: Some(absent.to_owned()), ..settings() };
        let name = cloister_tests::name("configured-by-nothing");
        let deployed = session.deploy(&name, Language::Rust.component(), &settings, |_| {}).await;
        let code = code(deployed);
        assert!([Code::InvalidSettings, Code::UnknownExport].contains(&code), "{absent:?}: {code:?}");
    }
}

/// The guest passes the call on, so it configures itself by it.
const CONFIGURE: &str = "attestation-set-config-complete";
