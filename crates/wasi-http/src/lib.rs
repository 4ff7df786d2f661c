//! `wasi:http@0.2` for guests.
//!
//! Served: `wasi:http/types` and `wasi:http/outgoing-handler`, and what a host needs to drive a guest's
//! `wasi:http/incoming-handler`: [`push_incoming_request`], [`push_response_outparam`] and [`GuestBody`].
//!
//! A guest's requests go where its [`NetworkPolicy`](cloister_api::NetworkPolicy) lets them, `cloister_egress` sends them, and
//! every request is told to an [`EgressLog`]. Bodies are streams with back-pressure in both directions: what this crate holds
//! of one is bounded, whatever its length.
#![forbid(unsafe_code)]

mod bindings;
mod body;
mod context;
mod error;
mod failure;
mod fields;
mod handler;
mod incoming;
mod options;
mod outgoing;
mod response;
mod tasks;

pub use bindings::wasi::http::types::{ErrorCode, Scheme};
pub use body::{BODY_BUFFER_BYTES, GuestBody};
pub use cloister_egress::{
    BETWEEN_BYTES_TIMEOUT, BodyError, CONNECT_TIMEOUT, Client, DROPPED_BY_GUEST, EgressLog, EgressOutcome,
    EgressRequest, FIRST_BYTE_TIMEOUT, HttpSettings, InvalidRoots, MAX_TIMEOUT, Roots, TlsVersion,
};
pub use context::{HttpCtx, HttpCtxView, HttpView, MAX_OPEN_BODIES};
pub use error::Error;
pub use fields::{MAX_FIELDS_BYTES, MAX_HELD_FIELDS_BYTES};
pub use handler::{MAX_REQUESTS_UNDER_WAY, MAX_REQUESTS_WAITING, REQUEST_FUEL};
pub use incoming::{IncomingRequest, push_incoming_request};
pub use outgoing::{ResponseOutparam, push_response_outparam};

use wasmtime::component::{HasData, Linker, Resource};

/// Lets components of `linker` import every one of [`supported_interfaces`]. What these use of `wasi:io` is
/// `cloister_wasi`'s to link.
///
/// The store must be called asynchronously, within a tokio runtime.
///
/// # Errors
/// When `linker` has one of the interfaces already.
pub fn add_to_linker<T: HttpView + Send + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use bindings::wasi::http::{outgoing_handler, types};
    types::add_to_linker::<T, Http>(linker, &types::LinkOptions::default(), T::http)?;
    outgoing_handler::add_to_linker::<T, Http>(linker, T::http)
}

/// The interfaces that [`add_to_linker`] serves, with the newest version of each, sorted by name.
pub fn supported_interfaces() -> &'static [&'static str] {
    SUPPORTED_INTERFACES
}

/// What [`HANDLE`] of a guest's [`HANDLER`] takes.
pub type HandlerParameters = (Resource<IncomingRequest>, Resource<ResponseOutparam>);

/// The interface by which a guest serves requests, without its version.
pub const HANDLER: &str = "wasi:http/incoming-handler";
/// The function of [`HANDLER`].
pub const HANDLE: &str = "handle";

/// Names [`HttpCtxView`] as what the generated traits are implemented for.
struct Http;

impl HasData for Http {
    type Data<'a> = HttpCtxView<'a>;
}

/// The imports of `wit/world.wit`.
const SUPPORTED_INTERFACES: &[&str] = &["wasi:http/outgoing-handler@0.2.12", "wasi:http/types@0.2.12"];

#[cfg(test)]
mod tests;
