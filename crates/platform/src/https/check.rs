//! A server that has to be a certain enclave.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cloister_egress::{
    Asked, Check, EgressError, EgressOutcome, Exchange, HttpSettings, Payload, Request, Session, Timeouts,
    Turn,
};
use http::{Method, Response};
use http_body_util::{BodyExt, Limited};

use super::Servers;
use super::error::FetchError;
use super::ratls::RatlsPolicy;
use super::url::Url;

/// Lets a policy look at a session.
pub(super) struct PolicyCheck {
    policy: RatlsPolicy,
    /// That the URL names.
    host: String,
    servers: AllowedServers,
}

impl PolicyCheck {
    pub(super) fn new(policy: RatlsPolicy, host: String, settings: HttpSettings) -> Self {
        Self { policy, host, servers: AllowedServers(settings) }
    }
}

impl Check for PolicyCheck {
    fn check<'a>(
        &'a self,
        session: &'a mut dyn Session,
    ) -> Pin<Box<dyn Future<Output = Result<(), EgressError>> + Send + 'a>> {
        Box::pin(async {
            let verified = self.policy.verify(&self.host, session, &self.servers).await;
            verified.map(drop).map_err(|refused| FetchError::unverified(&refused))
        })
    }
}

/// Servers that the app's rules allow, of names that its roots vouch for.
struct AllowedServers(HttpSettings);

impl Servers for AllowedServers {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'a>> {
        Box::pin(self.get_whole(url))
    }
}

impl AllowedServers {
    async fn get_whole(&self, url: &str) -> Result<Response<Bytes>, FetchError> {
        let Self(settings) = self;
        let url = Url::parse(url)?;
        let failed = |error| FetchError::failed(&url.server(), error);
        let exchange = Arc::new(begin(settings, &url, &Method::GET)?);
        let message = http::Request::get(url.uri()?).body(Payload::empty()).map_err(|_| FetchError::Tls)?;
        let target = url.target().clone();
        let request = Request { message, target, trust: None, timeouts: Timeouts::default() };
        let response = settings.client.send(request, Turn::Check, exchange).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            failed(
                error.downcast().map_or(EgressError::ResponseBodySize { most: MAX_ANSWER }, |error| *error),
            )
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// Tells the log of a request that is about to be sent, or that may not be.
pub(super) fn begin(settings: &HttpSettings, url: &Url, method: &Method) -> Result<Exchange, FetchError> {
    let target = url.target();
    let method = LOGGED.iter().find(|logged| **logged == method.as_str()).copied().unwrap_or("other");
    let asked = Asked { method, scheme: "https", host: target.host().to_owned(), port: target.port() };
    let exchange = Exchange::begin(Arc::clone(&settings.egress), asked);
    if target.is_allowed_by(&settings.policy) {
        return Ok(exchange);
    }
    exchange.end(EgressOutcome::Refused);
    Err(FetchError::Denied(url.server()))
}

const LOGGED: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
/// Bytes of what a server answers that is asked for collateral.
const MAX_ANSWER: usize = 1 << 20;
