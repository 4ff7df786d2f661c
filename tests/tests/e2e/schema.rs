//! Requests made out of `docs/openapi.json`, good ones and bad ones, by schemathesis. `tests/schemathesis.toml` has its
//! settings, and why some checks expect more than they do by default.

use cloister_tests::{Machine, error, given, status};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_image_answers_as_its_description_says() {
    // One key for everything, so that no request ends at the question who sends it.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("owner.pem");
    let machine = Machine::start_in(folder, &["--operator", text(&key), "--image-upgrade", "operator"]);
    let component = given("CLOISTER_EXAMPLES").join("rust.wasm");
    machine.succeeds(&["deploy", text(&component), "--name", "schema"]);
    let certificate = certificate_of(&key);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let address = machine.text("address");
    let (_, port) = address.rsplit_once(':').unwrap();
    let output = Command::new(given("CLOISTER_SCHEMATHESIS"))
        .arg("--config-file")
        .arg(tests.join("schemathesis.toml"))
        .args(["run", "--no-color", "--url", &format!("https://localhost:{port}/.well-known/cloister")])
        .arg("--request-cert")
        .arg(&certificate)
        .arg("--request-cert-key")
        .arg(&key)
        .arg(tests.join("../docs/openapi.json"))
        .current_dir(machine.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(status(&output), 0, "{said}\n{}", error(&output));
    // It did not find a reason to test nothing.
    assert!(said.contains("Tested: ") && !said.contains("Tested: 0"), "{said}");
    // Whatever was asked of it, the enclave serves. The app of before may be gone: that can be asked, too.
    machine.succeeds(&["deploy", text(&component), "--name", "afterwards"]);
    machine.succeeds(&["call", "afterwards", "greet", "\"you\""]);
}

/// A certificate of the owner's key: self-signed, which is all that an owner needs.
fn certificate_of(key: &Path) -> PathBuf {
    let certificate = key.with_file_name("owner.crt");
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-key",
            text(key),
            "-subj",
            "/CN=owner",
            "-days",
            "1",
            "-out",
            text(&certificate),
        ])
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", error(&output));
    certificate
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
