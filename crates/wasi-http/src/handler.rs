//! `wasi:http/outgoing-handler`.

use std::sync::Arc;

use cloister_egress::{
    Asked, EgressError, Exchange, Payload, Protection, Request as Outgoing, Target, Timeouts, Turn,
};
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method as HttpMethod, Request};
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use crate::bindings::wasi::http::outgoing_handler::Host as OutgoingHandler;
use crate::bindings::wasi::http::types::{ErrorCode, HeaderError, Host, IoError, Method, Scheme};
use crate::error::{Failure, HeaderFailure};
use crate::options::RequestOptions;
use crate::outgoing::{OutgoingRequest, path_and_query};
use crate::response::{Alive, FutureIncomingResponse};
use crate::tasks::Task;
use crate::{EgressOutcome, HttpCtxView};

impl OutgoingHandler for HttpCtxView<'_> {
    async fn handle(
        &mut self,
        request: Resource<OutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> Result<Resource<FutureIncomingResponse>, Failure> {
        self.charge(0).await?;
        let options = options.map(|options| self.table.delete(options)).transpose()?.unwrap_or_default();
        let request = self.table.delete(request)?;
        let size = request.headers.size() + request.path_with_query.as_ref().map_or(0, String::len);
        self.fuel.charge(REQUEST_FUEL.saturating_add(size as u64)).await?;
        match self.begin(request, options.into()) {
            Ok(future) => Ok(self.table.push(future)?),
            Err(error) => Err(ErrorCode::from(error).into()),
        }
    }
}

impl HttpCtxView<'_> {
    /// Starts a request, or says why not. The log learns of it in any case.
    fn begin(
        &mut self,
        request: OutgoingRequest,
        timeouts: Timeouts,
    ) -> Result<FutureIncomingResponse, EgressError> {
        let settings = &self.ctx.settings;
        let target = target(&request);
        let asked = asked(&request, target.as_ref().ok());
        let exchange = Exchange::begin(Arc::clone(&settings.egress), asked);
        let refuse = |error: EgressError| {
            exchange.end(match error {
                EgressError::Denied => EgressOutcome::Refused,
                _ => EgressOutcome::Failed(error.name()),
            });
            error
        };
        let target = target.map_err(refuse)?;
        if !target.is_allowed_by(&settings.policy) {
            return Err(refuse(EgressError::Denied));
        }
        let message = message(request, &target).map_err(refuse)?;
        let share = self.ctx.requests.take(1).ok_or_else(|| refuse(EgressError::ConnectionLimit))?;
        let exchange = Arc::new(exchange);
        let outgoing = Outgoing { message, target, trust: None, timeouts };
        let (client, lanes) = (settings.client.clone(), Arc::clone(&self.ctx.lanes));
        let (answer, answered) = oneshot::channel();
        let told = Arc::clone(&exchange);
        let task = Task::spawn(async move {
            let arrived = client.send(outgoing, Turn::OfCall(&lanes), told).await;
            // Whoever does not wait for it any more has dropped this task with the rest.
            let _ = answer.send(arrived);
        });
        Ok(FutureIncomingResponse::new(answered, Alive::new(exchange, task, share)))
    }
}

/// Where a request goes.
fn target(request: &OutgoingRequest) -> Result<Target, EgressError> {
    let protection = match &request.scheme {
        None | Some(Scheme::Https) => Protection::Tls,
        Some(Scheme::Http) => Protection::None,
        Some(Scheme::Other(_)) => return Err(EgressError::Protocol),
    };
    Target::new(protection, request.authority.as_deref().ok_or(EgressError::InvalidUri)?)
}

/// The message, but for what depends on the version of HTTP.
fn message(request: OutgoingRequest, target: &Target) -> Result<Request<Payload>, EgressError> {
    let declared = request.headers.content_length().filter(|&length| length > 0);
    let without_body = request.body.is_none();
    if without_body && declared.is_some() {
        return Err(EgressError::RequestBodySize(Some(0)));
    }
    let path = match request.path_with_query.as_deref() {
        None => PathAndQuery::from_static("/"),
        Some(path) if path.len() > MAX_PATH_BYTES => return Err(EgressError::UriTooLong),
        Some(path) => path_and_query(path).ok_or(EgressError::InvalidUri)?,
    };
    let scheme = match target.protection() {
        Protection::Tls => http::uri::Scheme::HTTPS,
        Protection::None => http::uri::Scheme::HTTP,
    };
    let uri = http::Uri::builder().scheme(scheme).authority(target.authority().clone()).path_and_query(path);
    let mut message = Request::new(request.body.map_or_else(Payload::empty, Payload::from));
    *message.method_mut() = sendable(&request.method)?;
    *message.uri_mut() = uri.build().map_err(|_| EgressError::InvalidUri)?;
    *message.headers_mut() = request.headers.into_map();
    // RFC 9110, section 8.6: some servers want to be told that there is nothing to come.
    let expects_content = [HttpMethod::POST, HttpMethod::PUT, HttpMethod::PATCH].contains(message.method());
    if expects_content && without_body {
        message.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(message)
}

fn sendable(method: &Method) -> Result<HttpMethod, EgressError> {
    let method = HttpMethod::from_bytes(method_name(method).as_bytes());
    let method = method.map_err(|_| EgressError::InvalidMethod)?;
    // Its response is no message but a tunnel, and there is nothing a guest could do with one.
    if method == HttpMethod::CONNECT { Err(EgressError::InvalidMethod) } else { Ok(method) }
}

fn method_name(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}

/// What the log says of a request when it begins.
fn asked(request: &OutgoingRequest, target: Option<&Target>) -> Asked {
    Asked {
        method: match &request.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other(_) => "other",
        },
        scheme: match &request.scheme {
            None | Some(Scheme::Https) => "https",
            Some(Scheme::Http) => "http",
            Some(Scheme::Other(_)) => "other",
        },
        host: target.map(|target| target.host().to_owned()).unwrap_or_default(),
        port: target.map_or(0, Target::port),
    }
}

impl Host for HttpCtxView<'_> {
    async fn http_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(0).await?;
        Ok(self.table.get(&error)?.downcast_ref::<ErrorCode>().cloned())
    }

    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Error(error) => Ok(error),
            Failure::Trap(error) => Err(error),
        }
    }

    fn convert_header_error(&mut self, failure: HeaderFailure) -> wasmtime::Result<HeaderError> {
        match failure {
            HeaderFailure::Error(error) => Ok(error),
            HeaderFailure::Trap(error) => Err(error),
        }
    }
}

/// Requests of a call that have a connection at once.
pub const MAX_REQUESTS_UNDER_WAY: usize = 16;
/// Requests of a call that wait for one of those to be over. One more fails with `connection-limit-reached`.
pub const MAX_REQUESTS_WAITING: usize = 48;
/// Fuel of a request: about what a TLS handshake costs.
pub const REQUEST_FUEL: u64 = 500_000;
/// Of a path with its query.
const MAX_PATH_BYTES: usize = 32 << 10;
