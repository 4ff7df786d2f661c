//! Traits and types generated from the project's `wit/`.
//!
//! Every function is async, so that a guest that does nothing but call the host still lets other calls run:
//! see [`HostFuel::charge`](cloister_wasi::HostFuel::charge).
#![allow(unreachable_pub, missing_debug_implementations, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "privasys:enclave-os/imports",
    imports: { default: async | trappable },
    require_store_data_send: true,
});
