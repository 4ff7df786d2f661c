//! The command `cloister`, as people and scripts use it.

use cloister_tests::{code_hash, example, given};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// `cloister serve` in a process of its own, and a profile that accepts it.
struct Machine {
    folder: TempDir,
    child: Child,
    ready: Value,
}

impl Machine {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("owner.pem");
        let made = cloister(folder.path()).args(["keygen", "--out"]).arg(&key).output().unwrap();
        assert_eq!(status(&made), 0, "{}", error(&made));
        let mut child = cloister(folder.path())
            .args([
                "serve",
                "--format",
                "json",
                "--device",
                "soft",
                "--listen",
                "127.0.0.1:0",
                "--grace",
                "5",
            ])
            .arg("--image")
            .arg(given("CLOISTER_IMAGE"))
            .arg("--sigstruct")
            .arg(given("CLOISTER_SIGSTRUCT"))
            .arg("--state")
            .arg(folder.path().join("state"))
            .arg("--owner")
            .arg(&key)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        let machine = Self { folder, child, ready };
        let root = machine.text("simulated_root");
        machine.succeeds(&[
            "profile",
            "set",
            "default",
            "--host",
            &machine.text("address"),
            "--mrenclave",
            &machine.text("mrenclave"),
            "--allow-simulated",
            &root,
            "--key",
            key.to_str().unwrap(),
        ]);
        machine
    }

    fn text(&self, field: &str) -> String {
        self.ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.ready)).to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        cloister(self.folder.path()).args(arguments).output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(status(&output), 0, "{arguments:?}: {}", error(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeeds(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cloister(folder: &Path) -> Command {
    let mut command = Command::new(given("CLOISTER_BIN"));
    for (variable, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOISTER_"))
    {
        command.env_remove(variable);
    }
    command.env("CLOISTER_CONFIG", folder.join("config.toml")).stdin(Stdio::null());
    command
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_owner_deploys_verifies_calls_and_removes() {
    let mut machine = Machine::start();
    let rust = given("CLOISTER_EXAMPLES").join("rust.wasm");
    let rust = rust.to_str().unwrap();
    let hash = hex::encode(code_hash(&example("rust")));
    assert!(machine.succeeds(&["hash", rust]).contains(&hash));
    let deployed = machine.json(&["deploy", rust, "--name", "hello", "--fuel", "20M", "--env", "A=B"]);
    assert_eq!(deployed["code_hash"], hash.as_str(), "{deployed}");
    assert_eq!(deployed["limits"]["fuel"], 20_000_000);

    let verified = machine.succeeds(&["verify", "--app", "hello", "--code-hash", &hash]);
    for word in ["SIMULATED", &machine.text("mrenclave"), &hash, "session binding"] {
        assert!(verified.contains(word), "{word}: {verified}");
    }
    assert!(machine.succeeds(&["call", "hello", "greet", "\"Ada\""]).contains("Ada"));
    let answer = machine.json(&["call", "hello", "greet", "--json", "[\"Ada\"]"]);
    assert_eq!(answer["code_hash"], hash.as_str(), "{answer}");
    assert!(answer["fuel"].as_u64().unwrap() > 0);
    assert!(machine.succeeds(&["apps"]).contains("hello"));
    assert!(
        machine.succeeds(&["describe", "hello", "--wit"]).contains("greet: func(name: string) -> string")
    );
    assert_eq!(machine.json(&["describe", "hello"])["total"]["calls"], 2);
    assert!(machine.succeeds(&["metrics"]).contains("cloister_calls_total{app=\"hello\""));
    assert_eq!(machine.succeeds(&["logs", "hello"]), "");
    machine.succeeds(&["replace", rust, "--name", "hello"]);
    machine.succeeds(&["remove", "hello"]);
    assert!(!machine.succeeds(&["apps"]).contains("hello"));

    let ended = Command::new("kill").args(["-TERM", &machine.child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(machine.child.wait().unwrap().code(), Some(0));
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let machine = Machine::start();
    let rust = given("CLOISTER_EXAMPLES").join("rust.wasm");
    machine.succeeds(&["deploy", rust.to_str().unwrap(), "--name", "hello"]);
    let zeros = "0".repeat(64);
    for (arguments, expected, word) in [
        (&["frobnicate"][..], 2, "frobnicate"),
        (&["apps", "--host", "127.0.0.1:1"], 3, "127.0.0.1:1"),
        (&["call", "hello", "greet", "\"x\"", "--mrenclave", &zeros], 4, "MRENCLAVE"),
        (&["call", "hello", "greet", "\"x\"", "--code-hash", &zeros], 4, "hello"),
        (&["verify", "--allow-simulated", &zeros], 4, "root of trust"),
        (&["call", "helo", "greet", "\"x\""], 5, "hello"),
        (&["call", "hello", "gret", "\"x\""], 5, "greet"),
        (&["call", "hello", "greet", "7"], 5, "name"),
        (&["deploy", "/dev/null", "--name", "x"], 5, "component"),
    ] {
        let output = machine.run(arguments);
        assert_eq!(status(&output), expected, "{arguments:?}: {}", error(&output));
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), error(&output));
        assert!(all.contains(word), "{arguments:?}: {all}");
    }
    let failed = machine.run(&["call", "helo", "greet", "\"x\"", "--format", "json"]);
    let problem: Value = serde_json::from_str(&error(&failed)).unwrap();
    assert!(problem.to_string().contains("unknown-app"), "{problem}");
}
