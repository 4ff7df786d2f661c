//! Whom a fetch trusts.

use std::net::SocketAddr;

use cloister_egress::{EgressOutcome, Roots, TlsVersion};
use cloister_test_authority::{Authority, Certificate, Identity, Versions};
use http::{Request as Asked, Response as Answer};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::call::{Call, get};
use super::server::{AnyBody, AsRoots as _, closed_port, listen, listen_at, serve, serve_counted, whole};
use crate::bindings::privasys::enclave_os::https::{RatlsPolicy, Request, TeeType};

async fn hello(_: Asked<Incoming>) -> Answer<AnyBody> {
    Answer::new(whole("hello"))
}

async fn serving(identity: Identity) -> SocketAddr {
    serve(identity.acceptor(&["h2", "http/1.1"], Versions::All), hello).await
}

fn url(server: SocketAddr) -> String {
    format!("https://localhost:{}/", server.port())
}

fn trusting(url: &str, roots: &Roots) -> Request {
    let Roots::These(roots) = roots else { panic!("not of a guest") };
    Request { ca_roots_der: Some(roots.iter().map(|root| root.to_vec()).collect()), ..get(url) }
}

#[tokio::test]
async fn good_certificates_for_names_and_addresses() {
    let authority = Authority::new();
    let server = serving(authority.good()).await;
    let mut call = Call::anywhere(authority.roots());
    for host in ["localhost", "LOCALHOST.", "127.0.0.1"] {
        let response = call.fetch(get(&format!("https://{host}:{}/", server.port()))).await.unwrap();
        assert_eq!((response.status, &*response.body), (200, &b"hello"[..]));
    }
    assert!(call.logged().iter().all(|request| request.tls == Some(TlsVersion::Tls13)));
}

#[tokio::test]
async fn over_ipv6() {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nv6";
    let server = listen_at("[::1]:0", move |stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read(&mut [0; 1000]).await;
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let mut call = Call::new(&["https://[::1]:*"], authority.roots());
    let response = call.fetch(get(&format!("https://[::1]:{}/", server.port()))).await.unwrap();
    assert_eq!(response.body, b"v6");
    assert_eq!(call.logged()[0].host, "::1");
}

#[tokio::test]
async fn tls_1_2_is_enough() {
    let authority = Authority::new();
    let server = serve(authority.good().acceptor(&[], Versions::Tls12), hello).await;
    let mut call = Call::anywhere(authority.roots());
    assert_eq!(call.fetch(get(&url(server))).await.unwrap().status, 200);
    assert_eq!(call.logged()[0].tls, Some(TlsVersion::Tls12));
}

#[tokio::test]
async fn bad_certificates_are_told_apart() {
    let authority = Authority::new();
    let cases = [
        (authority.issue(Certificate::of(["localhost"]).expired()), "has expired"),
        (authority.issue(Certificate::of(["localhost"]).not_yet_valid()), "is not valid yet"),
        (authority.issue("other.example"), "is for another name"),
        (Authority::new().good(), "was not issued by an authority that is trusted"),
        (Identity::self_signed("localhost"), "was not issued by an authority that is trusted"),
    ];
    for (identity, expected) in cases {
        let server = serving(identity).await;
        let mut call = Call::anywhere(authority.roots());
        let error = call.fetch(get(&url(server))).await.unwrap_err();
        let wanted = format!("https://localhost:{}: the server's certificate {expected}", server.port());
        assert!(error.starts_with(&wanted), "{error}");
        let logged = call.logged();
        assert_eq!(logged[0].outcome, EgressOutcome::Failed("tls-certificate-error"));
        assert_eq!((logged.len(), logged[0].tls, logged[0].peer), (1, None, None));
    }
}

#[tokio::test]
async fn roots_of_a_request_stand_in_for_those_of_the_app() {
    let (own, other) = (Authority::new(), Authority::new());
    let (at_own, at_other) = (serving(own.good()).await, serving(other.good()).await);
    let mut call = Call::anywhere(own.roots());
    assert_eq!(call.fetch(get(&url(at_own))).await.unwrap().status, 200);
    assert_eq!(call.fetch(trusting(&url(at_other), &other.roots())).await.unwrap().status, 200);
    // Now that there are connections to both.
    let error = call.fetch(get(&url(at_other))).await.unwrap_err();
    assert!(error.contains("was not issued by an authority"), "{error}");
    let error = call.fetch(trusting(&url(at_own), &other.roots())).await.unwrap_err();
    assert!(error.contains("was not issued by an authority"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_nobody_issued_is_its_own_root() {
    let identity = Identity::self_signed("localhost");
    let roots = Roots::These(vec![identity.certificate()]);
    let server = serving(identity).await;
    let mut call = Call::anywhere(Roots::Mozilla);
    assert_eq!(call.fetch(trusting(&url(server), &roots)).await.unwrap().status, 200);
    let elsewhere = url(server).replace("localhost", "127.0.0.1");
    let error = call.fetch(trusting(&elsewhere, &roots)).await.unwrap_err();
    assert!(error.contains("is for another name"), "{error}");
}

/// As `openssl req -x509` makes them.
#[tokio::test]
async fn an_authoritys_certificate_is_a_servers_where_it_is_a_root_itself() {
    let localhost = || Certificate::of(["localhost"]);
    let own = |certificate: Certificate| Identity::self_signed(certificate.of_an_authority());
    let cases = [
        (own(localhost()), None),
        (own(localhost().expired()), Some("has expired")),
        (own(localhost().not_yet_valid()), Some("is not valid yet")),
        (own("other.example".into()), Some("is for another name")),
    ];
    for (identity, expected) in cases {
        let itself = identity.certificate();
        let server = serving(identity).await;
        let mut call = Call::anywhere(Roots::These(vec![itself.clone()]));
        let of_request = call.fetch(trusting(&url(server), &Roots::These(vec![itself]))).await;
        for fetched in [of_request, call.fetch(get(&url(server))).await] {
            match (fetched, expected) {
                (Ok(response), None) => assert_eq!(response.status, 200),
                (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (fetched, _) => panic!("{fetched:?}, and not {expected:?}"),
            }
        }
    }
    // Another one of the same name and another key; and what such a root is not asked for.
    let (shown, trusted) = (own(localhost()), own(localhost()));
    let server = serving(shown).await;
    let others = Roots::These(vec![trusted.certificate()]);
    for mut call in [Call::anywhere(others), Call::anywhere(Roots::Mozilla)] {
        let error = call.fetch(get(&url(server))).await.unwrap_err();
        assert!(error.contains("is that of an authority, and not of a server"), "{error}");
    }
}

#[tokio::test]
async fn roots_that_cannot_be_used() {
    let server = listen(|_| async { panic!("nobody may connect") }).await;
    let mut call = Call::anywhere(Roots::Mozilla);
    let cases = [
        (vec![], "ca-roots-der is an empty list, so no server is trusted"),
        (vec![vec![0x30, 0]], "root 0 of ca-roots-der, counted from 0, is no X.509 certificate in DER"),
        (vec![vec![]; 33], "ca-roots-der has 32 certificates at most"),
        (vec![vec![0; 40_000]; 2], "ca-roots-der has 32 certificates at most, and 65536 bytes together"),
    ];
    for (roots, expected) in cases {
        let error = call.fetch(Request { ca_roots_der: Some(roots), ..get(&url(server)) }).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(call.logged().is_empty());
}

/// A `ServerHello` of RFC 4346 (TLS 1.1), and an alert of a server that has nothing newer.
#[tokio::test]
async fn tls_1_1_is_not_spoken() {
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let alert = vec![21, 3, 2, 0, 2, 2, 70];
    for (answer, expected) in [(hello, "it speaks neither TLS 1.3 nor 1.2"), (alert, "alert 70")] {
        let server = listen(move |mut stream: TcpStream| {
            let answer = answer.clone();
            async move {
                let _ = stream.read(&mut [0; 2000]).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.read(&mut [0; 2000]).await;
            }
        })
        .await;
        let error = Call::anywhere(Roots::Mozilla).fetch(get(&url(server))).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn servers_that_are_not_there() {
    let mut call = Call::anywhere(Roots::Mozilla);
    let nobody = format!("https://127.0.0.1:{}/", closed_port().await);
    let error = call.fetch(get(&nobody)).await.unwrap_err();
    assert!(error.ends_with("the server refused the connection"), "{error}");
    let error = call.fetch(get("https://no.such.invalid/")).await.unwrap_err();
    assert_eq!(error, "https://no.such.invalid: the server's name has no address");
    let plain = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = call.fetch(get(&url(plain.await))).await.unwrap_err();
    assert!(error.contains("there was no TLS session with the server"), "{error}");
}

#[tokio::test]
async fn a_server_without_evidence_gets_nothing_of_a_request_for_an_enclave() {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor(&["h2"], Versions::All);
    let (server, connections) = serve_counted(acceptor, |_| async { panic!("nothing may be sent") }).await;
    let policy = RatlsPolicy {
        tee: TeeType::Sgx,
        mr_enclave: Some(vec![1; 32]),
        mr_signer: None,
        mr_td: None,
        challenge_nonce: None,
        expected_oids: Vec::new(),
        attestation_servers: Vec::new(),
    };
    // A name that the app's roots vouch for is not enough.
    let mut call = Call::anywhere(authority.roots());
    let request =
        Request { ratls: Some(policy.clone()), body: Some(b"secret".to_vec()), ..get(&url(server)) };
    let error = call.fetch(request).await.unwrap_err();
    assert!(error.starts_with(&format!("https://localhost:{}: ", server.port())), "{error}");
    assert_eq!(connections.begun(), 1);
    let logged = &call.logged()[0];
    assert_eq!((logged.outcome, logged.bytes_sent), (EgressOutcome::Failed("ratls-refused"), 0));
    assert!(logged.peer.is_some());
    // A policy that cannot hold is refused before anything is asked.
    let policy = RatlsPolicy { mr_enclave: Some(vec![1; 31]), ..policy };
    let error = call.fetch(Request { ratls: Some(policy), ..get(&url(server)) }).await.unwrap_err();
    assert!(error.starts_with("the ratls policy cannot be used"), "{error}");
    assert_eq!((connections.begun(), call.logged().len()), (1, 1));
}
