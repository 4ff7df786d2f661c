//! `ratls` policies that say where to ask for what quotes are verified with.

use super::enclaves::{health, policy, quote_root};
use super::fetcher::{Fetcher, at};
use crate::platform::{base64 as bytes, settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_api::{DeploySettings, EvidenceResponse};
use cloister_client::Collateral;
use cloister_tests::tls_servers::{Authority, Page, Service, TlsServer};
use cloister_tests::{Enclave, RawTls, Setup, shared};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an enclave's platform offers.
async fn collateral(enclave: &Enclave) -> Collateral {
    let body = json!({ "nonce": "07".repeat(32) }).to_string();
    let request = format!(
        "POST /v1/evidence HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = RawTls::connect(enclave.address(), "localhost").await.unwrap();
    let said = client.send(request.as_bytes(), Duration::from_secs(60)).await;
    let (head, body) = said.split_once("\r\n\r\n").expect("it answers");
    assert!(head.starts_with("HTTP/1.1 200"), "{said}");
    let evidence: EvidenceResponse = serde_json::from_str(body).expect("it is evidence");
    serde_json::from_value(evidence.collateral.expect("a soft platform offers some"))
        .expect("it is collateral")
}

/// Serves this as Intel's Provisioning Certification Service does, version 4.
async fn serve(authority: &Authority, collateral: &Collateral) -> TlsServer {
    // Header values have no line feeds: the service writes them as `%0A`.
    let chain = |pem: &str| pem.replace(' ', "%20").replace('\n', "%0A");
    let signed = |name: &str, signed: &str, signature: &[u8]| {
        format!(r#"{{"{name}":{signed},"signature":"{}"}}"#, hex::encode(signature)).into_bytes()
    };
    let page = |header, chain, body| Page { headers: vec![(header, chain)], body };
    let pages = [
        (
            "pckcrl",
            page(
                "sgx-pck-crl-issuer-chain",
                chain(&collateral.pck_crl_issuer_chain),
                collateral.pck_crl.clone(),
            ),
        ),
        (
            "tcb",
            page(
                "tcb-info-issuer-chain",
                chain(&collateral.tcb_info_issuer_chain),
                signed("tcbInfo", &collateral.tcb_info, &collateral.tcb_info_signature),
            ),
        ),
        (
            "qe/identity",
            page(
                "sgx-enclave-identity-issuer-chain",
                chain(&collateral.qe_identity_issuer_chain),
                signed("enclaveIdentity", &collateral.qe_identity, &collateral.qe_identity_signature),
            ),
        ),
        ("rootcacrl", Page { headers: Vec::new(), body: collateral.root_ca_crl.clone() }),
    ];
    let pages: BTreeMap<String, Page> =
        pages.into_iter().map(|(path, page)| (format!("/sgx/certification/v4/{path}"), page)).collect();
    let service = Service { pages, ..Service::default() };
    service.start(&authority.issue("localhost")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_are_verified_with_what_the_named_servers_say() {
    let (peer, elsewhere) = (shared(), Setup::new().start());
    let authority = Authority::new();
    let right = serve(&authority, &collateral(peer).await).await;
    let of_another = serve(&authority, &collateral(&elsewhere).await).await;
    let empty = Service::default().start(&authority.issue("localhost")).await;
    let unnamed = serve(&authority, &collateral(peer).await).await;
    let url = |server: &TlsServer| at("localhost", server.port());
    let rules: Vec<String> =
        [url(&right), url(&of_another), url(&empty), at("localhost", peer.address().port())].to_vec();
    let settings = DeploySettings {
        quote_roots: vec![STANDARD.encode(quote_root(peer).await)],
        roots: vec![STANDARD.encode(authority.der())],
        ..settings()
    };
    let fetcher = Fetcher::deploy_with(shared(), "ratls-servers", &rules, settings).await;
    let asking = |servers: &[String]| {
        let measured = bytes(peer.running().mrenclave());
        health(peer).ratls(policy(json!({ "mr-enclave": measured, "attestation-servers": servers })))
    };
    assert_eq!(fetcher.get(&asking(&[url(&right)])).await.status, 200);
    let asked = right.received().len();
    assert!(asked >= 4, "{asked}");
    assert!(right.received().iter().all(|request| request.method == "GET"));
    // In their order, until one has all of it; also by the whole path of the interface.
    let interface = format!("{}/sgx/certification/v4/", url(&right));
    assert_eq!(fetcher.get(&asking(&[url(&empty), interface])).await.status, 200);
    assert!(!empty.received().is_empty());
    // What they say counts, and not what the enclave itself offers.
    for servers in
        [vec![url(&empty)], vec![url(&of_another)], vec![at("localhost", crate::probe::free_port())]]
    {
        let why = fetcher.fails(&asking(&servers)).await;
        println!("{servers:?}: {why}");
    }
    // The rules hold for them, too.
    fetcher.fails(&asking(&[url(&unnamed)])).await;
    assert_eq!(unnamed.connections(), 0);
    // The owner sees that they were asked.
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap().requests;
    let to_right = logged.iter().filter(|request| request.port == right.port()).count();
    assert_eq!(to_right, right.received().len(), "{logged:?}");
    fetcher.remove().await;
}
