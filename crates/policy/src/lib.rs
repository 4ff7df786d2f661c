//! What a relying party decides before it sends data, as a file: parsed, checked, explained, written.
//!
//! [`PolicyFile::parse`] reads TOML into the [`Policy`](cloister_attestation::verify::Policy) of the appraisal. Every
//! decision stands in the file, as a value, a list or the word `any`; what is missing, unknown or misspelled is an error
//! with its line. The binding to the session, the signatures and the refusal of debug enclaves are no decisions: there is
//! no key for them. `docs/policy.md` has the format key by key.
#![forbid(unsafe_code)]

mod draft;
mod explain;
mod fault;
mod file;
mod found;
mod keys;
mod reader;
mod values;

pub use draft::Draft;
pub use explain::{ALWAYS, Explanation};
pub use fault::{Fault, FaultKind, InvalidPolicy, MAX_FAULTS};
pub use file::{CollateralSource, Issuers, MAX_POLICY, PolicyFile};
pub use keys::{KEYS, Key, Table};
