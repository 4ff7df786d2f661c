//! The command `cloister`, as people and scripts use it.

use cloister_tests::{Machine, code_hash, error, example, given, status};
use serde_json::Value;

#[test]
fn an_owner_deploys_verifies_calls_and_removes() {
    let machine = Machine::start();
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

    assert_eq!(machine.terminate().0.code(), Some(0));
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
