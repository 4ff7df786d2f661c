//! A quote of real hardware with Intel's collateral, both recorded (`tests/vectors`): verified offline, inside the collateral's
//! validity and outside it, whole and corrupted.

use super::*;
use std::sync::LazyLock;
use std::time::SystemTime;

/// Everything that concerns the hardware passes, and the status is the platform's true one.
#[test]
fn a_real_quote_verifies_under_intels_root() {
    let mut case = real_hardware();
    case.fails_only(&[Check::TcbStatus, Check::MrEnclave, Check::ClaimsQuoted]);
    case.policy = case.policy.with_tcb_status(TcbStatus::ConfigurationAndSWHardeningNeeded);
    case.policy.mrenclave = Measurement::Any;
    let refused = case.fails_only(&[Check::ClaimsQuoted]);
    assert_eq!(refused.report.platform, Platform::Hardware);
}

#[test]
fn a_policy_can_pin_all_of_the_real_platform() {
    let mut case = accepted_hardware();
    let Policy { advisories, fmspc, maximum_collateral_age, .. } = &mut case.policy;
    *advisories = Accepted::OneOf(vec!["INTEL-SA-00289".to_owned(), "INTEL-SA-00615".to_owned()]);
    *fmspc = Accepted::OneOf(vec![[0x00, 0xa0, 0x67, 0x11, 0, 0]]);
    *maximum_collateral_age = Some(7 * DAY);
    let refused = case.fails_only(&[Check::ClaimsQuoted]);
    let detail = |check| match refused.report.outcome(&check) {
        Some(Outcome::Passed { detail }) => detail.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(detail(Check::Fmspc), "00a067110000");
    assert_eq!(detail(Check::Advisories), "INTEL-SA-00289, INTEL-SA-00615");
    assert!(detail(Check::CollateralAge).starts_with("issued at 2025-06-19T10:01:18Z: 5 d 13 h ago"));
    let Some(Outcome::NotAsked { why }) = refused.report.outcome(&Check::Ppid) else { panic!() };
    let (ppid, _) = why.split_once(';').unwrap();

    // Each of them by itself makes the difference.
    case.policy.ppid = Accepted::OneOf(vec![hex::decode(ppid).unwrap()]);
    case.fails_only(&[Check::ClaimsQuoted]);
    type Spoil = fn(&mut Policy);
    let spoiled: [(Check, Spoil); 4] = [
        (Check::Advisories, |policy| policy.advisories = Accepted::OneOf(vec!["INTEL-SA-00615".to_owned()])),
        (Check::CollateralAge, |policy| policy.maximum_collateral_age = Some(5 * DAY)),
        (Check::Fmspc, |policy| policy.fmspc = Accepted::OneOf(vec![[0; 6]])),
        (Check::Ppid, |policy| policy.ppid = Accepted::OneOf(vec![vec![0; 16]])),
    ];
    for (check, spoil) in spoiled {
        let mut case = case.clone();
        spoil(&mut case.policy);
        let failed = Vec::from_iter(case.verify().unwrap_err().report.failed().cloned());
        assert!(
            failed.contains(&check) && failed.contains(&Check::ClaimsQuoted) && failed.len() == 2,
            "{failed:?}"
        );
    }
}

#[test]
fn a_real_quote_is_refused_outside_its_collaterals_validity() {
    for (now, expected) in [(*RECORDED - 20 * DAY, "future"), (*RECORDED + 40 * DAY, "expired")] {
        let mut case = accepted_hardware();
        case.now = now;
        let reason = reason(&case);
        assert!(reason.contains(expected) || reason.contains("Cert"), "{reason}");
    }
}

#[test]
fn a_real_quote_with_corrupted_parts_is_refused_with_the_reason() {
    type Corrupt = fn(&mut Case);
    let corrupted: [(&str, Corrupt); 6] = [
        ("ISV enclave report signature is invalid", |case| case.quote[48 + 320] ^= 1),
        ("ISV enclave report signature is invalid", |case| case.quote[436] ^= 1),
        ("Signature is invalid for qe_report", |case| case.quote[436 + 128] ^= 1),
        ("Signature is invalid for tcb_info", |case| {
            let collateral = case.collateral.as_mut().unwrap();
            collateral.tcb_info = collateral.tcb_info.replace("\"OutOfDate\"", "\"UpToDate\"");
        }),
        ("Signature is invalid for qe_identity", |case| {
            let collateral = case.collateral.as_mut().unwrap();
            collateral.qe_identity = collateral.qe_identity.replace("\"OutOfDate\"", "\"UpToDate\"");
        }),
        ("InvalidCrlSignature", |case| {
            let revoked = &mut case.collateral.as_mut().unwrap().pck_crl;
            *revoked.last_mut().unwrap() ^= 1;
        }),
    ];
    for (expected, corrupt) in corrupted {
        let mut case = accepted_hardware();
        corrupt(&mut case);
        let reason = reason(&case);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn a_real_quote_is_refused_where_a_simulation_is_pinned() {
    let mut case = accepted_hardware();
    case.policy.anchor = TrustAnchor::Simulated { root_fingerprint: PLATFORM.root_fingerprint() };
    let refused = case.fails_only(&[Check::RootOfTrust, Check::ClaimsQuoted]);
    assert_eq!(refused.report.platform, Platform::Unknown);
}

/// A host that calls its hardware a simulation, for an enclave that would be lax then.
#[test]
fn real_hardware_that_is_claimed_to_be_simulated_is_refused() {
    let mut case = accepted_hardware();
    case.claims = claims().encode().unwrap();
    case.sign();
    case.certificate = case.certificate_with(Some(&case.shown()));
    case.fails_only(&[Check::ClaimsQuoted, Check::PlatformClaim]);
}

/// Why the signatures do not verify; nothing but what they cover is not known then.
fn reason(case: &Case) -> String {
    let refused = case.verify().unwrap_err();
    let failed = Vec::from_iter(refused.report.failed());
    assert!(failed == [&Check::Signatures, &Check::ClaimsQuoted], "{}", refused.report);
    match refused.report.outcome(&Check::Signatures) {
        Some(Outcome::Failed { reason }) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

/// The recorded quote, and a policy that accepts its platform and any image.
fn accepted_hardware() -> Case {
    let mut case = real_hardware();
    case.policy = case.policy.with_tcb_status(TcbStatus::ConfigurationAndSWHardeningNeeded);
    case.policy.mrenclave = Measurement::Any;
    case
}

/// The recorded quote beside claims of which it knows nothing.
fn real_hardware() -> Case {
    let mut case = Case::claiming(&Claims { platform: PlatformClaim::Hardware, ..claims() });
    case.quote = include_bytes!("../vectors/sgx_quote.bin").to_vec();
    case.collateral =
        Some(serde_json::from_str(include_str!("../vectors/sgx_quote_collateral.json")).unwrap());
    case.now = *RECORDED;
    case.policy = Policy::new(TrustAnchor::Intel, Measurement::Exactly(vec![MRENCLAVE]));
    case
}

/// 2025-06-25T00:00:00Z, inside the validity of the recorded collateral.
static RECORDED: LazyLock<SystemTime> = LazyLock::new(|| UNIX_EPOCH + Duration::from_secs(1_750_809_600));
