//! Guests that are web services, as programs of the field reach them: curl and a browser (whose test is in `examples.rs`).

use cloister_tests::{Machine, RawTls, error, given, status};
use serde_json::Value;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn curl_reaches_a_service_by_its_host_name_over_both_versions_of_http() {
    let service = Service::start("web-rust", &[]).await;
    let url = service.url("/hello");
    for (version, said) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let format = "\n%{http_version} %{num_connects}\n";
        let output = said_by(service.curl().args([version, "--write-out", format, &url, &url]));
        let lines: Vec<&str> = output.lines().filter(|line| line.starts_with(said)).collect();
        // The second request made no connection.
        assert_eq!(lines, [format!("{said} 1"), format!("{said} 0")], "{output}");
    }
    assert!(
        said_by(service.curl().arg(service.address_url("/apps/web/hello")).arg("--insecure"))
            .contains("ello")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_refuses_a_name_or_a_key_that_the_certificate_does_not_have() {
    let service = Service::start("web-rust", &[]).await;
    let another = Machine::start();
    let address: SocketAddr = another.text("address").parse().unwrap();
    // Curl's exit code 60: the peer's certificate cannot be authenticated.
    let diverted =
        service.curl().arg(service.url("/hello")).args(["--connect-to", &format!("::{address}")]).output();
    assert_eq!(status(&diverted.unwrap()), 60);
    let renamed = "web.example.com";
    let resolve = format!("{renamed}:{}:127.0.0.1", service.address.port());
    let url = format!("https://{renamed}:{}/hello", service.address.port());
    let renamed = service.curl().args(["--resolve", &resolve, &url]).output().unwrap();
    assert_eq!(status(&renamed), 60);
    // The key is the same under every name, so whoever pins the key may use any.
    let pin = format!("sha256//{}", service.key_pin());
    let pinned =
        service.curl().args(["--insecure", "--pinnedpubkey", &pin, "--resolve", &resolve, &url]).output();
    assert_eq!(status(&pinned.unwrap()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_streams_through_in_bounded_memory_in_both_directions() {
    let service = Service::start("web-rust", &["--fuel", "1000G", "--timeout", "10m"]).await;
    // What the first request needs once does not count.
    said_by(service.curl().arg(service.url("/hello")));
    let before = service.machine.peak_memory();

    let size = GIBIBYTE.to_string();
    let down = said_by(
        service
            .curl()
            .args(["--output", "/dev/null", "--write-out", "%{size_download}"])
            .arg(service.url(&format!("/stream?bytes={size}"))),
    );
    assert_eq!(down, size);

    let up = said_by(
        service
            .curl()
            .args(["--upload-file", "-", "--request", "POST"])
            .arg(service.url("/count"))
            .stdin(zeros()),
    );
    assert_eq!(up.trim(), size);

    let mut echo = service
        .curl()
        .args(["--upload-file", "-", "--request", "POST"])
        .arg(service.url("/echo"))
        .stdin(zeros())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut echoed = 0;
    let (mut output, mut buffer) = (echo.stdout.take().unwrap(), vec![1; 1 << 20]);
    while let length @ 1.. = output.read(&mut buffer).unwrap() {
        assert!(buffer[..length].iter().all(|byte| *byte == 0));
        echoed += length as u64;
    }
    assert!(echo.wait().unwrap().success());
    assert_eq!(echoed, GIBIBYTE);

    let grown = service.machine.peak_memory().saturating_sub(before);
    println!("the host process's peak memory grew by {} KiB", grown >> 10);
    assert!(grown < 64 << 20, "{grown}");
}

/// An app that is a web service, and what pins it.
pub(crate) struct Service {
    machine: Machine,
    address: SocketAddr,
    certificate: PathBuf,
}

impl Service {
    /// An example, deployed as `web`.
    pub(crate) async fn start(example: &str, arguments: &[&str]) -> Self {
        let machine = Machine::start();
        let component = given("CLOISTER_EXAMPLES").join(example).with_extension("wasm");
        let deploy = ["deploy", component.to_str().unwrap(), "--name", "web", "--public"];
        machine.succeeds(&[&deploy[..], arguments].concat());
        let address: SocketAddr = machine.text("address").parse().unwrap();
        let der = machine.folder().join("enclave.der");
        std::fs::write(&der, RawTls::connect(address, HOST).await.unwrap().certificate()).unwrap();
        let certificate = machine.folder().join("enclave.pem");
        let pem = openssl(&["x509", "-inform", "der", "-in", text(&der)]);
        std::fs::write(&certificate, pem).unwrap();
        Self { machine, address, certificate }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }

    fn address_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Accepts the enclave's certificate and no other.
    fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "600", "--noproxy", "*", "--cacert"])
            .arg(&self.certificate)
            .args(["--resolve", &format!("{HOST}:{}:127.0.0.1", self.address.port())])
            .stdin(Stdio::null());
        curl
    }

    /// The JSON that curl gets.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let answer = said_by(self.curl().args(arguments));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {answer}"))
    }

    /// A page's document as a browser has it once the page's scripts have nothing left to do.
    pub(crate) fn browse(&self, path: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        said_by(
            Command::new("chromium")
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
                .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg(format!("--ignore-certificate-errors-spki-list={}", self.key_pin()))
                .args(["--timeout=60000", "--virtual-time-budget=10000", "--dump-dom"])
                .arg(self.url(path))
                .stdin(Stdio::null()),
        )
    }

    /// SHA-256 of the certificate's SubjectPublicKeyInfo, in base64, as Chromium takes it.
    fn key_pin(&self) -> String {
        let key = self.machine.folder().join("key");
        let (pem, der, hash) =
            (key.with_extension("pem"), key.with_extension("der"), key.with_extension("hash"));
        std::fs::write(&pem, openssl(&["x509", "-in", text(&self.certificate), "-noout", "-pubkey"]))
            .unwrap();
        std::fs::write(&der, openssl(&["pkey", "-pubin", "-in", text(&pem), "-outform", "der"])).unwrap();
        std::fs::write(&hash, openssl(&["dgst", "-sha256", "-binary", text(&der)])).unwrap();
        String::from_utf8(openssl(&["base64", "-in", text(&hash)])).unwrap().trim().to_owned()
    }
}

/// What a command that has to succeed wrote to standard output.
fn said_by(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(status(&output), 0, "{command:?}: {}", error(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A gibibyte of zeros.
fn zeros() -> Stdio {
    let count = GIBIBYTE.to_string();
    let mut head =
        Command::new("head").args(["--bytes", &count, "/dev/zero"]).stdout(Stdio::piped()).spawn().unwrap();
    let output = head.stdout.take().unwrap();
    // It ends with whoever reads it.
    std::thread::spawn(move || head.wait());
    output.into()
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", error(&output));
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Names under `localhost` are this machine, also for a browser (RFC 6761, section 6.3).
const HOST: &str = "web.localhost";
const GIBIBYTE: u64 = 1 << 30;
