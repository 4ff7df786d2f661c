//! Commands about apps, against a server that stands for an enclave: runs, uploads, logs, and what `verify` demands.

#[path = "../../client/tests/enclave/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use bytes::Bytes;
use cloister_api::{
    AssetsDescription, CallerPolicy, Code, ConfigurationState, DeployEvent, DeploySettings, NDJSON,
    NetworkPolicy, Problem, RUN, RunTag,
};
use cloister_attestation::verify::extension_values;
use cloister_attestation::{AppExtensions, Claims, ConfigurationClaim, Evidence, sha256};
use enclave::{FakeEnclave, MRENCLAVE, description, lines, response};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_and_writes_and_ends_with_its_code() {
    let user = User::of(FakeEnclave::new()).await;
    let run = user.run_with(&["run", "echo", "--stats", "--", "-v"], b"what goes in\n\xff").await;
    assert_eq!(run.status.code(), Some(3), "{}", text(&run.stderr));
    assert_eq!(run.stdout, b"what goes in\n\xff");
    assert!(text(&run.stderr).contains("exit code 3, fuel 1, 2 µs, epoch 77"), "{}", text(&run.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_traps_ends_with_134() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|line, _| {
        let problem = serde_json::to_vec(&match line {
            "POST /v1/apps/traps/run" => Problem::new(Code::GuestTrapped, "unreachable"),
            _ => Problem::new(Code::NotACommand, "no"),
        });
        let problem = problem.unwrap();
        if line != "POST /v1/apps/traps/run" {
            return response(422, "application/problem+json", problem);
        }
        let frame = |tag: RunTag, bytes: &[u8]| [&tag.head(bytes.len() as u32)[..], bytes].concat();
        response(200, RUN, [frame(RunTag::Stdout, b"half"), frame(RunTag::Problem, &problem)].concat())
    });
    let user = User::of(enclave).await;
    let run = user.run_with(&["run", "traps"], b"").await;
    assert_eq!((run.status.code(), text(&run.stdout).as_str()), (Some(134), "half"));
    assert!(text(&run.stderr).contains("error[guest-trapped]: unreachable"), "{}", text(&run.stderr));
    assert_eq!(user.run_with(&["run", "library"], b"").await.status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_sends_settings_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(path("public")).unwrap();
    std::fs::write(path("public/index.html"), "abc").unwrap();
    std::fs::write(path("site.wasm"), "wasm").unwrap();
    let mut enclave = FakeEnclave::new();
    let user = User::of(FakeEnclave::new()).await;
    let hash = text(&user.run_with(&["assets-hash", "--quiet", &path("public")], b"").await.stdout);
    let hash = hash.trim().to_owned();
    enclave.answer = {
        let hash = hash.clone();
        Arc::new(move |line, body| {
            assert_eq!(line, "POST /v1/apps/site");
            assert!(body.ends_with(b"index.htmlabc\x04\0\0\0\0\0\0\0\0\0\0"), "{}", body.escape_ascii());
            let mut app = description(&hex::encode(sha256(b"wasm")));
            app.assets =
                Some(AssetsDescription { hash: hash.clone(), bytes: 3, files: 1, at: "/www".into() });
            app.network = NetworkPolicy::new(vec!["http://a.com".parse().unwrap()]).unwrap();
            response(200, NDJSON, lines(&[DeployEvent::Deployed { app: Box::new(app) }]))
        })
    };
    let settings = Arc::clone(&enclave.settings);
    let user = User::of(enclave).await;
    let assets = format!("{}::/www", path("public"));
    let wasm = path("site.wasm");
    let line = ["deploy", &wasm, "--assets", &assets, "--allow", "http://a.com:80", "--dir", ".::/d:ro"];
    let run = user.run_with(&[&line[..], &["--max-files", "7", "--config-var", "k=v"]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let shown = text(&run.stdout);
    assert!(shown.contains(&format!("assets {hash} at /www")), "{shown}");
    assert!(shown.contains("MAY SEND PLAINTEXT THROUGH THE HOST"), "{shown}");
    let sent: DeploySettings = serde_json::from_str(&settings.lock().unwrap()[0]).unwrap();
    assert_eq!((sent.assets_at.as_deref(), sent.limits.files), (Some("/www"), 7));
    assert_eq!((sent.network.rules()[0].to_string().as_str(), sent.config.len()), ("http://a.com", 1));
    assert!(sent.directories[0].read_only && sent.directories[0].path == "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, _| response(200, "text/plain", "one\n\x1b[2Jtwo\n"));
    let user = User::of(enclave).await;
    let run = user.run_with(&["logs", "hello", "--follow"], b"").await;
    assert_eq!(text(&run.stdout), "one\n\\u{1b}[2Jtwo\n");
    let run = user.run_with(&["logs", "hello", "--follow", "--format", "json"], b"").await;
    assert_eq!(text(&run.stdout), "{\"app\":\"hello\",\"text\":\"one\\n\\u001b[2Jtwo\\n\"}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_shows_rules_and_refuses_those_beyond_the_demand() {
    let mut enclave = FakeEnclave::new();
    let rules = ["https://api.example.com", "tcp://10.0.0.1:5432"].map(|rule| rule.parse().unwrap());
    enclave.claims.apps[0].network = NetworkPolicy::new(rules.to_vec()).unwrap();
    enclave.quote_as(|_| {});
    let user = User::of(enclave).await;
    let run = user.run_with(&["verify"], b"").await;
    let shown = text(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("  network      https://api.example.com\n               tcp://10.0.0.1:5432\n"),
        "{shown}"
    );
    assert!(shown.contains("MAY SEND PLAINTEXT THROUGH THE HOST"), "{shown}");
    for (demands, code) in [
        (&["--allow", "https://*.example.com", "--allow", "tcp://10.0.0.0/8:*"][..], 0),
        (&["--allow", "https://*.example.com"], 4),
        (&["--allow", "none"], 4),
        (&["--assets", MARK], 4),
    ] {
        let run = user.run_with(&[&["verify", "--app", "hello"], demands].concat(), b"").await;
        assert_eq!(run.status.code(), Some(code), "{demands:?}: {}", text(&run.stdout));
    }
    let run = user.run_with(&["verify", "--format", "json"], b"").await;
    let json: serde_json::Value = serde_json::from_str(&text(&run.stdout)).unwrap();
    assert_eq!(json["apps"][0]["sends_plaintext"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_compares_what_an_app_shows_and_writes_its_certificate() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.apps[0].extensions = vec![(7, sha256(b"a key"))];
    enclave.quote_as(|_| {});
    enclave.app = Some(AppExtensions {
        code_hash: enclave.claims.apps[0].code_hash,
        configuration: enclave.claims.apps[0].hash().unwrap(),
        values: vec![(7, b"a key".to_vec())],
    });
    let user = User::of(enclave).await;
    let path = |name: &str| user.home.path().join(name).display().to_string();
    std::fs::write(path("key"), "a key").unwrap();
    let (value, hash) = (format!("7=@{}", path("key")), format!("7={}", hex::encode(sha256(b"a key"))));
    let certificate = path("certificate.pem");
    let line = ["verify", "--app", "hello", "--certificate", &certificate, "--extension"];
    let run = user.run_with(&[&line[..], &[&format!("7={MARK}")]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(4), "{}", text(&run.stdout));
    assert!(text(&run.stderr).contains("extension 7 of hello"), "{}", text(&run.stderr));
    assert!(!std::fs::exists(&certificate).unwrap(), "a refused enclave has no certificate");
    for extension in [&value, &hash] {
        let run = user.run_with(&[&line[..], &[extension]].concat(), b"").await;
        let shown = text(&run.stdout);
        assert_eq!(run.status.code(), Some(0), "{shown}{}", text(&run.stderr));
        assert!(shown.contains(&format!("  extension    {hash}\n").replace('=', ": ")), "{shown}");
    }
    let run = user.run_with(&["verify", "--app", "hello", "--format", "json"], b"").await;
    let json: serde_json::Value = serde_json::from_str(&text(&run.stdout)).unwrap();
    assert_eq!(json["apps"][0]["extensions"][0]["value"], "YSBrZXk=");
    let written = pem::parse(std::fs::read(&certificate).unwrap()).unwrap();
    let written = rustls::pki_types::CertificateDer::from(written.contents());
    assert_eq!(extension_values(&written), Ok(vec![(7, b"a key".to_vec())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_writes_the_evidence_for_other_verifiers() {
    let enclave = FakeEnclave::new();
    let user = User::of(enclave.clone()).await;
    let path = user.home.path().join("evidence.cmw").display().to_string();
    let line = ["verify", "--evidence", &path];
    let run = user.run_with(&[&line[..], &["--min-epoch", "99999"]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(4), "{}", text(&run.stderr));
    assert!(!std::fs::exists(&path).unwrap(), "a refused enclave has none that is worth keeping");
    let run = user.run_with(&line, b"").await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    // RFC 9999: an array of three, the media type, a byte string of two bytes of length, and the bit of evidence.
    let written = std::fs::read(&path).unwrap();
    let rest = written.strip_prefix(b"\x83\x78\x26application/vnd.cloister.evidence+cbor\x59").unwrap();
    let (length, rest) = rest.split_first_chunk().unwrap();
    let (value, kind) = rest.split_at(u16::from_be_bytes(*length).into());
    let evidence = Evidence::decode(value).unwrap();
    assert_eq!((Claims::decode(&evidence.claims), evidence.quote), (Ok(enclave.claims), enclave.quote));
    assert_eq!(kind, [4]);
}

/// One at the usual place is shown where the evidence names it, and to nobody who needs none.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_shows_the_usual_key_only_to_an_app_that_answers_it() {
    let other: CallerPolicy = serde_json::from_str(&format!("[\"*=key:{MARK}\"]")).unwrap();
    for (callers, owner_calls, shown) in [
        (CallerPolicy::default(), true, true),
        (CallerPolicy::default(), false, false),
        (CallerPolicy::public(), true, false),
        (other, true, false),
    ] {
        let home = tempfile::tempdir().unwrap();
        let keygen = Command::new(env!("CARGO_BIN_EXE_cloister"))
            .args(["keygen", "--quiet"])
            .env_clear()
            .env("HOME", home.path())
            .output();
        let key = text(&keygen.unwrap().stdout).trim().to_owned();
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let mut enclave = FakeEnclave::new();
        enclave.claims.apps[0].callers = callers;
        if owner_calls {
            enclave.claims.apps[0].owner = key;
        }
        enclave.quote_as(|_| {});
        enclave.answer = Arc::new(|_, _| {
            let answer = format!(r#"{{"result":7,"fuel":1,"wall_us":1,"code_hash":"{}"}}"#, "c0".repeat(32));
            response(200, "application/json", answer)
        });
        let clients = Arc::clone(&enclave.clients);
        let mut user = User::of(enclave).await;
        let option = user.line.iter().position(|word| word == "--key").unwrap();
        user.line.drain(option..option + 2);
        user.home = home;
        let run = user.run_with(&["call", "hello", "greet"], b"").await;
        assert_eq!(
            (run.status.code(), text(&run.stdout).as_str()),
            (Some(0), "7\n"),
            "{}",
            text(&run.stderr)
        );
        let expected = if shown { vec![key] } else { Vec::new() };
        assert_eq!(*clients.lock().unwrap(), expected);
    }
}

/// Whoever verifies wants an app that answers; whoever calls may be about to configure it.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_awaits_its_configuration_is_refused_by_verify_and_can_be_called() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.apps[0].configuration = ConfigurationClaim::Awaited;
    let code_hash = hex::encode(enclave.claims.apps[0].code_hash);
    enclave.quote_as(|_| {});
    enclave.answer = Arc::new(move |line, _| match line {
        "POST /v1/apps/hello/calls/configure" => {
            let answer =
                format!(r#"{{"result":null,"fuel":1,"wall_us":1,"code_hash":"{}"}}"#, "c0".repeat(32));
            response(200, "application/json", answer)
        }
        _ => {
            let problem = Problem::new(Code::NotConfigured, "hello awaits its configuration");
            response(503, "application/problem+json", serde_json::to_vec(&problem).unwrap())
        }
    });
    let user = User::of(enclave).await;
    let line = ["verify", "--app", "hello"];
    let run = user.run_with(&line, b"").await;
    assert_eq!(run.status.code(), Some(4));
    assert!(text(&run.stderr).contains("--allow-unconfigured accepts"), "{}", text(&run.stderr));
    let run = user.run_with(&[&line[..], &["--allow-unconfigured"]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("  configured   NO: "), "{}", text(&run.stdout));
    let pinned = ["--code-hash", &code_hash, "call", "hello"];
    let run = user.run_with(&[&pinned[..], &["configure"]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let run = user.run_with(&[&pinned[..], &["greet"]].concat(), b"").await;
    assert_eq!(run.status.code(), Some(5), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("its owner configures it first"), "{}", text(&run.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_says_which_export_configures() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, _| {
        let mut app = description(&hex::encode(sha256(b"wasm")));
        app.configuration = ConfigurationState::Awaited;
        app.configure_with = Some("configure".into());
        response(200, NDJSON, lines(&[DeployEvent::Deployed { app: Box::new(app) }]))
    });
    let settings = Arc::clone(&enclave.settings);
    let user = User::of(enclave).await;
    let path = |name: &str| user.home.path().join(name).display().to_string();
    std::fs::write(path("vault.wasm"), "wasm").unwrap();
    std::fs::write(path("root.der"), [0x30, 1, 0]).unwrap();
    let (wasm, root) = (path("vault.wasm"), path("root.der"));
    let line = ["deploy", &wasm, "--name", "hello", "--configure-with", "configure", "--quote-root", &root];
    let run = user.run_with(&line, b"").await;
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    let shown = text(&run.stdout);
    assert!(shown.contains("awaits its configuration: cloister call hello configure"), "{shown}");
    let sent: DeploySettings = serde_json::from_str(&settings.lock().unwrap()[0]).unwrap();
    assert_eq!(sent.configure_with.as_deref(), Some("configure"));
    assert_eq!(sent.quote_roots, ["MAEA"]);
}

/// Who uses an enclave, with a key of their own.
struct User {
    home: TempDir,
    line: Vec<String>,
}

impl User {
    async fn of(enclave: FakeEnclave) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key.pem").display().to_string();
        let made = Command::new(env!("CARGO_BIN_EXE_cloister"))
            .args(["keygen", "--out", &key])
            .env("HOME", home.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let root = hex::encode(enclave.platform.root_fingerprint());
        let host = enclave.serve().await.address;
        let line = [
            "--host",
            &host,
            "--key",
            &key,
            "--mrenclave",
            &hex::encode(MRENCLAVE),
            "--allow-simulated",
            &root,
        ];
        Self { line: line.map(str::to_owned).to_vec(), home }
    }

    /// The options come first: what follows `--` is not ours.
    async fn run_with(&self, line: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.args(&self.line).args(line).env_clear().env("HOME", self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = Bytes::copy_from_slice(input);
        let run = move || {
            let mut child = command.spawn().unwrap();
            // A command that reads nothing may be gone before.
            let _ = child.stdin.take().unwrap().write_all(&input);
            child.wait_with_output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MARK: &str = "1111111111111111111111111111111111111111111111111111111111111111";
