//! Which request is served by what. `docs/design/protocol.md` is this table in words.

use crate::access::Caller;
use crate::app::App;
use crate::body::{self, Body};
use crate::deploy::Kind;
use crate::host_name::HostName;
use crate::state::Enclave;
use crate::web::{self, ForGuest};
use crate::{admin, attest, calls, deploy, metrics, run, upgrade, volume};
use cloister_api::{AppName, Code, Configuration, EvidenceRequest, Problem};
use cloister_attestation::SessionBinding;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What a request may ask of the TLS session that carries it.
pub(crate) trait Exporter: Send + Sync {
    /// The exporter's value (RFC 8446, section 7.5).
    ///
    /// # Errors
    /// As rustls says.
    fn exporter(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], rustls::Error>;
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) caller: Caller,
    pub(crate) session: Box<dyn Exporter>,
    /// The host that it named in its TLS handshake.
    pub(crate) server_name: Option<HostName>,
}

/// Answers one request. Every failure is an answer, a panic of our own included.
pub(crate) async fn serve(
    enclave: Arc<Enclave>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Response<Body> {
    let mut serving = pin!(dispatch(enclave, peer, request));
    let answer = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    });
    answer.await.unwrap_or_else(|| {
        body::problem(&Problem::new(Code::Internal, "the request failed inside the enclave, which goes on"))
    })
}

async fn dispatch(enclave: Arc<Enclave>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
    let served = match destination(&enclave, &peer, &request) {
        Ok(Destination::Guest(for_guest)) => web::serve(&enclave, for_guest, request).await,
        Ok(Destination::Elsewhere(location)) => Ok(redirect(location)),
        Ok(Destination::Ourselves { path }) => match Route::of(request.method(), &path) {
            Ok(route) => answer(&enclave, &peer, route, request).await,
            Err(refused) => return refused.into_response(),
        },
        Err(problem) => Err(problem),
    };
    served.unwrap_or_else(|problem| body::problem(&problem))
}

async fn answer(
    enclave: &Arc<Enclave>,
    peer: &Peer,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    let caller = peer.caller.with_token_of(request.headers());
    let asks = || caller.identify(enclave);
    route.check_served(&enclave.configuration)?;
    match route {
        Route::Health => Ok(body::json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))),
        Route::Evidence => evidence(enclave, peer.session.as_ref(), request).await,
        Route::Metrics => metrics::serve(enclave, asks().await?),
        Route::Apps => admin::list(enclave, asks().await?),
        Route::Describe(name) => admin::describe(enclave, asks().await?, &name).await,
        Route::Deploy(name) => deploy::serve(enclave, asks().await?, Kind::Deploy, name, request).await,
        Route::Replace(name) => deploy::serve(enclave, asks().await?, Kind::Replace, name, request).await,
        Route::Remove(name) => admin::remove(enclave, asks().await?, name).await,
        Route::Logs(name) => admin::logs(enclave, asks().await?, &name, request.uri().query()),
        Route::Egress(name) => admin::egress(enclave, asks().await?, &name),
        Route::Volume => volume::statistics(enclave, asks().await?).await,
        Route::CheckVolume => volume::check(enclave, asks().await?),
        Route::BackUpVolume => volume::backup(enclave, asks().await?).await,
        Route::BeginUpgrade => upgrade::begin(enclave, asks().await?),
        Route::HandOver => upgrade::hand_over(enclave, asks().await?, request).await,
        Route::RequestVolume => upgrade::request(enclave, request).await,
        Route::ReceiveVolume => upgrade::receive(enclave, request).await,
        Route::Call(name, export) => calls::serve(enclave, &caller, &name, &export, request).await,
        Route::Run(name) => run::serve(enclave, &caller, &name, request).await,
    }
}

/// Whom a request is for.
enum Destination {
    Guest(ForGuest),
    /// Another path of the same host.
    Elsewhere(HeaderValue),
    Ourselves {
        path: String,
    },
}

/// An app that is a web service has all paths of its own host name but [`OURS`], and on all others those below its name.
fn destination<B>(enclave: &Enclave, peer: &Peer, request: &Request<B>) -> Result<Destination, Problem> {
    let path = request.uri().path();
    let authority = authority(request)?;
    let host = authority.as_ref().and_then(|authority| HostName::parse(authority.as_str()));
    let named = host.as_ref().and_then(|host| app_of(enclave, host));
    let session = peer.server_name.as_ref().and_then(|host| app_of(enclave, host));
    let check_session = |app: &App| match &session {
        Some(session) if session.name != app.name => {
            let (asked, session) = (&app.name, &session.name);
            let why = format!(
                "this TLS session is for the app '{session}', and the request for '{asked}': use another"
            );
            Err(Problem::new(Code::Misdirected, why))
        }
        _ => Ok(()),
    };
    named.as_deref().map_or(Ok(()), check_session)?;
    if let Some(ours) = path.strip_prefix(OURS)
        && ours.starts_with('/')
    {
        return Ok(Destination::Ourselves { path: ours.to_owned() });
    }
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    let for_guest = |app: Arc<App>, path: &str| {
        let authority = authority.as_ref().map(|authority| authority.as_str().to_owned());
        let authority = authority.unwrap_or_else(|| format!("{}.localhost", app.name));
        let caller = peer.caller.with_token_of(request.headers());
        Destination::Guest(ForGuest { app, caller, authority, target: format!("{path}{query}") })
    };
    if let Some(app) = named.filter(|app| app.program.handles_http()) {
        return Ok(for_guest(app, path));
    }
    match ForGuest::in_path(path) {
        None => Ok(Destination::Ourselves { path: path.to_owned() }),
        Some((name, rest)) => {
            let app = enclave.app(&app_name(name)?)?;
            check_session(&app)?;
            if !app.program.handles_http() {
                return Err(web::no_service(&app.name));
            }
            match rest {
                // Without the slash, relative links of the page would lead out of the app.
                "" => Ok(Destination::Elsewhere(location(&format!("{path}/{query}"))?)),
                rest => Ok(for_guest(app, rest)),
            }
        }
    }
}

fn location(path: &str) -> Result<HeaderValue, Problem> {
    let bad = |_| Problem::new(Code::BadRequest, "the request's target is no path");
    HeaderValue::from_str(path).map_err(bad)
}

/// RFC 9110, section 15.4.9.
fn redirect(location: HeaderValue) -> Response<Body> {
    let mut response = body::whole(StatusCode::PERMANENT_REDIRECT, "text/plain", "");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// What the client says that it talks to (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, Problem> {
    if let Some(authority) = request.uri().authority() {
        return Ok(Some(authority.clone()));
    }
    let bad = || Problem::new(Code::BadRequest, "the request's Host header is not one host name");
    let mut given = request.headers().get_all(header::HOST).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => Authority::try_from(host.as_bytes()).map(Some).map_err(|_| bad()),
        (Some(_), Some(_)) => Err(bad()),
    }
}

/// The app that has this host name, where one answers.
fn app_of(enclave: &Enclave, host: &HostName) -> Option<Arc<App>> {
    let name: AppName = host.app()?.parse().ok()?;
    enclave.state().apps.running.get(&name).cloned()
}

#[derive(Debug, PartialEq, Eq)]
enum Route {
    Health,
    Evidence,
    Metrics,
    Apps,
    Describe(AppName),
    Deploy(AppName),
    Replace(AppName),
    Remove(AppName),
    Logs(AppName),
    Egress(AppName),
    Volume,
    CheckVolume,
    BackUpVolume,
    /// Of the image that has a volume.
    BeginUpgrade,
    HandOver,
    /// Of the image that is to have it.
    RequestVolume,
    ReceiveVolume,
    Call(AppName, String),
    Run(AppName),
}

impl Route {
    fn of(method: &Method, path: &str) -> Result<Self, Refused> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let name = |text: &str| -> Result<AppName, Refused> { Ok(app_name(text)?) };
        match segments.as_slice() {
            ["v1", "health"] => by_method(method, &[(Method::GET, || Ok(Self::Health))]),
            ["v1", "evidence"] => by_method(method, &[(Method::POST, || Ok(Self::Evidence))]),
            ["v1", "metrics"] => by_method(method, &[(Method::GET, || Ok(Self::Metrics))]),
            ["v1", "volume"] => by_method(method, &[(Method::GET, || Ok(Self::Volume))]),
            ["v1", "volume", "check"] => by_method(method, &[(Method::POST, || Ok(Self::CheckVolume))]),
            ["v1", "volume", "backup"] => by_method(method, &[(Method::GET, || Ok(Self::BackUpVolume))]),
            ["v1", "upgrade", "begin"] => by_method(method, &[(Method::POST, || Ok(Self::BeginUpgrade))]),
            ["v1", "upgrade", "hand-over"] => by_method(method, &[(Method::POST, || Ok(Self::HandOver))]),
            ["v1", "upgrade", "request"] => by_method(method, &[(Method::POST, || Ok(Self::RequestVolume))]),
            ["v1", "upgrade", "receive"] => by_method(method, &[(Method::POST, || Ok(Self::ReceiveVolume))]),
            ["v1", "apps"] => by_method(method, &[(Method::GET, || Ok(Self::Apps))]),
            ["v1", "apps", app] => match *method {
                Method::GET => Ok(Self::Describe(name(app)?)),
                Method::POST => Ok(Self::Deploy(name(app)?)),
                Method::PUT => Ok(Self::Replace(name(app)?)),
                Method::DELETE => Ok(Self::Remove(name(app)?)),
                _ => Err(Refused::method(&[Method::GET, Method::POST, Method::PUT, Method::DELETE])),
            },
            ["v1", "apps", app, "logs"] => match *method {
                Method::GET => Ok(Self::Logs(name(app)?)),
                _ => Err(Refused::method(&[Method::GET])),
            },
            ["v1", "apps", app, "egress"] => match *method {
                Method::GET => Ok(Self::Egress(name(app)?)),
                _ => Err(Refused::method(&[Method::GET])),
            },
            ["v1", "apps", app, "run"] => match *method {
                Method::POST => Ok(Self::Run(name(app)?)),
                _ => Err(Refused::method(&[Method::POST])),
            },
            ["v1", "apps", app, "calls", export @ ..] if !export.is_empty() => match *method {
                Method::POST => {
                    // An interface's name holds a '/', and clients differ in whether they encode it.
                    let export = export.join("/");
                    let export = percent_decode_str(&export).decode_utf8().map_err(|_| {
                        Problem::new(Code::BadRequest, "the export's name is not UTF-8 in percent-encoding")
                    })?;
                    Ok(Self::Call(name(app)?, export.into_owned()))
                }
                _ => Err(Refused::method(&[Method::POST])),
            },
            _ => Err(Problem::new(
                Code::NotFound,
                format!("nothing is served under '{}'; see docs/design/protocol.md", shortened(path)),
            )
            .into()),
        }
    }
}

impl Route {
    /// An enclave that is to receive a volume serves that and nothing else, and one that has a volume receives none.
    fn check_served(&self, configuration: &Configuration) -> Result<(), Problem> {
        let receives = configuration.receive;
        let why = match self {
            Self::Health | Self::Evidence => return Ok(()),
            Self::RequestVolume | Self::ReceiveVolume if receives => return Ok(()),
            Self::RequestVolume | Self::ReceiveVolume => "this enclave has a volume, and receives no other",
            _ if receives => "this enclave was started to receive another's volume, and serves nothing else",
            _ => return Ok(()),
        };
        Err(Problem::new(Code::NotFound, why))
    }
}

fn app_name(text: &str) -> Result<AppName, Problem> {
    text.parse().map_err(|error: cloister_api::InvalidAppName| {
        Problem::new(Code::InvalidName, format!("'{}': {error}", shortened(text)))
    })
}

type ByMethod = (Method, fn() -> Result<Route, Refused>);

fn by_method(method: &Method, routes: &[ByMethod]) -> Result<Route, Refused> {
    match routes.iter().find(|(served, _)| served == method) {
        Some((_, route)) => route(),
        None => Err(Refused::method(&routes.iter().map(|(served, _)| served.clone()).collect::<Vec<_>>())),
    }
}

/// A request that no route takes.
#[derive(Debug)]
struct Refused {
    problem: Problem,
    /// RFC 9110, section 10.2.1.
    allow: Option<String>,
}

impl Refused {
    fn method(allowed: &[Method]) -> Self {
        let allow = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let problem = Problem::new(Code::MethodNotAllowed, format!("this resource takes {allow}"));
        Self { problem, allow: Some(allow) }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = body::problem(&self.problem);
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, allow: None }
    }
}

async fn evidence(
    enclave: &Enclave,
    session: &dyn Exporter,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    let patience = Duration::from_millis(enclave.configuration.body_timeout_ms);
    let body = body::read(request.into_body(), MAX_EVIDENCE_REQUEST, patience).await?;
    let request: EvidenceRequest = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(Code::BadRequest, format!("not a request for evidence: {error}")))?;
    let mut nonce = [0; 32];
    hex::decode_to_slice(&request.nonce, &mut nonce)
        .map_err(|_| Problem::new(Code::BadRequest, "the nonce is 32 bytes as 64 hex digits"))?;
    let internal = |error: &dyn std::fmt::Display| Problem::new(Code::EvidenceUnavailable, error.to_string());
    let exporter = session.exporter(attest::EXPORTER, &nonce).map_err(|error| internal(&error))?;
    let state = enclave.state();
    let evidence = enclave
        .attestor
        .bind(&state.attested, &SessionBinding { exporter, nonce }, enclave.storage.claimed_state())
        .map_err(|error| internal(&error))?;
    Ok(body::json(StatusCode::OK, &evidence))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What we serve below this path on every host name, we serve below `/` on those that are no web service's (RFC 8615).
const OURS: &str = "/.well-known/cloister";
const MAX_EVIDENCE_REQUEST: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &Method, path: &str) -> Result<Route, Code> {
        Route::of(method, path).map_err(|refused| refused.problem.code)
    }

    #[test]
    fn an_enclave_that_is_to_receive_a_volume_serves_nothing_else() {
        let receiver = Configuration { receive: true, ..Configuration::default() };
        let app = || "a".parse().unwrap();
        let both = [Route::Health, Route::Evidence];
        let receivers = [Route::RequestVolume, Route::ReceiveVolume];
        let others = [
            Route::BeginUpgrade,
            Route::HandOver,
            Route::Metrics,
            Route::Apps,
            Route::Volume,
            Route::BackUpVolume,
            Route::Deploy(app()),
            Route::Call(app(), "f".into()),
            Route::Run(app()),
        ];
        for (routes, at_receiver, at_other) in
            [(&both[..], true, true), (&receivers[..], true, false), (&others[..], false, true)]
        {
            for route in routes {
                assert_eq!(route.check_served(&receiver).is_ok(), at_receiver, "{route:?}");
                assert_eq!(route.check_served(&Configuration::default()).is_ok(), at_other, "{route:?}");
            }
        }
    }

    #[test]
    fn every_resource_has_its_methods() {
        let name = || "a-b".parse().unwrap();
        for (method, path, expected) in [
            (Method::GET, "/v1/health", Route::Health),
            (Method::POST, "/v1/evidence", Route::Evidence),
            (Method::GET, "/v1/metrics", Route::Metrics),
            (Method::GET, "/v1/apps", Route::Apps),
            (Method::GET, "/v1/apps/a-b", Route::Describe(name())),
            (Method::POST, "/v1/apps/a-b", Route::Deploy(name())),
            (Method::PUT, "/v1/apps/a-b", Route::Replace(name())),
            (Method::DELETE, "/v1/apps/a-b", Route::Remove(name())),
            (Method::GET, "/v1/apps/a-b/logs", Route::Logs(name())),
            (Method::GET, "/v1/apps/a-b/egress", Route::Egress(name())),
            (Method::POST, "/v1/apps/a-b/run", Route::Run(name())),
            (Method::GET, "/v1/volume", Route::Volume),
            (Method::POST, "/v1/upgrade/begin", Route::BeginUpgrade),
            (Method::POST, "/v1/upgrade/request", Route::RequestVolume),
            (Method::POST, "/v1/upgrade/hand-over", Route::HandOver),
            (Method::POST, "/v1/upgrade/receive", Route::ReceiveVolume),
            (Method::POST, "/v1/volume/check", Route::CheckVolume),
            (Method::GET, "/v1/volume/backup", Route::BackUpVolume),
            (Method::POST, "/v1/apps/a-b/calls/f", Route::Call(name(), "f".into())),
            (Method::POST, "/v1/apps/a-b/calls/n:p/i@1.0.0%23f", Route::Call(name(), "n:p/i@1.0.0#f".into())),
            (Method::POST, "/v1/apps/a-b/calls/n:p%2Fi%23f", Route::Call(name(), "n:p/i#f".into())),
        ] {
            assert_eq!(route(&method, path), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_served_is_refused_by_its_code() {
        for (method, path, code) in [
            (Method::GET, "/", Code::NotFound),
            (Method::GET, "/v1", Code::NotFound),
            (Method::GET, "/v1/apps/a/b", Code::NotFound),
            (Method::POST, "/v1/apps/a/calls", Code::NotFound),
            (Method::POST, "/v1/apps/A/calls/f", Code::InvalidName),
            (Method::GET, "/v1/apps/..", Code::InvalidName),
            (Method::POST, "/v1/apps/a/calls/%ff", Code::BadRequest),
            (Method::GET, "/v1/apps/a/calls/f", Code::MethodNotAllowed),
            (Method::PATCH, "/v1/apps/a", Code::MethodNotAllowed),
            (Method::PUT, "/v1/health", Code::MethodNotAllowed),
            (Method::GET, "/v1/volume/check", Code::MethodNotAllowed),
            (Method::GET, "/v1/volume/restore", Code::NotFound),
        ] {
            assert_eq!(route(&method, path), Err(code), "{method} {path}");
        }
    }

    #[test]
    fn a_refused_method_names_those_that_are_allowed() {
        let response = Route::of(&Method::DELETE, "/v1/evidence").unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "POST");
    }
}
