//! A client that is shown anything but the right evidence for its own session sends nothing but the request for it.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use cloister_attestation::{Freshness, SessionBinding, SessionKey, TlsKey, Volume};
use cloister_client::{
    Accepted, Check, Client, ClientError, FreshnessDemand, Measurement, Policy, TrustAnchor,
};
use enclave::{CLAIMED, CODE_HASH, FakeEnclave, MRENCLAVE, PRESENT};
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

/// Whoever has the TLS key takes the place of an enclave whose quote the client verified a moment ago.
#[tokio::test]
async fn a_quote_that_is_remembered_makes_up_for_no_other_check() {
    let genuine = FakeEnclave::new();
    let client = genuine.client();
    client.connect(&genuine.serve().await).await.unwrap();
    let with = |make_evidence| FakeEnclave { make_evidence, requests: Arc::default(), ..genuine.clone() };

    let relaying = with(Arc::new(|attacker, victim| {
        attacker.evidence(SessionBinding { exporter: [0x0e; 32], ..victim })
    }));
    let error = client.connect(&relaying.serve().await).await.unwrap_err();
    assert_eq!(failed(&error), [Check::SessionBinding]);

    let mut lying = with(Arc::new(FakeEnclave::evidence));
    lying.claims.configuration = [9; 32];
    let error = client.connect(&lying.serve().await).await.unwrap_err();
    assert_eq!(failed(&error), [Check::ClaimsQuoted]);

    let mut newer = with(Arc::new(FakeEnclave::evidence));
    newer.collateral = serde_json::to_value(genuine.platform.collateral("OutOfDate")).unwrap();
    let error = client.connect(&newer.serve().await).await.unwrap_err();
    assert_eq!(failed(&error), [Check::TcbStatus]);
    for attacker in [relaying, lying, newer] {
        assert_eq!(attacker.seen(), ["POST /v1/evidence"]);
    }
    assert!(client.connect(&genuine.serve().await).await.is_ok());
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
    refused(&enclave, enclave.policy(), &[Check::Signatures]).await;

    // The client's own collateral serves as well.
    let client = enclave.client().with_collateral(enclave.platform.collateral("UpToDate"));
    assert!(client.connect(&enclave.serve().await).await.is_ok());
}

/// The host stopped the enclave, put back an older disk and started it again.
#[tokio::test]
async fn older_disk() {
    let mut restarted = FakeEnclave::new();
    let session = restarted.client().connect(&restarted.serve().await).await.unwrap();
    let seen = session.latest_epoch().unwrap();
    assert_eq!(seen, PRESENT.epoch);

    restarted.claims.volume = Some(Volume { epoch: 2, root: [0x11; 32] });
    restarted.volume = Some(Volume { epoch: 4, root: [0x12; 32] });
    restarted.quote_as(|_| {});
    restarted.requests = Arc::default();
    let policy = restarted.policy().with_minimum_epoch(seen);
    let error = refused(&restarted, policy, &[Check::MinimumEpoch]).await;
    let expected = "the volume is at epoch 4, and the policy demands at least 5: the host may have put back an older \
                    disk";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn another_enclave_than_the_pinned_one() {
    let (enclave, twin) = (FakeEnclave::new(), FakeEnclave::new());
    let own = enclave.tls_key.fingerprint();
    let pinned = |identity| Policy { identity: Accepted::OneOf(vec![identity]), ..enclave.policy() };
    let error = refused(&enclave, pinned(twin.tls_key.fingerprint()), &[Check::Identity]).await;
    assert!(error.to_string().contains(&format!("identity: it is {}", hex::encode(own))), "{error}");
    assert!(Client::new(pinned(own)).connect(&enclave.serve().await).await.is_ok());
}

#[tokio::test]
async fn another_state_than_the_pinned_one() {
    let enclave = FakeEnclave::new();
    refused(&enclave, enclave.policy().with_volume_root([0x99; 32]), &[Check::VolumeRoot]).await;
    let client = Client::new(enclave.policy().with_volume_root(PRESENT.root));
    assert!(client.connect(&enclave.serve().await).await.is_ok());
}

#[tokio::test]
async fn a_volume_that_became_older_since_the_quote() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.volume = Some(PRESENT);
    enclave.volume = Some(CLAIMED);
    enclave.quote_as(|_| {});
    refused(&enclave, enclave.policy(), &[Check::Volume]).await;
}

#[tokio::test]
async fn no_volume_where_one_is_pinned() {
    let mut enclave = FakeEnclave::new();
    enclave.claims.volume = None;
    enclave.volume = None;
    enclave.quote_as(|_| {});
    refused(&enclave, enclave.policy().with_minimum_epoch(1), &[Check::MinimumEpoch]).await;
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    assert_eq!((session.volume(), session.latest_epoch()), (None, None));
}

/// Whoever carries the answer claims a later epoch than the enclave signed.
#[tokio::test]
async fn epoch_changed_on_its_way() {
    let mut enclave = FakeEnclave::new();
    enclave.make_evidence = Arc::new(|enclave, binding| {
        let mut evidence = enclave.evidence(binding);
        evidence.volume.as_mut().unwrap().epoch = 100;
        evidence
    });
    refused(&enclave, enclave.policy().with_minimum_epoch(50), &[Check::SessionBinding]).await;
}

#[tokio::test]
async fn wrong_freshness_anchor() {
    let mut enclave = FakeEnclave::new();
    let tpm = FreshnessDemand::Tpm { identity: Some([0x79; 32]) };
    refused(&enclave, enclave.policy().with_freshness(tpm), &[Check::Freshness]).await;

    for (identity, accepted) in [([0x7a; 32], false), ([0x79; 32], true)] {
        enclave.claims.freshness = Freshness::Tpm { identity };
        enclave.quote_as(|_| {});
        let result = Client::new(enclave.policy().with_freshness(tpm)).connect(&enclave.serve().await).await;
        assert_eq!(result.is_ok(), accepted);
    }
}

async fn refused(enclave: &FakeEnclave, policy: Policy, checks: &[Check]) -> ClientError {
    let endpoint = enclave.serve().await;
    let error = Client::new(policy).connect(&endpoint).await.expect_err("the evidence should be refused");
    assert_eq!(failed(&error), checks);
    let seen = std::mem::take(&mut *enclave.requests.lock().unwrap());
    assert_eq!(seen, ["POST /v1/evidence"], "nothing else was sent");
    error
}

fn failed(error: &ClientError) -> Vec<Check> {
    match error {
        ClientError::Refused(refused) => refused.report.failed().cloned().collect(),
        other => panic!("not a refusal: {other}"),
    }
}

/// Under no accepted root, nothing is asked of signatures and status.
const NO_ROOT: &[Check] = &[Check::RootOfTrust];
