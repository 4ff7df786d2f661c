//! What claims say of who may follow whom, who may ask for what, and whose word counts.

use super::*;
use cloister_api::{ImageUpgrade, Upgrade};

#[test]
fn upgrade_policies_are_canonical_or_refused() {
    let endorsed = |threshold, keys: &[u8]| UpgradePolicy::Endorsed {
        threshold,
        keys: keys.iter().map(|byte| [*byte; 32]).collect(),
    };
    let with = |upgrade| Claims { apps: vec![AppClaims { upgrade, ..app("a") }], ..example() };
    for good in [UpgradePolicy::Frozen, UpgradePolicy::Owner, endorsed(1, &[1]), endorsed(2, &[1, 2])] {
        let claims = with(good.clone());
        assert_eq!(Claims::decode(&claims.encode().unwrap()), Ok(claims));
        assert_eq!(UpgradePolicy::from(&Upgrade::from(&good)), good);
    }
    let many = Vec::from_iter(1..=17);
    assert!(with(endorsed(16, &many[1..])).encode().is_ok());
    for (threshold, keys) in [(0, &[1][..]), (2, &[1]), (1, &[]), (1, &many)] {
        let refused = Err(ClaimsError::Threshold { threshold: threshold.into(), keys: keys.len() });
        assert_eq!(with(endorsed(threshold, keys)).encode(), refused);
    }
    for keys in [[2, 1], [1, 1]] {
        assert_eq!(with(endorsed(1, &keys)).encode(), Err(ClaimsError::Order("keys that endorse an app")));
    }

    let owner = with(UpgradePolicy::Owner);
    let key = |byte: u8| [&[0x58, 32][..], &[byte; 32]].concat();
    let list = |head: &[u8], keys: &[u8]| {
        [
            &[5],
            head,
            &[0x80 + keys.len() as u8],
            &keys.iter().flat_map(|byte| key(*byte)).collect::<Vec<_>>(),
            &[6],
        ]
        .concat()
    };
    let decoded =
        |other: &[u8]| replaced(&owner, &[5, 1, 6], other).map(|claims| claims.apps[0].upgrade.clone());
    assert_eq!(decoded(&list(&[0x83, 2, 1], &[1, 2])), Ok(endorsed(1, &[1, 2])));
    assert_eq!(decoded(&[5, 0, 6]), Ok(UpgradePolicy::Frozen));
    for (threshold, keys) in [(0, &[1][..]), (3, &[1, 2]), (1, &[])] {
        let refused = ClaimsError::Threshold { threshold: threshold.into(), keys: keys.len() };
        assert_eq!(decoded(&list(&[0x83, 2, threshold], keys)), Err(refused));
    }
    let order = Err(ClaimsError::Order("keys that endorse an app"));
    assert_eq!(decoded(&list(&[0x83, 2, 1], &[2, 1])), order);
    for bad in [&[0x83, 1, 1][..], &[0x82, 2], &[0x84, 2, 1, 1], &[0x83, 2, 0x19, 1, 0]] {
        assert!(is_shape(decoded(&list(bad, &[1]))), "{bad:02x?}");
    }
    assert!(is_shape(decoded(&[5, 2, 6])) && is_shape(decoded(&[5, 0xf6, 6])));
}

#[test]
fn image_upgrades_are_canonical_or_refused() {
    let listed = |images: &[u8]| ImageUpgradeClaim::Listed(images.iter().map(|byte| [*byte; 32]).collect());
    let with = |image_upgrade| Claims { image_upgrade, ..example() };
    let signer = |product, minimum_svn| ImageUpgradeClaim::Signer { mrsigner: [9; 32], product, minimum_svn };
    let most = Vec::from_iter(1..=16);
    for good in [
        ImageUpgradeClaim::Never,
        ImageUpgradeClaim::Operator,
        listed(&[1]),
        listed(&most),
        signer(0, 0),
        signer(u16::MAX, u16::MAX),
    ] {
        let claims = with(good.clone());
        assert_eq!(Claims::decode(&claims.encode().unwrap()), Ok(claims));
        assert_eq!(ImageUpgradeClaim::from(&ImageUpgrade::from(&good)), good);
    }
    assert_eq!(with(listed(&[])).encode(), Err(ClaimsError::Images(0)));
    assert_eq!(with(listed(&[&most[..], &[17]].concat())).encode(), Err(ClaimsError::Images(17)));
    let order = ClaimsError::Order("images that the volume may be handed to");
    assert_eq!(with(listed(&[2, 1])).encode(), Err(order.clone()));

    let decoded = |other: &[u8]| {
        let other = [&[10], other, &[11]].concat();
        replaced(&with(ImageUpgradeClaim::Never), &[10, 0, 11], &other).map(|claims| claims.image_upgrade)
    };
    let hash = |byte: u8| [&[0x58, 32][..], &[byte; 32]].concat();
    assert_eq!(decoded(&[1]), Ok(ImageUpgradeClaim::Operator));
    assert_eq!(decoded(&[&[0x82, 2, 0x82][..], &hash(1), &hash(2)].concat()), Ok(listed(&[1, 2])));
    assert_eq!(decoded(&[&[0x82, 2, 0x82][..], &hash(2), &hash(1)].concat()), Err(order));
    assert_eq!(decoded(&[0x82, 2, 0x80]), Err(ClaimsError::Images(0)));
    assert_eq!(decoded(&[&[0x84, 3][..], &hash(9), &[1, 2]].concat()), Ok(signer(1, 2)));
    for bad in [
        vec![2],
        vec![0xf6],
        vec![0x82, 1, 0x80],
        [&[0x83, 3][..], &hash(9), &[1]].concat(),
        [&[0x84, 2][..], &hash(9), &[1, 2]].concat(),
        [&[0x84, 3][..], &hash(9), &[0x1a, 0, 1, 0, 0, 2]].concat(),
        [&[0x84, 3][..], &hash(9), &[1, 0x1a, 0, 1, 0, 0]].concat(),
    ] {
        assert!(is_shape(decoded(&bad)), "{bad:02x?}");
    }
}

#[test]
fn the_platform_is_one_of_two() {
    let simulated = Claims { platform: PlatformClaim::Simulated, ..example() };
    assert_eq!(Claims::decode(&simulated.encode().unwrap()), Ok(simulated.clone()));
    let decoded = |byte| replaced(&simulated, &[12, 1, 13], &[12, byte, 13]).map(|claims| claims.platform);
    assert_eq!(decoded(0), Ok(PlatformClaim::Hardware));
    assert!(is_shape(decoded(2)) && is_shape(decoded(0xf6)));
}

#[test]
fn rules_of_callers_are_canonical_or_refused() {
    let texts = |rules: &[&str]| {
        let mut writer = Writer::default();
        writer.key(6).array(rules.len());
        rules.iter().for_each(|rule| writer.text(rule));
        writer.finish()
    };
    let present = ["*=owner", "@web=public", "greet=token:corp/nurse"];
    let claims = Claims { apps: vec![AppClaims { callers: callers(&present), ..app("a") }], ..example() };
    assert_eq!(Claims::decode(&claims.encode().unwrap()), Ok(claims.clone()));
    let with = |rules: &[&str]| {
        replaced(&claims, &texts(&present), &texts(rules)).map(|claims| claims.apps[0].callers.clone())
    };
    assert_eq!(with(&["@run=owner", "@web=owner"]), Ok(callers(&["@web=owner", "@run=owner"])));
    assert_eq!(with(&[]), Ok(callers(&[])));
    for bad in [["@web=owner", "@run=owner"], ["*=owner", "*=owner"]] {
        assert_eq!(with(&bad), Err(ClaimsError::Order("rules of callers")), "{bad:?}");
    }
    let many = Vec::from_iter((100..165).map(|number| format!("f{number}=public")));
    let many = Vec::from_iter(many.iter().map(String::as_str));
    assert!(with(&many[1..]).is_ok());
    for bad in [&["*"][..], &["*=nobody"], &[&format!("*=key:{}", "AB".repeat(32))], &many] {
        assert!(is_shape(with(bad)), "{bad:?}");
    }
}

#[test]
fn issuers_are_what_a_configuration_can_name_or_refused() {
    let with = |issuers: Vec<IssuerClaim>| {
        let of_owners = Claims { issuers: issuers.clone(), ..example() };
        let of_an_app = Claims { apps: vec![AppClaims { issuers, ..app("a") }], ..example() };
        assert_eq!(of_owners.encode().map(|_| ()), of_an_app.encode().map(|_| ()));
        let encoded = of_an_app.encode()?;
        assert_eq!(Claims::decode(&encoded), Ok(of_an_app));
        assert_eq!(Claims::decode(&of_owners.encode()?), Ok(of_owners));
        Ok(())
    };
    let most = ["a", "b", "c", "d"].map(issuer);
    assert_eq!(with(most.to_vec()), Ok(()));
    assert_eq!(with([&most[..], &[issuer("e")]].concat()), Err(ClaimsError::TooManyIssuers(5)));
    for twisted in [["b", "a"], ["a", "a"]] {
        assert_eq!(with(twisted.map(issuer).to_vec()), Err(ClaimsError::Order("issuers of tokens")));
    }
    for bad in [
        issuer(""),
        IssuerClaim { issuer: "http://id.example.com".to_owned(), ..issuer("a") },
        IssuerClaim { jwks: Some("ftp://id.example.com".to_owned()), ..issuer("a") },
        IssuerClaim { audience: String::new(), ..issuer("a") },
        IssuerClaim { roles_claim: "a b".to_owned(), ..issuer("a") },
    ] {
        assert!(matches!(with(vec![bad]), Err(ClaimsError::Issuer(_))));
    }

    // What is not encoded is not decoded.
    let claims = Claims { issuers: vec![issuer("a")], ..example() };
    let text = |text: &str| [&[0x60 + text.len() as u8], text.as_bytes()].concat();
    assert!(matches!(replaced(&claims, &text("a"), &text("A")), Err(ClaimsError::Issuer(_))));
    let head = |items: u8| [&[13, 0x81, items], &text("a")[..]].concat();
    assert!(is_shape(replaced(&claims, &head(0x86), &head(0x85))));
}

#[test]
fn a_lineage_has_each_image_once_in_any_order() {
    let with = |lineage| Claims { lineage, ..example() };
    let most = Vec::from_iter((0..64).rev().map(|byte| [byte; 32]));
    for good in [vec![], vec![[2; 32], [1; 32]], most.clone()] {
        let claims = with(good);
        assert_eq!(Claims::decode(&claims.encode().unwrap()), Ok(claims));
    }
    assert!(is_shape(with([&most[..], &[[64; 32]]].concat()).encode()));
    assert!(is_shape(with(vec![[1; 32], [2; 32], [1; 32]]).encode()));
    assert!(is_shape(replaced(&with(vec![[0xf1; 32], [0xf2; 32]]), &[0xf2; 32], &[0xf1; 32])));
}

#[test]
fn links_are_none_yet() {
    let claims = Claims { apps: vec![app("a")], ..example() };
    let present = [14, 0x80, 15, 0x80, 9];
    assert_eq!(replaced(&claims, &present, &present), Ok(claims.clone()));
    assert!(is_shape(replaced(&claims, &present, &[14, 0x80, 15, 0x81, 0, 9])));
    assert!(is_shape(replaced(&claims, &present, &[14, 0x80, 15, 0xf6, 9])));
}
