//! `wasi:sockets@0.2` for guests, over the sockets that the host lends.
//!
//! A guest reaches what its app's [`NetworkPolicy`] names and nothing else; what travels is seen by the host, so what has
//! to stay secret needs TLS inside the guest. What the host answers is believed no further than it has to be: a peer's
//! address is the one that the guest asked for, a datagram of anybody else is dropped.
//!
//! Every function costs fuel, and more where it leaves the enclave: see [`HostFuel`](cloister_wasi::HostFuel). A call's
//! sockets are closed with its [`ResourceTable`](wasmtime::component::ResourceTable).
#![forbid(unsafe_code)]

mod address;
mod bindings;
mod context;
mod failure;
mod lookup;
mod network;
mod tcp;
mod udp;
mod usage;

pub use context::{SocketsCtx, SocketsCtxView, SocketsView};
pub use usage::{MAX_BUFFERED, MAX_LOOKUPS, MAX_SOCKETS};

use bindings::wasi::sockets;
use wasmtime::component::{HasData, Linker};

/// Lets components of `linker` import every one of [`supported_interfaces`], `network-error-code` among their functions.
///
/// The store must be called asynchronously, within a tokio runtime.
///
/// # Errors
/// When `linker` has one of the interfaces already.
pub fn add_to_linker<T: SocketsView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut options = sockets::network::LinkOptions::default();
    options.network_error_code(true);
    sockets::network::add_to_linker::<T, Sockets>(linker, &options, T::sockets)?;
    sockets::instance_network::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    sockets::tcp::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    sockets::udp::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    sockets::udp_create_socket::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<T, Sockets>(linker, T::sockets)
}

/// The interfaces that [`add_to_linker`] serves, with the newest version of each, sorted by name.
pub fn supported_interfaces() -> &'static [&'static str] {
    SUPPORTED_INTERFACES
}

/// Names [`SocketsCtxView`] as what the generated traits are implemented for.
struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsCtxView<'a>;
}

/// The imports of `wit/world.wit`.
const SUPPORTED_INTERFACES: &[&str] = &[
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
];

#[cfg(test)]
mod tests;
