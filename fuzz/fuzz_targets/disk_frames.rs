//! Every frame of the disk's stream, in both directions. What is understood means the same when it is sent on.
#![no_main]

use cloister_frames::{DiskRequest, DiskResponse, decode_length};

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    if let Ok(request) = DiskRequest::decode(payload) {
        assert_eq!(request.encode(), payload);
        is_frame_of(&[request.head().as_bytes(), request.data()].concat(), payload);
    }
    if let Ok(response) = DiskResponse::decode(payload) {
        assert_eq!(response.encode(), payload);
        is_frame_of(&[response.head().as_bytes(), response.data()].concat(), payload);
    }
    if let Some(prefix) = payload.first_chunk() {
        let _ = decode_length(*prefix);
    }
});

fn is_frame_of(frame: &[u8], payload: &[u8]) {
    let (prefix, rest) = frame.split_first_chunk().expect("a frame has a prefix");
    assert_eq!(decode_length(*prefix), Ok(payload.len()));
    assert_eq!(rest, payload);
}
