//! Evidence that is true, shown by somebody else, at another time, of an older disk, or by a twin: each is refused with
//! its name.

use crate::apps::deploy;
use cloister_attestation::verify::{Collateral, Observed, Presented, ReceivedEvidence, verify};
use cloister_attestation::{Evidence, SessionBinding};
use cloister_client::{Accepted, Check, Client, ClientError, Endpoint, Policy};
use cloister_policy::PolicyFile;
use cloister_tests::attacker::{Attack, Attacker, StolenKey};
use cloister_tests::{RawTls, Setup, code_hash, guest, name};
use rustls::pki_types::CertificateDer;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// The attack of CVE-2026-33697: one TLS key of a genuine enclave leaks, and its holder relays everything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_a_stolen_key_deceives_plain_ra_tls_and_not_us() {
    let enclave = Setup::new().start();
    deploy(&enclave.owner().await, "vault", "toolbox").await;
    let stolen = StolenKey::of_enclave(enclave.address(), "localhost").await;
    let relay = Attack::Relay { enclave: enclave.address(), server_name: "localhost".into() };
    let attacker = Attacker::start(&stolen, relay).await;

    // A client that checks quote, measurement and key of the certificate, as RA-TLS does, finds nothing wrong.
    let mut deceived = RawTls::connect(attacker.address(), "localhost").await.unwrap();
    let certificate = CertificateDer::from(deceived.certificate());
    assert_eq!(certificate, *stolen.certificate());
    let collateral = evidence_of(enclave.address()).await.1.collateral.unwrap();
    assert_eq!(plain_ra_tls(&certificate, &collateral, &enclave.policy()), Vec::new());
    let call = request("/v1/apps/vault/calls/add", "[8675309,1]");
    let answer = deceived.send(&call, PATIENCE).await;
    assert!(answer.contains("8675310"), "the enclave's own answer: {answer}");
    assert!(attacker.seen().contains("8675309"), "and the attacker read the question: {}", attacker.seen());

    // Ours asks for evidence of this very session first.
    let before = attacker.seen().len();
    assert_eq!(refused(&attacker.address(), enclave.policy()).await, [Check::SessionBinding]);
    let seen = attacker.seen().split_off(before);
    assert!(seen.starts_with("POST /.well-known/cloister/v1/evidence "), "{seen}");
    assert_eq!(seen.matches("HTTP/1.1").count(), 1, "and nothing else was sent: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_another_session_is_refused() {
    let enclave = Setup::new().start();
    let stolen = StolenKey::of_enclave(enclave.address(), "localhost").await;
    let (answer, _) = evidence_of(enclave.address()).await;
    let attacker = Attacker::start(&stolen, Attack::Replay { answer: answer.into_bytes() }).await;
    assert_eq!(refused(&attacker.address(), enclave.policy()).await, [Check::SessionBinding]);
}

/// Somebody else's enclave of the same image on the same kind of platform, with the same code under the same name: nothing
/// about it is false, and a policy that pins the image and the code alone accepts it.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_another_owner_is_refused_where_the_owner_is_pinned() {
    let (expected, mut other) = (Setup::new().start(), Setup::new());
    // The same platform, which stands for the same vendor's root; a disk and an owner of its own.
    other.launch.state = expected.state().to_owned();
    let twin = other.start();
    for enclave in [&expected, &twin] {
        deploy(&enclave.owner().await, "vault", "toolbox").await;
    }
    let pinned = expected.policy().with_app(name("vault"), code_hash(&guest("toolbox")));
    expected.connect(pinned.clone()).await.unwrap();
    twin.connect(pinned.clone()).await.unwrap();

    let owner = expected.connect(pinned.clone()).await.unwrap().claims().app(&name("vault")).unwrap().owner;
    let mut owned = pinned;
    owned.app(name("vault")).owner = Accepted::OneOf(vec![owner]);
    expected.connect(owned.clone()).await.unwrap();
    assert_eq!(refused(&twin.address(), owned).await, [Check::Owner { app: name("vault") }]);
}

/// A second enclave that the same owner started with the same configuration, and gave the same app. It is what the first one
/// is in everything that a policy can pin, but for the volume, and so for the key in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_the_same_owner_is_refused_where_the_identity_is_pinned() {
    let expected = Setup::new().start();
    let twin = expected.twin().start();
    for enclave in [&expected, &twin] {
        deploy(&enclave.owner().await, "vault", "toolbox").await;
    }
    let session = expected.caller().await;
    let found = PolicyFile::of_found(session.verified()).unwrap().policy;
    assert_eq!(found.identity, Accepted::OneOf(vec![session.claims().tls_key]));
    // Either may be a commit ahead of the other.
    let pinned = Policy { minimum_epoch: None, ..found };
    expected.connect(pinned.clone()).await.unwrap();
    assert_eq!(refused(&twin.address(), pinned.clone()).await, [Check::Identity]);

    let unpinned = Policy { identity: Accepted::Any, ..pinned.clone() };
    expected.connect(unpinned.clone()).await.unwrap();
    twin.connect(unpinned).await.unwrap();

    drop(session);
    let again = expected.stop_and_keep().start();
    again.connect(pinned).await.unwrap();
}

/// What the enclave answered to somebody else, whole, and the evidence in it.
async fn evidence_of(address: SocketAddr) -> (String, ReceivedEvidence) {
    let mut session = RawTls::connect(address, "localhost").await.unwrap();
    let nonce = json!({ "nonce": "4e".repeat(32) }).to_string();
    let answer = session.send(&request("/v1/evidence", &nonce), PATIENCE).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let evidence = ReceivedEvidence::read(body.as_bytes()).unwrap();
    (answer, evidence)
}

/// The checks that a client fails with there.
async fn refused(address: &SocketAddr, policy: Policy) -> Vec<Check> {
    let endpoint = Endpoint { address: address.to_string(), server_name: "localhost".into() };
    match Client::new(policy).connect(&endpoint).await {
        Err(ClientError::Refused(refused)) => refused.report.failed().cloned().collect(),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// What plain RA-TLS finds wrong with a server: everything that can be checked of the evidence in its certificate,
/// without asking for any that is bound to the session.
fn plain_ra_tls(certificate: &CertificateDer<'_>, collateral: &Collateral, policy: &Policy) -> Vec<Check> {
    let Evidence { claims, quote } = evidence_in(certificate);
    let presented = Presented { claims: &claims, quote: &quote, volume: None, signature: &[] };
    let binding = SessionBinding { exporter: [0; 32], nonce: [0; 32] };
    let observed = Observed { binding: &binding, certificate, server_name: "localhost" };
    let refused = verify(&presented, &observed, Some(collateral), policy, SystemTime::now()).unwrap_err();
    let of_the_session = [Check::SessionBinding, Check::Volume];
    refused.report.failed().filter(|check| !of_the_session.contains(check)).cloned().collect()
}

/// The contents of the extension 2.23.133.5.4.9.
fn evidence_in(certificate: &CertificateDer<'_>) -> Evidence {
    const IDENTIFIER: &[u8] = &[0x06, 0x06, 0x67, 0x81, 0x05, 0x05, 0x04, 0x09, 0x04, 0x82];
    let at = certificate.windows(IDENTIFIER.len()).position(|window| window == IDENTIFIER);
    let rest = &certificate[at.expect("the certificate has evidence") + IDENTIFIER.len()..];
    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    Evidence::decode(&rest[2..2 + length]).unwrap()
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

const PATIENCE: Duration = Duration::from_secs(60);
