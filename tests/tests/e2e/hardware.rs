//! The real image with stand-ins for what surrounds SGX hardware: the AESM service, a caching service for collateral. The CPU is the
//! soft platform's, and so is the key that quotes are signed with.

#[path = "../../../crates/host/tests/aesm/mod.rs"]
mod aesm;
#[path = "../../../crates/collateral/tests/pccs/mod.rs"]
mod pccs;

use crate::apps::{code, deploy};
use aesm::{AesmStandIn, Asked, Does, answer};
use cloister_api::Code;
use cloister_client::{Client, ClientError, Collateral};
use cloister_collateral::CollateralServer;
use cloister_host::{QuotingService, QuotingSettings};
use cloister_soft_sgx::SoftPlatform;
use cloister_tests::{Machine, Setup, error, for_everybody, given, guest, name, status};
use pccs::{Pccs, pages};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn platform(state: &Path) -> (SoftPlatform, Collateral) {
    let platform = SoftPlatform::open(state).unwrap();
    let collateral = serde_json::from_slice(&platform.collateral().unwrap()).unwrap();
    (platform, collateral)
}

/// Quotes of this service, with collateral of this cache.
fn through(service: &AesmStandIn, cache: Option<&Pccs>) -> QuotingSettings {
    QuotingSettings {
        service: QuotingService::Aesm,
        aesm_socket: service.path().to_owned(),
        collateral: cache.map(|cache| CollateralServer::new(&cache.url()).unwrap()),
        ..QuotingSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_was_quoted_through_aesm_verifies_with_a_cached_services_collateral() {
    let mut setup = Setup::new();
    let (platform, collateral) = platform(setup.state());
    let service = AesmStandIn::start(setup.state(), platform);
    let cache = Pccs::start(pages(&collateral, "sgx"));
    setup.launch.quoting = through(&service, Some(&cache));
    let enclave = setup.start();
    enclave.caller().await.health().await.unwrap();
    assert_eq!(cache.received().len(), 4, "asked once: {:?}", cache.received());
    // What an enclave presents says which collateral goes with it.
    let presented = Client::new(enclave.policy()).present(&enclave.endpoint()).await.unwrap();
    let server = CollateralServer::new(&cache.url()).unwrap();
    let fetched = server.collateral(&presented.quote).await.unwrap();
    assert_eq!(fetched, collateral);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_caching_service_clients_bring_collateral_of_their_own() {
    let mut setup = Setup::new();
    let (platform, collateral) = platform(setup.state());
    let service = AesmStandIn::start(setup.state(), platform);
    setup.launch.quoting = through(&service, None);
    let enclave = setup.start();
    let refused = Client::new(enclave.policy()).connect(&enclave.endpoint()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
    let client = Client::new(enclave.policy()).with_collateral(collateral);
    client.connect(&enclave.endpoint()).await.unwrap().health().await.unwrap();
}

#[test]
fn an_enclave_that_gets_no_quote_does_not_serve_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("state")).unwrap();
    let (platform, _) = platform(&folder.path().join("state"));
    let service = AesmStandIn::start_with(folder.path(), platform, |asked, right| match asked {
        Asked::Quote => Does::Sends(answer(asked, 24, &[])),
        _ => Does::Sends(right),
    });
    let socket = service.path().display().to_string();
    let why = Machine::refuses_to_start(folder.path(), &["--quoting", "aesm", "--aesm-socket", &socket]);
    assert!(why.contains("AESM") && why.contains("sgx_prv"), "{why}");
    let why = Machine::refuses_to_start(folder.path(), &["--quoting", "aesm", "--aesm-socket", "/no/socket"]);
    assert!(why.contains("aesmd"), "{why}");
}

/// The evidence and the apps that there were stay, and what needs new evidence is refused until there is some again.
#[tokio::test(flavor = "multi_thread")]
async fn a_quoting_service_that_fails_later_costs_new_evidence_and_nothing_else() {
    let mut setup = Setup::new();
    setup.configuration.quote_lifetime_ms = 0;
    let (platform, collateral) = platform(setup.state());
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let service = AesmStandIn::start_with(setup.state(), platform, move |asked, right| match asked {
        Asked::Quote if failing.load(Ordering::SeqCst) => Does::Sends(answer(asked, 24, &[])),
        _ => Does::Sends(right),
    });
    let cache = Pccs::start(pages(&collateral, "sgx"));
    setup.launch.quoting = through(&service, Some(&cache));
    let enclave = setup.start();
    let owner = enclave.owner().await;
    deploy(&owner, "first", "toolbox").await;

    fails.store(true, Ordering::SeqCst);
    let refused = owner.deploy(&name("second"), guest("toolbox"), &for_everybody(), |_| {}).await;
    assert_eq!(code(refused), Code::EvidenceUnavailable);
    assert_eq!(owner.apps().await.unwrap().apps.len(), 1);
    // The upkeep finds the evidence old, and cannot renew it.
    let told = "the evidence is old and cannot be made anew";
    eventually(|| enclave.log().iter().any(|line| line.contains(told))).await;
    // New sessions verify with what there is.
    let caller = enclave.caller().await;
    let made = caller.claims().made;
    let sum = caller.call_json(&name("first"), "add", &json!([1, 2])).await.unwrap();
    assert_eq!(sum.result, json!(3));

    fails.store(false, Ordering::SeqCst);
    deploy(&owner, "second", "toolbox").await;
    let renewed = enclave.caller().await;
    assert!(renewed.claims().made >= made && renewed.claims().apps.len() == 2);
    enclave.owner().await.remove(&name("second")).await.unwrap();
}

/// # Panics
/// Where it does not become true in a minute.
async fn eventually(is_true: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it did not become true");
}

#[test]
fn collateral_is_fetched_on_the_command_line_and_verifies_offline() {
    let machine = Machine::start();
    let (_, collateral) = platform(&machine.folder().join("state"));
    let cache = Pccs::start(pages(&collateral, "sgx"));
    let out = machine.folder().join("collateral.json").display().to_string();
    let told = machine.succeeds(&["collateral", "fetch", "--pccs", &cache.url(), "--out", &out]);
    assert!(told.contains("expires"), "{told}");
    let verified = machine.succeeds(&["verify", "--collateral", &out]);
    assert!(verified.contains("accepted"), "{verified}");
    let asked = cache.received().len();
    let verified = machine.succeeds(&["verify", "--pccs", &cache.url()]);
    assert!(verified.contains("accepted"), "{verified}");
    assert_eq!(cache.received().len(), asked + 4);
    let refused = machine.run(&["verify", "--pccs", "http://127.0.0.1:1"]);
    assert_eq!(status(&refused), 3, "{}", error(&refused));

    // Another platform's collateral is signed by another root.
    let (_, other) = platform(&machine.folder().join("elsewhere"));
    let other = Pccs::start(pages(&other, "sgx"));
    let refused = machine.run(&["verify", "--pccs", &other.url()]);
    assert_eq!(status(&refused), 4, "{}", error(&refused));
}

#[test]
fn doctor_finds_this_machine_fit_for_software() {
    let machine = Machine::start();
    let state = machine.folder().join("state").display().to_string();
    let (image, sigstruct) = (given("CLOISTER_IMAGE"), given("CLOISTER_SIGSTRUCT"));
    let on = |device: &str| {
        let mut command =
            machine.cloister(&["doctor", "--format", "json", "--device", device, "--state", &state]);
        command.arg("--image").arg(&image).arg("--sigstruct").arg(&sigstruct).output().unwrap()
    };
    let found: serde_json::Value = serde_json::from_slice(&on("soft").stdout).unwrap();
    assert_eq!(found["can_serve"], true, "{found}");
    let checks = found["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "signature" && check["state"] == "ok"), "{found}");
    if !Path::new("/dev/sgx_enclave").exists() {
        assert_eq!(status(&on("sgx")), 1);
    }
}
