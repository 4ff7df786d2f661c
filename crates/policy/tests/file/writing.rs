//! What is written of a policy: drafts, warnings, explanations, and the page about it.

use super::{GOOD, faults, only_fault, open, parse, path, squeezed, with};
use cloister_policy::{Draft, FaultKind, KEYS, PolicyFile, Table};
use proptest::prelude::*;

#[test]
fn a_draft_says_what_the_policy_does() {
    for text in [GOOD.to_owned(), open()] {
        let file = parse(&text);
        let draft = Draft::of(&file).introduced_by(
            "Written for a test, with a line that is long enough to be broken into two of them.",
        );
        assert_eq!(draft.undecided().count(), 0);
        let written = draft.to_string();
        assert_eq!(PolicyFile::parse(&written).unwrap(), file, "{written}");
        assert!(written.lines().filter(|line| line.starts_with('#')).all(|line| line.len() <= 110));
        for key in KEYS {
            assert!(squeezed(&written).contains(&squeezed(key.decides)), "{}", key.name);
        }
    }
}

#[test]
fn a_template_is_refused_until_every_open_decision_is_made() {
    let template = Draft::template();
    let text = template.to_string();
    let undecided = faults(&text);
    assert!(undecided.iter().all(|fault| matches!(fault.kind, FaultKind::Undecided { .. })), "{undecided:?}");
    let keys: Vec<_> = undecided.iter().map(|fault| fault.key.clone()).collect();
    for expected in template.undecided() {
        assert!(keys.contains(&expected.replace("apps.\"?\"", "apps.?")), "{expected} in {keys:?}");
    }
    for decision in ["image.mrenclave", "platform.ppid", "apps.?.code", "apps.?"] {
        assert!(keys.iter().any(|key| key == decision), "{decision} in {keys:?}");
    }
    // The image is among what nobody else can decide, so even a template with every other line filled in is refused.
    let filled = text.replace("\"?\"]", "hello]").replace("\"?\"", "\"any\"");
    let filled = filled.replacen("mrenclave = \"any\"", "mrenclave = \"?\"", 1);
    assert_eq!(only_fault(&filled).key, "image.mrenclave");
}

#[test]
fn every_any_that_gives_something_up_is_warned_of() {
    let strict = with(GOOD, Table::Platform, "tcb-statuses", "[\"UpToDate\"]");
    let strict = with(&strict, Table::Platform, "advisories", "[]");
    let warnings: Vec<_> = parse(&strict).warnings().into_iter().map(|warning| warning.key).collect();
    assert_eq!(warnings, [""; 0], "a policy that decides everything gives nothing up");
    for (table, key, value) in [
        (
            Table::Platform,
            "root",
            "{ simulated = \"1212121212121212121212121212121212121212121212121212121212121212\" }",
        ),
        (Table::Platform, "tcb-statuses", "[\"UpToDate\", \"OutOfDate\"]"),
        (Table::Platform, "tcb-statuses", "[\"SWHardeningNeeded\"]"),
        (Table::Platform, "advisories", "\"any\""),
        (Table::Platform, "advisories", "[\"INTEL-SA-00615\"]"),
        (Table::Platform, "ppid", "\"any\""),
        (Table::Platform, "maximum-quote-age", "\"any\""),
        (Table::Image, "mrenclave", "\"any\""),
        (Table::Enclave, "issuers", "\"any\""),
        (Table::Enclave, "image-upgrade", "\"any\""),
        (Table::Enclave, "image-upgrade", "\"operator\""),
        (Table::Enclave, "lineage", "\"any\""),
        (Table::Enclave, "other-apps", "\"allowed\""),
        (Table::Volume, "freshness", "\"tpm\""),
        (Table::App, "code", "\"any\""),
        (Table::App, "upgrade", "\"any\""),
        (Table::App, "upgrade", "\"owner\""),
        (Table::App, "endorsers", "\"any\""),
        (Table::App, "network", "\"any\""),
        (Table::App, "network", "[\"http://example.com\"]"),
        (Table::App, "callers", "\"any\""),
        (Table::App, "callers", "[\"greet=public\"]"),
        (Table::App, "issuers", "\"any\""),
        (Table::App, "assets", "\"any\""),
        (Table::App, "quote-roots", "\"any\""),
        (Table::App, "configuration", "\"any\""),
    ] {
        let warnings = parse(&with(&strict, table, key, value)).warnings();
        let keys: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
        assert!(keys.contains(&path(table, key).as_str()), "{key} = {value}: {keys:?}");
    }
}

#[test]
fn what_is_open_matters_less_where_something_else_is_pinned() {
    let key = |text: &str, key: &str| {
        let explanations = parse(text).explain();
        explanations.into_iter().find(|explanation| explanation.key == key).unwrap()
    };
    let any = with(GOOD, Table::Image, "mrsigner", "\"any\"");
    assert_eq!(key(&any, "image.mrsigner").gives_up, None, "the image itself is pinned");
    let any = with(GOOD, Table::Platform, "fmspc", "\"any\"");
    assert_eq!(key(&any, "platform.fmspc").gives_up, None, "the machine itself is pinned");
    assert!(key(&open(), "platform.fmspc").gives_up.is_some());
    let signed = with(GOOD, Table::Image, "mrenclave", "\"any\"");
    let said = key(&signed, "image.mrenclave").gives_up.unwrap();
    assert!(said.contains("has that key"), "{said}");
    assert!(key(&open(), "image.mrenclave").gives_up.unwrap().contains("anybody's code"));
    let unnamed = with(GOOD, Table::Enclave, "identity", "\"any\"");
    for pin in ["root", "freshness"] {
        let one = with(&unnamed, Table::Volume, pin, "\"any\"");
        assert_eq!(key(&one, "enclave.identity").gives_up, None, "a twin differs in what is left");
    }
    let tpm = with(&with(&unnamed, Table::Volume, "root", "\"any\""), Table::Volume, "freshness", "\"tpm\"");
    assert!(key(&tpm, "enclave.identity").gives_up.unwrap().contains("twin"), "a twin has a TPM too");
    let owned = with(GOOD, Table::App, "code", "\"any\"");
    assert!(key(&owned, "apps.hello.code").accepts.contains("owner"));
}

#[test]
fn every_key_but_the_version_is_explained() {
    let explained: Vec<_> = parse(GOOD).explain().into_iter().map(|explanation| explanation.key).collect();
    let keys: Vec<_> =
        KEYS.iter().filter(|key| key.table != Table::File).map(|key| path(key.table, key.name)).collect();
    assert_eq!(explained, keys);
}

#[test]
fn the_page_documents_every_key_and_its_example_is_a_policy() {
    let page = include_str!("../../../../docs/policy.md");
    for key in KEYS {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}`", key.name)));
        assert!(row.is_some(), "docs/policy.md has no row for `{}` of [{}]", key.name, key.table.header());
    }
    let examples: Vec<_> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        parse(example);
    }
}

proptest! {
    #[test]
    fn no_change_of_a_good_file_panics(at in 0..GOOD.len(), byte in 0u8..128) {
        let mut text = GOOD.as_bytes().to_vec();
        text[at] = byte;
        if let Ok(file) = PolicyFile::parse(&String::from_utf8(text).unwrap()) {
            let written = Draft::of(&file).to_string();
            prop_assert_eq!(PolicyFile::parse(&written).unwrap(), file);
        }
    }

    #[test]
    fn durations_survive_their_text(number in 0u64..100_000, unit in "[smhd]") {
        let text = with(GOOD, Table::Platform, "maximum-quote-age", &format!("\"{number}{unit}\""));
        if let Ok(file) = PolicyFile::parse(&text) {
            let written = Draft::of(&file).to_string();
            prop_assert_eq!(PolicyFile::parse(&written).unwrap(), file);
        }
    }
}
