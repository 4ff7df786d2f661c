//! The hospital's side of `examples/hospital`.
//!
//! [`SecondOpinion`] is what a hospital would write: it verifies the enclave, and only then has a way to send a record, and it
//! believes no diagnosis before its signature verified. [`Outside`] is everybody else: the medical API that the enclave asks,
//! and a thief who would gladly take what an evil app sends.
#![forbid(unsafe_code)]

mod diagnosis;
mod outside;
mod record;
mod relying_party;

pub use diagnosis::{Diagnosis, PublicKey, SignedDiagnosis};
pub use outside::{Outside, Seen};
pub use record::{Measure, Measures, Patient, PatientRecord};
pub use relying_party::{Expected, HospitalError, SecondOpinion};
