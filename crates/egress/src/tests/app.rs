//! An app that sends requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{
    Asked, Client, EgressError, EgressLog, EgressRequest, Exchange, Payload, Protection, Request,
    ResponseBody, Roots, Target, Timeouts, Trust, Turn,
};

pub(super) struct App {
    pub(super) client: Client,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log(Mutex<Vec<EgressRequest>>);

impl EgressLog for Log {
    fn record(&self, request: EgressRequest) {
        self.0.lock().unwrap().push(request);
    }
}

/// A request without headers.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) authority: &'a str,
    pub(super) path: &'static str,
    pub(super) body: Bytes,
    pub(super) trust: Option<Trust>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(authority: &'a str) -> Self {
        Self { method: "GET", authority, path: "/", body: Bytes::new(), trust: None }
    }

    pub(super) fn post(authority: &'a str, body: &'static [u8]) -> Self {
        Self { method: "POST", body: Bytes::from_static(body), ..Self::get(authority) }
    }

    pub(super) fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    pub(super) fn trusting(self, trust: &Trust) -> Self {
        Self { trust: Some(trust.clone()), ..self }
    }
}

impl App {
    pub(super) fn new(roots: Roots) -> Self {
        Self { client: Client::new(roots).unwrap(), log: Arc::default() }
    }

    /// Another call of the same app.
    pub(super) fn again(&self) -> Self {
        Self { client: self.client.clone(), log: Arc::default() }
    }

    pub(super) fn logged(&self) -> Vec<EgressRequest> {
        self.log.0.lock().unwrap().clone()
    }

    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Response<ResponseBody>, EgressError> {
        let target = Target::new(Protection::Tls, ask.authority).unwrap();
        let asked =
            Asked { method: "other", scheme: "https", host: target.host().to_owned(), port: target.port() };
        let exchange = Arc::new(Exchange::begin(Arc::clone(&self.log) as _, asked));
        let message = http::Request::builder()
            .method(ask.method)
            .uri(format!("https://{}{}", ask.authority, ask.path))
            .body(Payload::Whole(ask.body))
            .unwrap();
        let request = Request { message, target, trust: ask.trust, timeouts: Timeouts::default() };
        timeout(LONG, self.client.send(request, Turn::Alone, exchange)).await.unwrap()
    }

    /// The whole response's body.
    pub(super) async fn fetch(&self, ask: Ask<'_>) -> Result<Bytes, EgressError> {
        whole(self.send(ask).await?).await
    }
}

pub(super) async fn whole(response: Response<ResponseBody>) -> Result<Bytes, EgressError> {
    Ok(timeout(LONG, response.into_body().collect()).await.unwrap()?.to_bytes())
}

/// Nothing takes so long.
const LONG: Duration = Duration::from_secs(60);
