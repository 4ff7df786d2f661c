//! Web services over TLS, as any client meets them.

use super::*;
use crate::deploy::Kind;
use crate::server;
use cloister_channel_body::Channel;
use http::{HeaderMap, Method, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) type Body = http_body_util::Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// A connection of HTTP/1.1 or HTTP/2.
pub(super) enum Sender {
    One(hyper::client::conn::http1::SendRequest<Body>),
    Two(hyper::client::conn::http2::SendRequest<Body>),
}

impl Sender {
    pub(super) async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => sender.send_request(request).await,
        }
    }

    /// A request for a URI, absolute for the host's name.
    fn request(&self, method: Method, uri: &str, body: Body) -> Request<Body> {
        let uri: http::Uri = uri.parse().unwrap();
        let request = Request::builder().method(method);
        match self {
            Self::One(_) => request
                .header(header::HOST, uri.authority().unwrap().as_str())
                .uri(uri.path_and_query().unwrap().as_str()),
            Self::Two(_) => request.version(Version::HTTP_2).uri(uri),
        }
        .body(body)
        .unwrap()
    }

    pub(super) async fn fetch(
        &mut self,
        method: Method,
        uri: &str,
        body: Body,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let request = self.request(method, uri, body);
        let (head, body) = self.send(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    }

    pub(super) async fn text(&mut self, uri: &str) -> (u16, String) {
        let (status, _, body) = self.fetch(Method::GET, uri, nothing()).await;
        (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }
}

pub(super) fn nothing() -> Body {
    Body::Left(Full::default())
}

/// TLS to the enclave, with its certificate for `host` verified as curl would, and nothing else trusted.
pub(super) async fn tls(enclave: &Arc<Enclave>, host: &str, alpn: &[u8]) -> TlsStream<DuplexStream> {
    let name = crate::host_name::HostName::parse(host);
    let own = enclave.attestor.certificate_for(&enclave.state().attested, name.as_ref()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert[0].clone()).unwrap();
    let mut configuration =
        ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    configuration.alpn_protocols = vec![alpn.to_vec()];
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(server::serve_alone(Arc::clone(enclave), theirs));
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::new(configuration)).connect(name, ours).await.unwrap()
}

pub(super) async fn one(enclave: &Arc<Enclave>, host: &str) -> Sender {
    let io = TokioIo::new(tls(enclave, host, b"http/1.1").await);
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    Sender::One(sender)
}

pub(super) async fn two(enclave: &Arc<Enclave>, host: &str) -> Sender {
    let io = TokioIo::new(tls(enclave, host, b"h2").await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    Sender::Two(sender)
}

pub(super) async fn serving(limits: Limits) -> (Arc<Enclave>, MemoryDisk) {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_wasm(&enclave, Kind::Deploy, owner(), "web", guests::web(), limits).await.unwrap();
    (enclave, disk)
}

fn code(body: &str) -> String {
    serde_json::from_str::<Problem>(body).unwrap().code.as_str().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_at_its_host_name_and_below_its_name() {
    let (enclave, _) = serving(Limits::default()).await;
    for version in 1..=2 {
        let mut own = if version == 1 {
            one(&enclave, "web.localhost").await
        } else {
            two(&enclave, "web.localhost").await
        };
        assert_eq!(own.text("https://web.localhost:8443/h").await, (200, "hello".into()));
        assert_eq!(
            own.text("https://web.localhost:8443/i/v1/health?q=1").await,
            (200, "/i/v1/health?q=1".into())
        );
        assert_eq!(
            own.text("https://web.localhost:8443/authority").await,
            (200, "web.localhost:8443".into())
        );
        let (status, health) = own.text("https://web.localhost/.well-known/cloister/v1/health").await;
        assert_eq!((status, health.as_str()), (200, r#"{"status":"ok"}"#));
        let (status, _) = own.text("https://web.localhost/.well-known/cloisterer").await;
        assert_eq!(status, 200, "that is the guest's");
        let mut common =
            if version == 1 { one(&enclave, "localhost").await } else { two(&enclave, "localhost").await };
        assert_eq!(common.text("https://localhost/apps/web/i/x").await, (200, "/i/x".into()));
        assert_eq!(common.text("https://localhost/v1/health").await.0, 200);
        let elsewhere = common.fetch(Method::GET, "https://localhost/apps/web?i=1", nothing()).await;
        assert_eq!(elsewhere.0, StatusCode::PERMANENT_REDIRECT);
        assert_eq!(elsewhere.1[header::LOCATION], "/apps/web/?i=1");
        let (status, problem) = common.text("https://localhost/apps/wob/").await;
        assert_eq!((status, code(&problem).as_str()), (404, "unknown-app"));
    }
    let app = enclave.app(&name("web")).unwrap();
    let (_, functions) = app.counters.read();
    assert!(functions["wasi:http/incoming-handler#handle"].calls > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_one_app_carries_no_request_for_another() {
    let (enclave, _) = serving(Limits::default()).await;
    deploy_wasm(&enclave, Kind::Deploy, owner(), "other", guests::web(), Limits::default()).await.unwrap();
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let mut sender = two(&enclave, "web.localhost").await;
    let (status, problem) = sender.text("https://other.localhost/h").await;
    assert_eq!((status, code(&problem).as_str()), (421, "misdirected"));
    let (status, problem) = sender.text("https://localhost/apps/other/h").await;
    assert_eq!((status, code(&problem).as_str()), (421, "misdirected"));
    assert_eq!(sender.text("https://localhost/apps/web/h").await.0, 200);
    assert_eq!(sender.text("https://nobody.localhost/v1/health").await.0, 200);
    let mut sender = one(&enclave, "ledger.localhost").await;
    // An app that is no web service leaves its host name to the API.
    assert_eq!(sender.text("https://ledger.localhost/v1/health").await.0, 200);
    let (status, problem) = sender.text("https://localhost/apps/ledger/").await;
    assert_eq!((status, code(&problem).as_str()), (404, "not-a-service"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_name_has_a_certificate_of_its_own() {
    let (enclave, _) = serving(Limits::default()).await;
    for host in ["web.localhost", "web.example.com", "localhost", "enclave.example.org", "a-b.c.d.test"] {
        // Verified in the handshake.
        let mut sender = one(&enclave, host).await;
        assert_eq!(sender.text(&format!("https://{host}/.well-known/cloister/v1/health")).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let limits = Limits { fuel: 1_000_000_000, ..Limits::default() };
    let (enclave, _) = serving(limits).await;
    for version in 1..=2 {
        let mut sender =
            if version == 1 { one(&enclave, "web.test").await } else { two(&enclave, "web.test").await };
        let (mut upload, body) = Channel::new(1);
        let request = sender.request(Method::POST, "https://web.test/e", Body::Right(body));
        let mut response = sender.send(request).await.unwrap().into_body();
        // The answer to the first part comes before the second is sent.
        for round in 0..20_u8 {
            let part = vec![round; 30_000];
            upload.send_data(Bytes::from(part.clone())).await.unwrap();
            let mut echoed = Vec::new();
            while echoed.len() < part.len() {
                echoed.extend_from_slice(&response.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(echoed, part);
        }
        drop(upload);
        while let Some(frame) = response.frame().await {
            assert!(frame.unwrap().into_data().is_ok_and(|data| data.is_empty()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_without_an_answer_are_problems() {
    let (enclave, _) = serving(Limits::default()).await;
    let with = async |limits: Limits| {
        deploy_wasm(&enclave, Kind::Replace, owner(), "web", guests::web(), limits).await.unwrap();
    };
    let mut sender = two(&enclave, "web.test").await;
    for (path, status, expected) in [
        ("n", 502, "no-response"),
        ("t", 500, "guest-trapped"),
        ("l", 504, "timed-out"),
        ("w", 504, "timed-out"),
    ] {
        if path == "l" {
            with(Limits { wall_time_ms: 700, fuel: 1_000_000_000_000, ..Limits::default() }).await;
        }
        let (got, problem) = sender.text(&format!("https://web.test/{path}")).await;
        assert_eq!((got, code(&problem).as_str()), (status, expected), "{path}");
    }
    with(Limits::default()).await;
    assert_eq!(sender.text("https://web.test/h").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_seen_to() {
    let (enclave, _) = serving(Limits::default()).await;
    for version in 1..=2 {
        let mut sender =
            if version == 1 { one(&enclave, "web.test").await } else { two(&enclave, "web.test").await };
        let (mut upload, body) = Channel::new(1);
        let request = sender.request(Method::POST, "https://web.test/b", Body::Right(body));
        let response = sender.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        upload.send_data(Bytes::from_static(b"some of it")).await.unwrap();
        drop(upload);
        assert!(response.into_body().collect().await.is_err());
    }
    // Where nothing was sent yet, it is a failure like any other.
    let mut sender = one(&enclave, "web.test").await;
    let body = Body::Left(Full::from("all of it"));
    let (status, _, problem) = sender.fetch(Method::POST, "https://web.test/b", body).await;
    assert!(status == 500 && code(std::str::from_utf8(&problem).unwrap()) == "guest-trapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_kept_though_a_body_was_not_read() {
    let (enclave, _) = serving(Limits::default()).await;
    let mut sender = one(&enclave, "web.test").await;
    for _ in 0..5 {
        let body = Body::Left(Full::from(vec![7; 100_000]));
        let (status, _, text) = sender.fetch(Method::POST, "https://web.test/h", body).await;
        assert_eq!((status.as_u16(), &text[..]), (200, &b"hello"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_has_no_body_and_runs_to_its_end() {
    let (enclave, _) = serving(Limits::default()).await;
    for version in 1..=2 {
        let mut sender =
            if version == 1 { one(&enclave, "web.test").await } else { two(&enclave, "web.test").await };
        let (status, headers, body) = sender.fetch(Method::HEAD, "https://web.test/h", nothing()).await;
        assert_eq!((status.as_u16(), body.len()), (200, 0));
        assert_eq!(headers["content-length"], "5");
        assert_eq!(sender.text("https://web.test/h").await.0, 200);
    }
    let app = enclave.app(&name("web")).unwrap();
    assert_eq!(app.counters.read().0.errors, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_gets_it() {
    let (enclave, _) = serving(Limits::default()).await;
    let mut stream = tls(&enclave, "web.test", b"http/1.1").await;
    let head = "POST /r HTTP/1.1\r\nhost: web.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut read = [0; 25];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("hello") {
        let mut part = [0; 1000];
        let length = stream.read(&mut part).await.unwrap();
        assert!(length > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&part[..length]).unwrap());
    }
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 5\r\n"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_wrote_is_on_the_disk_before_its_answer_ends() {
    let (enclave, disk) = serving(Limits::default()).await;
    let epoch = enclave.storage.state().epoch;
    let mut sender = one(&enclave, "web.test").await;
    assert_eq!(sender.text("https://web.test/h").await.0, 200);
    assert_eq!(enclave.storage.state().epoch, epoch, "it kept nothing");
    assert_eq!(sender.text("https://web.test/k").await, (200, "hello".into()));
    let restarted = start(Arc::new(disk.fork()));
    assert!(restarted.app(&name("web")).unwrap().storage.has_key(b"k"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_does_not_take_is_no_whole_answer() {
    let disk = FaultyDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_wasm(&enclave, Kind::Deploy, owner(), "web", guests::web(), Limits::default()).await.unwrap();
    disk.fail(DiskFailure {
        only: Some(DiskOperationKind::Flush),
        after: 0,
        times: u64::MAX,
        kind: std::io::ErrorKind::Other,
        effect: FailureEffect::Nothing,
    });
    for version in 1..=2 {
        let mut sender =
            if version == 1 { one(&enclave, "web.test").await } else { two(&enclave, "web.test").await };
        let request = sender.request(Method::GET, "https://web.test/k", nothing());
        match sender.send(request).await {
            Err(_) => {}
            Ok(response) => assert!(response.into_body().collect().await.is_err()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_guest() {
    let limits = Limits { fuel: 1_000_000_000_000, ..Limits::default() };
    let (enclave, _) = serving(limits).await;
    for version in 1..=2 {
        let mut sender =
            if version == 1 { one(&enclave, "web.test").await } else { two(&enclave, "web.test").await };
        let request = sender.request(Method::GET, "https://web.test/l", nothing());
        let waiting = tokio::time::timeout(Duration::from_millis(200), sender.send(request)).await;
        assert!(waiting.is_err());
        drop(sender);
        let free =
            || enclave.calls.available_permits() == enclave.configuration.max_concurrent_calls as usize;
        let began = Instant::now();
        while !free() {
            assert!(began.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_goes_on_after_its_answer() {
    let (enclave, _) = serving(Limits::default()).await;
    let mut sender = one(&enclave, "web.test").await;
    let began = Instant::now();
    assert_eq!(sender.text("https://web.test/g").await, (200, "hello".into()));
    assert!(began.elapsed() < Duration::from_millis(4_900));
    let calls = || enclave.app(&name("web")).unwrap().counters.read().0;
    assert_eq!(calls().calls, 0, "it is at work");
    while calls().calls == 0 {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((calls().calls, calls().errors), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_reach_no_guest() {
    let (enclave, _) = serving(Limits::default()).await;
    for (request, status) in [
        ("GET /h HTTP/1.1\r\nhost: web.test\r\nhost: web.test\r\n\r\n", "400"),
        ("GET /h HTTP/1.1\r\nhost: a b\r\n\r\n", "400"),
        ("CONNECT web.test:443 HTTP/1.1\r\nhost: web.test\r\n\r\n", "405"),
    ] {
        let mut stream = tls(&enclave, "web.test", b"http/1.1").await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{request}");
    }
    assert_eq!(enclave.app(&name("web")).unwrap().counters.read().0.calls, 0);
}
