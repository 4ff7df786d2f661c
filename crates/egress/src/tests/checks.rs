//! Sessions that a check looks at first.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cloister_test_authority::{Authority, Identity, Versions};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::app::{App, Ask};
use super::server::{AsRoots as _, Connections, listen_counted, whole};
use crate::{CertificateFault, Check, EgressError, MAX_CHECK_RESPONSE, Roots, Session, Trust};

/// Asks the server for the exporter of the session, and accepts it where it is this end's too.
#[derive(Default)]
struct SameSession {
    looks: AtomicUsize,
    certificate: Mutex<Vec<u8>>,
    refuse: bool,
    /// Over HTTP/1.1 that costs the connection.
    asks_for_too_much: bool,
}

impl Check for SameSession {
    fn check<'a>(
        &'a self,
        session: &'a mut dyn Session,
    ) -> Pin<Box<dyn Future<Output = Result<(), EgressError>> + Send + 'a>> {
        Box::pin(async {
            self.looks.fetch_add(1, Ordering::SeqCst);
            *self.certificate.lock().unwrap() = session.certificates()[0].to_vec();
            let own = session.export(b"label", b"context")?;
            for _ in 0..2 {
                let request = Request::post("/exporter").body(Bytes::from_static(b"please")).unwrap();
                let response = session.send(request).await?;
                assert_eq!(response.status(), StatusCode::OK);
                assert_eq!(response.body(), &own[..]);
            }
            assert_eq!(session.export(b"label", b"context").unwrap_err(), EgressError::Internal);
            if !self.asks_for_too_much {
                return Ok(());
            }
            let long = session.send(Request::get("/long").body(Bytes::new()).unwrap()).await;
            assert_eq!(long.unwrap_err(), EgressError::ResponseBodySize { most: MAX_CHECK_RESPONSE });
            if self.refuse { Err(EgressError::Unverified("not so".into())) } else { Ok(()) }
        })
    }
}

/// Answers with its exporter, and counts the requests of apps.
async fn serve(identity: Identity, alpn: &str) -> (String, Connections, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let connection = move |stream: TlsStream<TcpStream>| {
        let requests = Arc::clone(&counted);
        async move {
            let session = stream.get_ref().1;
            let exporter = session.export_keying_material([0; 32], b"label", Some(b"context")).unwrap();
            let h2 = session.alpn_protocol() == Some(b"h2");
            let service = service_fn(move |request: Request<Incoming>| {
                let body = match request.uri().path() {
                    "/exporter" => Bytes::copy_from_slice(&exporter),
                    "/long" => vec![0; MAX_CHECK_RESPONSE + 1].into(),
                    _ => {
                        requests.fetch_add(1, Ordering::SeqCst);
                        Bytes::from_static(b"hello")
                    }
                };
                async move { Ok::<_, EgressError>(Response::new(whole(body))) }
            });
            let stream = TokioIo::new(stream);
            if h2 {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(stream, service).await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            }
        }
    };
    let acceptor = identity.acceptor(&[alpn], Versions::All);
    let (address, connections) = listen_counted(acceptor, connection).await;
    (format!("localhost:{}", address.port()), connections, requests)
}

#[tokio::test]
async fn a_session_is_checked_once_before_anything_is_sent() {
    for alpn in ["h2", "http/1.1"] {
        checked_once(alpn).await;
    }
}

async fn checked_once(alpn: &str) {
    let identity = Identity::self_signed("anything.example");
    let certificate = identity.certificate();
    let (host, connections, requests) = serve(identity, alpn).await;
    let app = App::new(Roots::These(Vec::new()));
    let check = Arc::new(SameSession::default());
    let trust = Trust::checked(Arc::clone(&check) as _, [1; 32], None).unwrap();
    for _ in 0..3 {
        assert_eq!(app.fetch(Ask::get(&host).trusting(&trust)).await.unwrap(), "hello");
    }
    assert_eq!((connections.begun(), check.looks.load(Ordering::SeqCst)), (1, 1));
    assert_eq!((requests.load(Ordering::SeqCst), app.logged().len()), (3, 3));
    assert_eq!(*check.certificate.lock().unwrap(), certificate.to_vec());
    // Another policy looks for itself.
    let other = Trust::checked(Arc::clone(&check) as _, [2; 32], None).unwrap();
    app.fetch(Ask::get(&host).trusting(&other)).await.unwrap();
    assert_eq!(check.looks.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_session_that_is_refused_gets_nothing() {
    let (host, connections, requests) = serve(Identity::self_signed("localhost"), "h2").await;
    let app = App::new(Roots::These(Vec::new()));
    let check = Arc::new(SameSession { refuse: true, asks_for_too_much: true, ..SameSession::default() });
    let trust = Trust::checked(check, [1; 32], None).unwrap();
    for _ in 0..2 {
        let refused = app.fetch(Ask::post(&host, b"secret").trusting(&trust)).await.unwrap_err();
        assert_eq!(refused.to_string(), "not so");
    }
    assert_eq!((connections.begun(), requests.load(Ordering::SeqCst)), (2, 0));
    let logged = app.logged();
    assert_eq!((logged[0].outcome, logged[0].bytes_sent), (crate::EgressOutcome::Failed("ratls-refused"), 0));
    assert!(logged[0].peer.is_some());
}

#[tokio::test]
async fn roots_beside_a_check_have_to_hold_too() {
    let authority = Authority::new();
    let check = || Arc::new(SameSession::default()) as Arc<dyn Check>;
    let app = App::new(Roots::These(Vec::new()));
    let with = |roots| Trust::checked(check(), [1; 32], Some(roots)).unwrap();
    let (host, ..) = serve(authority.good(), "h2").await;
    assert_eq!(app.fetch(Ask::get(&host).trusting(&with(authority.roots()))).await.unwrap(), "hello");
    let unknown = app.fetch(Ask::get(&host).trusting(&with(Authority::new().roots()))).await;
    assert_eq!(unknown.unwrap_err(), EgressError::Certificate(CertificateFault::UnknownIssuer));
    let other_name = serve(authority.issue("other.example"), "h2").await.0;
    let wrong = app.fetch(Ask::get(&other_name).trusting(&with(authority.roots()))).await;
    assert_eq!(wrong.unwrap_err(), EgressError::Certificate(CertificateFault::WrongName));
}

/// The exporter of TLS 1.2 proves less, and so does its signature.
#[tokio::test]
async fn a_check_needs_tls_1_3() {
    let identity = Identity::self_signed("localhost");
    let (address, _) =
        listen_counted(identity.acceptor(&["h2"], Versions::Tls12), |_| std::future::ready(())).await;
    let host = format!("localhost:{}", address.port());
    let trust = Trust::checked(Arc::new(SameSession::default()), [1; 32], None).unwrap();
    let app = App::new(Roots::These(Vec::new()));
    let refused = app.fetch(Ask::get(&host).trusting(&trust)).await.unwrap_err();
    assert!(matches!(refused, EgressError::Alert { .. } | EgressError::Tls), "{refused:?}");
}
