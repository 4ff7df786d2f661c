//! What policies pin of the platform, of the enclave and of its rules: their edges.

use super::*;
use crate::platform::{Image, Levels};
use cloister_attestation::verify::{AppExpectation, OtherApps, Presence, UpgradeDemand};

#[test]
fn an_empty_list_accepts_nothing() {
    type Spoil = fn(&mut Policy);
    let spoiled: [(Check, Spoil); 5] = [
        (Check::Fmspc, |policy| policy.fmspc = Accepted::OneOf(vec![])),
        (Check::MrSigner, |policy| policy.mrsigner = Accepted::OneOf(vec![])),
        (Check::Operator, |policy| policy.operator = Accepted::OneOf(vec![])),
        (Check::ImageUpgrade, |policy| policy.image_upgrade = Accepted::OneOf(vec![])),
        (Check::CodeHash { app: hello() }, |policy| policy.app(hello()).code = Accepted::OneOf(vec![])),
    ];
    for (check, spoil) in spoiled {
        let mut case = Case::new();
        spoil(&mut case.policy);
        let refused = case.fails_only(&[check]);
        assert!(refused.to_string().contains("accepted"), "{refused}");
    }
}

#[test]
fn one_of_several_values_is_enough() {
    let mut case = Case::new();
    case.policy.fmspc = Accepted::OneOf(vec![[1; 6], [0x70; 6]]);
    case.policy.isv_prod_id = Accepted::OneOf(vec![7, 1]);
    case.policy.operator = Accepted::OneOf(vec![None, Some([4; 32])]);
    assert!(case.verify().is_ok());
    case.policy.isv_prod_id = Accepted::OneOf(vec![7, 8]);
    let refused = case.fails_only(&[Check::IsvProdId]);
    assert!(refused.to_string().contains("ISVPRODID: it is 1, and 7 or 8 is expected"), "{refused}");
}

/// What the claims name is what counts, and that the session has this key is the check of the TLS key.
#[test]
fn an_identity_is_that_of_the_claimed_tls_key() {
    let mut case = Case::new();
    let own = KEYS.0.fingerprint();
    for (accepted, passes) in [
        (vec![own], true),
        (vec![[0x1d; 32], own], true),
        (vec![own, [0x1d; 32]], true),
        (vec![[0x1d; 32]], false),
        (vec![[0x1d; 32], [0x1e; 32]], false),
        (vec![], false),
    ] {
        case.policy.identity = Accepted::OneOf(accepted.clone());
        match case.verify() {
            Ok(verified) => {
                assert!(passes, "{accepted:?}");
                let detail = hex::encode(own);
                let outcome = verified.report().outcome(&Check::Identity).cloned();
                assert_eq!(outcome, Some(Outcome::Passed { detail }));
            }
            Err(refused) => {
                assert!(!passes, "{refused}");
                assert!(refused.report.failed().eq([&Check::Identity]));
            }
        }
    }

    case.policy.identity = Accepted::OneOf(vec![[0x1d; 32], [0x1e; 32]]);
    let refused = case.fails_only(&[Check::Identity]);
    let expected = format!(
        "identity: it is {}, and {} or {} is expected: another enclave answers, or this one with another volume",
        hex::encode(own),
        "1d".repeat(32),
        "1e".repeat(32)
    );
    assert!(refused.to_string().contains(&expected), "{refused}");

    // A name without the key behind it: the identity is the expected one, and whoever answers is not.
    let mut case = Case::strict();
    case.certificate = case.certificate_by(&TlsKey::generate().unwrap(), Some(&case.shown()));
    case.fails_only(&[Check::TlsKey]);
}

#[test]
fn what_nobody_asked_is_shown() {
    let verified = Case::new().verify().unwrap();
    let why = |check| match verified.report().outcome(&check) {
        Some(Outcome::NotAsked { why }) => why.clone(),
        other => panic!("{other:?}"),
    };
    for (check, expected) in [
        (Check::Advisories, "INTEL-SA-00615; this policy accepts any".to_owned()),
        (Check::Fmspc, "707070707070; this policy accepts any".to_owned()),
        (Check::IsvSvn, "1; this policy accepts any".to_owned()),
        (Check::Identity, format!("{}; this policy accepts any", hex::encode(KEYS.0.fingerprint()))),
        (Check::BootCounter, "3; this policy accepts any".to_owned()),
        (Check::ImageUpgrade, "never; this policy accepts any".to_owned()),
        (Check::OtherApps, "none; this policy accepts any".to_owned()),
        (Check::OwnerIssuers, "none; this policy accepts any".to_owned()),
        (Check::Operator, format!("{}; this policy accepts any", "04".repeat(32))),
        (Check::Callers { app: hello() }, "*=owner; this policy accepts any".to_owned()),
        (Check::Upgrade { app: hello() }, "owner; this policy accepts any".to_owned()),
        (Check::QuoteRoots { app: hello() }, "none beside Intel's; this policy accepts any".to_owned()),
        (Check::App { app: hello() }, "it is there; this policy does not require it".to_owned()),
        (
            Check::QuoteAge,
            "made at 2027-01-15T07:00:00Z, as the host told; this policy accepts any age".to_owned(),
        ),
        (
            Check::CollateralAge,
            "issued at 2027-01-10T08:00:00Z; this policy accepts any that is valid".to_owned(),
        ),
    ] {
        assert_eq!(why(check), expected);
    }
}

#[test]
fn security_versions_have_a_least_one() {
    for (found, least, accepted) in [(2, 1, true), (2, 2, true), (2, 3, false)] {
        let mut case = Case::new();
        case.quote_of(Image { isv_svn: found, ..Image::default() });
        case.policy.minimum_isv_svn = Some(least);
        assert_eq!(case.verify().is_ok(), accepted, "{found} {least}");
    }
}

#[test]
fn a_platform_without_advisories_needs_none_accepted() {
    let mut case = Case::new();
    case.collateral = Some(PLATFORM.collateral_of(&Levels { advisories: &[], ..LEVELS }));
    case.policy.advisories = Accepted::OneOf(vec![]);
    assert!(case.verify().is_ok());
    case.collateral = Some(PLATFORM.collateral_of(&LEVELS));
    let refused = case.fails_only(&[Check::Advisories]);
    assert!(refused.to_string().contains("the platform is subject to INTEL-SA-00615"), "{refused}");
}

/// At most as old as the policy says, to the second, and hardly from the future.
#[test]
fn claims_have_an_age() {
    let most = Duration::from_secs(3_600);
    for (made, accepted) in [
        (NOW - 3_600, true),
        (NOW - 3_601, false),
        (NOW, true),
        (NOW + 300, true),
        (NOW + 301, false),
        (0, false),
        (u64::MAX, false),
    ] {
        let mut case = Case::claiming(&Claims { made, ..claims() });
        assert!(case.verify().is_ok(), "nobody asked");
        case.policy.maximum_quote_age = Some(most);
        match case.verify() {
            Ok(_) => assert!(accepted, "{made}"),
            Err(refused) => {
                assert!(!accepted, "{refused}");
                assert!(refused.report.failed().eq([&Check::QuoteAge]));
                let expected =
                    if made > NOW { "which is in the future" } else { "is the most that the policy accepts" };
                assert!(refused.to_string().contains(expected), "{refused}");
            }
        }
    }
}

/// The older of the two documents counts, whichever it is.
#[test]
fn collateral_has_an_age() {
    let (old, new) = ("2027-01-05T08:00:00Z", "2027-01-15T00:00:00Z");
    for (issued, accepted) in [([old, new], false), ([new, old], false), ([new, new], true)] {
        let mut case = Case::new();
        case.collateral = Some(PLATFORM.collateral_of(&Levels { issued, ..LEVELS }));
        assert!(case.verify().is_ok(), "nobody asked");
        case.policy.maximum_collateral_age = Some(9 * DAY);
        assert_eq!(case.verify().is_ok(), accepted, "{issued:?}");
        case.policy.maximum_collateral_age = Some(10 * DAY);
        assert!(case.verify().is_ok(), "{issued:?}");
    }
}

/// RFC 3339 with an offset, which the library accepts and Intel does not write.
#[test]
fn collateral_without_a_date_that_can_be_read_has_no_age() {
    let mut case = Case::new();
    case.collateral = Some(
        PLATFORM.collateral_of(&Levels { issued: ["2027-01-10T08:00:00+00:00", LEVELS.issued[1]], ..LEVELS }),
    );
    assert!(case.verify().is_ok());
    case.policy.maximum_collateral_age = Some(30 * DAY);
    let refused = case.fails_only(&[Check::CollateralAge]);
    assert!(refused.to_string().contains("the TCB info has no readable date of issue"), "{refused}");
}

#[test]
fn owners_may_be_fewer_than_accepted() {
    let mut case = Case::new();
    case.policy.owners = Some(vec![[9; 32], [3; 32]]);
    assert!(case.verify().is_ok());
    case.change_claims(|claims| claims.owners = vec![[3; 32], [8; 32]]);
    let refused = case.fails_only(&[Check::Owners]);
    assert!(refused.to_string().contains(&format!("does not accept {}", "08".repeat(32))), "{refused}");
}

/// Under one name and one URL the keys can be anybody's: all of an issuer is pinned.
#[test]
fn an_issuer_is_pinned_with_all_of_its_parts() {
    let mut case = Case::claiming(&Claims { issuers: vec![issuer("corp")], ..claims() });
    case.policy.issuers = Some(vec![issuer("corp").hash(), issuer("other").hash()]);
    assert!(case.verify().is_ok());
    for other in [
        IssuerClaim { jwks: Some("https://keys.example.net".to_owned()), ..issuer("corp") },
        IssuerClaim { roots: Some([1; 32]), ..issuer("corp") },
        IssuerClaim { audience: "another".to_owned(), ..issuer("corp") },
        IssuerClaim { roles_claim: "groups".to_owned(), ..issuer("corp") },
        IssuerClaim { issuer: "https://id.example.net".to_owned(), ..issuer("corp") },
        issuer("third"),
    ] {
        case.change_claims(|claims| claims.issuers = vec![other]);
        case.fails_only(&[Check::OwnerIssuers]);
    }
}

#[test]
fn an_image_upgrade_may_be_narrower_than_accepted() {
    let listed = |images: &[u8]| ImageUpgradeClaim::Listed(images.iter().map(|byte| [*byte; 32]).collect());
    let mut case = Case::new();
    case.policy.image_upgrade = Accepted::OneOf(vec![listed(&[1, 2])]);
    for (claim, accepted) in [
        (ImageUpgradeClaim::Never, true),
        (listed(&[2]), true),
        (listed(&[1, 3]), false),
        (ImageUpgradeClaim::Operator, false),
        (ImageUpgradeClaim::Signer { mrsigner: [1; 32], product: 1, minimum_svn: 1 }, false),
    ] {
        case.change_claims(|claims| claims.image_upgrade = claim.clone());
        match accepted {
            true => assert!(case.verify().is_ok(), "{claim:?}"),
            false => drop(case.fails_only(&[Check::ImageUpgrade])),
        }
    }
}

/// Whoever held the volume's key is as trusted as who has it now.
#[test]
fn images_that_held_the_volume_have_to_be_accepted_too() {
    let mut case = Case::claiming(&Claims { lineage: vec![[0x1e; 32], [0x1d; 32]], ..claims() });
    let refused = case.fails_only(&[Check::Lineage]);
    assert!(refused.to_string().contains("held the volume's key before"), "{refused}");
    case.policy.mrenclave = Measurement::Exactly(vec![MRENCLAVE, [0x1e; 32]]);
    case.fails_only(&[Check::Lineage]);
    case.policy.lineage = Accepted::OneOf(vec![[0x1d; 32]]);
    assert!(case.verify().is_ok());
    case.policy.mrenclave = Measurement::Any;
    case.fails_only(&[Check::Lineage]);
    case.policy.lineage = Accepted::Any;
    assert!(case.verify().is_ok());
    // Who asks for no image asks for no earlier one.
    assert_eq!(Policy::new(case.policy.anchor, Measurement::Any).lineage, Accepted::Any);
}

#[test]
fn other_apps_are_named() {
    let mut case = Case::new();
    case.policy.other_apps = OtherApps::Refused;
    assert!(case.verify().is_ok());
    case.change_claims(|claims| claims.apps.push(app("other")));
    let refused = case.fails_only(&[Check::OtherApps]);
    assert!(refused.to_string().contains("other apps: there is other, and"), "{refused}");
    case.policy.other_apps = OtherApps::Allowed;
    assert!(case.verify().is_ok());
}

#[test]
fn a_required_app_has_to_be_there() {
    let mut case = Case::new();
    let absent: AppName = "absent".parse().unwrap();
    case.policy.app(absent.clone()).presence = Presence::Required;
    let refused = case.fails_only(&[Check::App { app: absent.clone() }]);
    assert!(refused.to_string().contains("the enclave has no app absent"), "{refused}");
    case.policy.app(absent).presence = Presence::Optional;
    assert!(case.verify().is_ok());
}

#[test]
fn callers_may_be_fewer_than_accepted() {
    let most = ["*=owner", "@web=public", "greet=token:corp", "tell=token:corp/staff"];
    for (claimed, accepted) in [
        (&["*=owner"][..], true),
        (&["@web=public", "greet=token:corp/anything"], true),
        (&["@web=owner", "tell=owner", "@run=owner"], true),
        (&["@web=token:other/role"], true),
        (&["tell=token:corp/staff"], true),
        (&["tell=token:corp"], false),
        (&["tell=token:corp/boss"], false),
        (&["greet=token:other"], false),
        (&["greet=public"], false),
        (&["*=public"], false),
        (&["@run=public"], false),
        (&[], true),
    ] {
        let mut case = Case::new();
        case.policy.app(hello()).callers = Some(callers(&most));
        case.change_app(|app| app.callers = callers(claimed));
        match accepted {
            true => assert!(case.verify().is_ok(), "{claimed:?}"),
            false => drop(case.fails_only(&[Check::Callers { app: hello() }])),
        }
    }
    let key = |digit: &str| format!("*=key:{}", digit.repeat(64));
    let mut case = Case::new();
    case.policy.app(hello()).callers = Some(callers(&[&key("a")]));
    case.change_app(|app| app.callers = callers(&[&key("a")]));
    assert!(case.verify().is_ok());
    case.change_app(|app| app.callers = callers(&[&key("a"), &key("b")]));
    let refused = case.fails_only(&[Check::Callers { app: hello() }]);
    assert!(refused.to_string().contains(&format!("does not accept {};", key("b"))), "{refused}");
}

#[test]
fn everybody_is_accepted_where_everybody_may_be() {
    let mut case = Case::new();
    case.policy.app(hello()).callers = Some(callers(&["*=public"]));
    assert!(case.verify().is_ok());
    case.change_app(|app| app.callers = callers(&["*=public", "greet=owner"]));
    assert!(case.verify().is_ok());
}

/// An app without rules admits nobody, and a policy without accepts no other.
#[test]
fn nobody_is_accepted_where_nobody_may_be() {
    let mut case = Case::new();
    case.policy.app(hello()).callers = Some(callers(&[]));
    case.fails_only(&[Check::Callers { app: hello() }]);
    case.change_app(|app| app.callers = callers(&[]));
    assert!(case.verify().is_ok());
    case.change_app(|app| app.callers = callers(&["greet=owner"]));
    case.fails_only(&[Check::Callers { app: hello() }]);
}

#[test]
fn endorsements_are_of_accepted_keys_and_as_many() {
    let endorsed = |threshold, keys: &[u8]| UpgradePolicy::Endorsed {
        threshold,
        keys: keys.iter().map(|byte| [*byte; 32]).collect(),
    };
    let upgrade = || Check::Upgrade { app: hello() };
    let mut case = Case::new();
    let expected = case.policy.app(hello());
    expected.endorsers = Some(vec![[1; 32], [2; 32]]);
    expected.minimum_endorsements = Some(2);
    // They say nothing of upgrades that take no endorsement.
    assert!(matches!(case.verify().unwrap().report().outcome(&upgrade()), Some(Outcome::NotAsked { .. })));
    for (claim, reason) in [
        (endorsed(2, &[1, 2]), None),
        (endorsed(1, &[1, 2]), Some("the policy demands 2 endorsements")),
        (endorsed(2, &[1, 3]), Some("does not accept the endorsement of 0303")),
    ] {
        case.change_app(|app| app.upgrade = claim.clone());
        match reason {
            None => {
                let verified = case.verify().unwrap();
                assert!(matches!(verified.report().outcome(&upgrade()), Some(Outcome::Passed { .. })));
            }
            Some(reason) => {
                let refused = case.fails_only(&[upgrade()]);
                assert!(refused.to_string().contains(reason), "{refused}");
            }
        }
    }
    // Each of the two by itself.
    case.policy.app(hello()).minimum_endorsements = None;
    case.change_app(|app| app.upgrade = endorsed(1, &[2]));
    assert!(matches!(case.verify().unwrap().report().outcome(&upgrade()), Some(Outcome::Passed { .. })));
    case.policy.app(hello()).endorsers = None;
    assert!(matches!(case.verify().unwrap().report().outcome(&upgrade()), Some(Outcome::NotAsked { .. })));
    case.policy.app(hello()).minimum_endorsements = Some(1);
    assert!(matches!(case.verify().unwrap().report().outcome(&upgrade()), Some(Outcome::Passed { .. })));
}

#[test]
fn each_kind_of_upgrade_is_accepted_by_its_name() {
    let kinds = [
        (UpgradePolicy::Frozen, UpgradeDemand::Frozen),
        (UpgradePolicy::Owner, UpgradeDemand::Owner),
        (UpgradePolicy::Endorsed { threshold: 1, keys: vec![[1; 32]] }, UpgradeDemand::Endorsed),
    ];
    for (claim, kind) in &kinds {
        let mut case = Case::new();
        case.change_app(|app| app.upgrade = claim.clone());
        for (_, demand) in &kinds {
            case.policy.app(hello()).upgrade = Accepted::OneOf(vec![*demand]);
            match kind == demand {
                true => assert!(case.verify().is_ok()),
                false => drop(case.fails_only(&[Check::Upgrade { app: hello() }])),
            }
        }
    }
    let mut case = Case::new();
    case.policy.app(hello()).upgrade = Accepted::OneOf(vec![UpgradeDemand::Frozen, UpgradeDemand::Endorsed]);
    let refused = case.fails_only(&[Check::Upgrade { app: hello() }]);
    assert!(refused.to_string().contains("it is owner, and frozen, endorsed is expected"), "{refused}");
    case.policy.app(hello()).upgrade = Accepted::OneOf(vec![UpgradeDemand::Owner]);
    assert!(case.verify().is_ok());
    case.change_app(|app| app.upgrade = UpgradePolicy::Frozen);
    let refused = case.fails_only(&[Check::Upgrade { app: hello() }]);
    assert!(refused.to_string().contains("it is frozen, and owner is expected"), "{refused}");
}

/// What is expected of an app fails where the app is not, and what is not expected does not.
#[test]
fn an_absent_app_fails_each_thing_that_is_expected_of_it() {
    type Expect = fn(&mut AppExpectation);
    let absent: AppName = "absent".parse().unwrap();
    let name = || absent.clone();
    let expected: [(Check, Expect); 9] = [
        (Check::App { app: name() }, |app| app.presence = Presence::Required),
        (Check::Owner { app: name() }, |app| app.owner = Accepted::OneOf(vec![[3; 32]])),
        (Check::Upgrade { app: name() }, |app| app.upgrade = Accepted::OneOf(vec![UpgradeDemand::Owner])),
        (Check::Upgrade { app: name() }, |app| app.endorsers = Some(vec![])),
        (Check::Upgrade { app: name() }, |app| app.minimum_endorsements = Some(1)),
        (Check::Callers { app: name() }, |app| app.callers = Some(CallerPolicy::default())),
        (Check::CallerIssuers { app: name() }, |app| app.issuers = Some(vec![])),
        (Check::QuoteRoots { app: name() }, |app| app.quote_roots = Accepted::OneOf(vec![None])),
        (Check::Assets { app: name() }, |app| app.assets = Some(assets())),
    ];
    for (check, expect) in expected {
        let mut case = Case::new();
        expect(case.policy.app(name()));
        case.fails_only(&[check]);
    }
}

/// Nothing is known of a quote that does not verify, and nothing of claims that cannot be read; it is said, and refused.
#[test]
fn what_cannot_be_known_is_not_asked() {
    let mut case = Case::strict();
    case.collateral = None;
    let refused = case.fails_only(&[Check::Signatures]);
    for check in [Check::TcbStatus, Check::Advisories, Check::CollateralAge, Check::Fmspc, Check::Ppid] {
        let Some(Outcome::NotAsked { why }) = refused.report.outcome(&check) else { panic!("{check}") };
        assert!(why.contains("no signatures are verified"), "{why}");
    }
    let mut case = Case::strict();
    case.policy.anchor = TrustAnchor::Intel;
    let refused = case.fails_only(&[Check::RootOfTrust]);
    for check in [Check::Signatures, Check::PlatformClaim, Check::TcbStatus] {
        assert!(matches!(refused.report.outcome(&check), Some(Outcome::NotAsked { .. })), "{check}");
    }
    let mut case = Case::strict();
    case.claims = Vec::new();
    let refused = case.fails_only(&[Check::Claims, Check::ClaimsQuoted]);
    for check in [Check::TlsKey, Check::Owners, Check::CodeHash { app: hello() }, Check::Freshness] {
        let Some(Outcome::NotAsked { why }) = refused.report.outcome(&check) else { panic!("{check}") };
        assert_eq!(why, "the claims cannot be read");
    }
}
