//! A client that is shown anything but the right evidence for its own session sends nothing but the request for it.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use cloister_attestation::{SessionBinding, SessionKey, TlsKey};
use cloister_client::{Check, Client, ClientError, Measurement, Policy, TrustAnchor};
use enclave::{CODE_HASH, FakeEnclave, MRENCLAVE};
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn the_right_evidence_is_accepted() {
    let enclave = FakeEnclave::new();
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    assert_eq!(session.mrenclave(), &MRENCLAVE);
    assert!(session.report().to_string().starts_with("SIMULATED"));
    session.health().await.unwrap();
    assert_eq!(enclave.seen(), ["POST /v1/evidence", "GET /v1/health"]);
}

#[tokio::test]
async fn wrong_mrenclave() {
    let enclave = FakeEnclave::new();
    let policy = Policy { mrenclave: Measurement::Exactly(vec![[0xbb; 32]]), ..enclave.policy() };
    refused(&enclave, policy, &[Check::MrEnclave]).await;
}

#[tokio::test]
async fn no_mrenclave_given() {
    let enclave = FakeEnclave::new();
    let policy = Policy { mrenclave: Measurement::Exactly(Vec::new()), ..enclave.policy() };
    refused(&enclave, policy, &[Check::MrEnclave]).await;
}

#[tokio::test]
async fn debug_enclave() {
    let mut enclave = FakeEnclave::new();
    enclave.quote_as(|identity| identity.debug = true);
    refused(&enclave, enclave.policy(), &[Check::Debug]).await;
}

#[tokio::test]
async fn simulated_evidence_where_hardware_is_expected() {
    let enclave = FakeEnclave::new();
    let policy = Policy { anchor: TrustAnchor::Intel, ..enclave.policy() };
    refused(&enclave, policy, NO_ROOT).await;
}

#[tokio::test]
async fn another_soft_platform() {
    let enclave = FakeEnclave::new();
    let anchor = TrustAnchor::Simulated { root_fingerprint: [1; 32] };
    refused(&enclave, Policy { anchor, ..enclave.policy() }, NO_ROOT).await;
}

#[tokio::test]
async fn claims_changed_after_quoting() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.configuration = [9; 32];
    refused(&enclave, enclave.policy(), &[Check::ClaimsQuoted]).await;
}

#[tokio::test]
async fn quote_over_other_claims() {
    let mut enclave = FakeEnclave::new();
    enclave.quote_as(|identity| identity.report_data = [5; 64]);
    refused(&enclave, enclave.policy(), &[Check::ClaimsQuoted]).await;
}

/// The attacker has the enclave's TLS key, sits in the middle, and asks the genuine enclave for evidence with the
/// victim's nonce: everything is genuine, and of another session.
#[tokio::test]
async fn relayed_evidence() {
    let genuine = FakeEnclave::new();
    let mut attacker = FakeEnclave { requests: Arc::default(), ..genuine.clone() };
    attacker.make_evidence = Arc::new(|attacker, victim| {
        let own_session = SessionBinding { exporter: [0x0e; 32], nonce: victim.nonce };
        attacker.evidence(own_session)
    });
    refused(&attacker, genuine.policy(), &[Check::SessionBinding]).await;
}

/// The attacker repeats what it once saw on a connection of its own to the genuine enclave.
#[tokio::test]
async fn replayed_evidence() {
    let mut enclave = FakeEnclave::new();
    let first = Arc::new(Mutex::new(None));
    enclave.make_evidence = Arc::new(move |enclave, binding| {
        first.lock().unwrap().get_or_insert_with(|| enclave.evidence(binding)).clone()
    });
    let endpoint = enclave.serve().await;
    enclave.client().connect(&endpoint).await.unwrap();
    let error = enclave.client().connect(&endpoint).await.unwrap_err();
    assert_eq!(failed(&error), [Check::SessionBinding]);
    assert_eq!(enclave.seen(), ["POST /v1/evidence", "POST /v1/evidence"]);
}

#[tokio::test]
async fn stale_nonce() {
    let mut enclave = FakeEnclave::new();
    enclave.make_evidence =
        Arc::new(|enclave, binding| enclave.evidence(SessionBinding { nonce: [0; 32], ..binding }));
    refused(&enclave, enclave.policy(), &[Check::SessionBinding]).await;
}

#[tokio::test]
async fn signature_by_another_key() {
    let mut enclave = FakeEnclave::new();
    enclave.session_key = Arc::new(SessionKey::generate().unwrap());
    refused(&enclave, enclave.policy(), &[Check::SessionBinding]).await;
}

#[tokio::test]
async fn wrong_tls_key() {
    let mut enclave = FakeEnclave::new();
    enclave.tls_key = Arc::new(TlsKey::generate().unwrap());
    refused(&enclave, enclave.policy(), &[Check::TlsKey]).await;
}

#[tokio::test]
async fn wrong_code_hash() {
    let enclave = FakeEnclave::new();
    let policy = enclave.policy().with_app("hello".parse().unwrap(), [0xdd; 32]);
    refused(&enclave, policy, &[Check::CodeHash { app: "hello".parse().unwrap() }]).await;
}

#[tokio::test]
async fn absent_app() {
    let enclave = FakeEnclave::new();
    let policy = enclave.policy().with_app("absent".parse().unwrap(), CODE_HASH);
    refused(&enclave, policy, &[Check::CodeHash { app: "absent".parse().unwrap() }]).await;
}

#[tokio::test]
async fn bad_platform_status() {
    let mut enclave = FakeEnclave::new();
    enclave.make_evidence = Arc::new(|enclave, binding| {
        let collateral = serde_json::to_value(enclave.platform.collateral("OutOfDate")).unwrap();
        cloister_api::EvidenceResponse { collateral: Some(collateral), ..enclave.evidence(binding) }
    });
    refused(&enclave, enclave.policy(), &[Check::TcbStatus]).await;
}

#[tokio::test]
async fn no_collateral() {
    let mut enclave = FakeEnclave::new();
    enclave.make_evidence = Arc::new(|enclave, binding| cloister_api::EvidenceResponse {
        collateral: None,
        ..enclave.evidence(binding)
    });
    refused(&enclave, enclave.policy(), &[Check::Signatures, Check::TcbStatus]).await;

    // The client's own collateral serves as well.
    let client = enclave.client().with_collateral(enclave.platform.collateral("UpToDate"));
    assert!(client.connect(&enclave.serve().await).await.is_ok());
}

async fn refused(enclave: &FakeEnclave, policy: Policy, checks: &[Check]) {
    let endpoint = enclave.serve().await;
    let error = Client::new(policy).connect(&endpoint).await.expect_err("the evidence should be refused");
    assert_eq!(failed(&error), checks);
    assert_eq!(enclave.seen(), ["POST /v1/evidence"], "nothing else was sent");
}

fn failed(error: &ClientError) -> Vec<Check> {
    match error {
        ClientError::Refused(refused) => refused.report.failed().cloned().collect(),
        other => panic!("not a refusal: {other}"),
    }
}

/// Without an accepted root there is nothing to verify signatures and status under.
const NO_ROOT: &[Check] = &[Check::RootOfTrust, Check::Signatures, Check::TcbStatus];
