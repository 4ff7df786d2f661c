//! A guest's request, read.

use std::sync::Arc;

use bytes::Bytes;
use cloister_egress::{InvalidRoots, Roots, Trust};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use rustls_pki_types::CertificateDer;

use super::check::PolicyCheck;
use super::error::FetchError;
use super::ratls::RatlsPolicy;
use super::url::Url;
use super::{HttpsCtx, MAX_HEADER_BYTES, MAX_HEADERS, MAX_ROOT_BYTES, MAX_ROOTS};
use crate::bindings::privasys::enclave_os::https::{Method as GuestMethod, Request};

/// What is sent to one server.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// None: what the app trusts.
    pub(super) trust: Option<Trust>,
    scope: Scope,
}

/// Where redirects may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Wherever the app's rules allow it.
    Anywhere,
    /// Nowhere else: what the server had to prove was about it alone.
    SameServer,
}

impl Fetch {
    pub(super) fn read(request: Request, ctx: &HttpsCtx) -> Result<Self, FetchError> {
        let url = Url::parse(&request.url)?;
        let headers = headers(request.headers)?;
        let roots = request.ca_roots_der.map(roots).transpose()?;
        let scope = if request.ratls.is_some() { Scope::SameServer } else { Scope::Anywhere };
        let trust = match (request.ratls, roots) {
            (None, None) => None,
            (None, Some(roots)) => Some(Trust::roots(roots).map_err(untrusted)?),
            (Some(policy), roots) => {
                let policy = RatlsPolicy::parse(policy, &ctx.quote_roots).map_err(FetchError::Ratls)?;
                let id = policy.hash();
                let host = url.target().host().to_owned();
                let check = Arc::new(PolicyCheck::new(policy, host, ctx.settings.clone()));
                Some(Trust::checked(check, id, roots).map_err(untrusted)?)
            }
        };
        let body = request.body.map(Bytes::from).unwrap_or_default();
        Ok(Self { url, method: method(request.method), headers, body, trust, scope })
    }

    /// Goes where a response leads. False: it leads nowhere.
    pub(super) fn follow(&mut self, status: StatusCode, response: &HeaderMap) -> Result<bool, FetchError> {
        let Some(location) = location(status, response) else { return Ok(false) };
        let location = std::str::from_utf8(location.as_bytes());
        let location = location.map_err(|_| refused(FetchError::Url("it is not valid")))?;
        let url = self.url.join(location).map_err(refused)?;
        if !url.target().is_same_origin(self.url.target()) {
            if self.scope == Scope::SameServer {
                return Err(FetchError::RedirectElsewhere(url.server()));
            }
            for name in CREDENTIALS {
                self.headers.remove(name);
            }
        }
        // The WHATWG's Fetch standard, section 4.4, step 12.
        let forgets_body = match status {
            StatusCode::SEE_OTHER => ![Method::GET, Method::HEAD].contains(&self.method),
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if forgets_body {
            self.method = Method::GET;
            self.body = Bytes::new();
            for name in ABOUT_BODY {
                self.headers.remove(name);
            }
        }
        self.url = url;
        Ok(true)
    }

    /// What is sent as the message's headers.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        // RFC 9110, section 8.6: some servers want to be told that there is nothing to come.
        let expects_content = [Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        if expects_content && self.body.is_empty() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers
    }

    /// Bytes of URL, headers and body.
    pub(super) fn len(&self) -> usize {
        self.url.len() + size(&self.headers) + self.body.len()
    }
}

fn location(status: StatusCode, headers: &HeaderMap) -> Option<&HeaderValue> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    redirects.contains(&status).then(|| headers.get(header::LOCATION)).flatten()
}

fn refused(error: FetchError) -> FetchError {
    FetchError::Redirect(Box::new(error))
}

fn method(method: GuestMethod) -> Method {
    match method {
        GuestMethod::Get => Method::GET,
        GuestMethod::Post => Method::POST,
        GuestMethod::Put => Method::PUT,
        GuestMethod::Delete => Method::DELETE,
        GuestMethod::Patch => Method::PATCH,
        GuestMethod::Head => Method::HEAD,
        GuestMethod::Options => Method::OPTIONS,
    }
}

fn headers(given: Vec<(String, String)>) -> Result<HeaderMap, FetchError> {
    let bytes: usize = given.iter().map(|(name, value)| name.len() + value.len()).sum();
    if given.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(FetchError::TooManyHeaders);
    }
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(FetchError::HeaderName(name));
        };
        if FRAMING.contains(&parsed) {
            return Err(FetchError::ForbiddenHeader(parsed.to_string()));
        }
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|_| FetchError::HeaderValue(parsed.to_string()))?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// Bytes of names and values.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn roots(given: Vec<Vec<u8>>) -> Result<Roots, FetchError> {
    if given.is_empty() {
        return Err(FetchError::NoRoots);
    }
    if given.len() > MAX_ROOTS || given.iter().map(Vec::len).sum::<usize>() > MAX_ROOT_BYTES {
        return Err(FetchError::TooManyRoots);
    }
    Ok(Roots::These(given.into_iter().map(CertificateDer::from).collect()))
}

fn untrusted(error: InvalidRoots) -> FetchError {
    match error {
        InvalidRoots::Certificate { index, .. } => FetchError::Root(index),
        InvalidRoots::Tls(_) => FetchError::Tls,
    }
}

/// What frames a message, or is about the connection that carries it: RFC 9110, sections 7.6.1 and 10.1.
pub(super) const FRAMING: [HeaderName; 12] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// Headers that are for the server alone that they were written for.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
/// Headers of a body that is not sent any more: the Fetch standard's "request-body-header name".
const ABOUT_BODY: [HeaderName; 4] =
    [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION, header::CONTENT_TYPE];
