//! What the proxy answers itself, and the body type of everything that it answers.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;

/// The body of an answer: the proxy's own, or the enclave's as it comes.
pub(crate) type Answer = UnsyncBoxBody<Bytes, hyper::Error>;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Answer> {
    of_type(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// Problem details (RFC 9457).
pub(crate) fn problem(status: StatusCode, value: &impl Serialize) -> Response<Answer> {
    of_type(status, "application/problem+json", serde_json::to_vec(value).unwrap_or_default())
}

/// A temporary redirect to another path of the same host, which is asked with GET.
pub(crate) fn redirect(path: &'static str) -> Response<Answer> {
    let mut response = of_type(StatusCode::SEE_OTHER, "text/plain", "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(path));
    response
}

/// An answer of this media type, which no cache keeps and no browser guesses at.
pub(crate) fn of_type(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Answer> {
    let mut response = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
