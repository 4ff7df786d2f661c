//! The network's part of the conformance suite of `tests/guests/conformance`: sockets over the loopback interface, requests
//! to servers of this process, and a service that this process asks; in the image, and under Wasmtime.

mod raw_server;
mod reference;
mod requests;
mod servers;
mod service;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_api::{Code, DeploySettings, EnvironmentVariable, Limits, NetworkPolicy};
use cloister_client::{ClientError, Session};
use cloister_tests::{for_everybody, given, name, shared};
use serde_json::json;
use servers::{Protocol, Servers};
use service::{Peer, Transport};
use std::path::PathBuf;

#[tokio::test(flavor = "multi_thread")]
async fn sockets_conform() {
    let session = shared().owner().await;
    let settings = DeploySettings { network: policy(&ALL_OF_THE_NETWORK), ..settings(Vec::new()) };
    let cases = all_cases_pass(&session, "sockets", "conformance-sockets", &settings).await;
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert!(cases.iter().any(|case| case.contains(".ipv6/")), "there are no cases for IPv6");
    }
}

/// What the app's policy does not allow is denied, and nothing else happens.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_without_a_policy_are_denied() {
    let session = shared().owner().await;
    let app = name("conformance-denied");
    session.deploy(&app, component("sockets"), &settings(Vec::new()), |_| {}).await.unwrap();
    for case in ["tcp-bind.ipv4/to-a-free-port", "udp-bind.ipv4/to-a-free-port", "ip-name-lookup/localhost"] {
        let answer = session.call_json(&app, "check", &json!([case])).await.unwrap();
        let reason = answer.result["err"].as_str().unwrap_or_default();
        assert!(reason.contains("access-denied") || reason.contains("AccessDenied"), "{case}: {reason}");
    }
    let reached = session.call_json(&app, "slow-read", &json!([shared().address().port()])).await;
    assert!(matches!(reached, Err(ClientError::Problem(problem)) if problem.code == Code::GuestTrapped));
    session.remove(&app).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_clients_conform() {
    let session = shared().owner().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let servers = Servers::over_tls(protocol).await;
        let settings = DeploySettings {
            network: policy(&servers.rules()),
            roots: vec![STANDARD.encode(servers.root())],
            ..settings(servers.environment())
        };
        let app = format!("conformance-client-{}", protocol.name());
        all_cases_pass(&session, "http-client", &app, &settings).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_servers_conform() {
    let session = shared().owner().await;
    let app = name("conformance-service");
    session.deploy(&app, component("http-server"), &settings(Vec::new()), |_| {}).await.unwrap();
    let address = shared().address();
    let host = format!("{app}.localhost:{}", address.port());
    let mut failures = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let transport = Transport::Tls { server_name: format!("{app}.localhost") };
        let peer = Peer { address, host: host.clone(), protocol, transport };
        failures.extend(service::differences(&peer, service::Subject::Image).await);
    }
    assert!(failures.is_empty(), "{} checks fail:\n{}", failures.len(), failures.join("\n"));
    // After all of it, others are served as before.
    shared().caller().await.health().await.unwrap();
    session.remove(&app).await.unwrap();
}

/// Deploys a component, runs all its cases, one after the other, and removes it. Gives their names.
///
/// # Panics
/// Where cases fail: with all of them.
async fn all_cases_pass(
    session: &Session,
    component_name: &str,
    app: &str,
    settings: &DeploySettings,
) -> Vec<String> {
    let app = name(app);
    session.deploy(&app, component(component_name), settings, |_| {}).await.unwrap();
    let answer = session.call_json(&app, "cases", &json!([])).await.unwrap();
    let cases: Vec<String> = serde_json::from_value(answer.result).expect("it is a list of names");
    let mut failures = Vec::new();
    for case in &cases {
        let outcome = match session.call_json(&app, "check", &json!([case])).await {
            Ok(answer) if answer.result.get("ok").is_some() => Ended::Well,
            Ok(answer) => Ended::Badly(answer.result["err"].as_str().unwrap_or("no reason").to_owned()),
            Err(ClientError::Problem(problem)) if problem.code == Code::GuestTrapped => {
                Ended::Trapped(problem.to_string())
            }
            Err(error) => Ended::Badly(error.to_string()),
        };
        failures.extend(outcome.failure_of(case));
    }
    session.remove(&app).await.unwrap();
    report(app.as_str(), cases.len(), &failures);
    cases
}

/// How a case ended.
enum Ended {
    Well,
    Badly(String),
    Trapped(String),
}

impl Ended {
    /// Why the case does not pass. One whose name begins with `traps/` passes when it traps.
    fn failure_of(self, case: &str) -> Option<String> {
        match (self, case.starts_with("traps/")) {
            (Self::Well, false) | (Self::Trapped(_), true) => None,
            (Self::Well, true) => Some(format!("{case}: it did not trap")),
            (Self::Badly(reason) | Self::Trapped(reason), _) => Some(format!("{case}: {reason}")),
        }
    }
}

/// Prints how many cases there are.
///
/// # Panics
/// Where some failed: with all of them.
fn report(what: &str, cases: usize, failures: &[String]) {
    println!("conformance: {what}: {} of {cases} cases pass", cases - failures.len());
    assert!(failures.is_empty(), "{what}: {} cases fail:\n{}", failures.len(), failures.join("\n"));
}

fn component(name: &str) -> Bytes {
    let path = component_path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

fn component_path(name: &str) -> PathBuf {
    given("CLOISTER_CONFORMANCE").join(name).with_extension("wasm")
}

fn policy<S: AsRef<str>>(rules: &[S]) -> NetworkPolicy {
    let rules = rules.iter().map(|rule| rule.as_ref().parse().expect("it is a rule")).collect();
    NetworkPolicy::new(rules).expect("they are few")
}

fn settings(environment: Vec<(String, String)>) -> DeploySettings {
    let environment =
        environment.into_iter().map(|(name, value)| EnvironmentVariable { name, value }).collect();
    let limits =
        Limits { fuel: 10_000_000_000, wall_time_ms: 60_000, memory: 128 << 20, ..Limits::default() };
    DeploySettings { limits, environment, ..for_everybody() }
}

const ALL_OF_THE_NETWORK: [&str; 5] =
    ["tcp://*:*", "tcp-listen://*:*", "udp://*:*", "udp-listen://*:*", "lookup://*"];
