//! The same under Wasmtime, which shows that the cases ask for the standard and not for us.

use super::servers::{Protocol, Servers};
use super::service::{self, Peer, Subject, Transport};
use super::{Ended, component_path, report};
use crate::probe::free_port;
use cloister_tests::given;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn wasmtime_passes_the_same_cases_of_sockets() {
    let reference = Reference::of("sockets", Vec::new()).await;
    reference.passes_all_cases().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasmtime_passes_the_same_cases_of_http_clients() {
    let servers = Servers::plain().await;
    let reference = Reference::of("http-client", servers.environment()).await;
    reference.passes_all_cases().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wasmtime_serves_the_same_service() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut child = Command::new(given("CLOISTER_WASMTIME"))
        .args(["serve", "-S", "cli", "--addr", &address.to_string()])
        .arg(component_path("http-server"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("wasmtime can be run");
    until_it_listens(address).await;
    let peer = Peer {
        address,
        host: format!("service.example:{}", address.port()),
        protocol: Protocol::Http1,
        transport: Transport::Plain,
    };
    let mut failures = service::differences(&peer, Subject::Wasmtime).await;
    failures.retain(|failure| !differs("http-server", failure));
    child.kill().await.expect("it is our child");
    assert!(failures.is_empty(), "{} checks fail:\n{}", failures.len(), failures.join("\n"));
}

async fn until_it_listens(address: SocketAddr) {
    for _ in 0..600 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("wasmtime does not listen at {address}");
}

/// A component, compiled by Wasmtime.
struct Reference {
    component: &'static str,
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Reference {
    async fn of(component: &'static str, environment: Vec<(String, String)>) -> Self {
        let reference =
            Self { component, environment, folder: tempfile::tempdir().expect("a temporary folder") };
        let compiled = Command::new(given("CLOISTER_WASMTIME"))
            .arg("compile")
            .arg(component_path(component))
            .arg("-o")
            .arg(reference.compiled())
            .status()
            .await;
        assert!(compiled.expect("wasmtime can be run").success(), "{component} does not compile");
        reference
    }

    async fn passes_all_cases(&self) {
        let (_, said) = self.invoke("cases()").await;
        let cases: Vec<String> = serde_json::from_str(&said).expect("it is a list of names");
        let mut failures = Vec::new();
        let mut asked = 0;
        for case in cases.iter().filter(|case| !differs(self.component, case)) {
            asked += 1;
            failures.extend(self.check(case).await.failure_of(case));
        }
        report(&format!("{} under wasmtime", self.component), asked, &failures);
    }

    async fn check(&self, case: &str) -> Ended {
        let invoked = timeout(PATIENCE, self.invoke(&format!("check(\"{case}\")"))).await;
        match invoked {
            Ok((true, said)) if said.trim_end().ends_with("ok") => Ended::Well,
            Ok((true, said)) => Ended::Badly(said),
            Ok((false, said)) => Ended::Trapped(said),
            Err(_) => Ended::Badly(format!("it takes more than {PATIENCE:?}")),
        }
    }

    /// Whether it came back, and what it said.
    async fn invoke(&self, call: &str) -> (bool, String) {
        let mut wasmtime = Command::new(given("CLOISTER_WASMTIME"));
        wasmtime.args(["run", "--allow-precompiled", "-S"]);
        wasmtime.arg("cli,http,inherit-network,allow-ip-name-lookup,tcp,udp,network-error-code");
        for (name, value) in &self.environment {
            wasmtime.args(["--env", &format!("{name}={value}")]);
        }
        wasmtime.args(["--invoke", call]).arg(self.compiled()).stdin(Stdio::null()).kill_on_drop(true);
        let output = wasmtime.output().await.expect("wasmtime can be run");
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn compiled(&self) -> PathBuf {
        self.folder.path().join("component.cwasm")
    }
}

/// Whether Wasmtime is known not to pass a case.
fn differs(component: &str, case: &str) -> bool {
    DIFFERENCES.iter().any(|(of, beginning)| *of == component && case.starts_with(beginning))
}

const PATIENCE: Duration = Duration::from_secs(120);

/// Beginnings of cases that Wasmtime does not pass. The suite's `README.md` says why we do.
const DIFFERENCES: [(&str, &str); 14] = [
    ("sockets", "tcp-states.ipv4/local-address-while-binding"),
    ("sockets", "tcp-states.ipv6/local-address-while-binding"),
    ("sockets", "udp-states.ipv4/disconnected"),
    ("sockets", "udp-states.ipv6/disconnected"),
    ("sockets", "udp-receive.ipv4/from-anyone-again"),
    ("sockets", "udp-receive.ipv6/from-anyone-again"),
    ("sockets", "ip-name-lookup/a-mapped-address"),
    ("http-client", "outgoing-request.invalid-scheme/empty"),
    ("http-client", "outgoing-request.invalid-scheme/a-digit-first"),
    ("http-client", "outgoing-handler/no-path-is-the-root"),
    ("http-client", "outgoing-handler/a-length-without-a-body"),
    ("http-client", "http-error-code/"),
    ("http-server", "trap-in-body"),
    ("http-server", "too-long"),
];
