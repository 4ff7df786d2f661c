//! Traits and types generated from `wit/`.
//!
//! Every function is async, so that a guest that does nothing but call the host still lets other calls run:
//! see [`HostFuel::charge`](crate::HostFuel::charge).
#![allow(unreachable_pub, missing_debug_implementations, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "cloister:wasi/guest",
    imports: { default: async | trappable },
    require_store_data_send: true,
    trappable_error_type: {
        "wasi:filesystem/types.error-code" => crate::filesystem::Failure,
        "wasi:keyvalue/store.error" => crate::keyvalue::Failure,
        "wasi:io/streams.stream-error" => wasmtime_wasi_io::streams::StreamError,
    },
    with: {
        "wasi:cli/terminal-input.terminal-input": crate::cli::TerminalInput,
        "wasi:cli/terminal-output.terminal-output": crate::cli::TerminalOutput,
        "wasi:filesystem/types.descriptor": crate::filesystem::Descriptor,
        "wasi:filesystem/types.directory-entry-stream": crate::filesystem::DirectoryEntryStream,
        "wasi:io/error.error": wasmtime_wasi_io::streams::Error,
        "wasi:io/poll.pollable": wasmtime_wasi_io::poll::DynPollable,
        "wasi:io/streams.input-stream": wasmtime_wasi_io::streams::DynInputStream,
        "wasi:io/streams.output-stream": wasmtime_wasi_io::streams::DynOutputStream,
        "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket,
    },
});
