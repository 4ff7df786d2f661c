//! The sum of two numbers, as `wasi:http/incoming-handler`: what `add` of the guest `benchmark` does, where a guest speaks HTTP itself.
//!
//! A request's body is a JSON array of two unsigned 32-bit numbers, the answer's a JSON number.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::StreamError;

wasip2::http::proxy::export!(Component);

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let (status, text) = match read(&request).as_deref().and_then(numbers) {
            Some([a, b]) => (200, a.wrapping_add(b).to_string()),
            None => (400, "\"two numbers are expected: [1, 2]\"".to_owned()),
        };
        respond(answer, status, &text);
    }
}

/// The whole body; `None` where it is too long or breaks off.
fn read(request: &IncomingRequest) -> Option<Vec<u8>> {
    let body = request.consume().ok()?;
    let stream = body.stream().ok()?;
    let mut whole = Vec::new();
    while whole.len() < MAX_BODY {
        match stream.blocking_read(MAX_BODY as u64) {
            Ok(part) => whole.extend_from_slice(&part),
            Err(StreamError::Closed) => return Some(whole),
            Err(StreamError::LastOperationFailed(_)) => return None,
        }
    }
    None
}

fn numbers(body: &[u8]) -> Option<[u32; 2]> {
    let text = std::str::from_utf8(body).ok()?;
    let (a, b) = text.trim().strip_prefix('[')?.strip_suffix(']')?.split_once(',')?;
    Some([a.trim().parse().ok()?, b.trim().parse().ok()?])
}

fn respond(answer: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    for (name, value) in [("content-type", "application/json"), ("content-length", &text.len().to_string())] {
        // These names and values are valid, and nobody reads the answer's head before it is sent.
        let _ = headers.set(name, &[value.as_bytes().to_vec()]);
    }
    let response = OutgoingResponse::new(headers);
    let _ = response.set_status_code(status);
    let Ok(body) = response.body() else { return };
    ResponseOutparam::set(answer, Ok(response));
    if let Ok(stream) = body.write() {
        // A client that went away gets no answer.
        let _ = stream.blocking_write_and_flush(text.as_bytes());
    }
    let _ = OutgoingBody::finish(body, None);
}

/// Bytes; two numbers need 24.
const MAX_BODY: usize = 256;
