//! `wasi:http/outgoing-handler`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method as HttpMethod, Request};
use hyper::rt::Executor;
use rustls::pki_types::ServerName;
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use crate::bindings::wasi::http::outgoing_handler::Host as OutgoingHandler;
use crate::bindings::wasi::http::types::{ErrorCode, HeaderError, Host, IoError, Method, Scheme};
use crate::body::GuestBody;
use crate::connection::{Job, Protection};
use crate::error::{Failure, HeaderFailure};
use crate::exchange::{Exchange, Open};
use crate::options::{RequestOptions, Timeouts};
use crate::outgoing::{OutgoingRequest, path_and_query};
use crate::response::{Alive, FutureIncomingResponse};
use crate::tasks::Tasks;
use crate::{EgressOutcome, HttpCtxView, failure};

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
            Err(error) => Err(error.into()),
        }
    }
}

impl HttpCtxView<'_> {
    /// Starts a request, or says why not. The log learns of it in any case.
    fn begin(
        &mut self,
        request: OutgoingRequest,
        timeouts: Timeouts,
    ) -> Result<FutureIncomingResponse, ErrorCode> {
        let settings = &self.ctx.settings;
        let target = Target::of(&request);
        let exchange = Exchange::begin(Arc::clone(&settings.egress), open(&request, target.as_ref().ok()));
        let refuse = |error: ErrorCode| {
            exchange.end(match error {
                ErrorCode::HttpRequestDenied => EgressOutcome::Refused,
                _ => EgressOutcome::Failed(failure::name(&error)),
            });
            error
        };
        let target = target.map_err(refuse)?;
        let allowed = match target.protection {
            Protection::Tls(_) => settings.policy.allows_https(&target.host, target.port),
            Protection::None => settings.policy.allows_http(&target.host, target.port),
        };
        if !allowed {
            return Err(refuse(ErrorCode::HttpRequestDenied));
        }
        let request = message(request, &target).map_err(refuse)?;
        let share = self.ctx.requests.take(1).ok_or_else(|| refuse(ErrorCode::ConnectionLimitReached))?;
        let exchange = Arc::new(exchange);
        let job = Job {
            request,
            host: target.host,
            port: target.port,
            authority: target.authority,
            protection: target.protection,
            tls: Arc::clone(&settings.client.tls),
            timeouts,
            lanes: Arc::clone(&self.ctx.lanes),
            exchange: Arc::clone(&exchange),
        };
        let tasks = Tasks::default();
        let (answer, answered) = oneshot::channel();
        let spawner = tasks.spawner();
        tasks.spawner().execute(async move {
            // Whoever does not wait for it any more has dropped this task with the rest.
            let _ = answer.send(job.run(spawner).await);
        });
        Ok(FutureIncomingResponse::new(answered, Alive::new(exchange, tasks, share)))
    }
}

/// Where a request goes.
#[derive(Debug)]
struct Target {
    /// Lower-case, neither brackets nor a dot at its end.
    host: String,
    port: u16,
    /// As the server gets it.
    authority: Authority,
    protection: Protection,
}

impl Target {
    fn of(request: &OutgoingRequest) -> Result<Self, ErrorCode> {
        let default_port = match &request.scheme {
            None | Some(Scheme::Https) => 443,
            Some(Scheme::Http) => 80,
            Some(Scheme::Other(_)) => return Err(ErrorCode::HttpProtocolError),
        };
        let authority = request.authority.as_deref().ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let authority = Authority::try_from(authority).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
        let (host, port) = host_and_port(&authority).ok_or(ErrorCode::HttpRequestUriInvalid)?;
        let name = ServerName::try_from(&*host).map_err(|_| ErrorCode::HttpRequestUriInvalid)?.to_owned();
        let protection = match &request.scheme {
            Some(Scheme::Http) => Protection::None,
            _ => Protection::Tls(name),
        };
        Ok(Self { host, port: port.unwrap_or(default_port), authority, protection })
    }
}

/// What an authority names. RFC 9110, section 4.2.4 lets a recipient treat user information in it as an error.
fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let text = authority.as_str();
    if text.contains('@') {
        return None;
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let host = text[..end].to_ascii_lowercase();
            (host.strip_suffix('.').map_or(host.clone(), str::to_owned), &text[end..])
        }
    };
    let port = match rest.strip_prefix(':') {
        Some("") | None => None,
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            Some(port.parse::<u16>().ok().filter(|&port| digits && port != 0)?)
        }
    };
    let port = if rest.is_empty() || rest.starts_with(':') { port } else { return None };
    // What only looks like an address, such as 127.1 or 0x7f000001, some resolvers take for one.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|first: char| first.is_ascii_digit());
    if host.is_empty() || (numeric && !host.contains(':') && host.parse::<Ipv4Addr>().is_err()) {
        return None;
    }
    Some((host, port))
}

/// The message, but for what depends on the version of HTTP.
fn message(request: OutgoingRequest, target: &Target) -> Result<Request<GuestBody>, ErrorCode> {
    let declared = request.headers.content_length().filter(|&length| length > 0);
    let without_body = request.body.is_none();
    if without_body && declared.is_some() {
        return Err(ErrorCode::HttpRequestBodySize(Some(0)));
    }
    let path = match request.path_with_query.as_deref() {
        None => PathAndQuery::from_static("/"),
        Some(path) if path.len() > MAX_PATH_BYTES => return Err(ErrorCode::HttpRequestUriTooLong),
        Some(path) => path_and_query(path).ok_or(ErrorCode::HttpRequestUriInvalid)?,
    };
    let scheme = match target.protection {
        Protection::Tls(_) => http::uri::Scheme::HTTPS,
        Protection::None => http::uri::Scheme::HTTP,
    };
    let uri = http::Uri::builder().scheme(scheme).authority(target.authority.clone()).path_and_query(path);
    let mut message = Request::new(request.body.unwrap_or_else(GuestBody::empty));
    *message.method_mut() = sendable(&request.method)?;
    *message.uri_mut() = uri.build().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    *message.headers_mut() = request.headers.into_map();
    // RFC 9110, section 8.6: some servers want to be told that there is nothing to come.
    let expects_content = [HttpMethod::POST, HttpMethod::PUT, HttpMethod::PATCH].contains(message.method());
    if expects_content && without_body {
        message.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(message)
}

fn sendable(method: &Method) -> Result<HttpMethod, ErrorCode> {
    let method = HttpMethod::from_bytes(method_name(method).as_bytes());
    let method = method.map_err(|_| ErrorCode::HttpRequestMethodInvalid)?;
    // Its response is no message but a tunnel, and there is nothing a guest could do with one.
    if method == HttpMethod::CONNECT { Err(ErrorCode::HttpRequestMethodInvalid) } else { Ok(method) }
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
fn open(request: &OutgoingRequest, target: Option<&Target>) -> Open {
    Open {
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
        host: target.map(|target| target.host.clone()).unwrap_or_default(),
        port: target.map_or(0, |target| target.port),
        began: SystemTime::now(),
        tls: None,
        status: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_authorities() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        let cases = [
            ("example.com", some("example.com", None)),
            ("EXAMPLE.com.:8443", some("example.com", Some(8443))),
            ("example.com:", some("example.com", None)),
            ("127.0.0.1:1", some("127.0.0.1", Some(1))),
            ("[::1]", some("::1", None)),
            ("[0:0::1]:443", some("::1", Some(443))),
            ("1e100.net", some("1e100.net", None)),
            ("user@example.com", None),
            ("user:pass@example.com", None),
            ("example.com:0", None),
            ("example.com:65536", None),
            ("example.com:+1", None),
            ("127.1", None),
            ("2130706433", None),
            ("0x7f000001", None),
            ("1.2.3.4.5", None),
            ("[::1%25eth0]", None),
            ("[v1.x]", None),
            (".", None),
        ];
        for (text, expected) in cases {
            let Ok(authority) = Authority::try_from(text) else {
                assert_eq!(expected, None, "{text}");
                continue;
            };
            assert_eq!(host_and_port(&authority), expected, "{text}");
        }
    }
}
