//! `wasi:sockets/tcp` and `tcp-create-socket`.

mod host;
mod reader;
mod socket;
mod writer;

#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use socket::TcpSocket;
