//! Traits and types generated from `wit/`.
//!
//! Every function is async, so that a guest that does nothing but call the host still lets other calls run:
//! see [`HostFuel::charge`](cloister_wasi::HostFuel::charge).
#![allow(dead_code, unreachable_pub, missing_debug_implementations, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "cloister:wasi-sockets/guest",
    imports: { default: async | trappable },
    require_store_data_send: true,
    trappable_error_type: {
        "wasi:sockets/network.error-code" => crate::failure::Failure,
    },
    with: {
        "wasi:io/error.error": wasmtime_wasi_io::streams::Error,
        "wasi:io/poll.pollable": wasmtime_wasi_io::poll::DynPollable,
        "wasi:io/streams.input-stream": wasmtime_wasi_io::streams::DynInputStream,
        "wasi:io/streams.output-stream": wasmtime_wasi_io::streams::DynOutputStream,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": crate::lookup::ResolveAddressStream,
        "wasi:sockets/network.network": crate::network::Network,
        "wasi:sockets/tcp.tcp-socket": crate::tcp::TcpSocket,
        "wasi:sockets/udp.incoming-datagram-stream": crate::udp::IncomingDatagramStream,
        "wasi:sockets/udp.outgoing-datagram-stream": crate::udp::OutgoingDatagramStream,
        "wasi:sockets/udp.udp-socket": crate::udp::UdpSocket,
    },
});
