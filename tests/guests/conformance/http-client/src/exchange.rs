//! Requests to the server of whoever runs the suite, and their responses.

use crate::wasi::cli::environment::get_environment;
use crate::wasi::http::outgoing_handler;
use crate::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, FutureTrailers, HeaderError, IncomingBody, IncomingResponse,
    Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme, Trailers, http_error_code,
};
use crate::wasi::io::streams::{InputStream, StreamError};
use conformance_suite::{Failure, Outcome, holds};
use std::fmt::Debug;

/// What the environment says of the servers.
pub(crate) fn variable(name: &str) -> Option<String> {
    get_environment().into_iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

pub(crate) fn is_https() -> bool {
    variable("HTTP_SCHEME").as_deref() == Some("https")
}

#[track_caller]
pub(crate) fn header_error<T>(result: Result<T, HeaderError>) -> Outcome<T> {
    result.map_err(|error| Failure::new(format!("unexpected {error:?}")))
}

#[track_caller]
pub(crate) fn is_header_error(result: Result<(), HeaderError>, expected: &HeaderError) -> Outcome {
    match result {
        Err(error) if format!("{error:?}") == format!("{expected:?}") => Ok(()),
        other => Err(Failure::new(format!("{other:?} instead of {expected:?}"))),
    }
}

#[track_caller]
pub(crate) fn headers(list: &[(&str, &str)]) -> Outcome<Fields> {
    let list: Vec<_> =
        list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    header_error(Fields::from_list(&list))
}

/// A request to a path of the server.
pub(crate) fn request(method: Method, path: &str, fields: &[(&str, &str)]) -> Outcome<OutgoingRequest> {
    request_to(&variable("HTTP_AUTHORITY").unwrap_or_default(), method, path, fields)
}

/// A request to a path of another server.
pub(crate) fn request_to(
    authority: &str,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> Outcome<OutgoingRequest> {
    let request = OutgoingRequest::new(headers(fields)?);
    let scheme = if is_https() { Scheme::Https } else { Scheme::Http };
    set(request.set_method(&method))?;
    set(request.set_scheme(Some(&scheme)))?;
    set(request.set_authority(Some(authority)))?;
    set(request.set_path_with_query(Some(path)))?;
    Ok(request)
}

#[track_caller]
pub(crate) fn set(result: Result<(), ()>) -> Outcome {
    holds("it is taken", result.is_ok())
}

/// Sends it and waits for the head of its response.
pub(crate) fn send(request: OutgoingRequest) -> Outcome<Result<IncomingResponse, ErrorCode>> {
    match outgoing_handler::handle(request, None) {
        Ok(future) => wait(&future),
        Err(error) => Ok(Err(error)),
    }
}

pub(crate) fn send_with(
    request: OutgoingRequest,
    options: RequestOptions,
) -> Outcome<Result<IncomingResponse, ErrorCode>> {
    match outgoing_handler::handle(request, Some(options)) {
        Ok(future) => wait(&future),
        Err(error) => Ok(Err(error)),
    }
}

pub(crate) fn wait(future: &FutureIncomingResponse) -> Outcome<Result<IncomingResponse, ErrorCode>> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(result)) => Ok(result),
        Some(Err(())) => Err(Failure::new("the response was taken before")),
        None => Err(Failure::new("its pollable was ready and it is not")),
    }
}

/// The response to GET.
pub(crate) fn get(path: &str) -> Outcome<IncomingResponse> {
    Ok(send(request(Method::Get, path, &[])?)??)
}

/// The response to a request with a body of these bytes.
pub(crate) fn post(path: &str, fields: &[(&str, &str)], bytes: &[u8]) -> Outcome<IncomingResponse> {
    let request = request(Method::Post, path, fields)?;
    let body = body_of_request(&request)?;
    let future = outgoing_handler::handle(request, None)?;
    write_body(body, bytes)?;
    Ok(wait(&future)??)
}

pub(crate) fn body_of_request(request: &OutgoingRequest) -> Outcome<OutgoingBody> {
    request.body().map_err(|()| Failure::new("there is no body"))
}

/// Writes all of a body and finishes it.
pub(crate) fn write_body(body: OutgoingBody, mut bytes: &[u8]) -> Outcome {
    let stream = body.write().map_err(|()| Failure::new("there is no stream"))?;
    while !bytes.is_empty() {
        let permit = stream.check_write()?;
        if permit == 0 {
            stream.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(bytes.len().min(permit as usize));
        stream.write(now)?;
        bytes = later;
    }
    drop(stream);
    Ok(finish(body, None)?)
}

pub(crate) fn finish(body: OutgoingBody, trailers: Option<Trailers>) -> Result<(), ErrorCode> {
    OutgoingBody::finish(body, trailers)
}

pub(crate) fn body_of(response: &IncomingResponse) -> Outcome<IncomingBody> {
    response.consume().map_err(|()| Failure::new("there is no body"))
}

pub(crate) fn stream_of(body: &IncomingBody) -> Outcome<InputStream> {
    body.stream().map_err(|()| Failure::new("there is no stream"))
}

/// All of a body.
pub(crate) fn read(response: IncomingResponse) -> Outcome<Vec<u8>> {
    Ok(read_with_trailers(response)?.0)
}

pub(crate) fn read_text(response: IncomingResponse) -> Outcome<String> {
    Ok(String::from_utf8_lossy(&read(response)?).into_owned())
}

/// A list of names and values.
pub(crate) type Entries = Vec<(String, Vec<u8>)>;

/// All of a body, and what follows.
pub(crate) fn read_with_trailers(response: IncomingResponse) -> Outcome<(Vec<u8>, Option<Entries>)> {
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(described(error)),
        }
    }
    drop(stream);
    let future = IncomingBody::finish(body);
    let trailers = wait_for_trailers(&future)??;
    Ok((bytes, trailers.map(|trailers| trailers.entries())))
}

pub(crate) fn wait_for_trailers(future: &FutureTrailers) -> Outcome<Result<Option<Trailers>, ErrorCode>> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(result)) => Ok(result),
        Some(Err(())) => Err(Failure::new("the trailers were taken before")),
        None => Err(Failure::new("its pollable was ready and they are not")),
    }
}

/// How far a body of a response comes, and the code of the error that it ends in, where it has one.
pub(crate) fn error_of_body(response: IncomingResponse) -> Outcome<(Vec<u8>, Option<ErrorCode>)> {
    let body = body_of(&response)?;
    let stream = stream_of(&body)?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::LastOperationFailed(error)) => return Ok((bytes, http_error_code(&error))),
            Err(StreamError::Closed) => {
                return Err(Failure::new(format!(
                    "after {} bytes it ended as if it were whole",
                    bytes.len()
                )));
            }
        }
    }
}

/// A stream's error with what is in it.
fn described(error: StreamError) -> Failure {
    match error {
        StreamError::Closed => Failure::new("closed"),
        StreamError::LastOperationFailed(error) => {
            Failure::new(format!("{:?}: {}", http_error_code(&error), error.to_debug_string()))
        }
    }
}

/// Passes where a request failed with a code that `accepts`.
#[track_caller]
pub(crate) fn failed<T: Debug>(
    result: Result<T, ErrorCode>,
    accepts: impl FnOnce(&ErrorCode) -> bool,
) -> Outcome {
    match result {
        Err(error) if accepts(&error) => Ok(()),
        other => Err(Failure::new(format!("{other:?}"))),
    }
}

/// Bytes by which a piece that is lost or twice there is noticed. The server knows them too.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|position| (position % 251) as u8).collect()
}
