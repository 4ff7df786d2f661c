//! Evidence whose quote was verified before. That it is refused like any other is what all tests of cases show: each appraises
//! its evidence with a memory of quotes too, and compares the results.

use super::*;
use crate::platform::{Dated, EARLY, Levels};
use cloister_attestation::verify::{Refused, Verified, VerifiedQuotes};

#[test]
fn many_sessions_are_appraised_with_one_verification() {
    let quotes = VerifiedQuotes::default();
    let mut case = Case::strict();
    let first = case.verify_with(Some(&quotes)).unwrap();
    for number in 1..4 {
        case.binding = SessionBinding { exporter: [number; 32], nonce: [number; 32] };
        case.sign();
        case.now += Duration::from_secs(1);
        let again = case.verify_with(Some(&quotes)).unwrap();
        assert_eq!(again.facts(), first.facts());
        assert_eq!(again.report().checks.len(), first.report().checks.len());
    }
    assert_eq!(remembered(&quotes), 1);
}

#[test]
fn a_remembered_quote_does_not_make_up_for_another_session() {
    let (quotes, mut case) = remembering();
    case.binding.exporter = [0xe0; 32];
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::SessionBinding]);
}

/// Ages grow, and policies change, while the quote is remembered.
#[test]
fn a_remembered_quote_is_compared_with_the_policy_and_the_time_of_the_session() {
    let (quotes, mut case) = remembering();
    let oldest = Duration::from_secs(5 * 24 * 60 * 60);
    case.policy.maximum_collateral_age = Some(oldest);
    assert!(case.verify_with(Some(&quotes)).is_ok());
    case.now += Duration::from_secs(1);
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::CollateralAge]);

    case.policy.maximum_collateral_age = None;
    case.policy.tcb = vec![TcbStatus::OutOfDate];
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::TcbStatus]);
    assert_eq!(remembered(&quotes), 1);
}

#[test]
fn a_remembered_quote_is_not_accepted_under_another_root() {
    let (quotes, mut case) = remembering();
    case.policy.anchor = TrustAnchor::Intel;
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::RootOfTrust]);
    case.policy.anchor = TrustAnchor::Simulated { root_fingerprint: TestPlatform::new().root_fingerprint() };
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::RootOfTrust]);
    assert_eq!(remembered(&quotes), 1);
}

#[test]
fn every_changed_part_of_a_remembered_quote_is_refused() {
    let (quotes, good) = remembering();
    for at in [30, 48 + 48, 48 + 64, 48 + 320, 436, 436 + 64, 436 + 128, 436 + 512] {
        let mut case = good.clone();
        case.quote[at] ^= 0x10;
        assert!(failed(case.verify_with(Some(&quotes))).contains(&Check::Signatures), "byte {at}");
    }
    assert_eq!(remembered(&quotes), 1, "what is refused is not remembered");
    assert!(good.verify_with(Some(&quotes)).is_ok());
}

/// What was verified against older collateral says nothing where there is newer.
#[test]
fn newer_collateral_is_not_answered_from_memory() {
    let (quotes, mut case) = remembering();
    case.collateral = Some(PLATFORM.revoking_collateral(&LEVELS));
    let refused = case.verify_with(Some(&quotes)).unwrap_err();
    assert!(
        refused.report.failed().eq([&Check::Signatures]) && refused.to_string().contains("CertRevoked"),
        "{refused}"
    );
    case.collateral = Some(PLATFORM.collateral_of(&Levels { status: "Revoked", ..LEVELS }));
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::Signatures]);
    case.collateral = None;
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::Signatures]);
    case.collateral = Some(PLATFORM.collateral_of(&Levels { status: "OutOfDate", ..LEVELS }));
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::TcbStatus]);
    assert_eq!(remembered(&quotes), 2, "out of date is verified, and not accepted");
}

/// Each part in turn expires before all others, a second after it was verified.
#[test]
fn a_remembered_quote_is_refused_when_anything_of_it_expired() {
    for first in [
        Dated::TcbInfo,
        Dated::QeIdentity,
        Dated::TcbSigning,
        Dated::RootRevocations,
        Dated::PckRevocations,
        Dated::PckAuthority,
        Dated::Pck,
    ] {
        let platform = TestPlatform::expiring(Some(first));
        let mut case = Case::new();
        case.quote = platform.quote(&case.enclave());
        case.collateral = Some(platform.collateral_of(&LEVELS));
        case.policy.anchor = TrustAnchor::Simulated { root_fingerprint: platform.root_fingerprint() };
        let quotes = VerifiedQuotes::default();
        case.now = UNIX_EPOCH + Duration::from_secs(EARLY - 1);
        assert!(case.verify_with(Some(&quotes)).is_ok(), "{first:?}");
        assert_eq!(remembered(&quotes), 1);
        case.now = UNIX_EPOCH + Duration::from_secs(EARLY + 1);
        assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::Signatures], "{first:?}");
    }
}

#[test]
fn a_remembered_quote_is_refused_before_its_collateral_was_issued() {
    let (quotes, mut case) = remembering();
    case.now -= 10 * DAY;
    assert_eq!(failed(case.verify_with(Some(&quotes))), [Check::Signatures]);
}

/// Good evidence, and a memory that has its quote.
fn remembering() -> (VerifiedQuotes, Case) {
    let (quotes, case) = (VerifiedQuotes::default(), Case::new());
    assert!(case.verify_with(Some(&quotes)).is_ok());
    assert_eq!(remembered(&quotes), 1);
    (quotes, case)
}

fn remembered(quotes: &VerifiedQuotes) -> usize {
    let shown = format!("{quotes:?}");
    let (_, number) = shown.split_once("remembered: ").unwrap();
    number.trim_end_matches(" }").parse().unwrap()
}

fn failed(result: Result<Verified, Refused>) -> Vec<Check> {
    result.expect_err("the evidence should be refused").report.failed().cloned().collect()
}
