//! `cloister proxy` against a server that stands for an enclave: when it serves, and when it does not begin to.

#[path = "../../client/tests/enclave/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use enclave::{FakeEnclave, MRENCLAVE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A user, and what makes them accept the stand-in.
struct User {
    home: TempDir,
    trust: [String; 6],
}

impl User {
    async fn of(enclave: &FakeEnclave) -> Self {
        let root = hex::encode(enclave.platform.root_fingerprint());
        let host = enclave.serve().await.address;
        let trust = ["--host", &host, "--mrenclave", &hex::encode(MRENCLAVE), "--allow-simulated", &root];
        Self { home: tempfile::tempdir().unwrap(), trust: trust.map(str::to_owned) }
    }

    fn proxy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.env_clear().env("HOME", self.home.path()).args(["proxy", "--format", "json"]).args(arguments);
        command
    }

    /// A proxy that does not begin to serve.
    async fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.proxy(arguments);
        // The stand-in answers on this runtime.
        let output: Output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(output.stdout.is_empty(), "it says that it serves");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_enclave_is_served_at_the_port_that_is_said() {
    let enclave = FakeEnclave::new();
    let user = User::of(&enclave).await;
    let trust = user.trust.each_ref().map(String::as_str);
    let mut command = user.proxy(&[&["--listen", "127.0.0.1:0", "--app", "hello"], &trust[..]].concat());
    let (line, answer) = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let mut stream = TcpStream::connect(ready["address"].as_str().unwrap()).unwrap();
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        (ready, answer)
    })
    .await
    .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    assert_eq!((&line["event"], &line["mrenclave"]), (&"ready".into(), &hex::encode(MRENCLAVE).into()));
    assert!(line["page"].as_str().unwrap().ends_with("/.cloister/"), "{line}");
    assert_eq!(enclave.seen(), ["POST /v1/evidence", "POST /v1/evidence", "GET /v1/health"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_accepted_is_not_served() {
    let enclave = FakeEnclave::new();
    let user = User::of(&enclave).await;
    let trust = user.trust.each_ref().map(String::as_str);
    let wrong = "07".repeat(32);
    let free = ["--listen", "127.0.0.1:0"];
    let no_component = user.home.path().join("x.wasm").display().to_string();
    std::fs::write(&no_component, "no component").unwrap();
    for (arguments, code, said) in [
        (&["--host", trust[1], "--mrenclave", &wrong, "--allow-simulated", trust[5]][..], 4, "MRENCLAVE"),
        (&[&trust[..], &["--app", "hello", "--code-hash", &wrong]].concat(), 4, "code hash of hello"),
        (&["--host", trust[1]], 4, "no enclave image is pinned"),
        (&["--host", "127.0.0.1:1", "--mrenclave", &wrong], 3, "cannot connect"),
        (&[&trust[..], &["--code-hash", &wrong]].concat(), 2, "--app APP"),
        (&[&trust[..], &["--wasm", &no_component]].concat(), 2, "is not a component"),
        (&[&trust[..], &["--wasm", "/nonexistent/x.wasm"]].concat(), 2, "cannot read"),
    ] {
        let (exit, error) = user.refused(&[&free[..], arguments].concat()).await;
        assert!(exit == code && error.contains(said), "{arguments:?}: {exit} {error}");
    }
    assert!(enclave.seen().iter().all(|line| line == "POST /v1/evidence"), "{:?}", enclave.seen());
    let (exit, error) = user.refused(&[&["--listen", "0.0.0.0:0"], &trust[..]].concat()).await;
    assert!(exit == 2 && error.contains("--expose"), "{error}");
}
