//! Responses of all kinds.

use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, Trailers,
};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::{OutputStream, StreamError};

/// What came, as it comes, with its content type and its trailers.
pub(crate) fn echo(request: IncomingRequest, outparam: ResponseOutparam) {
    let fields = Fields::new();
    for name in ["content-type", "content-length", "trailer"] {
        fields.set(name, &request.headers().get(name)).expect("they came so");
    }
    let (outgoing, output) = begin(outparam, 200, fields);
    let incoming = request.consume().expect("it is the first time");
    let input = incoming.stream().expect("it is the first time");
    loop {
        match output.blocking_splice(&input, 64 << 10) {
            Ok(_) => {}
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    drop((output, input));
    let future = IncomingBody::finish(incoming);
    future.subscribe().block();
    let Some(Ok(Ok(trailers))) = future.get() else { return };
    let trailers = trailers.map(|trailers| trailers.clone());
    OutgoingBody::finish(outgoing, trailers).expect("it is as long as what came");
}

pub(crate) fn status(outparam: ResponseOutparam, status: usize) {
    let response = OutgoingResponse::new(Fields::new());
    response.set_status_code(u16::try_from(status).expect("it is a status")).expect("it is one");
    let body = response.body().expect("it is the first time");
    ResponseOutparam::set(outparam, Ok(response));
    OutgoingBody::finish(body, None).expect("it is empty");
}

/// So many bytes.
pub(crate) fn bytes(outparam: ResponseOutparam, count: usize) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    if write_pattern(&stream, count) {
        finish(body, stream, None);
    }
}

/// So many bytes, as `content-length` says.
pub(crate) fn length(outparam: ResponseOutparam, count: usize) {
    let (body, stream) = begin(outparam, 200, list(&[("content-length", &count.to_string())]));
    if write_pattern(&stream, count) {
        finish(body, stream, None);
    }
}

pub(crate) fn headers(outparam: ResponseOutparam) {
    let fields = list(&[("X-One", "1"), ("set-cookie", "b=1"), ("set-cookie", "a=2"), ("x-empty", "")]);
    fields.append("x-bytes", &[0xff, 0xc3, 0xa4]).expect("it is a value");
    let (body, stream) = begin(outparam, 200, fields);
    finish(body, stream, None);
}

/// So many fields of a hundred bytes.
pub(crate) fn many_headers(outparam: ResponseOutparam, count: usize) {
    let fields = Fields::new();
    for number in 0..count {
        fields.append(&format!("x-{number}"), &[b'v'; 100]).expect("it is a value");
    }
    let (body, stream) = begin(outparam, 200, fields);
    finish(body, stream, None);
}

pub(crate) fn trailers(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, list(&[("trailer", "x-sum")]));
    stream.blocking_write_and_flush(b"body").expect("the client takes it");
    finish(body, stream, Some(list(&[("x-sum", "42")])));
}

/// A line now, and after each of so many pauses of a fifth of a second.
pub(crate) fn stream(outparam: ResponseOutparam, pauses: usize) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    for line in 0..=pauses {
        if line > 0 {
            subscribe_duration(FIFTH).block();
        }
        if stream.blocking_write_and_flush(format!("{line}\n").as_bytes()).is_err() {
            return;
        }
    }
    finish(body, stream, None);
}

/// After so many milliseconds.
pub(crate) fn slow_head(outparam: ResponseOutparam, milliseconds: usize) {
    subscribe_duration(milliseconds as u64 * 1_000_000).block();
    status(outparam, 200);
}

/// A response of which the body is never asked for.
pub(crate) fn no_body(outparam: ResponseOutparam) {
    let response = OutgoingResponse::new(list(&[("x-one", "1")]));
    ResponseOutparam::set(outparam, Ok(response));
}

/// A response that is whole before the request is read.
pub(crate) fn before_the_request(request: IncomingRequest, outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    stream.blocking_write_and_flush(b"early").expect("the client takes it");
    finish(body, stream, None);
    drop(request);
}

/// Goes on for a while after the response is whole.
pub(crate) fn after_the_response(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    stream.blocking_write_and_flush(b"done").expect("the client takes it");
    finish(body, stream, None);
    subscribe_duration(FIFTH).block();
}

/// Sends the head.
pub(crate) fn begin(outparam: ResponseOutparam, status: u16, fields: Fields) -> (OutgoingBody, OutputStream) {
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("it is one");
    let body = response.body().expect("it is the first time");
    let stream = body.write().expect("it is the first time");
    ResponseOutparam::set(outparam, Ok(response));
    (body, stream)
}

pub(crate) fn finish(body: OutgoingBody, stream: OutputStream, trailers: Option<Trailers>) {
    drop(stream);
    OutgoingBody::finish(body, trailers).expect("it is as long as declared");
}

/// A whole response.
pub(crate) fn text(outparam: ResponseOutparam, status: u16, text: &str) {
    let (body, stream) = begin(outparam, status, list(&[("content-type", "text/plain; charset=utf-8")]));
    if write(&stream, text.as_bytes()) {
        finish(body, stream, None);
    }
}

pub(crate) fn list(fields: &[(&str, &str)]) -> Fields {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Fields::from_list(&fields).expect("they are valid")
}

/// Whether the client took all of them.
fn write(stream: &OutputStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => drop(poll(&[&stream.subscribe()])),
            Ok(permit) => {
                let (now, later) = bytes.split_at(bytes.len().min(permit as usize));
                if stream.write(now).is_err() {
                    return false;
                }
                bytes = later;
            }
            Err(_) => return false,
        }
    }
    true
}

/// Bytes by which a piece that is lost or twice there is noticed: each is its position, modulo 251.
fn write_pattern(stream: &OutputStream, count: usize) -> bool {
    let mut position = 0;
    while position < count {
        let length = (count - position).min(64 << 10);
        let piece: Vec<u8> = (position..position + length).map(|position| (position % 251) as u8).collect();
        if !write(stream, &piece) {
            return false;
        }
        position += length;
    }
    true
}

/// Of a second, in nanoseconds.
const FIFTH: u64 = 200_000_000;
