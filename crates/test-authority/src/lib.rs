//! Certificates for tests: authorities of their own, and the servers that they vouch for, good and bad.
//!
//! ```
//! use cloister_test_authority::{Authority, Certificate, Versions};
//!
//! let authority = Authority::new();
//! let good = authority.issue("localhost").server_config(&["h2"], Versions::All);
//! let expired = authority.issue(Certificate::of(["localhost"]).expired());
//! ```
//!
//! Only tests and benchmarks depend on it. Its functions panic where a name is none, and where there is no randomness.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod identity;
mod key;

pub use authority::Authority;
pub use certificate::Certificate;
pub use identity::{Identity, Versions};

#[cfg(test)]
mod tests;
