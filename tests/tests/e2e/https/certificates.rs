//! Which servers are believed.

use super::fetcher::{Fetch, Fetcher, at};
use crate::platform::settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_api::DeploySettings;
use cloister_tests::shared;
use cloister_tests::tls_servers::{Authority, Behavior, Certificate, Identity, Service, TlsServer};

/// Starts a server and an app that may fetch from it.
async fn server_and_fetcher(test: &str, identity: &Identity) -> (TlsServer, Fetcher, String) {
    let server = Service::that(Behavior::Either).start(identity).await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy(test, std::slice::from_ref(&url)).await;
    (server, fetcher, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_good_for_the_server_now_is_refused() {
    let authority = Authority::new();
    let certificates = [
        Certificate::of(["localhost"]).expired(),
        Certificate::of(["localhost"]).not_yet_valid(),
        "other.example".into(),
        "*.localhost".into(),
        // The name, and the address that it has, are two things.
        "127.0.0.1".into(),
    ];
    for certificate in certificates {
        let identity = authority.issue(certificate.clone());
        let (server, fetcher, url) = server_and_fetcher("not-good", &identity).await;
        let why = fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
        assert!(why.contains("certificate"), "{certificate:?}: {why}");
        assert_eq!(server.received(), [], "{certificate:?}");
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused() {
    let authority = Authority::new();
    let stranger = authority.namesake();
    let identity = stranger.issue("localhost");
    let (server, fetcher, url) = server_and_fetcher("unknown-authority", &identity).await;
    // Mozilla's roots know neither.
    fetcher.fails(&Fetch::get(&url)).await;
    fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
    // Nothing is trusted by an empty list.
    fetcher.fails(&Fetch::get(&url).trusting(&[])).await;
    assert_eq!(server.received(), []);
    fetcher.get(&Fetch::get(&url).trusting(&[authority.der(), stranger.der()])).await;
    assert_eq!(server.received().len(), 1);
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_believed_where_it_is_a_root() {
    let identity = Identity::self_signed("localhost");
    let (server, fetcher, url) = server_and_fetcher("self-signed", &identity).await;
    let other = Identity::self_signed("localhost");
    fetcher.fails(&Fetch::get(&url)).await;
    fetcher.fails(&Fetch::get(&url).trusting(&[])).await;
    fetcher.fails(&Fetch::get(&url).trusting(&[other.der()])).await;
    assert_eq!(server.received(), []);
    assert_eq!(fetcher.get(&Fetch::get(&url).trusting(&[identity.der()])).await.status, 200);
    fetcher.remove().await;

    let expired = Identity::self_signed(Certificate::of(["localhost"]).expired());
    let (server, fetcher, url) = server_and_fetcher("self-signed-old", &expired).await;
    fetcher.fails(&Fetch::get(&url).trusting(&[expired.der()])).await;
    assert_eq!(server.received(), []);
    fetcher.remove().await;
}

/// As `openssl req -x509` makes them: an authority's certificate. Whoever gives it as a root means the server that shows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_authoritys_own_certificate_is_a_servers_where_it_is_a_root() {
    let identity = Identity::self_signed(Certificate::of(["localhost"]).of_an_authority());
    let (server, fetcher, url) = server_and_fetcher("own-authority", &identity).await;
    let why = fetcher.fails(&Fetch::get(&url)).await;
    assert!(why.contains("authority"), "{why}");
    assert_eq!(server.received(), []);
    assert_eq!(fetcher.get(&Fetch::get(&url).trusting(&[identity.der()])).await.status, 200);
    fetcher.remove().await;
}

/// Those of the deploy hold where the request has none, and not beside its own.
#[tokio::test(flavor = "multi_thread")]
async fn roots_of_a_request_replace_those_of_the_app() {
    let (of_app, of_request) = (Authority::new(), Authority::new());
    let mut urls = Vec::new();
    for authority in [&of_app, &of_request] {
        let identity = authority.issue("localhost");
        let server = Service::that(Behavior::Http1).start(&identity).await;
        urls.push(at("localhost", server.port()));
    }
    let settings = DeploySettings { roots: vec![STANDARD.encode(of_app.der())], ..settings() };
    let fetcher = Fetcher::deploy_with(shared(), "own-roots", &urls, settings).await;
    fetcher.get(&Fetch::get(&urls[0])).await;
    fetcher.fails(&Fetch::get(&urls[1])).await;
    fetcher.get(&Fetch::get(&urls[1]).trusting(&[of_request.der()])).await;
    fetcher.fails(&Fetch::get(&urls[0]).trusting(&[of_request.der()])).await;
    fetcher.fails(&Fetch::get(&urls[0]).trusting(&[])).await;
    fetcher.get(&Fetch::get(&urls[0])).await;
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certificate_is_no_root() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let (server, fetcher, url) = server_and_fetcher("no-roots", &identity).await;
    let cut = &authority.der()[..authority.der().len() - 1];
    let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for root in [&[][..], b"no certificate", cut, pem, &[0x30; 100_000]] {
        // Also beside one that is good: the guest made a mistake.
        fetcher.fails(&Fetch::get(&url).trusting(&[root])).await;
        fetcher.fails(&Fetch::get(&url).trusting(&[authority.der(), root])).await;
    }
    assert_eq!(server.connections(), 0);
    fetcher.remove().await;
}
