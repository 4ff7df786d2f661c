//! Fetches as a guest makes them, against real servers on the loopback interface.

mod call;
mod certificates;
mod limits;
mod redirects;
mod requests;
#[path = "../../../egress/src/tests/server.rs"]
mod server;
