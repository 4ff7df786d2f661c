//! Host functions as a guest calls them, against real servers on the loopback interface.

mod bodies;
mod call;
mod failures;
mod fields;
mod incoming;
mod linking;
mod requests;
#[path = "../../egress/src/tests/server.rs"]
mod server;
mod states;
