use crate::platform::{App, Language, base64, bytes_of, settings};
use crate::probe::network;
use cloister_api::DeploySettings;
use cloister_tests::{Enclave, shared};
use serde_json::{Value, json};

/// An app that fetches what it is told to.
pub(crate) struct Fetcher {
    pub(crate) app: App,
}

impl Fetcher {
    /// In the shared enclave, under these rules.
    pub(crate) async fn deploy(test: &str, rules: &[String]) -> Self {
        Self::deploy_with(shared(), test, rules, settings()).await
    }

    pub(crate) async fn deploy_with(
        enclave: &Enclave,
        test: &str,
        rules: &[String],
        settings: DeploySettings,
    ) -> Self {
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let settings = DeploySettings { network: network(&rules), ..settings };
        Self { app: App::deploy_with(enclave, Language::Rust, test, &settings).await }
    }

    /// What a fetch gives that has to succeed.
    #[track_caller]
    pub(crate) fn get(&self, fetch: &Fetch) -> impl Future<Output = Answer> {
        let answer = self.app.ok("https-fetch", fetch.argument());
        async move { Answer::of(&answer.await) }
    }

    /// Why a fetch fails, that has to.
    #[track_caller]
    pub(crate) fn fails(&self, fetch: &Fetch) -> impl Future<Output = String> {
        self.app.refused("fetch-length", fetch.argument())
    }

    /// Status and length of the body.
    #[track_caller]
    pub(crate) fn length(&self, fetch: &Fetch) -> impl Future<Output = (u64, u64)> {
        let answer = self.app.ok("fetch-length", fetch.argument());
        async move { serde_json::from_value(answer.await).expect("they are two numbers") }
    }

    /// The statuses of so many, one after the other, within one call.
    #[track_caller]
    pub(crate) fn again(&self, fetch: &Fetch, times: u32) -> impl Future<Output = Vec<u64>> {
        let answer = self.app.ok("fetch-again", json!([fetch.json(), times]));
        async move { serde_json::from_value(answer.await).expect("they are numbers") }
    }

    pub(crate) async fn remove(&self) {
        self.app.remove().await;
    }
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) roots: Option<Vec<Vec<u8>>>,
    /// A `ratls-policy` as calls take it.
    pub(crate) ratls: Value,
}

impl Fetch {
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self {
            method: "get",
            url: url.into(),
            headers: Vec::new(),
            body: None,
            roots: None,
            ratls: Value::Null,
        }
    }

    pub(crate) fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "post", body: Some(body.into()), ..Self::get(url) }
    }

    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// `ca-roots-der`
    pub(crate) fn trusting(self, roots: &[&[u8]]) -> Self {
        Self { roots: Some(roots.iter().map(|root| root.to_vec()).collect()), ..self }
    }

    pub(crate) fn ratls(self, policy: Value) -> Self {
        Self { ratls: policy, ..self }
    }

    pub(crate) fn json(&self) -> Value {
        let roots: Option<Vec<Value>> = self.roots.as_ref().map(|roots| roots.iter().map(base64).collect());
        json!({
            "method": self.method,
            "url": self.url,
            "headers": self.headers,
            "body": self.body.as_ref().map(base64),
            "ratls": self.ratls,
            "ca-roots-der": roots,
        })
    }

    fn argument(&self) -> Value {
        json!([self.json()])
    }
}

/// What was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn of(value: &Value) -> Self {
        Self {
            status: value["status"].as_u64().expect("a number"),
            headers: serde_json::from_value(value["headers"].clone()).expect("pairs of texts"),
            body: bytes_of(&value["body"]),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `https://HOST:PORT`, which is the rule and the start of the URL.
pub(crate) fn at(host: &str, port: u16) -> String {
    format!("https://{host}:{port}")
}
