mod caching;
mod keys;
#[path = "../../egress/src/tests/server.rs"]
mod server;
mod servers;
mod signer;
mod tokens;
