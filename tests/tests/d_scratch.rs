#![forbid(unsafe_code)]
#[path = "e2e/conformance_network.rs"]
mod conformance_network;
