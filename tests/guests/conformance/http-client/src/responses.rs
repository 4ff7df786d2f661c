//! Responses as they arrive.

use crate::exchange::{
    Entries, body_of, get, is_header_error, pattern, read, read_text, read_with_trailers, request, send,
    stream_of, variable, wait, wait_for_trailers,
};
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{HeaderError, IncomingBody, Method};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::StreamError;
use conformance_suite::{Cases, Failure, Outcome, came_back, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    if variable("HTTP_AUTHORITY").is_none() {
        return cases;
    }
    for status in STATUSES {
        cases.add("incoming-response.status", &status.to_string(), move || {
            let response = get(&format!("/status/{status}"))?;
            same(response.status(), status)?;
            same(read(response)?.len(), 0)
        });
    }
    cases
        .with(
            "incoming-response",
            functions![
                its_headers,
                its_headers_are_immutable,
                a_clone_of_its_headers_is_mutable,
                headers_of_one_name,
                headers_of_the_connection_are_not_shown,
                its_body_is_given_once,
                a_redirect_is_not_followed,
                to_head_has_no_body,
                is_dropped_unread,
            ],
        )
        .with(
            "incoming-body",
            functions![
                of_nothing,
                of_a_known_length,
                of_an_unknown_length,
                a_large_one,
                in_small_pieces,
                its_stream_is_given_once,
                nothing_is_asked_for,
                the_end_is_told_again,
                skipping,
                waits_for_what_is_slow,
                outlives_its_response,
                is_dropped_half_read,
                is_dropped_while_it_is_sent,
                before_the_end_of_a_slow_one,
            ],
        )
        .with(
            "future-trailers",
            functions![
                some,
                none,
                of_a_body_that_is_not_read,
                of_a_body_half_read,
                of_a_large_body_that_is_not_read,
                are_given_once,
                are_immutable,
                are_not_there_before_the_end,
                are_dropped_before_the_end,
            ],
        )
        .with(
            "future-incoming-response",
            functions![
                is_not_there_at_once,
                is_given_once,
                its_pollable_stays_ready,
                is_dropped_before_it_is_there,
                is_dropped_when_it_is_there,
                the_response_outlives_it,
            ],
        )
        .with("traps", functions![finish_a_body_that_is_read, drop_a_body_that_is_read])
}

const STATUSES: [u16; 12] = [200, 201, 204, 206, 301, 304, 400, 404, 418, 500, 503, 599];

fn its_headers() -> Outcome {
    let response = get("/headers")?;
    let headers = response.headers();
    same(headers.get("x-one"), [b"1"])?;
    same(headers.get("X-ONE"), [b"1"])?;
    holds("it has it", headers.has("X-One") && !headers.has("x-other"))?;
    same(headers.get("x-empty"), [b""])?;
    same(headers.get("x-bytes"), [[0xff, 0xc3, 0xa4]])
}

fn its_headers_are_immutable() -> Outcome {
    let response = get("/headers")?;
    let headers = response.headers();
    is_header_error(headers.set("x-one", &[]), &HeaderError::Immutable)?;
    is_header_error(headers.append("x-one", b"2"), &HeaderError::Immutable)?;
    is_header_error(headers.delete("x-one"), &HeaderError::Immutable)?;
    same(headers.get("x-one"), [b"1"])
}

fn a_clone_of_its_headers_is_mutable() -> Outcome {
    let response = get("/headers")?;
    let clone = response.headers().clone();
    crate::exchange::header_error(clone.append("x-one", b"2"))?;
    same(clone.get("x-one"), [b"1", b"2"])?;
    same(response.headers().get("x-one"), [b"1"])
}

fn headers_of_one_name() -> Outcome {
    same(get("/headers")?.headers().get("set-cookie"), [b"b=1", b"a=2"])
}

fn headers_of_the_connection_are_not_shown() -> Outcome {
    let response = get("/headers")?;
    let headers = response.headers();
    for name in ["connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-authenticate"] {
        holds(&format!("{name} is not shown"), !headers.has(name))?;
    }
    Ok(())
}

fn its_body_is_given_once() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    holds("not twice", response.consume().is_err())?;
    drop(body);
    holds("nor when it is dropped", response.consume().is_err())
}

fn a_redirect_is_not_followed() -> Outcome {
    let response = get("/redirect")?;
    same(response.status(), 302)?;
    same(response.headers().get("location"), [b"/request"])
}

fn to_head_has_no_body() -> Outcome {
    let response = send(request(Method::Head, "/bytes/1000?length", &[])?)??;
    same(response.status(), 200)?;
    same(response.headers().get("content-length"), [b"1000"])?;
    same(read(response)?.len(), 0)
}

fn is_dropped_unread() -> Outcome {
    for _ in 0..5 {
        drop(get("/bytes/1000000")?);
    }
    same(get("/status/204")?.status(), 204)
}

fn of_nothing() -> Outcome {
    same(read(get("/bytes/0")?)?.len(), 0)
}

fn of_a_known_length() -> Outcome {
    let response = get("/bytes/1000?length")?;
    same(response.headers().get("content-length"), [b"1000"])?;
    same(read(response)?, pattern(1_000))
}

fn of_an_unknown_length() -> Outcome {
    same(read(get("/bytes/1000")?)?, pattern(1_000))
}

fn a_large_one() -> Outcome {
    holds("it is what was sent", read(get("/bytes/4194304")?)? == pattern(4 << 20))
}

fn in_small_pieces() -> Outcome {
    let response = get("/bytes/100")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    let mut bytes = Vec::new();
    while bytes.len() < 100 {
        let piece = stream.blocking_read(7)?;
        holds("at most as asked for", piece.len() <= 7)?;
        bytes.extend(piece);
    }
    same(bytes, pattern(100))
}

fn its_stream_is_given_once() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    holds("not twice", body.stream().is_err())?;
    drop(stream);
    holds("nor when it is dropped", body.stream().is_err())
}

fn nothing_is_asked_for() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    same(stream.read(0)?.len(), 0)?;
    holds("it is all there", !stream.blocking_read(10)?.is_empty())
}

fn the_end_is_told_again() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    while stream.blocking_read(100).is_ok() {}
    for _ in 0..3 {
        holds("closed", matches!(stream.blocking_read(1), Err(StreamError::Closed)))?;
        holds("closed", matches!(stream.read(1), Err(StreamError::Closed)))?;
    }
    holds("its pollable is ready", stream.subscribe().ready())
}

fn skipping() -> Outcome {
    let response = get("/bytes/100")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    let mut skipped = 0;
    while skipped < 50 {
        skipped += stream.blocking_skip(50 - skipped)?;
    }
    let mut bytes = Vec::new();
    while bytes.len() < 50 {
        bytes.extend(stream.blocking_read(100)?);
    }
    same(&bytes[..], &pattern(100)[50..])
}

fn waits_for_what_is_slow() -> Outcome {
    let response = get("/slow-body/3000")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    same(stream.blocking_read(100)?, b"a")?;
    same(stream.read(100)?.len(), 0)?;
    let pollable = stream.subscribe();
    same(poll(&[&pollable, &subscribe_duration(20_000_000)]), [1])?;
    pollable.block();
    same(stream.read(100)?, b"b")
}

fn outlives_its_response() -> Outcome {
    let response = get("/bytes/100000")?;
    let body = body_of(&response)?;
    drop(response);
    let stream = stream_of(&body)?;
    let mut count = 0;
    while let Ok(bytes) = stream.blocking_read(64 << 10) {
        count += bytes.len();
    }
    same(count, 100_000)
}

fn is_dropped_half_read() -> Outcome {
    for _ in 0..5 {
        let response = get("/bytes/1000000")?;
        let body = body_of(&response)?;
        let stream = stream_of(&body)?;
        stream.blocking_read(10)?;
    }
    same(get("/status/204")?.status(), 204)
}

fn is_dropped_while_it_is_sent() -> Outcome {
    let response = get("/slow-body/60000")?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    same(stream.blocking_read(100)?, b"a")
}

fn before_the_end_of_a_slow_one() -> Outcome {
    let slow = get("/slow-body/60000")?;
    same(read(get("/bytes/10")?)?, pattern(10))?;
    same(slow.status(), 200)
}

fn some() -> Outcome {
    let (bytes, trailers) = read_with_trailers(with_trailers()?)?;
    same(bytes, b"body")?;
    same(trailers, Some(expected_trailers()))
}

/// RFC 9110, section 6.5.1: only who says so gets them.
fn with_trailers() -> Outcome<crate::wasi::http::types::IncomingResponse> {
    Ok(send(request(Method::Get, "/trailers", &[("te", "trailers")])?)??)
}

fn expected_trailers() -> Entries {
    vec![("x-sum".to_owned(), b"42".to_vec())]
}

fn none() -> Outcome {
    same(read_with_trailers(get("/bytes/10")?)?, (pattern(10), None))
}

fn of_a_body_that_is_not_read() -> Outcome {
    let response = with_trailers()?;
    let future = IncomingBody::finish(body_of(&response)?);
    let trailers = wait_for_trailers(&future)??.ok_or_else(|| Failure::new("there are none"))?;
    same(trailers.entries(), expected_trailers())
}

fn of_a_body_half_read() -> Outcome {
    let response = with_trailers()?;
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    stream.blocking_read(1)?;
    drop(stream);
    let future = IncomingBody::finish(body);
    let trailers = wait_for_trailers(&future)??.ok_or_else(|| Failure::new("there are none"))?;
    same(trailers.entries(), expected_trailers())
}

fn of_a_large_body_that_is_not_read() -> Outcome {
    let response = get("/bytes/4194304")?;
    let future = IncomingBody::finish(body_of(&response)?);
    holds("there are none", wait_for_trailers(&future)??.is_none())
}

fn are_given_once() -> Outcome {
    let response = with_trailers()?;
    let future = IncomingBody::finish(body_of(&response)?);
    drop(wait_for_trailers(&future)??);
    for _ in 0..2 {
        holds("they were taken", matches!(future.get(), Some(Err(()))))?;
    }
    future.subscribe().block();
    Ok(())
}

fn are_immutable() -> Outcome {
    let response = with_trailers()?;
    let future = IncomingBody::finish(body_of(&response)?);
    let trailers = wait_for_trailers(&future)??.ok_or_else(|| Failure::new("there are none"))?;
    is_header_error(trailers.append("x-sum", b"2"), &HeaderError::Immutable)?;
    is_header_error(trailers.set("x-sum", &[]), &HeaderError::Immutable)?;
    is_header_error(trailers.delete("x-sum"), &HeaderError::Immutable)
}

fn are_not_there_before_the_end() -> Outcome {
    let response = get("/slow-body/3000")?;
    let future = IncomingBody::finish(body_of(&response)?);
    holds("they are not there", future.get().is_none())?;
    same(poll(&[&future.subscribe(), &subscribe_duration(20_000_000)]), [1])?;
    holds("there are none", wait_for_trailers(&future)??.is_none())
}

fn are_dropped_before_the_end() -> Outcome {
    let response = get("/slow-body/60000")?;
    drop(IncomingBody::finish(body_of(&response)?));
    Ok(())
}

fn is_not_there_at_once() -> Outcome {
    let future = handle(request(Method::Get, "/slow-head/3000", &[])?, None)?;
    holds("it is not there", future.get().is_none())?;
    same(poll(&[&future.subscribe(), &subscribe_duration(20_000_000)]), [1])?;
    holds("nor now", future.get().is_none())?;
    same(wait(&future)??.status(), 200)
}

fn is_given_once() -> Outcome {
    let future = handle(request(Method::Get, "/status/204", &[])?, None)?;
    let _response = wait(&future)??;
    for _ in 0..3 {
        holds("it was taken", matches!(future.get(), Some(Err(()))))?;
    }
    Ok(())
}

fn its_pollable_stays_ready() -> Outcome {
    let future = handle(request(Method::Get, "/status/204", &[])?, None)?;
    let pollable = future.subscribe();
    pollable.block();
    holds("it is ready", pollable.ready())?;
    let _response = future.get();
    holds("and still is", pollable.ready())
}

fn is_dropped_before_it_is_there() -> Outcome {
    for _ in 0..5 {
        drop(handle(request(Method::Get, "/never", &[])?, None)?);
    }
    same(get("/status/204")?.status(), 204)
}

fn is_dropped_when_it_is_there() -> Outcome {
    let future = handle(request(Method::Get, "/bytes/100000", &[])?, None)?;
    future.subscribe().block();
    drop(future);
    same(get("/status/204")?.status(), 204)
}

fn the_response_outlives_it() -> Outcome {
    let future = handle(request(Method::Get, "/bytes/100000", &[])?, None)?;
    let response = wait(&future)??;
    drop(future);
    same(read_text(response)?.is_empty(), false)
}

/// "This function will trap if the `input-stream` child is still alive."
fn finish_a_body_that_is_read() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    let _stream = stream_of(&body)?;
    let _future = IncomingBody::finish(body);
    came_back()
}

fn drop_a_body_that_is_read() -> Outcome {
    let response = get("/bytes/10")?;
    let body = body_of(&response)?;
    let _stream = stream_of(&body)?;
    drop(body);
    came_back()
}
