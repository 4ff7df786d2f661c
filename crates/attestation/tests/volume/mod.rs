//! What an appraisal says of the volume: its consistency, and what policies pin.

use super::*;

#[test]
fn a_volume_that_went_on_since_the_quote_is_accepted() {
    let verified = Case::new().verify().unwrap();
    assert_eq!(verified.claims().volume, Some(CLAIMED));
    assert_eq!(verified.volume(), Some(PRESENT));
    let Some(Outcome::Passed { detail }) = verified.report().outcome(&Check::Volume) else { panic!() };
    assert!(detail.starts_with("at epoch 5, root 4242"), "{detail}");
    assert!(Case::with_volumes(Some(PRESENT), Some(PRESENT)).verify().is_ok());
}

#[test]
fn an_enclave_without_a_volume_is_accepted_where_none_is_pinned() {
    let case = Case::with_volumes(None, None);
    let verified = case.verify().unwrap();
    assert_eq!(verified.volume(), None);
    assert!(matches!(verified.report().outcome(&Check::Volume), Some(Outcome::NotAsked { .. })));
    let why = |case: Case| match case.verify().unwrap().report().outcome(&Check::Freshness) {
        Some(Outcome::NotAsked { why }) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(why(case), "the enclave keeps nothing across restarts");
    assert!(why(Case::new()).starts_with("no anchor keeps the host from putting back an older disk"));
}

#[test]
fn a_present_state_older_than_the_claimed_one_is_refused() {
    Case::with_volumes(Some(PRESENT), Some(CLAIMED)).fails_only(&[Check::Volume]);
}

#[test]
fn two_roots_of_one_epoch_are_refused() {
    let forked = Volume { root: [0x99; 32], ..PRESENT };
    Case::with_volumes(Some(PRESENT), Some(forked)).fails_only(&[Check::Volume]);
}

#[test]
fn claims_and_session_have_to_agree_whether_there_is_a_volume() {
    Case::with_volumes(Some(CLAIMED), None).fails_only(&[Check::Volume]);
    Case::with_volumes(None, Some(PRESENT)).fails_only(&[Check::Volume]);
}

/// The host cannot change the present state on its way: the session's signature covers it.
#[test]
fn a_present_state_that_was_not_signed_is_refused() {
    for volume in [
        Some(Volume { epoch: 6, ..PRESENT }),
        Some(Volume { root: [0x43; 32], ..PRESENT }),
        Some(Volume { epoch: u64::MAX, root: [0; 32] }),
    ] {
        let mut case = Case::new();
        case.volume = volume;
        case.fails_only(&[Check::SessionBinding]);
    }
    let mut case = Case::new();
    case.volume = None;
    case.fails_only(&[Check::SessionBinding, Check::Volume]);
}

/// An enclave that was restarted on an older disk: all of its evidence is genuine.
#[test]
fn an_older_disk_is_refused_where_an_epoch_is_pinned() {
    let mut case = Case::new();
    case.policy = case.policy.with_minimum_epoch(9);
    let refused = case.fails_only(&[Check::MinimumEpoch]);
    let expected = "the volume is at epoch 5, and the policy demands at least 9: the host may have put back an older \
                    disk";
    assert!(refused.to_string().contains(expected), "{refused}");
}

#[test]
fn the_pinned_epoch_and_later_ones_are_accepted() {
    for least in [0, 4, 5] {
        let mut case = Case::new();
        case.policy = case.policy.with_minimum_epoch(least);
        let verified = case.verify().unwrap();
        assert!(matches!(verified.report().outcome(&Check::MinimumEpoch), Some(Outcome::Passed { .. })));
    }
}

#[test]
fn another_root_than_the_pinned_one_is_refused() {
    let mut case = Case::new();
    case.policy = case.policy.with_volume_root(PRESENT.root);
    assert!(case.verify().is_ok());
    case.policy = case.policy.with_volume_root(CLAIMED.root);
    case.fails_only(&[Check::VolumeRoot]);
}

#[test]
fn a_pinned_volume_has_to_be_there() {
    let mut case = Case::with_volumes(None, None);
    case.policy = case.policy.with_minimum_epoch(0).with_volume_root([0; 32]);
    case.fails_only(&[Check::MinimumEpoch, Check::VolumeRoot]);
}

#[test]
fn a_volume_without_an_anchor_is_refused_where_a_tpm_is_demanded() {
    for identity in [None, Some(TPM)] {
        let mut case = Case::new();
        case.policy = case.policy.with_freshness(FreshnessDemand::Tpm { identity });
        case.fails_only(&[Check::Freshness]);
    }
}

#[test]
fn another_tpm_than_the_demanded_one_is_refused() {
    let mut case = Case::claiming(&Claims { freshness: Freshness::Tpm { identity: TPM }, ..claims() });
    for accepted in [
        FreshnessDemand::Any,
        FreshnessDemand::Tpm { identity: None },
        FreshnessDemand::Tpm { identity: Some(TPM) },
    ] {
        case.policy = case.policy.with_freshness(accepted);
        let verified = case.verify().unwrap();
        let asked = accepted != FreshnessDemand::Any;
        let outcome = verified.report().outcome(&Check::Freshness);
        assert_eq!(matches!(outcome, Some(Outcome::Passed { .. })), asked, "{accepted:?}");
    }
    for refused in [FreshnessDemand::None, FreshnessDemand::Tpm { identity: Some([0x7a; 32]) }] {
        case.policy = case.policy.with_freshness(refused);
        case.fails_only(&[Check::Freshness]);
    }
}

#[test]
fn no_anchor_can_be_demanded_too() {
    let mut case = Case::new();
    case.policy = case.policy.with_freshness(FreshnessDemand::None);
    assert!(case.verify().is_ok());
}

impl Case {
    fn with_volumes(claimed: Option<Volume>, present: Option<Volume>) -> Self {
        let mut case = Self::claiming(&Claims { volume: claimed, ..claims() });
        case.volume = present;
        case.sign();
        case
    }
}
