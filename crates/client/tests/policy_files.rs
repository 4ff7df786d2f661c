//! Policy files against an enclave: written from it, and deciding about it.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[allow(dead_code, reason = "a module of several test programs, each of which uses a part")]
#[path = "../../collateral/tests/pccs/mod.rs"]
mod pccs;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use cloister_attestation::{ImageUpgradeClaim, TlsKey};
use cloister_client::{Client, ClientError, CollateralServer, Outcome, Policy};
use cloister_policy::{Draft, PolicyFile};
use enclave::FakeEnclave;
use std::time::{SystemTime, UNIX_EPOCH};

#[tokio::test]
async fn the_policy_of_what_was_found_accepts_that_and_leaves_nothing_open_unsaid() {
    let enclave = fresh(|_| {});
    let endpoint = enclave.serve().await;
    let session = enclave.client().connect(&endpoint).await.unwrap();
    let found = PolicyFile::of_found(session.verified()).unwrap();
    let text = Draft::of(&found).to_string();
    assert_eq!(PolicyFile::parse(&text).unwrap(), found, "{text}");

    // The test platform's lists are years old.
    let policy = Policy { maximum_collateral_age: None, ..found.policy };
    let session = Client::new(policy).connect(&endpoint).await.unwrap();
    let open =
        session.report().checks.iter().filter(|result| matches!(result.outcome, Outcome::NotAsked { .. }));
    let open: Vec<_> = open.map(|result| result.check.to_string()).collect();
    let unsaid =
        ["collateral's age", "code hash in the certificate", "assets of hello", "volume root", "freshness"];
    assert_eq!(open, unsaid, "{}", session.report());
}

#[tokio::test]
async fn the_policy_of_what_was_found_refuses_what_changed() {
    let enclave = fresh(|_| {});
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let found = PolicyFile::of_found(session.verified()).unwrap().policy;
    let policy = Policy { maximum_collateral_age: None, ..found };
    type Change = fn(&mut FakeEnclave);
    let changes: [(Change, &str); 7] = [
        (twin, "identity"),
        (|enclave| enclave.claims.configuration = [9; 32], "boot configuration"),
        (|enclave| enclave.claims.operator = Some([9; 32]), "operator"),
        (|enclave| enclave.claims.owners = vec![[9; 32]], "owners"),
        (|enclave| enclave.claims.image_upgrade = ImageUpgradeClaim::Operator, "image upgrade"),
        (|enclave| enclave.claims.boot.counter = 0, "boot counter"),
        (|enclave| enclave.claims.apps[0].owner = [9; 32], "owner of hello"),
    ];
    for (change, check) in changes {
        let mut changed = enclave.clone();
        change(&mut changed);
        changed.quote_as(|_| {});
        assert_eq!(refused(&changed, policy.clone()).await, [check]);
    }
}

/// It becomes another enclave that says the same of itself.
fn twin(enclave: &mut FakeEnclave) {
    enclave.tls_key = std::sync::Arc::new(TlsKey::generate().unwrap());
    enclave.claims.tls_key = enclave.tls_key.fingerprint();
}

#[tokio::test]
async fn collateral_comes_from_the_service_that_is_named() {
    // The enclave's machine offers none.
    let enclave = fresh(|enclave| {
        enclave.make_evidence = std::sync::Arc::new(|enclave, binding| {
            let evidence = enclave.evidence(binding);
            cloister_api::EvidenceResponse { collateral: None, ..evidence }
        });
    });
    let endpoint = enclave.serve().await;
    assert!(matches!(enclave.client().connect(&endpoint).await, Err(ClientError::Refused(_))));

    let service = pccs::Pccs::start(pccs::pages(&enclave.platform.collateral("UpToDate"), "sgx"));
    let server = CollateralServer::new(&service.url()).unwrap();
    let session = enclave.client().with_collateral_server(server).connect(&endpoint).await.unwrap();
    assert!(session.report().accepted());
    assert!(service.received().iter().any(|target| target.contains("/sgx/certification/v4/tcb")));
}

#[tokio::test]
async fn what_a_service_says_is_what_counts_and_one_that_is_gone_is_named() {
    let enclave = fresh(|_| {});
    let endpoint = enclave.serve().await;
    let service = pccs::Pccs::start(pccs::pages(&enclave.platform.collateral("OutOfDate"), "sgx"));
    let server = CollateralServer::new(&service.url()).unwrap();
    let Err(ClientError::Refused(refused)) =
        enclave.client().with_collateral_server(server).connect(&endpoint).await
    else {
        panic!("the machine's own collateral should not have counted")
    };
    assert!(refused.report.failures().contains("OutOfDate"), "{}", refused.report);

    let gone = CollateralServer::new("http://127.0.0.1:1").unwrap();
    let error = enclave.client().with_collateral_server(gone).connect(&endpoint).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    assert!(enclave.seen().iter().all(|request| request == "POST /v1/evidence"));
}

/// An enclave that made its claims just now.
fn fresh(change: impl FnOnce(&mut FakeEnclave)) -> FakeEnclave {
    let mut enclave = FakeEnclave::new();
    enclave.claims.made = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    change(&mut enclave);
    enclave.quote_as(|_| {});
    enclave
}

async fn refused(enclave: &FakeEnclave, policy: Policy) -> Vec<String> {
    match Client::new(policy).connect(&enclave.serve().await).await {
        Err(ClientError::Refused(refused)) => refused.report.failed().map(ToString::to_string).collect(),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}
