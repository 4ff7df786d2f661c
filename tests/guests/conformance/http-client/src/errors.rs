//! Servers that are not there, or do not do what a server should.

use crate::exchange::{
    error_of_body, failed, get, is_https, read, read_text, request, request_to, send, variable,
};
use crate::wasi::http::types::{ErrorCode, Method};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    if variable("HTTP_AUTHORITY").is_some() {
        cases = cases.with("broken-response", functions![that_is_truncated, that_never_comes, that_is_too_early]);
    }
    if variable("HTTP_RAW").is_some() {
        for path in NO_HTTP {
            cases.add("no-http", path, move || {
                let result = send(request_to(&of("HTTP_RAW"), Method::Get, &format!("/{path}"), &[])?)?;
                failed(result, |_| true)
            });
        }
        for path in BROKEN_BODIES {
            cases.add("broken-body", path, move || {
                let response = send(request_to(&of("HTTP_RAW"), Method::Get, &format!("/{path}"), &[])?)??;
                error_of_body(response).map(drop)
            });
        }
        for (path, expected) in UNUSUAL {
            cases.add("unusual-response", path, move || {
                let response = send(request_to(&of("HTTP_RAW"), Method::Get, &format!("/{path}"), &[])?)??;
                same(response.status(), 200)?;
                same(read_text(response)?, expected)
            });
        }
    }
    for (variable_name, name, run) in SERVERS {
        if variable(variable_name).is_some() {
            cases.add("server", name, run);
        }
    }
    cases
}

/// What the raw server answers, which is no HTTP.
const NO_HTTP: [&str; 7] =
    ["garbage", "nothing", "half-a-head", "no-status", "length-no-number", "two-lengths", "header-without-a-name"];
/// What the raw server answers, which is no whole body.
const BROKEN_BODIES: [&str; 4] = ["chunk-no-number", "chunks-without-end", "length-too-long", "chunk-cut-off"];
/// What the raw server answers, which is fine, and the body.
const UNUSUAL: [(&str, &str); 7] = [
    ("until-the-end", "until the end"),
    ("early-hints", "after the hints"),
    ("more-than-the-length", "exact"),
    ("chunk-extensions", "chunked"),
    ("no-reason", "reasonless"),
    ("byte-by-byte", "slowly"),
    ("bare-line-feeds", "lenient"),
];

type Server = (&'static str, &'static str, fn() -> Outcome);

const SERVERS: [Server; 6] = [
    ("HTTP_REFUSED", "that-nobody-is", nobody_is),
    ("HTTP_UNKNOWN", "of-a-name-that-nobody-has", nobody_has_the_name),
    ("HTTP_DENIED", "that-is-not-allowed", is_not_allowed),
    ("HTTP_UNTRUSTED", "of-an-unknown-authority", is_not_trusted),
    ("HTTP_MISNAMED", "of-another-name", has_another_name),
    ("HTTP_PLAIN", "that-speaks-no-tls", speaks_no_tls),
];

fn of(name: &str) -> String {
    variable(name).unwrap_or_default()
}

fn to(name: &str) -> Outcome<Result<crate::wasi::http::types::IncomingResponse, ErrorCode>> {
    send(request_to(&of(name), Method::Get, "/request", &[])?)
}

fn that_is_truncated() -> Outcome {
    for path in ["/truncated", "/truncated?length"] {
        let (bytes, error) = error_of_body(get(path)?)?;
        holds("no more than was sent", bytes.len() <= 10)?;
        holds("it is incomplete", is_end_of_connection(&error))?;
    }
    Ok(())
}

fn is_end_of_connection(error: &ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::HttpResponseIncomplete
            | ErrorCode::ConnectionTerminated
            | ErrorCode::HttpProtocolError
            | ErrorCode::InternalError(_)
    )
}

fn that_never_comes() -> Outcome {
    failed(send(request(Method::Get, "/closes", &[])?)?, is_end_of_connection)
}

/// The next one is not disturbed.
fn that_is_too_early() -> Outcome {
    let _ended = send(request(Method::Get, "/closes", &[])?)?;
    same(read(get("/bytes/3")?)?.len(), 3)
}

fn nobody_is() -> Outcome {
    failed(to("HTTP_REFUSED")?, |error| matches!(error, ErrorCode::ConnectionRefused))
}

fn nobody_has_the_name() -> Outcome {
    failed(to("HTTP_UNKNOWN")?, |error| {
        matches!(error, ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound)
    })
}

fn is_not_allowed() -> Outcome {
    failed(to("HTTP_DENIED")?, |error| matches!(error, ErrorCode::HttpRequestDenied))
}

fn is_not_trusted() -> Outcome {
    failed(to("HTTP_UNTRUSTED")?, |error| matches!(error, ErrorCode::TlsCertificateError))
}

fn has_another_name() -> Outcome {
    failed(to("HTTP_MISNAMED")?, |error| matches!(error, ErrorCode::TlsCertificateError))
}

fn speaks_no_tls() -> Outcome {
    holds("the others do", is_https())?;
    failed(to("HTTP_PLAIN")?, |error| {
        matches!(error, ErrorCode::TlsProtocolError | ErrorCode::ConnectionTerminated | ErrorCode::HttpProtocolError)
    })
}
