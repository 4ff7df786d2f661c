//! `privasys:enclave-os@0.1.0` for guests: cryptography with keys that stay here, a key that follows from code and
//! hardware, who calls and what they may, what an app adds to the evidence, and HTTPS requests.
//!
//! The interfaces with their promises are in the project's folder `wit/`; `docs/design/platform.md` has what is stored where,
//! the bounds and the prices. What only the enclave can do for an app is behind [`App`].
//!
//! Every function charges fuel before it works, see [`HostFuel`](cloister_wasi::HostFuel). An error that a guest gets is one
//! sentence for people: it tells nothing of keys, nor of the host.
#![forbid(unsafe_code)]

mod app;
mod attestation;
mod auth;
mod bindings;
mod context;
mod crypto;
mod error;
mod https;
mod keystore;
mod prices;
pub mod primitives;
mod sealing;
mod vault;

pub use app::{
    Answer, App, Caller, CallerId, MAX_EXTENSION_BYTES, MAX_ISSUER, MAX_SUBJECT, Refusal, TokenSubject,
};
pub use bindings::privasys::enclave_os::crypto::{DigestAlgorithm, HmacAlgorithm, SignAlgorithm};
pub use context::{PlatformCtx, PlatformCtxView, PlatformSettings, PlatformView};
pub use error::Error;
pub use keystore::{
    KeyKind, KeyUse, Keystore, MAX_KEYS, MAX_PERSISTED_KEYS, OTHER_NAMES, Operation, persisted_keys,
};

use wasmtime::component::{HasData, Linker};

/// Lets components of `linker` import every one of [`supported_interfaces`].
///
/// The store must be called asynchronously, within a tokio runtime, and needs
/// [`settle_host_fuel`](cloister_wasi::settle_host_fuel) in its call hook.
///
/// # Errors
/// When `linker` has one of the interfaces already.
pub fn add_to_linker<T: PlatformView + Send + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::Imports::add_to_linker::<T, Platform>(linker, T::platform)
}

/// The interfaces that [`add_to_linker`] serves, sorted by name.
pub fn supported_interfaces() -> &'static [&'static str] {
    SUPPORTED_INTERFACES
}

/// Names [`PlatformCtxView`] as what the generated traits are implemented for.
struct Platform;

impl HasData for Platform {
    type Data<'a> = PlatformCtxView<'a>;
}

/// The imports of `wit/world.wit`.
const SUPPORTED_INTERFACES: &[&str] = &[
    "privasys:enclave-os/attestation@0.1.0",
    "privasys:enclave-os/auth@0.1.0",
    "privasys:enclave-os/crypto@0.1.0",
    "privasys:enclave-os/https@0.1.0",
    "privasys:enclave-os/keystore@0.1.0",
    "privasys:enclave-os/sealing@0.1.0",
];

#[cfg(test)]
mod tests;
