//! Handlers that do not answer as they should.

use crate::answers::{begin, list};
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::http::types::{ErrorCode, Fields, IncomingRequest, OutgoingBody, ResponseOutparam};

/// "Indicate an error."
pub(crate) fn error(outparam: ResponseOutparam, name: &str) {
    let error = match name {
        "denied" => ErrorCode::HttpRequestDenied,
        "too-large" => ErrorCode::HttpRequestBodySize(Some(1)),
        "timeout" => ErrorCode::HttpResponseTimeout,
        "loop" => ErrorCode::LoopDetected,
        _ => ErrorCode::InternalError(Some("a secret of the guest".to_owned())),
    };
    ResponseOutparam::set(outparam, Err(error));
}

pub(crate) fn trap_in_body(outparam: ResponseOutparam) {
    let (_body, stream) = begin(outparam, 200, Fields::new());
    stream.blocking_write_and_flush(b"half of it").expect("the client takes it");
    panic!("on purpose");
}

/// Holds everything for as long as it may.
pub(crate) fn never(request: IncomingRequest, outparam: ResponseOutparam) {
    subscribe_duration(u64::MAX).block();
    drop((request, outparam));
}

/// "If the user code drops this resource, [...] the implementation should treat the body as incomplete".
pub(crate) fn unfinished(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    stream.blocking_write_and_flush(b"half of it").expect("the client takes it");
    drop(stream);
    drop(body);
}

pub(crate) fn unfinished_at_once(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, Fields::new());
    drop(stream);
    drop(body);
}

pub(crate) fn too_short(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, list(&[("content-length", "10")]));
    stream.blocking_write_and_flush(b"short").expect("the client takes it");
    drop(stream);
    let finished = OutgoingBody::finish(body, None);
    assert!(matches!(finished, Err(ErrorCode::HttpResponseBodySize(Some(5)))), "{finished:?}");
}

pub(crate) fn too_long(outparam: ResponseOutparam) {
    let (body, stream) = begin(outparam, 200, list(&[("content-length", "3")]));
    let written = stream.check_write().and_then(|_| stream.write(b"too long"));
    drop(stream);
    let finished = OutgoingBody::finish(body, None);
    assert!(written.is_err() || finished.is_err(), "nobody minds");
}

pub(crate) fn spin() {
    loop {
        std::hint::spin_loop();
    }
}
