//! An answer with evidence, JSON, and its appraisal with the collateral that it brings along.
#![no_main]

use cloister_attestation::verify::{Measurement, Policy, ReceivedEvidence, TrustAnchor, verify};

use appraisal::{Session, TIME};

#[path = "../appraisal.rs"]
mod appraisal;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let Ok(received) = ReceivedEvidence::read(body) else { return };
    let session = Session::new();
    let policy = Policy::new(TrustAnchor::Intel, Measurement::Any);
    let collateral = received.collateral.as_ref();
    let refused = verify(&received.presented(), &session.observed(), collateral, &policy, *TIME);
    // No key has signed for this session.
    assert!(!refused.expect_err("nobody could sign it").to_string().is_empty());
});
