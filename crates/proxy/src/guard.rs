//! Which requests are served at all: the proxy acts with its user's key, and browsers send requests for whoever asks.
//!
//! A name that resolves to this machine only while a page says so (DNS rebinding) is not served. A request that a browser
//! marks as made by a page of another origin is not served. Programs other than browsers mark nothing, and are as free as
//! any program of this machine's users.

use crate::ProxyError;
use cloister_api::AppName;
use http::header::{HOST, HeaderMap, HeaderName, ORIGIN, UPGRADE};
use http::uri::Authority;
use http::{Method, Request};

/// Whom a request is for, by its host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The enclave's own paths, and the proxy's page.
    Enclave,
    /// An app that is a web service.
    App(AppName),
}

/// What the guard found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) target: Target,
    /// Host and port as the client wrote them.
    pub(crate) authority: Authority,
}

/// Looks at everything but the path. `allowed` are host names beside this machine's own.
pub(crate) fn admit<B>(request: &Request<B>, allowed: &[String]) -> Result<Admitted, ProxyError> {
    let authority = authority(request)?;
    let target = target(&authority, allowed).ok_or_else(|| ProxyError::ForeignHost(authority.to_string()))?;
    same_origin(request.headers(), &authority)?;
    no_upgrade(request)?;
    Ok(Admitted { target, authority })
}

/// The one authority that the request names.
fn authority<B>(request: &Request<B>) -> Result<Authority, ProxyError> {
    let mut fields = request.headers().get_all(HOST).iter();
    let field = match fields.next() {
        None => None,
        Some(field) => {
            let field = field.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            Some(field.ok_or(ProxyError::BadRequest("the host is not a host name"))?)
        }
    };
    if fields.next().is_some() {
        return Err(ProxyError::BadRequest("there are two hosts"));
    }
    let authority = match (request.uri().authority(), field) {
        (Some(one), Some(other)) if *one != other => {
            return Err(ProxyError::BadRequest("the target names another host than the host field"));
        }
        (Some(authority), _) => authority.clone(),
        (None, Some(field)) => field,
        (None, None) => return Err(ProxyError::BadRequest("the request names no host")),
    };
    // What stands before `@` is for people who read addresses, to mislead them.
    if authority.as_str().contains('@') {
        return Err(ProxyError::BadRequest("the host is not a host name"));
    }
    Ok(authority)
}

fn target(authority: &Authority, allowed: &[String]) -> Option<Target> {
    let host = authority.host().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let names = || allowed.iter().map(String::as_str);
    if LOOPBACK.contains(&host) || names().any(|name| name.eq_ignore_ascii_case(host)) {
        return Some(Target::Enclave);
    }
    let (app, rest) = host.split_once('.')?;
    let below =
        rest == "localhost" || names().any(|name| name.eq_ignore_ascii_case(rest) && !is_address(name));
    below.then(|| app.parse().ok().map(Target::App))?
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()
}

/// Browsers say who made them ask, and pages cannot change what they say (Fetch Metadata; RFC 6454, section 7).
fn same_origin(headers: &HeaderMap, authority: &Authority) -> Result<(), ProxyError> {
    for site in headers.get_all(SEC_FETCH_SITE) {
        if !["same-origin", "none"].iter().any(|own| site == *own) {
            return Err(ProxyError::CrossSite(
                "a page of another site made your browser ask: open the address yourself",
            ));
        }
    }
    for origin in headers.get_all(ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if !own.is_some_and(|own| own.eq_ignore_ascii_case(authority.as_str())) {
            return Err(ProxyError::CrossSite("the request is made by a page of another origin"));
        }
    }
    Ok(())
}

/// `h2c` alone may be offered, and is not taken: HTTP/2 begins with its preface (RFC 9113, section 3.1).
fn no_upgrade<B>(request: &Request<B>) -> Result<(), ProxyError> {
    let mut protocols = request.headers().get_all(UPGRADE).iter();
    let other = protocols.any(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(b"h2c"));
    if request.method() == Method::CONNECT || other {
        return Err(ProxyError::Upgrade);
    }
    Ok(())
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What always means this machine. A browser never asks a name server for `localhost` (RFC 6761, section 6.3).
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, headers: &[(&'static str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/").header(HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn code(request: &Request<()>) -> &'static str {
        admit(request, &["lab.example".into(), "10.0.0.1".into()]).unwrap_err().code()
    }

    fn app(name: &str) -> Target {
        Target::App(name.parse().unwrap())
    }

    #[test]
    fn names_of_this_machine_are_served_and_no_others() {
        let allowed = ["lab.example".to_owned(), "10.0.0.1".to_owned()];
        for (host, expected) in [
            ("localhost:8080", Some(Target::Enclave)),
            ("LOCALHOST", Some(Target::Enclave)),
            ("localhost.:80", Some(Target::Enclave)),
            ("127.0.0.1:1", Some(Target::Enclave)),
            ("[::1]:8080", Some(Target::Enclave)),
            ("web.localhost:8080", Some(app("web"))),
            ("lab.example", Some(Target::Enclave)),
            ("web.Lab.example", Some(app("web"))),
            ("10.0.0.1", Some(Target::Enclave)),
            ("web.10.0.0.1", None),
            ("a.b.localhost", None),
            ("localhost.evil.example", None),
            ("evil.example:8080", None),
            ("127.0.0.2", None),
            ("0.0.0.0:8080", None),
            ("notlocalhost", None),
            ("-.localhost", None),
        ] {
            assert_eq!(target(&host.parse().unwrap(), &allowed), expected, "{host}");
        }
        assert_eq!(code(&request("evil.example", &[])), "foreign-host");
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(code(&Request::builder().uri("/").body(()).unwrap()), "bad-request");
        assert_eq!(code(&request("user@localhost", &[])), "bad-request");
        assert_eq!(code(&request("", &[])), "bad-request");
        let two = Request::builder().uri("/").header(HOST, "localhost").header(HOST, "localhost");
        assert_eq!(code(&two.body(()).unwrap()), "bad-request");
        let differ = Request::builder().uri("http://localhost/").header(HOST, "evil.example");
        assert_eq!(code(&differ.body(()).unwrap()), "bad-request");
        let absolute = Request::builder().uri("http://web.localhost/").body(()).unwrap();
        assert_eq!(admit(&absolute, &[]).unwrap().target, app("web"));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let admitted = |headers: &[_]| admit(&request("localhost:8080", headers), &[]).is_ok();
        assert!(admitted(&[]));
        assert!(admitted(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")]));
        assert!(admitted(&[("sec-fetch-site", "none")]));
        for refused in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "anything"),
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:3000"),
            ("origin", "https://localhost:8080"),
            ("origin", "http://web.localhost:8080"),
            ("origin", "null"),
            ("origin", ""),
        ] {
            assert_eq!(code(&request("localhost:8080", &[refused])), "cross-site", "{refused:?}");
        }
        let both = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert_eq!(code(&request("localhost:8080", &both)), "cross-site");
    }

    #[test]
    fn upgrades_are_refused() {
        let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert_eq!(code(&request("localhost", &websocket)), "upgrade-refused");
        assert_eq!(code(&request("localhost", &[("upgrade", "websocket")])), "upgrade-refused");
        let curl = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")];
        assert!(admit(&request("localhost", &curl), &[]).is_ok());
        let tunnel = Request::builder().method(Method::CONNECT).uri("localhost:80").body(()).unwrap();
        assert_eq!(code(&tunnel), "upgrade-refused");
    }
}
