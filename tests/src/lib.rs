//! What the end-to-end tests stand on: the real image on software SGX, in this process, and real clients.
//!
//! `cargo xtask test` builds what they need and says where it is. Run without it, they fail with that advice; none is
//! skipped.
#![forbid(unsafe_code)]

pub mod attacker;
mod browser;
mod diverter;
mod enclave;
mod guests;
mod issuer;
mod local_proxy;
mod machine;
mod raw;
pub mod tls_servers;
mod tpm;

pub use browser::Browser;
pub use diverter::Diverter;
pub use enclave::{Enclave, Setup, image, shared, sigstruct};
pub use guests::{code_hash, example, for_everybody, guest, name, platform_guest};
pub use issuer::{Issuer, TokenSignature, seconds_from_now};
pub use local_proxy::LocalProxy;
pub use machine::{Machine, error, status};
pub use raw::{RawTls, exchange};
pub use tpm::SoftTpm;

/// The value of an environment variable that `cargo xtask test` sets.
///
/// # Panics
/// Where it is not set.
pub fn given(variable: &str) -> std::path::PathBuf {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run the end-to-end tests by `cargo xtask test`"))
        .into()
}
