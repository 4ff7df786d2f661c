//! Policy files: from a running enclave, and against it.

use cloister_tests::{Machine, code_hash, error, example, given, status};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

#[test]
fn a_policy_from_an_enclave_accepts_it_until_a_line_of_it_says_otherwise() {
    let case = Case::start();
    let text = fs::read_to_string(&case.policy).unwrap();
    let checked = case.machine.succeeds(&["policy", "check", case.path()]);
    assert!(checked.contains("platform.root") && checked.contains("SIMULATED"), "{checked}");
    let explained = case.machine.succeeds(&["policy", "explain", case.path()]);
    let code = hex::encode(code_hash(&example("rust")));
    for word in [case.machine.text("mrenclave"), code, "https://example.com".to_owned()] {
        assert!(explained.contains(&word), "{word} in\n{explained}");
    }
    assert_eq!(case.verify(), (0, vec![]));
    let shown = case.machine.succeeds(&["verify", "--policy", case.path()]);
    assert!(
        shown.contains("passed     code hash of hello") && shown.contains("not asked  volume root"),
        "{shown}"
    );

    let hash = format!("\"{}\"", "07".repeat(32));
    let root = format!("{{ simulated = {hash} }}");
    let assets = format!("{{ at = \"/assets\", hash = {hash} }}");
    let extension = format!("{{ 9 = {hash} }}");
    for (table, key, value, check) in [
        ("platform", "root", root.as_str(), "root-of-trust"),
        ("platform", "tcb-statuses", "[\"OutOfDate\"]", "tcb-status"),
        ("platform", "fmspc", "\"000000000000\"", "fmspc"),
        ("platform", "ppid", "\"00000000000000000000000000000000\"", "ppid"),
        ("image", "mrenclave", &hash, "mrenclave"),
        ("image", "mrsigner", &hash, "mrsigner"),
        ("image", "isv-prod-id", "999", "isv-prod-id"),
        ("image", "minimum-isv-svn", "65535", "isv-svn"),
        ("enclave", "identity", &hash, "identity"),
        ("enclave", "boot-configuration", &hash, "boot-configuration"),
        ("enclave", "operator", &hash, "operator"),
        ("enclave", "owners", "[]", "owners"),
        ("enclave", "minimum-boot-counter", "1000", "boot-counter"),
        ("volume", "minimum-epoch", "1000000", "minimum-epoch"),
        ("volume", "root", &hash, "volume-root"),
        ("volume", "freshness", "\"tpm\"", "freshness"),
        ("apps.hello", "code", &hash, "code-hash"),
        ("apps.hello", "owner", &hash, "owner"),
        ("apps.hello", "upgrade", "\"frozen\"", "upgrade"),
        ("apps.hello", "network", "[]", "network-rules"),
        ("apps.hello", "callers", "[\"*=owner\"]", "callers"),
        ("apps.hello", "assets", &assets, "assets"),
        ("apps.hello", "extensions", &extension, "extension"),
        ("apps.hello", "quote-roots", &hash, "quote-roots"),
    ] {
        fs::write(&case.policy, with(&text, table, key, value)).unwrap();
        assert_eq!(case.verify(), (4, vec![check.to_owned()]), "{table}.{key} = {value}");
    }
    let nameless = &text[..text.find("[apps.hello]").unwrap()];
    fs::write(&case.policy, nameless).unwrap();
    assert_eq!(case.verify(), (4, vec!["other-apps".to_owned()]));
    fs::write(&case.policy, text.replace("[apps.hello]", "[apps.absent]")).unwrap();
    let (code, failed) = case.verify();
    assert!(code == 4 && failed.contains(&"app".to_owned()), "{failed:?}");
    fs::write(&case.policy, &text).unwrap();
    assert_eq!(case.verify(), (0, vec![]));
}

#[test]
fn a_call_goes_to_the_code_that_the_policy_names_and_nowhere_else() {
    let case = Case::start();
    let call = |app: &str, more: &[&str]| {
        case.machine.run(&[&["call", app, "greet", "\"Ada\"", "--policy", case.path()], more].concat())
    };
    let answered = call("hello", &[]);
    assert_eq!(status(&answered), 0, "{}", error(&answered));
    let unnamed = call("helo", &[]);
    assert_eq!(status(&unnamed), 4, "{}", error(&unnamed));
    assert!(error(&unnamed).contains("says nothing of an app helo"), "{}", error(&unnamed));
    let beside = call("hello", &["--mrenclave", &case.machine.text("mrenclave")]);
    assert_eq!(status(&beside), 2, "{}", error(&beside));
    assert!(error(&beside).contains("--mrenclave is given beside the policy file"), "{}", error(&beside));

    let calls = || case.machine.json(&["describe", "hello"])["total"]["calls"].clone();
    let before = calls();
    let text = fs::read_to_string(&case.policy).unwrap();
    let other = format!("\"{}\"", "07".repeat(32));
    fs::write(&case.policy, with(&text, "apps.hello", "code", &other)).unwrap();
    let refused = call("hello", &[]);
    assert_eq!(status(&refused), 4, "{}", error(&refused));
    assert!(error(&refused).contains("code hash of hello"), "{}", error(&refused));
    assert_eq!(calls(), before, "nothing was sent");
}

#[test]
fn a_profile_can_name_the_policy() {
    let case = Case::start();
    let address = case.machine.text("address");
    case.machine.succeeds(&["profile", "set", "strict", "--host", &address, "--policy", case.path()]);
    let answer = case.machine.succeeds(&["call", "hello", "greet", "\"Ada\"", "--profile", "strict"]);
    assert!(answer.contains("Ada"), "{answer}");
    // An owner verifies by it too: the app is there, and stays.
    let key = case.machine.key();
    case.machine.succeeds(&["describe", "hello", "--profile", "strict", "--key", key.to_str().unwrap()]);
    fs::write(&case.policy, "version = 1\n").unwrap();
    let broken = case.machine.run(&["call", "hello", "greet", "\"Ada\"", "--profile", "strict"]);
    assert_eq!(status(&broken), 2, "{}", error(&broken));
    assert!(error(&broken).contains("image.mrenclave is missing"), "{}", error(&broken));
}

/// An enclave with one app, and the policy that was written from it.
struct Case {
    machine: Machine,
    policy: PathBuf,
}

impl Case {
    fn start() -> Self {
        let machine = Machine::start();
        let rust = given("CLOISTER_EXAMPLES").join("rust.wasm");
        let rust = rust.to_str().unwrap();
        machine.succeeds(&["deploy", rust, "--name", "hello", "--public", "--allow", "https://example.com"]);
        let policy = machine.folder().join("policy.toml");
        machine.succeeds(&["policy", "init", "--out", policy.to_str().unwrap()]);
        Self { machine, policy }
    }

    fn path(&self) -> &str {
        self.policy.to_str().unwrap()
    }

    /// The exit code of `verify`, and the names of the checks that failed.
    fn verify(&self) -> (i32, Vec<String>) {
        let output = self.machine.run(&["verify", "--policy", self.path(), "--format", "json"]);
        let shown: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", error(&output)));
        let checks = shown["report"]["checks"].as_array().unwrap();
        let failed = checks.iter().filter(|result| result["outcome"] == "failed");
        (status(&output), failed.map(|result| result["check"].as_str().unwrap().to_owned()).collect())
    }
}

/// The file with another value of a key, which stands on one line or in brackets over several.
fn with(text: &str, table: &str, key: &str, value: &str) -> String {
    let table = text.find(&format!("\n[{table}]\n")).unwrap_or_else(|| panic!("no [{table}] in\n{text}"));
    let start = table + text[table..].find(&format!("\n{key} = ")).unwrap() + 1;
    let line = start + text[start..].find('\n').unwrap() + 1;
    let end = match text[start..line].trim_end().ends_with('[') {
        true => start + text[start..].find("\n]\n").unwrap() + 3,
        false => line,
    };
    [&text[..start], &format!("{key} = {value}\n"), &text[end..]].concat()
}
