//! One call of a guest.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_api::NetworkPolicy;
use cloister_egress::{Budget, Client, EgressLog, EgressRequest, HttpSettings, Roots};
use cloister_wasi::HostFuel;

use crate::bindings::privasys::enclave_os::https::{Host as _, Method, Request, Response};
use crate::https::HttpsCtx;
use crate::{PlatformCtx, PlatformCtxView, PlatformSettings};

pub(super) struct Call {
    ctx: PlatformCtx,
    fuel: HostFuel,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log(Mutex<Vec<EgressRequest>>);

impl EgressLog for Log {
    fn record(&self, request: EgressRequest) {
        self.0.lock().unwrap().push(request);
    }
}

impl Call {
    pub(super) fn new(rules: &[&str], roots: Roots) -> Self {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let log = Arc::new(Log::default());
        let http = HttpSettings {
            policy: Arc::new(NetworkPolicy::new(rules).unwrap()),
            client: Client::new(roots).unwrap(),
            egress: Arc::clone(&log) as _,
        };
        let ctx = PlatformCtx::new(PlatformSettings::none(), None, None, http);
        Self { ctx, fuel: HostFuel::default(), log }
    }

    /// A call that may fetch from everywhere.
    pub(super) fn anywhere(roots: Roots) -> Self {
        Self::new(&["https://*:*"], roots)
    }

    /// Fetches may take this long.
    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.ctx.https.limit = limit;
        self
    }

    /// Fetches may hold this much.
    pub(super) fn holding(mut self, bodies: Budget) -> Self {
        self.ctx.https.bodies = bodies;
        self
    }

    pub(super) async fn fetch(&mut self, request: Request) -> Result<Response, String> {
        PlatformCtxView { ctx: &mut self.ctx, fuel: &mut self.fuel }.fetch(request).await.unwrap()
    }

    pub(super) fn https(&self) -> &HttpsCtx {
        &self.ctx.https
    }

    pub(super) fn logged(&self) -> Vec<EgressRequest> {
        self.log.0.lock().unwrap().clone()
    }
}

pub(super) fn get(url: &str) -> Request {
    Request {
        method: Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        ratls: None,
        ca_roots_der: None,
    }
}

pub(super) fn send(method: Method, url: &str, body: &[u8]) -> Request {
    Request { method, body: Some(body.to_vec()), ..get(url) }
}

pub(super) fn with_headers(request: Request, headers: &[(&str, &str)]) -> Request {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Request { headers: headers.collect(), ..request }
}

pub(super) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
}
