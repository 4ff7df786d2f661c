//! The program as scripts see it: exit codes, standard output, standard error.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const HASH_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A user with a home of their own and nothing in the environment.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn run(&self, line: &[&str]) -> Run {
        self.run_with(line, &[])
    }

    fn run_with(&self, line: &[&str], environment: &[(&str, &str)]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_cloister"))
            .args(line)
            .env_clear()
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        Run(output)
    }
}

struct Run(Output);

impl Run {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    fn error(&self) -> serde_json::Value {
        serde_json::from_str(&self.stderr()).unwrap_or_else(|e| panic!("{e}: {}", self.stderr()))
    }
}

/// An address where nobody listens, nor begins to: other ports of loopback are at 127.0.0.1.
fn nobody() -> String {
    TcpListener::bind("127.93.77.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn help_and_version_are_no_errors() {
    let user = User::new();
    let help = user.run(&["--help"]);
    assert_eq!(help.code(), 0);
    assert!(help.stdout().contains("Exit codes:"), "{}", help.stdout());
    assert_eq!(user.run(&["deploy", "--help"]).code(), 0);
    assert!(user.run(&["--version"]).stdout().starts_with("cloister "));
}

#[test]
fn wrong_usage_ends_with_2_and_suggests() {
    let user = User::new();
    let run = user.run(&["aps"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().contains("'apps'"), "{}", run.stderr());
    assert_eq!(user.run(&[]).code(), 2);
    let run = user.run(&["apps", "--mrenclave", "12", "--format", "json"]);
    assert_eq!((run.code(), run.stdout().as_str()), (2, ""));
    assert_eq!(run.error()["code"], "usage");
    assert_eq!(run.error()["exit_code"], 2);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let user = User::new();
    let run = user.run(&["hash", "/nonexistent/a.wasm"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().starts_with("error[file]: cannot read /nonexistent/a.wasm: "), "{}", run.stderr());
}

#[test]
fn hash_prints_for_people_scripts_and_programs() {
    let user = User::new();
    let file = user.write("a.wasm", "abc");
    assert_eq!(user.run(&["hash", &file]).stdout(), format!("{HASH_OF_ABC}  {file}  (3 B)\n"));
    assert_eq!(user.run(&["hash", "--quiet", &file]).stdout(), format!("{HASH_OF_ABC}\n"));
    let json: serde_json::Value =
        serde_json::from_str(&user.run(&["hash", &file, "--format", "json"]).stdout()).unwrap();
    assert_eq!(json["sha256"], HASH_OF_ABC);
    assert_eq!(json["size"], 3);
}

#[test]
fn completions_exist_for_every_shell() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = user.run(&["completions", shell]);
        assert_eq!(run.code(), 0);
        assert!(run.stdout().contains("cloister"), "{shell}");
    }
    assert_eq!(user.run(&["completions", "tcsh"]).code(), 2);
}

#[test]
fn a_profile_is_set_and_shown_and_the_environment_stays_out_of_it() {
    let user = User::new();
    let pin = format!("hello={HASH_OF_ABC}");
    let set = ["profile", "set", "local", "--mrenclave", HASH_OF_ABC, "--pin", &pin];
    let identity = "1d".repeat(32);
    let run = user.run_with(&set, &[("CLOISTER_HOST", "elsewhere:1"), ("CLOISTER_IDENTITY", &identity)]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let shown = user.run(&["profile", "show", "local"]).stdout();
    assert!(shown.contains("[profiles.local]") && shown.contains(HASH_OF_ABC), "{shown}");
    assert!(!shown.contains("elsewhere") && !shown.contains(&identity), "{shown}");
    let json: serde_json::Value =
        serde_json::from_str(&user.run(&["profile", "show", "--format", "json"]).stdout()).unwrap();
    assert_eq!(json["profiles"]["local"]["code_hashes"]["hello"], HASH_OF_ABC);

    let run = user.run(&["profile", "show", "locl"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().contains("did you mean: local"), "{}", run.stderr());
    assert_eq!(user.run(&["profile", "set", "x"]).code(), 2);
    assert_eq!(user.run(&["profile", "set", "x", "--host", "http://h"]).code(), 2);
}

#[test]
fn a_broken_profile_file_is_named_with_its_line() {
    let user = User::new();
    let file = user.write("config/cloister/config.toml", "[profiles.default]\nhosst = 'x'\n");
    let run = user.run(&["apps"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().contains(&format!("{file}:2: unknown field `hosst`")), "{}", run.stderr());
}

#[test]
fn nothing_is_sent_where_nothing_is_pinned() {
    let user = User::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    for line in [
        vec!["apps"],
        vec!["call", "a", "f"],
        vec!["describe", "a"],
        vec!["remove", "a"],
        vec!["metrics"],
        vec!["deploy", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--name", "a"],
    ] {
        let run = user.run(&[&["--host", &host], line.as_slice()].concat());
        assert_eq!(run.code(), 4, "{line:?}: {}", run.stderr());
        assert!(run.stderr().contains("--mrenclave"), "{}", run.stderr());
    }
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn nobody_there_ends_with_3() {
    let user = User::new();
    let host = nobody();
    let run = user.run(&["apps", "--host", &host, "--mrenclave", HASH_OF_ABC, "--key", &key(&user)]);
    assert_eq!(run.code(), 3, "{}", run.stderr());
    assert!(run.stderr().contains(&host), "{}", run.stderr());
    let run = user.run(&["verify", &host, "--format", "json"]);
    assert_eq!(run.code(), 3);
    assert_eq!(run.error()["code"], "cannot-connect");
}

#[test]
fn a_plain_http_server_is_recognized() {
    use std::io::{Read, Write};
    let user = User::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        // Until the client goes: an end with something unread is a reset, which may overtake the answer.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let run = user.run(&["verify", &host]);
    server.join().unwrap();
    assert_eq!(run.code(), 3, "{}", run.stderr());
    assert!(run.stderr().contains("does not speak TLS"), "{}", run.stderr());
}

#[test]
fn owners_commands_need_a_key() {
    let user = User::new();
    let run = user.run(&["apps", "--host", &nobody(), "--mrenclave", HASH_OF_ABC]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().contains("cloister keygen"), "{}", run.stderr());
}

#[test]
fn keygen_makes_a_private_file_and_never_overwrites() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    let path = user.path("a.pem");
    let run = user.run(&["keygen", "--out", &path, "--format", "json"]);
    assert_eq!(run.code(), 0, "{}", run.stderr());
    let json: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(json["fingerprint"].as_str().unwrap().len(), 64);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&path).unwrap();
    let again = user.run(&["keygen", "--out", &path]);
    assert_eq!(again.code(), 2);
    assert!(again.stderr().contains("exists"), "{}", again.stderr());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(user.run(&["keygen"]).stdout().contains(&user.path("config/cloister/key.pem")));
    assert!(Path::new(&user.path("config/cloister/key.pem")).exists());
}

#[test]
fn an_image_is_signed_with_a_key_that_is_made_once() {
    let user = User::new();
    let (image, key) = (user.write("a.sgxs", "abc"), user.path("signing.pem"));
    assert_eq!(user.run(&["image", "sign", &image]).code(), 2, "the signing key has no default");
    let sign = || {
        let run = user.run(&["image", "sign", &image, "--key", &key, "--format", "json"]);
        assert_eq!(run.code(), 0, "{}", run.stderr());
        serde_json::from_str::<serde_json::Value>(&run.stdout()).unwrap()
    };
    let (first, second) = (sign(), sign());
    assert_eq!(first["mrenclave"], HASH_OF_ABC);
    assert_eq!(first["mrsigner"], second["mrsigner"]);
    // Intel SDM volume 3D, table 38-23: a SIGSTRUCT has 1808 bytes.
    assert_eq!(std::fs::read(user.path("a.sigstruct")).unwrap().len(), 1808);
}

#[test]
fn serve_says_which_image_is_missing() {
    let user = User::new();
    let run = user.run(&["serve", "--image", "/nonexistent.sgxs", "--state", &user.path("state")]);
    assert_eq!(run.code(), 2);
    assert!(
        run.stderr().contains("/nonexistent.sgxs") && run.stderr().contains("xtask image"),
        "{}",
        run.stderr()
    );
    let run = user.run(&["serve", "--owner", "nonsense"]);
    assert_eq!(run.code(), 2);
    assert!(run.stderr().contains("neither a fingerprint nor a file"), "{}", run.stderr());
}

fn key(user: &User) -> String {
    let path = user.path("key.pem");
    assert_eq!(user.run(&["keygen", "--out", &path]).code(), 0);
    path
}
