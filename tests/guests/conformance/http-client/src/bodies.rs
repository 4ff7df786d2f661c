//! Outgoing bodies that nobody reads.

use crate::exchange::{finish, headers};
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::http::types::{ErrorCode, Fields, OutgoingBody, OutgoingRequest, OutgoingResponse};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::OutputStream;
use conformance_suite::{Cases, Failure, Outcome, came_back, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases
        .with(
            "outgoing-body",
            functions![
                its_stream_is_given_once,
                permits_something,
                takes_no_more_than_is_read,
                is_finished_without_a_stream,
                is_finished_with_trailers,
                is_finished_with_empty_trailers,
                is_dropped_unfinished,
                an_empty_write,
            ],
        )
        .with(
            "content-length",
            functions![
                just_right,
                of_zero,
                of_zero_without_a_stream,
                too_few_of_a_request,
                too_few_of_a_response,
                none_at_all,
                too_many_of_a_request,
                too_many_of_a_response,
                that_is_no_number,
                that_is_negative,
                that_is_too_large,
            ],
        )
        .with("traps", functions![finish_a_body_that_is_written, drop_a_body_that_is_written])
}

/// A message that nobody reads, its body and its stream.
struct Written {
    stream: OutputStream,
    body: OutgoingBody,
    _message: Message,
}

enum Message {
    Request { _request: OutgoingRequest },
    Response { _response: OutgoingResponse },
}

fn request(fields: &[(&str, &str)]) -> Outcome<Written> {
    let request = OutgoingRequest::new(headers(fields)?);
    let body = request.body().map_err(|()| Failure::new("there is no body"))?;
    written(body, Message::Request { _request: request })
}

fn response(fields: &[(&str, &str)]) -> Outcome<Written> {
    let response = OutgoingResponse::new(headers(fields)?);
    let body = response.body().map_err(|()| Failure::new("there is no body"))?;
    written(body, Message::Response { _response: response })
}

fn written(body: OutgoingBody, message: Message) -> Outcome<Written> {
    let stream = body.write().map_err(|()| Failure::new("there is no stream"))?;
    Ok(Written { stream, body, _message: message })
}

impl Written {
    /// Writes these and finishes. The error may come of either.
    fn of(self, bytes: &[u8]) -> Outcome<Result<(), ErrorCode>> {
        let Self { stream, body, _message } = self;
        stream.check_write()?;
        let _refused = stream.write(bytes);
        drop(stream);
        Ok(finish(body, None))
    }
}

fn its_stream_is_given_once() -> Outcome {
    let Written { stream, body, _message } = request(&[])?;
    holds("not twice", body.write().is_err())?;
    drop(stream);
    holds("nor when it is dropped", body.write().is_err())
}

fn permits_something() -> Outcome {
    let written = request(&[])?;
    holds("it permits something", written.stream.check_write()? > 0)?;
    holds("its pollable is ready", written.stream.subscribe().ready())
}

fn takes_no_more_than_is_read() -> Outcome {
    let written = request(&[])?;
    for _ in 0..100_000 {
        let permit = written.stream.check_write()?;
        if permit == 0 {
            let ready = poll(&[&written.stream.subscribe(), &subscribe_duration(20_000_000)]);
            return same(ready, [1]);
        }
        written.stream.write(&vec![7; permit.min(64 << 10) as usize])?;
    }
    holds("it is full at some time", false)
}

fn is_finished_without_a_stream() -> Outcome {
    let request = OutgoingRequest::new(headers(&[])?);
    let Ok(body) = request.body() else { return holds("there is a body", false) };
    Ok(finish(body, None)?)
}

fn is_finished_with_trailers() -> Outcome {
    let Written { stream, body, _message } = request(&[])?;
    drop(stream);
    Ok(finish(body, Some(headers(&[("x-sum", "1")])?))?)
}

fn is_finished_with_empty_trailers() -> Outcome {
    let Written { stream, body, _message } = request(&[])?;
    drop(stream);
    Ok(finish(body, Some(Fields::new()))?)
}

fn is_dropped_unfinished() -> Outcome {
    for _ in 0..10 {
        drop(request(&[])?);
        drop(response(&[])?);
    }
    Ok(())
}

fn an_empty_write() -> Outcome {
    let written = request(&[("content-length", "0")])?;
    same(format!("{:?}", written.of(b"")?), "Ok(())")
}

fn just_right() -> Outcome {
    same(format!("{:?}", request(&[("content-length", "5")])?.of(b"right")?), "Ok(())")?;
    same(format!("{:?}", response(&[("content-length", "5")])?.of(b"right")?), "Ok(())")
}

fn of_zero() -> Outcome {
    let Written { stream, body, _message } = request(&[("content-length", "0")])?;
    drop(stream);
    Ok(finish(body, None)?)
}

fn of_zero_without_a_stream() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("content-length", "0")])?);
    let Ok(body) = request.body() else { return holds("there is a body", false) };
    Ok(finish(body, None)?)
}

fn too_few_of_a_request() -> Outcome {
    let result = request(&[("content-length", "5")])?.of(b"few")?;
    holds("the size is wrong", matches!(result, Err(ErrorCode::HttpRequestBodySize(Some(3)))))
}

fn too_few_of_a_response() -> Outcome {
    let result = response(&[("content-length", "5")])?.of(b"few")?;
    holds("the size is wrong", matches!(result, Err(ErrorCode::HttpResponseBodySize(Some(3)))))
}

fn none_at_all() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("content-length", "5")])?);
    let Ok(body) = request.body() else { return holds("there is a body", false) };
    let result = finish(body, None);
    holds("the size is wrong", matches!(result, Err(ErrorCode::HttpRequestBodySize(Some(0)))))
}

fn too_many_of_a_request() -> Outcome {
    let result = request(&[("content-length", "5")])?.of(b"too many")?;
    holds("the size is wrong", matches!(result, Err(ErrorCode::HttpRequestBodySize(_))))
}

fn too_many_of_a_response() -> Outcome {
    let result = response(&[("content-length", "5")])?.of(b"too many")?;
    holds("the size is wrong", matches!(result, Err(ErrorCode::HttpResponseBodySize(_))))
}

/// It is refused as a value, or there is no body to it.
fn is_no_length(text: &str) -> Outcome {
    let Ok(fields) = Fields::from_list(&[("content-length".to_owned(), text.as_bytes().to_vec())]) else {
        return Ok(());
    };
    holds("there is no body", OutgoingRequest::new(fields).body().is_err())
}

fn that_is_no_number() -> Outcome {
    is_no_length("five")
}

fn that_is_negative() -> Outcome {
    is_no_length("-1")
}

fn that_is_too_large() -> Outcome {
    is_no_length("18446744073709551616")
}

/// "Otherwise the `outgoing-body` drop or `finish` will trap."
fn finish_a_body_that_is_written() -> Outcome {
    let Written { stream: _stream, body, _message } = request(&[])?;
    let _finished = finish(body, None);
    came_back()
}

fn drop_a_body_that_is_written() -> Outcome {
    let Written { stream: _stream, body, _message } = request(&[])?;
    drop(body);
    came_back()
}
