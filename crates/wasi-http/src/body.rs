//! The bodies of requests and responses, as streams.

#![expect(unreachable_pub, reason = "generated code re-exports the resources")]

mod incoming;
mod outgoing;
mod pipe;

pub use incoming::{FutureTrailers, IncomingBody};
pub use outgoing::OutgoingBody;
pub(crate) use outgoing::{Message, new_body};
pub use pipe::{BODY_BUFFER_BYTES, GuestBody};
