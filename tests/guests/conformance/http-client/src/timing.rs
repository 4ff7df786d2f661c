//! Timeouts.

use crate::exchange::{error_of_body, failed, read, request, send_with, set, variable};
use crate::wasi::clocks::monotonic_clock::now;
use crate::wasi::http::types::{ErrorCode, Method, RequestOptions};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    if variable("HTTP_AUTHORITY").is_none() {
        return cases;
    }
    cases
        .with(
            "timeouts",
            functions![
                for_the_first_byte,
                for_the_first_byte_that_comes_in_time,
                between_bytes,
                between_bytes_that_come_in_time,
                for_the_first_byte_is_none_for_the_rest,
                that_are_long,
            ],
        )
        .with("http-error-code", functions![code_of_a_timeout_between_bytes])
}

fn options(first_byte: u64, between_bytes: u64) -> Outcome<RequestOptions> {
    let options = RequestOptions::new();
    set(options.set_connect_timeout(Some(20 * SECOND)))?;
    set(options.set_first_byte_timeout(Some(first_byte)))?;
    set(options.set_between_bytes_timeout(Some(between_bytes)))?;
    Ok(options)
}

fn is_timeout(error: &ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionTimeout
    )
}

fn for_the_first_byte() -> Outcome {
    let start = now();
    let result = send_with(request(Method::Get, "/slow-head/100000", &[])?, options(SECOND / 5, SECOND)?)?;
    failed(result, is_timeout)?;
    holds("it took its time", now() - start >= SECOND / 5)?;
    holds("and no more", now() - start < 50 * SECOND)
}

fn for_the_first_byte_that_comes_in_time() -> Outcome {
    let response =
        send_with(request(Method::Get, "/slow-head/100", &[])?, options(20 * SECOND, 20 * SECOND)?)??;
    same(response.status(), 200)
}

fn between_bytes() -> Outcome {
    let start = now();
    let response =
        send_with(request(Method::Get, "/slow-body/100000", &[])?, options(20 * SECOND, 3 * SECOND)?)??;
    same(error_of_body(response)?.0, b"a")?;
    holds("it took no more than it had to", now() - start < 50 * SECOND)
}

fn code_of_a_timeout_between_bytes() -> Outcome {
    let response =
        send_with(request(Method::Get, "/slow-body/100000", &[])?, options(20 * SECOND, 3 * SECOND)?)??;
    let (_, code) = error_of_body(response)?;
    holds("it is a timeout", code.is_some_and(|code| is_timeout(&code)))
}

fn between_bytes_that_come_in_time() -> Outcome {
    let response =
        send_with(request(Method::Get, "/slow-body/100", &[])?, options(20 * SECOND, 20 * SECOND)?)??;
    same(read(response)?, b"ab")
}

fn for_the_first_byte_is_none_for_the_rest() -> Outcome {
    let response =
        send_with(request(Method::Get, "/slow-body/5000", &[])?, options(4 * SECOND, 20 * SECOND)?)??;
    same(read(response)?, b"ab")
}

fn that_are_long() -> Outcome {
    let year = 365 * 24 * 3_600 * SECOND;
    let response = send_with(request(Method::Get, "/status/204", &[])?, options(year, year)?)??;
    same(response.status(), 204)
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;
