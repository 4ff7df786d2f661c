//! `wasi:sockets/udp` and `udp-create-socket`.

mod host;
mod incoming;
mod outgoing;
mod socket;

#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use incoming::IncomingDatagramStream;
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use outgoing::OutgoingDatagramStream;
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use socket::UdpSocket;
