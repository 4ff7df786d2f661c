//! Outgoing requests and responses that are not sent, and options.

use crate::exchange::headers;
use crate::wasi::http::types::{Method, OutgoingRequest, OutgoingResponse, RequestOptions, Scheme};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    for (what, method) in INVALID_METHODS {
        cases.add("outgoing-request.invalid-method", what, move || {
            let request = request()?;
            refused(request.set_method(&Method::Other(method.to_owned())))?;
            holds("it is as before", matches!(request.method(), Method::Get))
        });
    }
    for (what, path) in INVALID_PATHS {
        cases.add("outgoing-request.invalid-path", what, move || {
            let request = request()?;
            taken(request.set_path_with_query(Some("/before")))?;
            refused(request.set_path_with_query(Some(path)))?;
            same(request.path_with_query().as_deref(), Some("/before"))
        });
    }
    for (what, path) in VALID_PATHS {
        cases.add("outgoing-request.path", what, move || {
            let request = request()?;
            taken(request.set_path_with_query(Some(path)))?;
            same(request.path_with_query().as_deref(), Some(path))
        });
    }
    for (what, scheme) in INVALID_SCHEMES {
        cases.add("outgoing-request.invalid-scheme", what, move || {
            let request = request()?;
            refused(request.set_scheme(Some(&Scheme::Other(scheme.to_owned()))))?;
            holds("it is as before", request.scheme().is_none())
        });
    }
    for (what, authority) in INVALID_AUTHORITIES {
        cases.add("outgoing-request.invalid-authority", what, move || {
            let request = request()?;
            taken(request.set_authority(Some("before")))?;
            refused(request.set_authority(Some(authority)))?;
            same(request.authority().as_deref(), Some("before"))
        });
    }
    for (what, authority) in VALID_AUTHORITIES {
        cases.add("outgoing-request.authority", what, move || {
            let request = request()?;
            taken(request.set_authority(Some(authority)))?;
            same(request.authority().as_deref(), Some(authority))
        });
    }
    cases
        .with(
            "outgoing-request",
            functions![
                defaults,
                every_method,
                a_method_of_another_name,
                no_path,
                every_scheme,
                no_scheme,
                no_authority,
                has_the_headers_it_was_made_of,
                its_body_is_given_once,
                is_dropped_unsent,
                is_dropped_before_its_body,
            ],
        )
        .with(
            "outgoing-response",
            functions![
                is_200_by_default,
                status_codes,
                invalid_status_codes,
                response_has_the_headers_it_was_made_of,
                body_of_the_response_is_given_once,
            ],
        )
        .with(
            "request-options",
            functions![
                have_no_timeouts,
                connect_timeout,
                first_byte_timeout,
                between_bytes_timeout,
                are_independent,
                take_any_duration,
            ],
        )
}

const INVALID_METHODS: [(&str, &str); 6] = [
    ("empty", ""),
    ("a-space", "GE T"),
    ("a-line-feed", "GET\n"),
    ("another-line", "GET / HTTP/1.1\r\nname:"),
    ("brackets", "(GET)"),
    ("an-umlaut", "GÄT"),
];
const INVALID_PATHS: [(&str, &str); 5] = [
    ("a-space", "/a b"),
    ("a-line-feed", "/a\nb"),
    ("another-line", "/ HTTP/1.1\r\nname: value"),
    ("a-nul", "/\0"),
    ("a-control-character", "/\u{1}"),
];
const VALID_PATHS: [(&str, &str); 8] = [
    ("root", "/"),
    ("one-segment", "/path"),
    ("a-slash-at-the-end", "/path/"),
    ("dots", "/a/b/../c"),
    ("a-query", "/path?query"),
    ("a-query-with-pairs", "/path?a=b&c=d?e"),
    ("percent-encoded", "/%20%00%ff"),
    ("all-that-needs-no-encoding", "/~user/:x;y=z,@!$'()*+"),
];
const INVALID_SCHEMES: [(&str, &str); 5] = [
    ("empty", ""),
    ("a-space", "ht tp"),
    ("a-colon", "http:"),
    ("a-slash", "http/"),
    ("a-digit-first", "1http"),
];
const INVALID_AUTHORITIES: [(&str, &str); 6] = [
    ("empty", ""),
    ("a-space", "exa mple"),
    ("a-slash", "example.com/path"),
    ("a-line-feed", "example.com\n"),
    ("another-line", "example.com\r\nname: value"),
    ("an-open-bracket", "[::1"),
];
const VALID_AUTHORITIES: [(&str, &str); 6] = [
    ("name", "example.com"),
    ("name-and-port", "example.com:8080"),
    ("one-label", "localhost"),
    ("ipv4-and-port", "127.0.0.1:1"),
    ("ipv6-and-port", "[::1]:443"),
    ("punycode", "xn--bcher-kva.example"),
];

fn request() -> Outcome<OutgoingRequest> {
    Ok(OutgoingRequest::new(headers(&[])?))
}

#[track_caller]
fn taken(result: Result<(), ()>) -> Outcome {
    holds("it is taken", result.is_ok())
}

#[track_caller]
fn refused(result: Result<(), ()>) -> Outcome {
    holds("it is refused", result.is_err())
}

/// "A default `method` of `GET`, and `none` values for `path-with-query`, `scheme`, and `authority`."
fn defaults() -> Outcome {
    let request = request()?;
    holds("GET", matches!(request.method(), Method::Get))?;
    holds("no path", request.path_with_query().is_none())?;
    holds("no scheme", request.scheme().is_none())?;
    holds("no authority", request.authority().is_none())
}

fn every_method() -> Outcome {
    let request = request()?;
    for method in [
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
        Method::Get,
    ] {
        taken(request.set_method(&method))?;
        same(format!("{:?}", request.method()), format!("{method:?}"))?;
    }
    Ok(())
}

fn a_method_of_another_name() -> Outcome {
    let request = request()?;
    for name in ["PURGE", "purge", "M-SEARCH", "X!#$%&'*+-.^_`|~9"] {
        taken(request.set_method(&Method::Other(name.to_owned())))?;
        holds("it is that", matches!(request.method(), Method::Other(other) if other == name))?;
    }
    Ok(())
}

fn no_path() -> Outcome {
    let request = request()?;
    taken(request.set_path_with_query(Some("/path")))?;
    taken(request.set_path_with_query(None))?;
    holds("no path", request.path_with_query().is_none())
}

fn every_scheme() -> Outcome {
    let request = request()?;
    for scheme in [Scheme::Http, Scheme::Https, Scheme::Other("ftp".into()), Scheme::Other("a+b-c.d1".into())]
    {
        taken(request.set_scheme(Some(&scheme)))?;
        same(format!("{:?}", request.scheme()), format!("{:?}", Some(scheme)))?;
    }
    Ok(())
}

fn no_scheme() -> Outcome {
    let request = request()?;
    taken(request.set_scheme(Some(&Scheme::Http)))?;
    taken(request.set_scheme(None))?;
    holds("no scheme", request.scheme().is_none())
}

fn no_authority() -> Outcome {
    let request = request()?;
    taken(request.set_authority(Some("example.com")))?;
    taken(request.set_authority(None))?;
    holds("no authority", request.authority().is_none())
}

fn has_the_headers_it_was_made_of() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("name", "1"), ("name", "2")])?);
    same(request.headers().get("name"), [b"1", b"2"])
}

fn its_body_is_given_once() -> Outcome {
    let request = request()?;
    let body = request.body();
    holds("once", body.is_ok())?;
    holds("and never again", request.body().is_err())?;
    drop(body);
    holds("even when it is dropped", request.body().is_err())
}

fn is_dropped_unsent() -> Outcome {
    for _ in 0..10 {
        drop(request()?);
    }
    Ok(())
}

fn is_dropped_before_its_body() -> Outcome {
    let request = request()?;
    let Ok(body) = request.body() else { return holds("there is a body", false) };
    drop(request);
    drop(body);
    Ok(())
}

fn response() -> Outcome<OutgoingResponse> {
    Ok(OutgoingResponse::new(headers(&[])?))
}

fn is_200_by_default() -> Outcome {
    same(response()?.status_code(), 200)
}

fn status_codes() -> Outcome {
    let response = response()?;
    for status in [200, 204, 299, 301, 404, 418, 500, 599] {
        taken(response.set_status_code(status))?;
        same(response.status_code(), status)?;
    }
    Ok(())
}

/// RFC 9110, section 15: three digits, the first of which is the class.
fn invalid_status_codes() -> Outcome {
    let response = response()?;
    taken(response.set_status_code(201))?;
    for status in [0, 1, 99, 1000, u16::MAX] {
        refused(response.set_status_code(status))?;
        same(response.status_code(), 201)?;
    }
    Ok(())
}

fn response_has_the_headers_it_was_made_of() -> Outcome {
    let response = OutgoingResponse::new(headers(&[("name", "1"), ("name", "2")])?);
    same(response.headers().get("name"), [b"1", b"2"])
}

fn body_of_the_response_is_given_once() -> Outcome {
    let response = response()?;
    let body = response.body();
    holds("once", body.is_ok())?;
    holds("and never again", response.body().is_err())
}

fn have_no_timeouts() -> Outcome {
    let options = RequestOptions::new();
    same(options.connect_timeout(), None)?;
    same(options.first_byte_timeout(), None)?;
    same(options.between_bytes_timeout(), None)
}

fn connect_timeout() -> Outcome {
    let options = RequestOptions::new();
    taken(options.set_connect_timeout(Some(1_000_000)))?;
    same(options.connect_timeout(), Some(1_000_000))?;
    taken(options.set_connect_timeout(None))?;
    same(options.connect_timeout(), None)
}

fn first_byte_timeout() -> Outcome {
    let options = RequestOptions::new();
    taken(options.set_first_byte_timeout(Some(1_000_000)))?;
    same(options.first_byte_timeout(), Some(1_000_000))?;
    taken(options.set_first_byte_timeout(None))?;
    same(options.first_byte_timeout(), None)
}

fn between_bytes_timeout() -> Outcome {
    let options = RequestOptions::new();
    taken(options.set_between_bytes_timeout(Some(1_000_000)))?;
    same(options.between_bytes_timeout(), Some(1_000_000))?;
    taken(options.set_between_bytes_timeout(None))?;
    same(options.between_bytes_timeout(), None)
}

fn are_independent() -> Outcome {
    let options = RequestOptions::new();
    taken(options.set_connect_timeout(Some(1)))?;
    taken(options.set_first_byte_timeout(Some(2)))?;
    taken(options.set_between_bytes_timeout(Some(3)))?;
    same(options.connect_timeout(), Some(1))?;
    same(options.first_byte_timeout(), Some(2))?;
    same(options.between_bytes_timeout(), Some(3))
}

fn take_any_duration() -> Outcome {
    let options = RequestOptions::new();
    for duration in [0, 1, u64::MAX] {
        taken(options.set_connect_timeout(Some(duration)))?;
        taken(options.set_first_byte_timeout(Some(duration)))?;
        taken(options.set_between_bytes_timeout(Some(duration)))?;
        same(options.connect_timeout(), Some(duration))?;
    }
    Ok(())
}
