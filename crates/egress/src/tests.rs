//! Requests against real servers on the loopback interface.

mod app;
mod checks;
mod retries;
mod reuse;
mod server;
