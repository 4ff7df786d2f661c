//! One request on its way to the enclave and back.

use crate::answers::Answer;
use crate::guard::{Admitted, Target};
use crate::{Proxy, ProxyError, headers};
use bytes::Bytes;
use cloister_api::{API_PATH, AppName, EXPECTED_CODE_HEADER};
use cloister_client::{ForwardBody, NotForwarded, Session};
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Sends the request in a verified session, and gives the enclave's answer as it comes.
///
/// A request is sent again, in a new session that is verified first, where no byte of it was sent; where some were, only if it
/// has no body and doing it twice is the same as doing it once (RFC 9110, section 9.2.2).
pub(crate) async fn forward(
    proxy: &Proxy,
    admitted: &Admitted,
    request: Request<Incoming>,
) -> Result<Response<Answer>, ProxyError> {
    let upstream = proxy.upstream();
    let Admitted { target, authority } = admitted;
    let server_name = upstream.server_name(target);
    let asked = Asked::of(target, request.method(), request.uri());
    let (mut head, body) = request.into_parts();
    head.uri = asked.target.clone();
    head.version = Version::HTTP_11;
    headers::of_request(&mut head.headers, &server_name);

    if let Some(app) = asked.invoked()
        && !proxy.accepts(app)
    {
        return Err(ProxyError::UnnamedApp(app.clone()));
    }
    let mut session = upstream.session(target, asked.invoked()).await?;
    let again = (head.method.is_idempotent() && body.is_end_stream()).then(|| head.clone());
    let pinned = pin_code(&mut head, &session, &asked);
    let mut answered = session.forward(Request::from_parts(head, ForwardBody::new(body))).await;
    if let Err(failed) = answered {
        upstream.forget(&session);
        let request = repeatable(failed, again)?;
        session = upstream.session(target, asked.invoked()).await?;
        let (mut head, body) = request.into_parts();
        head.uri = asked.target.clone();
        // What was pinned by the proxy is pinned to what this session's evidence says.
        if pinned {
            head.headers.remove(EXPECTED_CODE_HEADER);
        }
        pin_code(&mut head, &session, &asked);
        answered = session.forward(Request::from_parts(head, body)).await;
    }
    let answer = match answered {
        Ok(answer) => answer,
        Err(failed) => {
            upstream.forget(&session);
            return Err(ProxyError::Interrupted(Arc::from(failed.error)));
        }
    };
    let other_code = pinned && answer.status() == StatusCode::PRECONDITION_FAILED;
    if other_code || (asked.changes_app && answer.status().is_success()) {
        upstream.forget_all();
    }
    Ok(returned(answer, session, target, &server_name, authority.as_str()))
}

/// Whom a request concerns, and where the enclave has what it asks for.
#[derive(Debug)]
struct Asked {
    /// Path and query.
    target: Uri,
    app: Option<AppName>,
    /// The app's code answers, so that it can be pinned.
    invokes: bool,
    /// The app is another afterwards.
    changes_app: bool,
}

impl Asked {
    fn of(target: &Target, method: &Method, uri: &Uri) -> Self {
        let path = uri.path();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Target::App(app) = target {
            let target = parsed(&format!("{path}{query}"));
            return Self { target, app: Some(app.clone()), invokes: true, changes_app: false };
        }
        // On a host name whose first label is an app's name, the short path would be the app's.
        let path = match path.strip_prefix("/v1/") {
            Some(rest) => format!("{API_PATH}/{rest}"),
            None => path.to_owned(),
        };
        let below =
            |prefix: &str| path.strip_prefix(prefix).map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let protocol = below(&format!("{API_PATH}/apps/"));
        let (app, rest) = protocol.or_else(|| below("/apps/")).unzip();
        let rest = rest.unwrap_or_default();
        let invokes = protocol.is_none() || rest == "run" || rest.starts_with("calls/");
        let changes_app = protocol.is_some() && rest.is_empty() && !method.is_safe();
        let app: Option<AppName> = app.and_then(|app| app.parse().ok());
        Self { target: parsed(&format!("{path}{query}")), app, invokes, changes_app }
    }

    /// The app whose code answers.
    fn invoked(&self) -> Option<&AppName> {
        self.app.as_ref().filter(|_| self.invokes)
    }
}

/// What was a target stays one.
fn parsed(target: &str) -> Uri {
    target.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

/// Lets no other code see the request than the evidence named. What the client demands itself stands.
fn pin_code(head: &mut Parts, session: &Session, asked: &Asked) -> bool {
    let claimed = asked.invoked().and_then(|app| session.claims().app(app));
    let Some(claimed) = claimed.filter(|_| !head.headers.contains_key(EXPECTED_CODE_HEADER)) else {
        return false;
    };
    match HeaderValue::try_from(hex::encode(claimed.code_hash)) {
        Ok(hash) => head.headers.insert(EXPECTED_CODE_HEADER, hash).is_none(),
        Err(_) => false,
    }
}

/// The request to be sent again, or the error where it may not be.
fn repeatable(failed: NotForwarded, again: Option<Parts>) -> Result<Request<ForwardBody>, ProxyError> {
    let NotForwarded { error, unsent } = failed;
    match (unsent, again) {
        (Some(request), _) => Ok(*request),
        (None, Some(head)) => Ok(Request::from_parts(head, ForwardBody::new(Empty::new()))),
        (None, None) => Err(ProxyError::Interrupted(Arc::from(error))),
    }
}

fn returned(
    answer: Response<Incoming>,
    session: Arc<Session>,
    target: &Target,
    server_name: &str,
    authority: &str,
) -> Response<Answer> {
    let mut answer = answer.map(|body| Held { body, _session: session }.boxed_unsync());
    *answer.version_mut() = Version::HTTP_11;
    let headers = answer.headers_mut();
    headers::of_response(headers, server_name, authority);
    if *target == Target::Enclave {
        // Web services are below `/apps/` too. Their pages must not act for the origin that has the proxy's own page and the
        // whole protocol, so that the browser gives each of them an origin of its own.
        headers.append(CONTENT_SECURITY_POLICY, SANDBOX);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    answer
}

/// A body whose session lives as long as it does.
struct Held {
    body: Incoming,
    _session: Arc<Session>,
}

impl Body for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox allow-scripts allow-forms allow-popups allow-downloads");

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &Target, method: &Method, path: &str) -> (String, Option<String>, bool, bool) {
        let Asked { target, app, invokes, changes_app } = Asked::of(target, method, &path.parse().unwrap());
        (target.to_string(), app.map(|app| app.to_string()), invokes, changes_app)
    }

    #[test]
    fn the_app_of_a_request_is_known_by_host_or_path() {
        let app = || Some("a".to_owned());
        let long = |rest: &str| format!("/.well-known/cloister/v1/{rest}");
        let web = Target::App("a".parse().unwrap());
        let (get, put, post) = (Method::GET, Method::PUT, Method::POST);
        for (target, method, path, expected) in [
            (&web, &get, "/x?y", ("/x?y".to_owned(), app(), true, false)),
            (&Target::Enclave, &get, "/v1/health", (long("health"), None, true, false)),
            (&Target::Enclave, &post, "/v1/apps/a/calls/f?x", (long("apps/a/calls/f?x"), app(), true, false)),
            (&Target::Enclave, &post, &long("apps/a/run"), (long("apps/a/run"), app(), true, false)),
            (&Target::Enclave, &get, "/v1/apps/a", (long("apps/a"), app(), false, false)),
            (&Target::Enclave, &put, "/v1/apps/a", (long("apps/a"), app(), false, true)),
            (&Target::Enclave, &get, "/v1/apps/a/logs", (long("apps/a/logs"), app(), false, false)),
            (&Target::Enclave, &get, "/apps/a/x/y", ("/apps/a/x/y".to_owned(), app(), true, false)),
            (&Target::Enclave, &get, "/apps/A_b/x", ("/apps/A_b/x".to_owned(), None, true, false)),
        ] {
            assert_eq!(asked(target, method, path), expected, "{path}");
        }
    }
}
