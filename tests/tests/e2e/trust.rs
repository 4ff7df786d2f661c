//! What a client verifies before it sends anything.

use crate::apps::deploy;
use cloister_api::Code;
use cloister_client::{Check, ClientError, Measurement, Policy, TrustAnchor};
use cloister_tests::{RawTls, Setup, code_hash, guest, name, shared};
use serde_json::json;

/// The checks that a connection has to be refused for.
async fn refused(policy: Policy) -> Vec<Check> {
    match shared().connect(policy).await {
        Err(ClientError::Refused(refused)) => refused.report.failed().cloned().collect(),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_absent_measurement_is_refused() {
    let anchor = shared().policy().anchor;
    let wrong = Policy::new(anchor, Measurement::Exactly(vec![[7; 32]]));
    assert_eq!(refused(wrong).await, [Check::MrEnclave]);
    let none = Policy::new(anchor, Measurement::Exactly(Vec::new()));
    assert_eq!(refused(none).await, [Check::MrEnclave]);
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_evidence_is_refused_unless_its_root_is_pinned() {
    let mrenclave = shared().policy().mrenclave;
    let failed = refused(Policy::new(TrustAnchor::Intel, mrenclave.clone())).await;
    assert!(failed.contains(&Check::RootOfTrust), "{failed:?}");
    let other = TrustAnchor::Simulated { root_fingerprint: [7; 32] };
    let failed = refused(Policy::new(other, mrenclave)).await;
    assert!(failed.contains(&Check::RootOfTrust), "{failed:?}");
    let session = shared().caller().await;
    assert!(session.report().to_string().contains("SIMULATED"), "{}", session.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_the_upload_is_the_hash_everywhere() {
    let session = shared().owner().await;
    deploy(&session, "hashed", "toolbox").await;
    let hash = code_hash(&guest("toolbox"));
    assert_eq!(session.describe(&name("hashed")).await.unwrap().summary.code_hash, hex::encode(hash));
    let pinned = shared().policy().with_app(name("hashed"), hash);
    let caller = shared().connect(pinned.clone()).await.unwrap();
    assert_eq!(caller.claims().app(&name("hashed")).unwrap().code_hash, hash);
    assert_eq!(caller.call_json(&name("hashed"), "add", &json!([1, 2])).await.unwrap().result, json!(3));

    // DER of the extension: OID 1.3.6.1.4.1.65230.3.2, then an OCTET STRING of the 32 bytes.
    let mut extension =
        vec![0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xfd, 0x4e, 0x03, 0x02, 0x04, 0x20];
    extension.extend(hash);
    let holds = |certificate: &[u8]| certificate.windows(extension.len()).any(|window| window == extension);
    let own = RawTls::connect(shared().address(), "hashed.localhost").await.unwrap();
    assert!(holds(&own.certificate()));
    let enclaves = RawTls::connect(shared().address(), "localhost").await.unwrap();
    assert!(!enclaves.certificate().is_empty() && !holds(&enclaves.certificate()));
    session.remove(&name("hashed")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_pinned_to_other_code_sends_no_request() {
    let session = shared().owner().await;
    deploy(&session, "other-code", "toolbox").await;
    let other = shared().policy().with_app(name("other-code"), [7; 32]);
    assert_eq!(refused(other).await, [Check::CodeHash { app: name("other-code") }]);
    let absent = shared().policy().with_app(name("absent"), [7; 32]);
    assert_eq!(refused(absent).await, [Check::CodeHash { app: name("absent") }]);
    assert_eq!(session.describe(&name("other-code")).await.unwrap().total.calls, 0);
    session.remove(&name("other-code")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_code_is_noticed_within_a_session() {
    let session = shared().owner().await;
    deploy(&session, "swapped", "toolbox").await;
    let pinned = shared().policy().with_app(name("swapped"), code_hash(&guest("toolbox")));
    let caller = shared().connect(pinned).await.unwrap();
    session.replace(&name("swapped"), guest("writer"), &Default::default(), |_| {}).await.unwrap();
    let refused = caller.call_json(&name("swapped"), "write", &json!([1])).await;
    assert_eq!(crate::apps::code(refused), Code::CodeChanged);
    assert_eq!(session.describe(&name("swapped")).await.unwrap().total.calls, 0);
    session.remove(&name("swapped")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_platform_is_not_the_one_that_was_pinned() {
    let other = Setup::new().start();
    let pinned_elsewhere = shared().policy();
    match other.connect(pinned_elsewhere).await {
        Err(ClientError::Refused(refused)) => {
            assert!(refused.report.failed().any(|check| *check == Check::RootOfTrust), "{}", refused.report);
        }
        other => panic!("a refusal was expected, not {other:?}"),
    }
    // The same image has the same measurement on both.
    assert_eq!(other.running().mrenclave(), shared().running().mrenclave());
}
