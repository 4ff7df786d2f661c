//! Servers that are not there, or do not do what a server should.

use crate::exchange::{
    error_of_body, failed, get, is_https, read, read_text, request, request_to, send, variable,
};
use crate::wasi::http::types::{ErrorCode, Method};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    if variable("HTTP_AUTHORITY").is_some() {
        cases = cases
            .with(
                "broken-response",
                functions![that_is_truncated, that_never_comes, that_is_followed_by_a_good_one],
            )
            .with("http-error-code", functions![code_of_a_truncated_body]);
    }
    if variable("HTTP_RAW").is_some() {
        cases = cases.with("unusual-response", functions![of_more_than_its_length]);
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
const NO_HTTP: [&str; 7] = [
    "garbage",
    "nothing",
    "half-a-head",
    "no-status",
    "length-no-number",
    "two-lengths",
    "header-without-a-name",
];
/// What the raw server answers, which is no whole body.
const BROKEN_BODIES: [&str; 4] =
    ["chunk-no-number", "chunks-without-end", "length-too-long", "chunk-cut-off"];
/// What the raw server answers, which is fine, and the body.
const UNUSUAL: [(&str, &str); 6] = [
    ("until-the-end", "until the end"),
    ("early-hints", "after the hints"),
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
        holds("no more than was sent", error_of_body(get(path)?)?.0.len() <= 10)?;
    }
    Ok(())
}

fn code_of_a_truncated_body() -> Outcome {
    let (_, code) = error_of_body(get("/truncated?length")?)?;
    holds("it is incomplete", code.is_some_and(|code| is_end_of_connection(&code)))
}

/// RFC 9112, section 6.3: what follows is no part of it, and maybe a reason to trust none of it.
fn of_more_than_its_length() -> Outcome {
    match send(request_to(&of("HTTP_RAW"), Method::Get, "/more-than-the-length", &[])?)? {
        Ok(response) => holds("there is no more", read(response).map_or(true, |bytes| bytes == b"exact")),
        Err(_) => Ok(()),
    }
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

fn that_is_followed_by_a_good_one() -> Outcome {
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
        matches!(
            error,
            ErrorCode::TlsProtocolError | ErrorCode::ConnectionTerminated | ErrorCode::HttpProtocolError
        )
    })
}
