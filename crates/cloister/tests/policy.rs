//! Policy files on the command line, as far as no enclave is needed for them.

use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const GOOD: &str = include_str!("../../policy/tests/good/all.toml");

#[test]
fn a_template_is_refused_until_it_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "policy.toml");
    let made = run(&folder, &["policy", "init", "--template", "--out", &path]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let checked = run(&folder, &["policy", "check", &path]);
    assert_eq!(code(&checked), 2);
    for part in
        ["error[policy]", "image.mrenclave is not decided yet", "apps.? is not decided yet", "It takes"]
    {
        assert!(stderr(&checked).contains(part), "{part}: {}", stderr(&checked));
    }
    assert!(!stderr(&checked).contains("is missing"), "{}", stderr(&checked));

    let again = run(&folder, &["policy", "init", "--template", "--out", &path]);
    assert_eq!(code(&again), 2, "a file that exists is kept");
    assert_eq!(code(&run(&folder, &["policy", "init", "--template", "--out", &path, "--force"])), 0);
    let shown = run(&folder, &["policy", "init", "--template"]);
    assert_eq!(stdout(&shown), std::fs::read_to_string(&path).unwrap());
}

#[test]
fn a_policy_is_checked_and_explained_for_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "policy.toml");
    std::fs::write(&path, GOOD).unwrap();
    let checked = run(&folder, &["policy", "check", &path]);
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    assert!(stdout(&checked).contains("2 decisions give something up"), "{}", stdout(&checked));
    let json = json(&run(&folder, &["policy", "check", &path, "--format", "json"]));
    let keys: Vec<_> = json["warnings"].as_array().unwrap().iter().map(|warning| &warning["key"]).collect();
    assert_eq!(keys, ["platform.tcb-statuses", "platform.advisories"]);

    let explained = run(&folder, &["policy", "explain", &path]);
    assert!(stdout(&explained).contains("SGX hardware that Intel certified"), "{}", stdout(&explained));
    let explained = run(&folder, &["policy", "explain", &path, "--format", "json"]);
    let explained: serde_json::Value = serde_json::from_str(&stdout(&explained)).unwrap();
    assert_eq!(explained["accepts"][0]["key"], "platform.root");
    assert!(explained["always"].as_array().unwrap().len() > 3);
}

#[test]
fn every_fault_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "policy.toml");
    std::fs::write(&path, GOOD.replacen("mrsigner = \"bb", "mrsinger = \"bb", 1)).unwrap();
    let checked = run(&folder, &["policy", "check", &path, "--format", "json"]);
    assert_eq!(code(&checked), 2);
    let error: serde_json::Value = serde_json::from_str(&stderr(&checked)).unwrap();
    assert_eq!(error["code"], "policy");
    let reasons = error["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert_eq!(
        reasons[0],
        "line 13: image.mrsigner is missing. It decides who may have signed the image: SHA-256 of the \
        key's modulus. It takes an MRSIGNER of 64 hex digits, a list of them, or \"any\""
    );
    let unknown = "line 15: image.mrsinger is nothing that a policy decides; did you mean image.mrsigner?";
    assert_eq!(reasons[1], unknown);
}

#[test]
fn nothing_else_decides_beside_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "policy.toml");
    std::fs::write(&path, GOOD).unwrap();
    let hash = "07".repeat(32);
    for (line, option) in [
        (vec!["apps", "--mrenclave", &hash], "--mrenclave"),
        (vec!["apps", "--identity", &hash], "--identity"),
        (vec!["verify", "--app", "hello", "--code-hash", &hash], "--code-hash"),
        (vec!["verify", "--app", "hello", "--allow", "none"], "--allow"),
        (vec!["verify", "--app", "hello", "--allow-unconfigured"], "--allow-unconfigured"),
        (vec!["verify", "--min-epoch", "1"], "--min-epoch"),
        (vec!["verify", "--pccs", "https://pccs.example"], "--pccs"),
    ] {
        let refused = run(&folder, &[&line[..], &["--host", "127.0.0.1:1", "--policy", &path]].concat());
        assert_eq!(code(&refused), 2, "{line:?}: {}", stderr(&refused));
        let expected = format!("{option} is given beside the policy file");
        assert!(stderr(&refused).contains(&expected), "{line:?}: {}", stderr(&refused));
    }
    let call = ["call", "other", "f", "--host", "127.0.0.1:1", "--policy", &path];
    let refused = run(&folder, &call);
    assert_eq!(code(&refused), 4, "{}", stderr(&refused));
    assert!(stderr(&refused).contains("says nothing of an app other"), "{}", stderr(&refused));
    let named = run(&folder, &["call", "hello", "f", "--host", "127.0.0.1:1", "--policy", &path]);
    assert_eq!(code(&named), 2, "its collateral is not there: {}", stderr(&named));
    assert!(stderr(&named).contains("collateral.json"), "{}", stderr(&named));
}

#[test]
fn without_a_pinned_image_no_enclave_is_asked_for_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let refused = run(&folder, &["policy", "init", "--host", "127.0.0.1:1"]);
    assert_eq!(code(&refused), 4, "{}", stderr(&refused));
}

fn run(folder: &TempDir, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloister"))
        .args(line)
        .env_clear()
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .output()
        .unwrap()
}

fn file(folder: &TempDir, name: &str) -> String {
    Path::new(folder.path()).join(name).display().to_string()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).unwrap()
}
