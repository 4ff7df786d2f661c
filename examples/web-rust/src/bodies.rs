//! Bodies of any size, in constant memory.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasip2::http::types::{IncomingBody, IncomingRequest, ResponseOutparam, Trailers};
use wasip2::io::streams::{InputStream, StreamError};

use crate::answer::{Body, text};

/// Sends the request's body back while it comes, trailers included.
pub fn echo(request: &IncomingRequest, answer: ResponseOutparam) {
    let body = request.consume().expect("it is taken once");
    let stream = body.stream().expect("it is taken once");
    let sent = request.headers().entries();
    let kept = sent.iter().filter(|(name, _)| ["content-type", "trailer"].contains(&name.as_str()));
    let headers: Vec<_> = kept.map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let copy = Body::begin(answer, 200, &headers);
    // The bytes need not pass through this program's memory.
    while let Ok(_moved) = copy.stream().blocking_splice(&stream, PIECE as u64) {}
    if is_whole(&stream) {
        drop(stream);
        copy.finish(trailers(body));
    }
}

/// Counts.
pub fn count(request: &IncomingRequest, answer: ResponseOutparam) {
    let body = request.consume().expect("it is taken once");
    match bytes_of(&body.stream().expect("it is taken once")) {
        Ok(bytes) => text(answer, 200, &format!("{bytes}\n")),
        Err(error) => text(answer, 400, &format!("the body breaks off: {error}\n")),
    }
}

/// Sends so many bytes: `0123456789abcdef` again and again.
pub fn stream(bytes: u64, answer: ResponseOutparam) {
    let length = bytes.to_string();
    let headers = [("content-type", &b"application/octet-stream"[..]), ("content-length", length.as_bytes())];
    let mut body = Body::begin(answer, 200, &headers);
    let piece = PATTERN.repeat(PIECE / PATTERN.len());
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        if body.write_all(&piece[..now]).is_err() {
            return;
        }
        left -= now as u64;
    }
    body.finish(None);
}

/// Tells the time each second, as server-sent events.
pub fn clock(ticks: u64, answer: ResponseOutparam) {
    let headers = [("content-type", &b"text/event-stream"[..]), ("cache-control", b"no-store")];
    let mut body = Body::begin(answer, 200, &headers);
    for tick in 0..ticks {
        if tick > 0 {
            thread::sleep(Duration::from_secs(1));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = format!("data: {}.{:03}\n\n", now.as_secs(), now.subsec_millis());
        if body.write_all(event.as_bytes()).and_then(|()| body.flush()).is_err() {
            return;
        }
    }
    body.finish(None);
}

fn bytes_of(stream: &InputStream) -> Result<u64, StreamError> {
    let mut bytes = 0;
    loop {
        match stream.blocking_read(PIECE as u64) {
            Ok(piece) => bytes += piece.len() as u64,
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(error),
        }
    }
}

/// Whether a stream that gives nothing more has ended, and not broken off.
fn is_whole(stream: &InputStream) -> bool {
    matches!(stream.read(1), Err(StreamError::Closed))
}

fn trailers(body: IncomingBody) -> Option<Trailers> {
    let trailers = IncomingBody::finish(body);
    trailers.subscribe().block();
    trailers.get()?.ok()?.ok()?
}

/// Bytes at a time.
const PIECE: usize = 64 * 1024;

const PATTERN: &[u8] = b"0123456789abcdef";
