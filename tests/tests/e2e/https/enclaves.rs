//! Enclaves of ours at the other end: `fetch` with a `ratls` policy.

use super::fetcher::{Fetch, Fetcher, at};
use crate::platform::{App, Language, base64 as bytes, settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_api::DeploySettings;
use cloister_tests::tls_servers::{Authority, Behavior, Certificate, Identity, Service};
use cloister_tests::{Enclave, RawTls, Setup, code_hash, shared, sigstruct};
use serde_json::{Value, json};

/// The root of an enclave's quotes: the last of the certificates that a quote carries with itself.
pub(super) async fn quote_root(enclave: &Enclave) -> Vec<u8> {
    let certificate = RawTls::connect(enclave.address(), "localhost").await.unwrap().certificate();
    let text = String::from_utf8_lossy(&certificate);
    let (start, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let last =
        text.rsplit_once(end).and_then(|(before, _)| before.rsplit_once(start)).expect("it has some").1;
    let root = STANDARD.decode(last.split_whitespace().collect::<String>()).expect("it is PEM");
    let fingerprint = enclave.running().soft_root_fingerprint().expect("it is a soft platform");
    assert_eq!(code_hash(&root), fingerprint);
    root
}

/// MRSIGNER: SHA-256 of the modulus, bytes 128 to 511 of SIGSTRUCT (Intel SDM, volume 3D, section 38.13).
fn signer() -> [u8; 32] {
    code_hash(&std::fs::read(sigstruct()).expect("the image is signed")[128..512])
}

/// An app of one enclave that fetches from another, whose quotes' root it accepts, or from the same.
async fn fetcher(enclave: &Enclave, test: &str, peer: &Enclave) -> Fetcher {
    let settings =
        DeploySettings { quote_roots: vec![STANDARD.encode(quote_root(peer).await)], ..settings() };
    Fetcher::deploy_with(enclave, test, &[at("localhost", peer.address().port())], settings).await
}

/// A policy for SGX that has nothing in it but these parts.
pub(super) fn policy(parts: Value) -> Value {
    let mut policy = json!({
        "tee": "sgx",
        "mr-enclave": null,
        "mr-signer": null,
        "mr-td": null,
        "challenge-nonce": null,
        "expected-oids": [],
        "attestation-servers": [],
    });
    for (part, value) in parts.as_object().expect("they are parts") {
        policy[part] = value.clone();
    }
    policy
}

/// A request to which any enclave of ours answers without a key.
pub(super) fn health(enclave: &Enclave) -> Fetch {
    Fetch::get(format!("{}/v1/health", at("localhost", enclave.address().port())))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_enclave_is_believed_and_another_is_not() {
    let peer = shared();
    let fetcher = fetcher(shared(), "ratls", peer).await;
    let fetch = |parts: Value| health(peer).ratls(policy(parts));
    let (right, wrong) = (bytes(peer.running().mrenclave()), bytes([7; 32]));
    let (signer, other_signer) = (bytes(signer()), bytes([8; 32]));
    let claims = peer.caller().await.claims().clone();
    let oid = |value: [u8; 32]| json!([{ "oid": "1.3.6.1.4.1.65230.1.1", "value": bytes(value) }]);
    let good = [
        json!({ "mr-enclave": right }),
        json!({ "mr-signer": signer }),
        json!({ "mr-enclave": right, "mr-signer": signer }),
        json!({ "mr-enclave": right, "challenge-nonce": bytes([9; 32]) }),
        json!({ "mr-enclave": right, "challenge-nonce": bytes([0; 32]) }),
        json!({ "mr-enclave": right, "expected-oids": oid(claims.configuration) }),
    ];
    for parts in good {
        let answer = fetcher.get(&fetch(parts.clone())).await;
        assert_eq!(answer.status, 200, "{parts}");
        assert!(answer.text().contains("ok"), "{parts}: {}", answer.text());
    }
    let absent = json!([{ "oid": "1.3.6.1.4.1.65230.3.2", "value": bytes([1; 32]) }]);
    let bad = [
        json!({ "mr-enclave": wrong }),
        json!({ "mr-signer": other_signer }),
        json!({ "mr-enclave": right, "mr-signer": other_signer }),
        json!({ "mr-enclave": wrong, "mr-signer": signer }),
        json!({ "mr-enclave": right, "expected-oids": oid([1; 32]) }),
        // An extension of the enclave's certificate that is not on this host name.
        json!({ "mr-enclave": right, "expected-oids": absent }),
        json!({ "tee": "tdx", "mr-td": bytes([1; 48]) }),
    ];
    for parts in bad {
        let why = fetcher.fails(&fetch(parts.clone())).await;
        println!("{parts}: {why}");
    }
    // Policies that cannot be used: wrong lengths, parts of the other kind, nothing to verify, no identifier.
    let unusable = [
        json!({}),
        json!({ "challenge-nonce": bytes([9; 32]) }),
        json!({ "mr-enclave": bytes([1; 31]) }),
        json!({ "mr-enclave": bytes([1; 48]) }),
        json!({ "mr-enclave": bytes([]) }),
        json!({ "mr-signer": bytes([1; 33]) }),
        json!({ "mr-enclave": right, "mr-td": bytes([1; 48]) }),
        json!({ "mr-enclave": right, "challenge-nonce": bytes([1; 16]) }),
        json!({ "tee": "tdx" }),
        json!({ "tee": "tdx", "mr-enclave": right }),
        json!({ "tee": "tdx", "mr-td": bytes([1; 32]) }),
        json!({ "mr-enclave": right, "expected-oids": [{ "oid": "no identifier", "value": bytes([1]) }] }),
        json!({ "mr-enclave": right, "attestation-servers": ["http://localhost/"] }),
    ];
    for parts in unusable {
        let why = fetcher.fails(&fetch(parts.clone())).await;
        println!("{parts}: {why}");
    }
    // Who was refused was sent no request.
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap().requests;
    let answered = logged.iter().filter(|request| request.status.is_some()).count();
    assert_eq!(answered, 6, "{logged:?}");
    assert!(logged.iter().filter(|request| request.status.is_none()).all(|request| request.error.is_some()));
    fetcher.remove().await;
}

/// A connection that was verified for one policy is not for another, nor for none.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_for_the_same_policy() {
    let peer = shared();
    let fetcher = fetcher(shared(), "ratls-kept", peer).await;
    let right = health(peer).ratls(policy(json!({ "mr-enclave": bytes(peer.running().mrenclave()) })));
    let wrong = health(peer).ratls(policy(json!({ "mr-enclave": bytes([7; 32]) })));
    assert_eq!(fetcher.again(&right, 5).await, [200; 5]);
    for _ in 0..2 {
        fetcher.fails(&wrong).await;
        // Its certificate is self-signed: without a policy nobody vouches for it.
        fetcher.fails(&health(peer)).await;
        fetcher.fails(&health(peer).trusting(&[])).await;
        fetcher.get(&right).await;
    }
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_under_a_root_that_the_app_was_not_deployed_with_are_refused() {
    let (peer, elsewhere) = (shared(), Setup::new().start());
    let url = at("localhost", peer.address().port());
    let right = health(peer).ratls(policy(json!({ "mr-enclave": bytes(peer.running().mrenclave()) })));
    // Intel's alone.
    let fetcher = Fetcher::deploy("ratls-intel", std::slice::from_ref(&url)).await;
    let why = fetcher.fails(&right).await;
    println!("{why}");
    // Roots of TLS are no roots of quotes.
    fetcher.fails(&right.clone().trusting(&[&quote_root(peer).await])).await;
    assert_eq!(fetcher.app.describe().await.quote_roots, None);
    fetcher.remove().await;
    // Another machine's.
    let other_root = STANDARD.encode(quote_root(&elsewhere).await);
    let other_settings = DeploySettings { quote_roots: vec![other_root.clone()], ..settings() };
    let fetcher =
        Fetcher::deploy_with(shared(), "ratls-other", std::slice::from_ref(&url), other_settings).await;
    fetcher.fails(&right).await;
    assert!(fetcher.app.describe().await.quote_roots.is_some());
    fetcher.remove().await;
    // One enclave asks the other, either way.
    let both = vec![other_root, STANDARD.encode(quote_root(peer).await)];
    let both = DeploySettings { quote_roots: both, ..settings() };
    for (here, there) in [(peer, &elsewhere), (&elsewhere, peer)] {
        let rules = [at("localhost", there.address().port())];
        let fetcher = Fetcher::deploy_with(here, "ratls-both", &rules, both.clone()).await;
        let measured = json!({ "mr-enclave": bytes(there.running().mrenclave()) });
        assert_eq!(fetcher.get(&health(there).ratls(policy(measured))).await.status, 200);
        let claimed = here.caller().await.claims().app(&fetcher.app.name).unwrap().quote_roots;
        assert!(claimed.is_some());
        fetcher.remove().await;
    }
}

/// A guest reaches an app's own web service or calls by what the enclave proves: here the API, as a client would.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_calls_an_app_of_another_enclave() {
    let peer = Setup::new().start();
    let callee = App::deploy(&peer, Language::C, "callee").await;
    let fetcher = fetcher(shared(), "ratls-caller", &peer).await;
    let url =
        format!("{}/v1/apps/{}/calls/crypto-digest", at("localhost", peer.address().port()), callee.name);
    let fetch = Fetch::post(url, r#"["sha256", "YWJj"]"#)
        .header("content-type", "application/json")
        .ratls(policy(json!({ "mr-enclave": bytes(peer.running().mrenclave()) })));
    let answer = fetcher.get(&fetch).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let digest = crate::platform::bytes_of(&answer["result"]["ok"]);
    assert_eq!(hex::encode(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fetcher.remove().await;
}

/// A server that is no enclave, one that shows an enclave's evidence under a key of its own, and one with a good
/// certificate besides.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_enclave_is_refused() {
    let peer = shared();
    let authority = Authority::new();
    let certificate = RawTls::connect(peer.address(), "localhost").await.unwrap().certificate();
    let evidence = extension(&certificate, &[0x06, 0x06, 0x67, 0x81, 0x05, 0x05, 0x04, 0x09]);
    let quote =
        extension(&certificate, &[0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x00]);
    let shown: [(&[u64], Vec<u8>); 2] =
        [(&[2, 23, 133, 5, 4, 9], evidence), (&[1, 2, 840, 113741, 1, 13, 1, 0], quote)];
    let impostor = |extensions: &[(&[u64], Vec<u8>)]| {
        Identity::self_signed(Certificate::of(["localhost"]).with_extensions(extensions))
    };
    let identities = [
        authority.issue("localhost"),
        impostor(&shown),
        impostor(&shown[..1]),
        impostor(&shown[1..]),
        impostor(&[(shown[0].0, vec![0xff; 100])]),
    ];
    let root = quote_root(peer).await;
    for (number, identity) in identities.iter().enumerate() {
        let server = Service::that(Behavior::Http1).start(identity).await;
        let url = at("localhost", server.port());
        let settings = DeploySettings { quote_roots: vec![STANDARD.encode(&root)], ..settings() };
        let fetcher =
            Fetcher::deploy_with(shared(), "ratls-impostor", std::slice::from_ref(&url), settings).await;
        let fetch = Fetch::get(&url)
            .header("x-secret", "for the enclave alone")
            .ratls(policy(json!({ "mr-enclave": bytes(peer.running().mrenclave()) })))
            .trusting(&[authority.der(), identity.der()]);
        let why = fetcher.fails(&fetch).await;
        println!("{number}: {why}");
        let received = server.received();
        assert!(received.iter().all(|request| request.header("x-secret").is_none()), "{received:?}");
        fetcher.remove().await;
    }
}

/// The contents of the extension with this identifier in DER.
fn extension(certificate: &[u8], oid: &[u8]) -> Vec<u8> {
    let at = certificate.windows(oid.len()).position(|window| window == oid).expect("it has it") + oid.len();
    match &certificate[at..] {
        [0x04, 0x82, high, low, rest @ ..] => rest[..usize::from(*high) << 8 | usize::from(*low)].to_vec(),
        other => panic!("{:02x?}", &other[..8]),
    }
}
