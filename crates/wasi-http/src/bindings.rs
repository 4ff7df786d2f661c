//! Traits and types generated from `wit/`.
#![allow(unreachable_pub, missing_debug_implementations, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "cloister:wasi-http/guest",
    imports: { default: async | trappable },
    require_store_data_send: true,
    trappable_error_type: {
        "wasi:http/types.error-code" => crate::error::Failure,
        "wasi:http/types.header-error" => crate::error::HeaderFailure,
    },
    with: {
        "wasi:http/types.fields": crate::fields::Fields,
        "wasi:http/types.future-incoming-response": crate::response::FutureIncomingResponse,
        "wasi:http/types.future-trailers": crate::body::FutureTrailers,
        "wasi:http/types.incoming-body": crate::body::IncomingBody,
        "wasi:http/types.incoming-request": crate::incoming::IncomingRequest,
        "wasi:http/types.incoming-response": crate::response::IncomingResponse,
        "wasi:http/types.outgoing-body": crate::body::OutgoingBody,
        "wasi:http/types.outgoing-request": crate::outgoing::OutgoingRequest,
        "wasi:http/types.outgoing-response": crate::outgoing::OutgoingResponse,
        "wasi:http/types.request-options": crate::options::RequestOptions,
        "wasi:http/types.response-outparam": crate::outgoing::ResponseOutparam,
        "wasi:io/error.error": wasmtime_wasi_io::streams::Error,
        "wasi:io/poll.pollable": wasmtime_wasi_io::poll::DynPollable,
        "wasi:io/streams.input-stream": wasmtime_wasi_io::streams::DynInputStream,
        "wasi:io/streams.output-stream": wasmtime_wasi_io::streams::DynOutputStream,
    },
});
