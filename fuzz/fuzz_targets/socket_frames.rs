//! Every frame about sockets, in both directions. What is understood means the same when it is sent on.
#![no_main]

use cloister_frames::{SocketRequest, SocketResponse};

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    if let Ok(request) = SocketRequest::decode(payload) {
        assert_eq!(request.encode(), payload);
    }
    if let Ok(response) = SocketResponse::decode(payload) {
        assert_eq!(response.encode(), payload);
    }
});
