//! Every check of an appraisal: evidence that passes all of them, and for each check evidence that fails it alone.
#![allow(unreachable_pub, reason = "modules of one test program")]

mod apps;
mod case;
mod certificate;
mod checks;
mod hardware;
mod platform;
mod quotes;
mod rules;
mod volume;

use case::*;
use cloister_api::{AppName, CallerPolicy, NetworkPolicy};
use cloister_attestation::verify::{
    Accepted, Check, CheckResult, ConfigurationDemand, FreshnessDemand, Measurement, Outcome, Platform,
    Policy, TcbStatus, TrustAnchor, extension_values,
};
use cloister_attestation::*;
use platform::{Enclave, TestPlatform};
use rustls_pki_types::CertificateDer;
use std::time::{Duration, UNIX_EPOCH};

#[test]
fn good_evidence_passes_every_check() {
    let verified = Case::new().verify().unwrap();
    let report = verified.report();
    assert!(report.accepted());
    assert_eq!(verified.mrenclave(), &MRENCLAVE);
    assert_eq!(verified.claims().apps[0].code_hash, CODE_HASH);
    let asked = [
        Check::Claims,
        Check::Quote,
        Check::RootOfTrust,
        Check::Signatures,
        Check::TcbStatus,
        Check::Debug,
        Check::MrEnclave,
        Check::ClaimsQuoted,
        Check::PlatformClaim,
        Check::TlsKey,
        Check::SessionBinding,
        Check::CertificateCodeHash,
        Check::CertificateClaims,
        Check::Lineage,
        Check::CodeHash { app: hello() },
        Check::Configuration { app: hello() },
        Check::Volume,
    ];
    for result in &report.checks {
        let passed = matches!(result.outcome, Outcome::Passed { .. });
        assert_eq!(passed, asked.contains(&result.check), "{result:?}");
    }
}

#[test]
fn simulated_evidence_says_so() {
    let verified = Case::new().verify().unwrap();
    assert_eq!(verified.report().platform, Platform::Simulated { root: PLATFORM.root_fingerprint() });
    assert!(verified.report().to_string().starts_with("SIMULATED"));
    let json = serde_json::to_value(verified.report()).unwrap();
    assert_eq!(json["platform"]["kind"], "simulated");
    assert_eq!(json["checks"][0]["check"], "claims");
    assert_eq!(json["checks"][0]["outcome"], "passed");
}

#[test]
fn another_mrenclave_is_refused() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(vec![[0xbb; 32], [0xcc; 32]]);
    let refused = case.fails_only(&[Check::MrEnclave]);
    let expected =
        format!("{} or {} is expected: another image runs there", "bb".repeat(32), "cc".repeat(32));
    assert!(refused.to_string().contains(&expected), "{refused}");
}

#[test]
fn expecting_no_mrenclave_accepts_none() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(Vec::new());
    let refused = case.fails_only(&[Check::MrEnclave]);
    assert!(refused.to_string().contains("no MRENCLAVE is expected"), "{refused}");
}

#[test]
fn one_of_several_mrenclaves_is_enough() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(vec![[0xbb; 32], MRENCLAVE]);
    assert!(case.verify().is_ok());
}

#[test]
fn any_mrenclave_is_reported_as_not_asked() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Any;
    let verified = case.verify().unwrap();
    assert!(matches!(verified.report().outcome(&Check::MrEnclave), Some(Outcome::NotAsked { .. })));
}

#[test]
fn a_debug_enclave_is_refused() {
    let mut case = Case::new();
    case.quote_as(Enclave { debug: true, ..case.enclave() });
    case.fails_only(&[Check::Debug]);
}

#[test]
fn simulated_evidence_is_refused_where_hardware_is_expected() {
    let mut case = Case::new();
    case.policy.anchor = TrustAnchor::Intel;
    let refused = case.fails_only(&[Check::RootOfTrust]);
    assert_eq!(refused.report.platform, Platform::Unknown);
    assert!(refused.to_string().contains(&hex::encode(PLATFORM.root_fingerprint())), "{refused}");
    assert!(refused.to_string().contains("rooted in \"CN=test root\""), "{refused}");
}

#[test]
fn another_platforms_root_is_refused() {
    let mut case = Case::new();
    case.policy.anchor = TrustAnchor::Simulated { root_fingerprint: [1; 32] };
    case.fails_only(&[Check::RootOfTrust]);
}

/// The pinned root at the end of the chain, and another platform's signatures under it.
#[test]
fn a_pinned_root_that_did_not_sign_is_refused() {
    let other = TestPlatform::new();
    let mut case = Case::new();
    case.quote = other.quote(&case.enclave());
    let chain = pem::encode(&pem::Pem::new("CERTIFICATE", PLATFORM.root_der.clone()));
    let mut collateral = other.collateral("UpToDate");
    let parsed = dcap_qvl::quote::Quote::parse(&case.quote).unwrap();
    let own_chain = String::from_utf8(parsed.raw_cert_chain().unwrap().to_vec()).unwrap();
    collateral.pck_certificate_chain = Some(own_chain + &chain);
    case.collateral = Some(collateral);
    case.fails_only(&[Check::Signatures]);
}

#[test]
fn missing_collateral_is_refused() {
    let mut case = Case::new();
    case.collateral = None;
    case.fails_only(&[Check::Signatures]);
}

#[test]
fn expired_and_future_collateral_are_refused() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for now in [UNIX_EPOCH + 40 * year, UNIX_EPOCH + 130 * year, UNIX_EPOCH - year] {
        let mut case = Case::new();
        case.now = now;
        case.fails_only(&[Check::Signatures]);
    }
}

#[test]
fn a_bad_tcb_status_is_refused_until_the_policy_names_it() {
    let mut case = Case::new();
    case.collateral = Some(PLATFORM.collateral("OutOfDate"));
    case.fails_only(&[Check::TcbStatus]);
    case.policy = case.policy.with_tcb_status(TcbStatus::OutOfDate);
    assert!(case.verify().is_ok());
}

#[test]
fn a_revoked_platform_is_refused_whatever_the_policy_names() {
    let mut case = Case::new();
    case.collateral = Some(PLATFORM.collateral("Revoked"));
    case.policy = case.policy.with_tcb_status(TcbStatus::Revoked);
    let refused = case.fails_only(&[Check::Signatures]);
    assert!(refused.to_string().contains("Revoked"), "{refused}");
}

/// Other claims than those that were quoted, in every other respect right.
#[test]
fn claims_that_were_not_quoted_are_refused() {
    let mut case = Case::new();
    let mut claims = Claims::decode(&case.claims).unwrap();
    claims.configuration = [0xff; 32];
    case.claims = claims.encode().unwrap();
    case.sign();
    case.fails_only(&[Check::ClaimsQuoted]);
}

#[test]
fn a_quote_over_other_data_is_refused() {
    let mut case = Case::new();
    case.quote_as(Enclave { report_data: report_data(b"other claims"), ..case.enclave() });
    case.fails_only(&[Check::ClaimsQuoted]);

    // The hash stands in the first half; the second has to be zero.
    let mut data = report_data(&case.claims);
    data[63] = 1;
    case.quote_as(Enclave { report_data: data, ..case.enclave() });
    case.fails_only(&[Check::ClaimsQuoted]);
}

#[test]
fn claims_that_are_not_canonical_are_refused() {
    let mut case = Case::new();
    case.claims.push(0);
    let refused = case.verify().unwrap_err();
    assert!(refused.report.failed().eq([&Check::Claims, &Check::ClaimsQuoted]));
    assert!(matches!(refused.report.outcome(&Check::SessionBinding), Some(Outcome::NotAsked { .. })));
}

#[test]
fn what_is_not_a_quote_is_refused() {
    for quote in [Vec::new(), vec![3; 4000], vec![0; MAX_QUOTE + 1]] {
        let mut case = Case::new();
        case.quote = quote;
        let refused = case.verify().unwrap_err();
        assert!(refused.report.failed().eq([&Check::Quote]));
        assert_eq!(refused.report.platform, Platform::Unknown);
    }
}

#[test]
fn a_quote_is_read_up_to_its_bound() {
    for (length, beyond) in [(MAX_QUOTE, false), (MAX_QUOTE + 1, true), (2 * MAX_QUOTE, true)] {
        let mut case = Case::new();
        case.quote = vec![3; length];
        let refused = case.fails_only(&[Check::Quote]);
        assert_eq!(refused.to_string().contains("bytes long, and the limit is 16384"), beyond, "{refused}");
    }
}

#[test]
fn every_changed_part_of_the_quote_is_refused() {
    let good = Case::new();
    // Header, attributes, MRENCLAVE, report data, signature, attestation key, QE report, its signature.
    for at in [30, 48 + 48, 48 + 64, 48 + 320, 436, 436 + 64, 436 + 128, 436 + 512] {
        let mut case = good.clone();
        case.quote[at] ^= 0x10;
        let refused = case.verify().unwrap_err();
        assert!(refused.report.failed().any(|check| *check == Check::Signatures), "byte {at}");
    }
}

#[test]
fn evidence_of_another_session_is_refused() {
    let mut case = Case::new();
    case.binding.exporter = [0xe0; 32];
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_stale_nonce_is_refused() {
    let mut case = Case::new();
    case.binding.nonce = [0xe0; 32];
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let mut case = Case::new();
    case.signature = SessionKey::generate().unwrap().sign(&case.binding, &case.claims, case.volume).unwrap();
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let mut case = Case::new();
    case.certificate = case.certificate_by(&TlsKey::generate().unwrap(), Some(&case.shown()));
    case.fails_only(&[Check::TlsKey]);
}

#[test]
fn a_certificate_that_cannot_be_read_is_refused() {
    let mut case = Case::new();
    case.certificate = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    case.fails_only(&[Check::TlsKey, Check::CertificateCodeHash, Check::CertificateClaims]);
}
