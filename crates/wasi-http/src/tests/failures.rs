//! Requests that fail, and what the guest and the log are told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloister_channel_body::Channel;
use cloister_test_authority::{Authority, Certificate, Versions};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::call::{Ask, Call, Received, code};
use super::server::{AnyBody, AsRoots as _, BoxError, closed_port, drain, listen, serve, whole};
use crate::bindings::wasi::http::outgoing_handler::Host as _;
use crate::bindings::wasi::http::types::{ErrorCode, Scheme};
use crate::{EgressOutcome, Roots, TlsVersion};

async fn hello(_: Request<Incoming>) -> Response<AnyBody> {
    Response::new(whole("hello"))
}

/// Asks a server over TLS that this handles.
async fn ask_of<R>(certificate: Certificate, roots: R) -> (Call, Result<Received, ErrorCode>)
where
    R: FnOnce(&Authority) -> Roots,
{
    let authority = Authority::new();
    let identity = authority.issue(certificate);
    let server = serve(identity.acceptor(&["h2"], Versions::All), hello).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&["https://localhost:*"], roots(&authority));
    let received = call.fetch(&Ask::get(&host)).await;
    (call, received)
}

#[track_caller]
fn assert_failed(call: &Call, received: &Result<Received, ErrorCode>, expected: &'static str) {
    let logged = call.logged();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0].outcome, EgressOutcome::Failed(expected), "{received:?}");
    assert_eq!(name(received.as_ref().unwrap_err()), expected);
}

/// The name of a code, in lower case.
fn name(code: &ErrorCode) -> String {
    let text = format!("{code:?}");
    let variant = text.trim_start_matches("ErrorCode::").split('(').next().unwrap();
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[tokio::test]
async fn certificates_have_to_be_good() {
    let localhost = || Certificate::of(["localhost"]);
    let (_, received) = ask_of(localhost(), Authority::roots).await;
    assert_eq!(received.unwrap().body, b"hello");
    for bad in ["other.example".into(), localhost().expired(), localhost().not_yet_valid()] {
        let (call, received) = ask_of(bad, Authority::roots).await;
        assert_failed(&call, &received, "tls-certificate-error");
        assert_eq!(call.logged()[0].tls, None);
    }
    for roots in [Roots::Mozilla, Roots::These(Vec::new()), Authority::new().roots()] {
        let (call, received) = ask_of(localhost(), |_| roots).await;
        assert_failed(&call, &received, "tls-certificate-error");
    }
}

#[test]
fn a_root_that_is_no_certificate_is_named() {
    let roots = Roots::These(vec![vec![0x30, 0x00].into()]);
    let error = crate::Client::new(roots).unwrap_err();
    assert!(error.to_string().starts_with("root 0 is no X.509 certificate"), "{error}");
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_refused_before_anything_is_sent() {
    let server = listen(|_| async { panic!("nobody may connect") }).await;
    let port = server.port();
    let host = format!("localhost:{port}");
    let address = format!("127.0.0.1:{port}");
    let other_port = format!("localhost:{}", closed_port().await);
    let cases = [
        (vec![], Scheme::Https, &host),
        (vec![format!("https://{host}")], Scheme::Http, &host),
        (vec![format!("http://{host}")], Scheme::Https, &host),
        (vec![format!("https://{host}")], Scheme::Https, &address),
        (vec![format!("https://{host}")], Scheme::Https, &other_port),
        (vec![format!("https://*.localhost:{port}")], Scheme::Https, &host),
        (vec![format!("tcp://127.0.0.1:{port}"), "lookup://localhost".to_owned()], Scheme::Https, &host),
    ];
    for (rules, scheme, host) in cases {
        let rules: Vec<&str> = rules.iter().map(|rule| &**rule).collect();
        let mut call = Call::new(&rules, Roots::Mozilla);
        let request = call.request(&Ask { scheme: Some(scheme), ..Ask::get(host) }).await;
        let refused = call.view().handle(request, None).await.unwrap_err();
        assert!(matches!(code(refused), ErrorCode::HttpRequestDenied), "{rules:?} {host}");
        let logged = call.logged();
        assert_eq!(logged.len(), 1);
        assert_eq!(logged[0].outcome, EgressOutcome::Refused);
        assert_eq!(format!("{}:{}", logged[0].host, logged[0].port), **host);
        assert!(call.table.is_empty());
    }
}

#[tokio::test]
async fn a_port_at_which_nobody_listens() {
    let host = format!("127.0.0.1:{}", closed_port().await);
    let mut call = Call::new(&["https://127.0.0.1:*"], Roots::Mozilla);
    let received = call.fetch(&Ask::get(&host)).await;
    assert_failed(&call, &received, "connection-refused");
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let mut call = Call::new(&["https://*.invalid"], Roots::Mozilla);
    let received = call.fetch(&Ask::get("no.such.invalid")).await;
    assert_failed(&call, &received, "dns-error");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    let server = listen(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let host = format!("127.0.0.1:{}", server.await.port());
    let mut call = Call::new(&["https://127.0.0.1:*"], Roots::Mozilla);
    let received = call.fetch(&Ask::get(&host)).await;
    assert_failed(&call, &received, "tls-protocol-error");
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_handshake() {
    let server = listen(|mut stream: TcpStream| async move {
        let _ = stream.read(&mut [0; 10]).await;
    });
    let host = format!("127.0.0.1:{}", server.await.port());
    let mut call = Call::new(&["https://127.0.0.1:*"], Roots::Mozilla);
    let received = call.fetch(&Ask::get(&host)).await;
    assert_failed(&call, &received, "connection-terminated");
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_handshake() {
    let server = listen(|mut stream: TcpStream| async move {
        while stream.read(&mut [0; 1000]).await.is_ok_and(|read| read > 0) {}
    });
    let host = format!("127.0.0.1:{}", server.await.port());
    let mut call = Call::new(&["https://127.0.0.1:*"], Roots::Mozilla);
    let options = [Some(Duration::from_millis(200)), None, None];
    let began = Instant::now();
    let received = call.fetch(&Ask { options, ..Ask::get(&host) }).await;
    assert_failed(&call, &received, "connection-timeout");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn heads_and_bodies_that_do_not_come() {
    let authority = Authority::new();
    let slow = |request: Request<Incoming>| async move {
        drain(request.into_body()).await;
        std::future::pending().await
    };
    let stuck = |_: Request<Incoming>| async {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        tokio::spawn(async move {
            let _ = sender.send_data(Bytes::from_static(b"first")).await;
            std::future::pending::<()>().await;
        });
        Response::new(body.boxed_unsync())
    };
    let short = Some(Duration::from_millis(1_500));
    for alpn in ["h2", "http/1.1"] {
        let server = serve(authority.good().acceptor(&[alpn], Versions::All), slow).await;
        let host = format!("localhost:{}", server.port());
        let mut call = Call::new(&["https://localhost:*"], authority.roots());
        let received = call.fetch(&Ask { options: [None, short, None], ..Ask::get(&host) }).await;
        assert_failed(&call, &received, "connection-read-timeout");
        assert_eq!(call.logged()[0].tls, Some(TlsVersion::Tls13));

        let server = serve(authority.good().acceptor(&[alpn], Versions::All), stuck).await;
        let host = format!("localhost:{}", server.port());
        let mut call = Call::new(&["https://localhost:*"], authority.roots());
        let received = call.fetch(&Ask { options: [None, None, short], ..Ask::get(&host) }).await;
        assert_failed(&call, &received, "connection-read-timeout");
        assert_eq!(call.logged()[0].bytes_received, 5);
    }
}

/// A guest that writes slowly is not a server that answers late.
#[tokio::test]
async fn a_slow_guest_is_no_slow_server() {
    let authority = Authority::new();
    let length = |request: Request<Incoming>| async move {
        Response::new(whole(drain(request.into_body()).await.to_string()))
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), length).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&["https://localhost:*"], authority.roots());
    let options = [None, Some(Duration::from_millis(3_000)), None];
    let (future, body) = call.send_open(&Ask { options, ..Ask::post(&host, "/") }).await;
    tokio::time::sleep(Duration::from_millis(4_000)).await;
    call.write_body(body, b"late", None).await.unwrap();
    assert_eq!(call.receive(future).await.unwrap().body, b"4");
}

/// Asks a server that answers every request with these bytes and hangs up.
async fn ask_raw(answer: Vec<u8>) -> (Call, Result<Received, ErrorCode>) {
    let server = listen(move |mut stream: TcpStream| {
        let answer = answer.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0; 1];
                if stream.read_exact(&mut byte).await.is_err() {
                    return;
                }
                head.push(byte[0]);
            }
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 1]).await;
        }
    });
    let host = format!("127.0.0.1:{}", server.await.port());
    let mut call = Call::new(&["http://127.0.0.1:*"], Roots::Mozilla);
    let received = call.fetch(&Ask { scheme: Some(Scheme::Http), ..Ask::get(&host) }).await;
    (call, received)
}

#[tokio::test]
async fn answers_of_bad_servers() {
    let many = |count: usize| "x: y\r\n".repeat(count);
    let cases = [
        ("".to_owned(), "connection-terminated"),
        ("HTTP/1.1 200 O".to_owned(), "connection-terminated"),
        ("nonsense\r\n\r\n".to_owned(), "http-protocol-error"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned(), "http-response-incomplete"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_owned(),
            "http-response-incomplete",
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab".to_owned(), "http-protocol-error"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
            "http-protocol-error",
        ),
        (
            "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned(),
            "http-upgrade-failed",
        ),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", many(101)), "http-response-header-section-size"),
        (
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000)),
            "http-response-header-section-size",
        ),
        (format!("HTTP/1.1 200 OK\r\n{}", many(1_000_000)), "http-response-header-section-size"),
    ];
    for (answer, expected) in cases {
        let (call, received) = ask_raw(answer.clone().into_bytes()).await;
        let start: String = answer.chars().take(60).collect();
        assert!(received.is_err(), "{start:?}: {received:?}");
        println!("{start:?}");
        assert_failed(&call, &received, expected);
    }
    let (call, received) =
        ask_raw(format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", many(99)).into_bytes()).await;
    assert_eq!(received.unwrap().status, 200);
    assert_eq!(call.logged()[0].outcome, EgressOutcome::Status(200));
}

#[tokio::test]
async fn odd_answers_of_good_servers() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(3);
    let cases = [
        (format!("{hints}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), 200, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), 204, ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n".to_owned(), 304, ""),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end".to_owned(), 200, "until the end"),
        ("HTTP/1.1 599 What\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned(), 599, "ab"),
    ];
    for (answer, status, body) in cases {
        let (call, received) = ask_raw(answer.clone().into_bytes()).await;
        let received = received.unwrap();
        assert_eq!((received.status, &*received.body), (status, body.as_bytes()), "{answer:?}");
        assert_eq!(call.logged()[0].outcome, EgressOutcome::Status(status));
    }
}

#[tokio::test]
async fn heads_of_http2_are_bounded_too() {
    let authority = Authority::new();
    for (fields, length) in [(101, 1), (70, 1000)] {
        let answer = move |_| async move {
            let mut response = Response::new(whole(""));
            for field in 0..fields {
                let name = http::HeaderName::try_from(format!("x-{field}")).unwrap();
                response.headers_mut().insert(name, "y".repeat(length).parse().unwrap());
            }
            response
        };
        let server = serve(authority.good().acceptor(&["h2"], Versions::All), answer).await;
        let host = format!("localhost:{}", server.port());
        let mut call = Call::new(&["https://localhost:*"], authority.roots());
        let received = call.fetch(&Ask::get(&host)).await;
        assert_failed(&call, &received, "http-response-header-section-size");
    }
}

#[tokio::test]
async fn a_response_that_breaks_off() {
    let authority = Authority::new();
    let answer = |_| async {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        tokio::spawn(async move {
            let _ = sender.send_data(Bytes::from_static(b"abc")).await;
            // Until that is sent.
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.abort("broken".into()).await.unwrap();
        });
        Response::new(body.boxed_unsync())
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), answer).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&["https://localhost:*"], authority.roots());
    let received = call.fetch(&Ask::get(&host)).await;
    assert_failed(&call, &received, "http-response-incomplete");
    assert_eq!(call.logged()[0].bytes_received, 3);
}

#[tokio::test]
async fn requests_that_nobody_could_send() {
    let cases: [(Ask<'_>, &str); 8] = [
        (
            Ask { scheme: Some(Scheme::Other("ws".to_owned())), ..Ask::get("localhost") },
            "http-protocol-error",
        ),
        (Ask::get("localhost:99999"), "http-request-uri-invalid"),
        (Ask::get("localhost:0"), "http-request-uri-invalid"),
        (Ask::get("user@localhost"), "http-request-uri-invalid"),
        (Ask::get("127.1"), "http-request-uri-invalid"),
        (Ask::get("under_score..example"), "http-request-uri-invalid"),
        (
            Ask { method: crate::bindings::wasi::http::types::Method::Connect, ..Ask::get("localhost") },
            "http-request-method-invalid",
        ),
        (Ask { headers: &[("content-length", "5")], ..Ask::get("localhost") }, "http-request-body-size"),
    ];
    for (ask, expected) in cases {
        let mut call = Call::new(&["https://*:*", "http://*:*"], Roots::Mozilla);
        let received = call.fetch(&ask).await;
        println!("{}", ask.authority);
        assert_failed(&call, &received, expected);
    }
    let mut call = Call::new(&["https://*:*"], Roots::Mozilla);
    let path = format!("/{}", "p".repeat(40_000));
    let received = call.fetch(&Ask { path: Some(&path), ..Ask::get("localhost") }).await;
    assert_failed(&call, &received, "http-request-uri-too-long");
}
