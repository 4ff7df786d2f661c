use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_api::{AppDescription, AppName, Code, DeploySettings, Limits};
use cloister_client::{Client, ClientError, Identity, Session};
use cloister_tests::{Enclave, for_everybody, name, platform_guest};
use serde_json::{Value, json};
use std::time::Duration;

/// What a guest is written in. Both are of one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    C,
}

impl Language {
    pub(crate) const BOTH: [Self; 2] = [Self::Rust, Self::C];

    pub(crate) fn component(self) -> Bytes {
        platform_guest(match self {
            Self::Rust => "platform",
            Self::C => "platform-c",
        })
    }

    /// The name of an app that is of a test's own.
    fn app(self, test: &str) -> AppName {
        let language = match self {
            Self::Rust => "rust",
            Self::C => "c",
        };
        name(&format!("{test}-{language}"))
    }
}

/// Limits that no test comes near to.
pub(crate) fn settings() -> DeploySettings {
    let limits = Limits {
        fuel: 100_000_000_000,
        wall_time_ms: 120_000,
        result: 16 << 20,
        memory: 128 << 20,
        ..Limits::default()
    };
    DeploySettings { limits, ..for_everybody() }
}

/// An app of one of the guests, as one session sees it.
pub(crate) struct App {
    pub(crate) session: Session,
    pub(crate) name: AppName,
}

impl App {
    /// Deployed by the owner.
    pub(crate) async fn deploy(enclave: &Enclave, language: Language, test: &str) -> Self {
        Self::deploy_with(enclave, language, test, &settings()).await
    }

    pub(crate) async fn deploy_with(
        enclave: &Enclave,
        language: Language,
        test: &str,
        settings: &DeploySettings,
    ) -> Self {
        let app = Self { session: enclave.owner().await, name: language.app(test) };
        // The enclave takes two deploys at a time, and other tests deploy, too.
        loop {
            match app.session.deploy(&app.name, language.component(), settings, |_| {}).await {
                Err(ClientError::Problem(problem)) if problem.code == Code::Busy => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                deployed => {
                    deployed.unwrap_or_else(|error| panic!("{}: {error}", app.name));
                    return app;
                }
            }
        }
    }

    /// The app that was deployed before, as its owner sees it.
    pub(crate) async fn again(enclave: &Enclave, language: Language, test: &str) -> Self {
        Self { session: enclave.owner().await, name: language.app(test) }
    }

    /// The same app as a caller without a key sees it.
    pub(crate) async fn anonymously(&self, enclave: &Enclave) -> Self {
        Self { session: enclave.caller().await, name: self.name.clone() }
    }

    /// The same app as a caller with this key sees it.
    pub(crate) async fn seen_by(&self, enclave: &Enclave, key: &Identity) -> Self {
        let copy = Identity::from_pem(&key.to_pem().expect("a key is PEM")).expect("and back");
        let client = Client::new(enclave.policy()).with_identity(copy);
        let session = client.connect(&enclave.endpoint()).await.unwrap_or_else(|error| panic!("{error}"));
        Self { session, name: self.name.clone() }
    }

    pub(crate) async fn replace(&self, language: Language, settings: &DeploySettings) {
        let replaced = self.session.replace(&self.name, language.component(), settings, |_| {}).await;
        replaced.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    pub(crate) async fn remove(&self) {
        self.session.remove(&self.name).await.unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    pub(crate) async fn describe(&self) -> AppDescription {
        self.session.describe(&self.name).await.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What an export returns.
    pub(crate) async fn call(&self, export: &str, arguments: Value) -> Result<Value, ClientError> {
        self.session.call_json(&self.name, export, &arguments).await.map(|answer| answer.result)
    }

    /// What an export returns that has to succeed.
    #[track_caller]
    pub(crate) fn ok(&self, export: &str, arguments: Value) -> impl Future<Output = Value> {
        let place = std::panic::Location::caller();
        async move {
            match self.call(export, arguments).await {
                Ok(Value::Object(mut result)) if result.contains_key("ok") => result["ok"].take(),
                Ok(result) => panic!("{place}: {} {export}: {result}", self.name),
                Err(error) => panic!("{place}: {} {export}: {error}", self.name),
            }
        }
    }

    /// The same where that is bytes.
    #[track_caller]
    pub(crate) fn bytes(&self, export: &str, arguments: Value) -> impl Future<Output = Vec<u8>> {
        let answer = self.ok(export, arguments);
        async move { bytes_of(&answer.await) }
    }

    /// Why an export refuses, that has to: one plain sentence for people, in which no secret of this test is.
    #[track_caller]
    pub(crate) fn refused(&self, export: &str, arguments: Value) -> impl Future<Output = String> {
        let place = std::panic::Location::caller();
        async move {
            let result = match self.call(export, arguments).await {
                Ok(result) => result,
                Err(error) => panic!("{place}: {} {export}: {error}", self.name),
            };
            let Some(why) = result["err"].as_str() else {
                let result: String = result.to_string().chars().take(200).collect();
                panic!("{place}: {} {export} was not refused: {result}", self.name);
            };
            assert!(
                !why.is_empty() && !why.ends_with('.') && !why.contains('\n'),
                "{place}: {export}: {why:?}"
            );
            why.to_owned()
        }
    }

    /// An export passes on more than a call may: either the guest is told so, or its call ends.
    #[track_caller]
    pub(crate) fn is_too_much(&self, export: &str, arguments: Value) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            match self.call(export, arguments).await {
                Ok(result) if result["err"].is_string() => {}
                Err(ClientError::Problem(problem)) if problem.code == Code::LimitExceeded => {}
                Ok(_) => panic!("{place}: {} {export} was not refused", self.name),
                Err(error) => panic!("{place}: {} {export}: {error}", self.name),
            }
        }
    }

    /// A symmetric key.
    pub(crate) async fn symmetric_key(&self, key: &str) {
        self.ok("keystore-generate-symmetric-key", json!([key])).await;
    }

    pub(crate) async fn signing_key(&self, key: &str, algorithm: &str) {
        self.ok("keystore-generate-signing-key", json!([key, algorithm])).await;
    }

    pub(crate) async fn hmac_key(&self, key: &str, algorithm: &str) {
        self.ok("keystore-generate-hmac-key", json!([key, algorithm])).await;
    }

    pub(crate) async fn exists(&self, key: &str) -> bool {
        self.ok("keystore-key-exists", json!([key])).await == json!(true)
    }

    /// Encrypts a text.
    pub(crate) async fn encrypt(&self, key: &str, iv: &[u8], text: &str) -> Vec<u8> {
        let arguments = json!([key, base64(iv), "", base64(text)]);
        self.bytes("crypto-encrypt", arguments).await
    }

    /// Decrypts it again.
    pub(crate) async fn decrypt(&self, key: &str, iv: &[u8], ciphertext: &[u8]) -> String {
        let arguments = json!([key, base64(iv), "", base64(ciphertext)]);
        String::from_utf8(self.bytes("crypto-decrypt", arguments).await).expect("it was a text")
    }
}

/// Bytes as calls take them.
pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> Value {
    STANDARD.encode(bytes).into()
}

/// Bytes as calls give them.
pub(crate) fn bytes_of(value: &Value) -> Vec<u8> {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value} are no bytes: {error}"))
}
