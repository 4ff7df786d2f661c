//! Files that are policies, and what is wrong with those that are none.

use super::{GOOD, faults, faults_of, line_of, only_fault, parse, path, with, without};
use cloister_attestation::ImageUpgradeClaim;
use cloister_attestation::verify::{
    Accepted, ConfigurationDemand, FreshnessDemand, Measurement, OtherApps, Presence, TcbStatus, TrustAnchor,
    UpgradeDemand,
};
use cloister_policy::{CollateralSource, Draft, FaultKind, KEYS, MAX_FAULTS, MAX_POLICY, PolicyFile, Table};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn every_decision_is_read() {
    let file = parse(GOOD);
    let policy = &file.policy;
    assert_eq!(policy.anchor, TrustAnchor::Intel);
    assert_eq!(policy.tcb, [TcbStatus::UpToDate, TcbStatus::SWHardeningNeeded]);
    assert_eq!(policy.advisories, Accepted::OneOf(vec!["INTEL-SA-00615".to_owned()]));
    assert_eq!(policy.fmspc, Accepted::OneOf(vec![[0, 0xa0, 0x67, 0x11, 0, 0], [0x30, 0x60, 0x6a, 0, 0, 0]]));
    let ppid = (0..16).map(|n| n * 0x11).collect();
    assert_eq!(policy.ppid, Accepted::OneOf(vec![ppid]));
    assert_eq!(policy.maximum_quote_age, Some(Duration::from_secs(25 * 3600)));
    assert_eq!(policy.maximum_collateral_age, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(file.collateral, CollateralSource::File("collateral.json".into()));
    assert_eq!(policy.mrenclave, Measurement::Exactly(vec![[0xaa; 32]]));
    assert_eq!(policy.mrsigner, Accepted::OneOf(vec![[0xbb; 32]]));
    assert_eq!(policy.isv_prod_id, Accepted::OneOf(vec![0, 7]));
    assert_eq!(policy.minimum_isv_svn, Some(3));
    assert_eq!(policy.identity, Accepted::OneOf(vec![[0x1d; 32], [0x1e; 32]]));
    assert_eq!(policy.boot_configuration, Some([0xcf; 32]));
    assert_eq!(policy.operator, Accepted::OneOf(vec![None, Some([0x11; 32])]));
    assert_eq!(policy.owners, Some(vec![[0x0a; 32]]));
    let issuers = policy.issuers.as_ref().unwrap();
    assert_eq!(file.issuers[&issuers[0]].issuer, "https://id.example.com");
    assert_eq!(issuers[1], [0x15; 32]);
    assert_eq!(
        policy.image_upgrade,
        Accepted::OneOf(vec![
            ImageUpgradeClaim::Never,
            ImageUpgradeClaim::Listed(vec![[0xdd; 32]]),
            ImageUpgradeClaim::Signer { mrsigner: [0xbb; 32], product: 7, minimum_svn: 4 },
        ])
    );
    assert_eq!(policy.lineage, Accepted::OneOf(vec![[0xac; 32]]));
    assert_eq!(policy.minimum_boot_counter, Some(2));
    assert_eq!(policy.other_apps, OtherApps::Refused);
    assert_eq!((policy.minimum_epoch, policy.volume_root), (Some(300), Some([0x40; 32])));
    assert_eq!(policy.freshness, FreshnessDemand::Tpm { identity: Some([0x79; 32]) });

    let app = &policy.apps[&"hello".parse().unwrap()];
    assert_eq!(app.presence, Presence::Required);
    assert_eq!(app.code, Accepted::OneOf(vec![[0xc0; 32]]));
    assert_eq!(app.owner, Accepted::OneOf(vec![[0x0a; 32]]));
    assert_eq!(app.upgrade, Accepted::OneOf(vec![UpgradeDemand::Frozen, UpgradeDemand::Endorsed]));
    assert_eq!(app.endorsers, Some(vec![[0xe0; 32]]));
    assert_eq!(app.minimum_endorsements, Some(1));
    assert_eq!(app.network.as_ref().unwrap().rules().len(), 2);
    assert_eq!(app.callers.as_ref().unwrap().rules().len(), 2);
    let issuer = &file.issuers[&app.issuers.as_ref().unwrap()[0]];
    assert_eq!(issuer.jwks.as_deref(), Some("https://id.example.com/keys"));
    assert_eq!(issuer.roots, Some([0x99; 32]));
    let assets = app.assets.as_ref().unwrap();
    assert_eq!((assets.at.as_str(), assets.hash), ("/assets", [0xa5; 32]));
    assert_eq!(Vec::from_iter(app.extensions.clone()), [(1, [0xee; 32]), (7, [0xef; 32])]);
    assert_eq!(app.quote_roots, Accepted::OneOf(vec![None]));
    assert_eq!(app.configuration, ConfigurationDemand::Settled);
}

#[test]
fn a_missing_decision_is_an_error_that_says_what_it_decides_and_takes() {
    for key in KEYS {
        let text = without(GOOD, key.table, key.name);
        let fault = only_fault(&text);
        assert_eq!(fault.key, path(key.table, key.name));
        assert_eq!(fault.kind, FaultKind::Missing { decides: key.decides, takes: key.takes });
        let said = fault.to_string();
        assert!(
            said.contains(&fault.key) && said.contains(key.decides) && said.contains(key.takes),
            "{said}"
        );
    }
}

#[test]
fn collateral_comes_from_the_enclave_a_file_or_a_service() {
    let server = |roots: Option<&str>| CollateralSource::Server {
        url: "https://pccs.example:8081".to_owned(),
        roots: roots.map(Into::into),
    };
    for (value, source) in [
        ("\"enclave\"", CollateralSource::Enclave),
        ("{ file = \"a/b.json\" }", CollateralSource::File("a/b.json".into())),
        ("{ pccs = \"https://pccs.example:8081\" }", server(None)),
        ("{ pccs = \"https://pccs.example:8081\", roots = \"ca.pem\" }", server(Some("ca.pem"))),
    ] {
        let file = parse(&with(GOOD, Table::Platform, "collateral", value));
        assert_eq!(file.collateral, source);
        assert_eq!(parse(&Draft::of(&file).to_string()), file);
    }
}

#[test]
fn a_missing_table_lacks_all_of_its_keys() {
    let start = GOOD.find("[volume]").unwrap();
    let end = GOOD.find("[apps.hello]").unwrap();
    let faults = faults(&[&GOOD[..start], &GOOD[end..]].concat());
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["volume.minimum-epoch", "volume.root", "volume.freshness"]);
    assert_eq!(faults_of("").len(), KEYS.iter().filter(|key| key.table != Table::App).count());
}

#[test]
fn an_open_decision_is_not_taken_for_one() {
    for key in KEYS {
        let text = with(GOOD, key.table, key.name, "\"?\"");
        let fault = only_fault(&text);
        assert_eq!(
            fault.kind,
            FaultKind::Undecided { decides: key.decides, takes: key.takes },
            "{}",
            key.name
        );
    }
}

#[test]
fn unknown_keys_and_tables_are_refused_with_what_was_perhaps_meant() {
    for (before, added, key, near) in [
        ("[platform]", "rot = \"intel\"", "platform.rot", Some("platform.root")),
        ("[image]", "mr-enclave = \"any\"", "image.mr-enclave", Some("image.mrenclave")),
        ("[apps.hello]", "codes = \"any\"", "apps.hello.codes", Some("apps.hello.code")),
        ("[apps.hello]", "frobnicate = 1", "apps.hello.frobnicate", None),
        ("[enclave]", "debug = true", "enclave.debug", None),
        ("[platform]", "binding = \"any\"", "platform.binding", None),
    ] {
        let text = GOOD.replacen(before, &format!("{before}\n{added}"), 1);
        let fault = only_fault(&text);
        assert_eq!(fault.key, key);
        assert_eq!(fault.kind, FaultKind::Unknown { near: near.map(str::to_owned) });
        assert_eq!(fault.line, line_of(&text, added), "{added}");
    }
    let fault = only_fault(&format!("{GOOD}\n[volumes]\n"));
    assert_eq!(fault.kind, FaultKind::Unknown { near: Some("volume".to_owned()) });
    assert!(
        fault.to_string().ends_with("volumes is nothing that a policy decides; did you mean volume?"),
        "{fault}"
    );
}

#[test]
fn values_of_another_kind_are_refused_with_their_line() {
    let digits = "a".repeat(63);
    let almost = format!("\"{digits}\"");
    let hash = format!("\"{}\"", "ab".repeat(32));
    let with_any = format!("[{hash}, \"any\"]");
    let listed = format!("{{ listed = {hash} }}");
    for (table, key, value) in [
        (Table::File, "version", "2"),
        (Table::Platform, "root", "\"any\""),
        (Table::Platform, "root", "{ simulated = \"any\" }"),
        (Table::Platform, "root", "{ simulated = \"intel\", more = 1 }"),
        (Table::Platform, "tcb-statuses", "\"any\""),
        (Table::Platform, "tcb-statuses", "[]"),
        (Table::Platform, "tcb-statuses", "[\"any\"]"),
        (Table::Platform, "tcb-statuses", "[\"uptodate\"]"),
        (Table::Platform, "tcb-statuses", "[\"UpToDate\", \"Revoked\"]"),
        (Table::Platform, "advisories", "[\"SA-00615\"]"),
        (Table::Platform, "fmspc", "\"00a0\""),
        (Table::Platform, "fmspc", "[]"),
        (Table::Platform, "ppid", "\"00a067110000\""),
        (Table::Platform, "maximum-quote-age", "24"),
        (Table::Platform, "maximum-quote-age", "\"24\""),
        (Table::Platform, "maximum-quote-age", "\"-1h\""),
        (Table::Platform, "maximum-quote-age", "\"1y\""),
        (Table::Platform, "maximum-quote-age", "\"99999999999999999999s\""),
        (Table::Platform, "maximum-quote-age", "\"é\""),
        (Table::Platform, "maximum-collateral-age", "\"30463w\""),
        (Table::Platform, "collateral", "\"any\""),
        (Table::Platform, "collateral", "{ file = \"\" }"),
        (Table::Platform, "collateral", "{ pccs = \"x\" }"),
        (Table::Platform, "collateral", "{ pccs = \"https://\" }"),
        (Table::Platform, "collateral", "{ pccs = \"https://a\", file = \"b\" }"),
        (Table::Platform, "collateral", "{ pccs = \"https://a\", trust = \"b\" }"),
        (Table::Platform, "collateral", "{ roots = \"b\" }"),
        (Table::Image, "mrenclave", almost.as_str()),
        (Table::Image, "mrenclave", "[]"),
        (Table::Image, "mrenclave", with_any.as_str()),
        (Table::Image, "isv-prod-id", "65536"),
        (Table::Image, "minimum-isv-svn", "-1"),
        (Table::Image, "minimum-isv-svn", "[1]"),
        (Table::Enclave, "identity", "\"none\""),
        (Table::Enclave, "identity", "[]"),
        (Table::Enclave, "identity", with_any.as_str()),
        (Table::Enclave, "boot-configuration", "\"none\""),
        (Table::Enclave, "operator", "\"nobody\""),
        (Table::Enclave, "owners", "1"),
        (Table::Enclave, "issuers", "[{ name = \"corp\" }]"),
        (Table::Enclave, "issuers", "[{ name = \"corp\", url = \"https://a\" }]"),
        (Table::Enclave, "image-upgrade", "\"always\""),
        (Table::Enclave, "image-upgrade", listed.as_str()),
        (Table::Enclave, "image-upgrade", "{ mrsigner = \"ab\", product = 0, minimum-svn = 0 }"),
        (Table::Enclave, "minimum-boot-counter", "\"1\""),
        (Table::Enclave, "other-apps", "\"any\""),
        (Table::Volume, "minimum-epoch", "-1"),
        (Table::Volume, "root", "[]"),
        (Table::Volume, "freshness", "\"tpm:ab\""),
        (Table::App, "code", "[]"),
        (Table::App, "upgrade", "\"never\""),
        (Table::App, "minimum-endorsements", "0"),
        (Table::App, "minimum-endorsements", "17"),
        (Table::App, "network", "\"none\""),
        (Table::App, "network", "[\"ftp://example.com\"]"),
        (Table::App, "callers", "[\"everybody\"]"),
        (Table::App, "assets", "\"none\""),
        (Table::App, "assets", "{ at = \"/a\" }"),
        (Table::App, "extensions", "{}"),
        (Table::App, "extensions", "{ -1 = \"ab\" }"),
        (Table::App, "quote-roots", "\"none\""),
        (Table::App, "configuration", "\"awaited\""),
    ] {
        let text = with(GOOD, table, key, value);
        let fault = only_fault(&text);
        assert_eq!(fault.key, path(table, key), "{value}");
        assert!(matches!(fault.kind, FaultKind::Value { .. }), "{fault}");
        assert_eq!(fault.line, line_of(&text, &format!("{key} = {value}")), "{value}");
    }
}

#[test]
fn a_wrong_element_of_a_list_has_its_own_line() {
    let value = format!("[\n    \"{}\",\n    \"{}\",\n]", "ab".repeat(32), "xy".repeat(32));
    let text = with(GOOD, Table::Image, "mrenclave", &value);
    assert_eq!(only_fault(&text).line, line_of(&text, "mrenclave = [") + 2);
}

#[test]
fn names_of_apps_are_names() {
    for header in ["[apps.Hello]", "[apps.\"a b\"]", "[apps.\"\"]"] {
        let fault = only_fault(&GOOD.replace("[apps.hello]", header));
        assert!(matches!(fault.kind, FaultKind::Value { .. }), "{fault}");
    }
    let fault = only_fault(&GOOD.replace("[apps.hello]", "[apps.\"?\"]"));
    assert!(matches!(fault.kind, FaultKind::Undecided { .. }), "{fault}");
}

#[test]
fn a_file_may_name_no_app() {
    let start = GOOD.find("[apps.hello]").unwrap();
    assert!(parse(&GOOD[..start]).policy.apps.is_empty());
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = with(&without(GOOD, Table::Volume, "root"), Table::Platform, "fmspc", "7");
    let faults = faults(&text);
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["platform.fmspc", "volume.root"]);
    let many: String = (0..500).map(|n| format!("k{n} = 1\n")).collect();
    assert_eq!(faults_of(&many).len(), MAX_FAULTS);
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    for (text, line) in [("version = 1\n[platform", 2), ("version = 1\nversion = 1\n", 2), ("\n\n=", 3)] {
        let fault = &faults_of(text)[0];
        assert!(matches!(fault.kind, FaultKind::Syntax(_)), "{text:?}: {fault}");
        assert_eq!(fault.line, line, "{text:?}: {fault}");
    }
    let long = format!("{GOOD}#{}", "x".repeat(MAX_POLICY));
    assert!(matches!(only_fault(&long).kind, FaultKind::TooLong(_)));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = PolicyFile::parse(&text);
    }
}
