//! A quote as a peer sends it, up to the comparison with a policy: nothing that is changed in a real one is accepted.
#![no_main]

use cloister_attestation::verify::{
    Check, Measurement, Outcome, Policy, Presented, QuoteOrigin, TrustAnchor, verify,
};

use appraisal::{CLAIMS, COLLATERAL, Session, TIME};

#[path = "../appraisal.rs"]
mod appraisal;

libfuzzer_sys::fuzz_target!(|quote: &[u8]| {
    let _ = QuoteOrigin::read(quote);
    let session = Session::new();
    let policy = Policy::new(TrustAnchor::Intel, Measurement::Any);
    let presented = Presented { claims: &CLAIMS, quote, volume: None, signature: b"none" };
    let verified = verify(&presented, &session.observed(), Some(&COLLATERAL), &policy, *TIME);
    let refused = verified.expect_err("the quote is over other claims");
    let signed = matches!(refused.report.outcome(&Check::Signatures), Some(Outcome::Passed { .. }));
    // What a real quote's signature covers and what is signed for that; what may follow it does not count.
    assert!(
        !signed || quote.starts_with(&appraisal::QUOTE[..appraisal::SIGNED_LEN]),
        "a forged quote is accepted"
    );
});
