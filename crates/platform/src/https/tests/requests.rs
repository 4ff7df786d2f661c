//! What a server gets, and what a guest gets back.

use std::time::SystemTime;

use cloister_egress::{EgressOutcome, EgressRequest, Roots, TlsVersion};
use cloister_test_authority::{Authority, Versions};
use http::{Request as Asked, Response as Answer};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::call::{Call, get, header, send, with_headers};
use super::server::{AnyBody, AsRoots as _, Connections, listen, serve_counted, whole};
use crate::bindings::privasys::enclave_os::https::{Method, Request};

/// Says what it was asked, and answers with what it was sent.
async fn echo(request: Asked<Incoming>) -> Answer<AnyBody> {
    let (head, body) = request.into_parts();
    let mut answer = Answer::builder().status(201).header("asked", format!("{} {}", head.method, head.uri));
    for (name, value) in &head.headers {
        answer = answer.header(format!("got-{name}"), value);
    }
    answer.body(body.map_err(Into::into).boxed_unsync()).unwrap()
}

async fn server(alpn: &str) -> (Call, String, Connections) {
    let authority = Authority::new();
    let (address, connections) = serve_counted(authority.good().acceptor(&[alpn], Versions::All), echo).await;
    let host = format!("localhost:{}", address.port());
    (Call::new(&[&format!("https://{host}")], authority.roots()), format!("https://{host}"), connections)
}

#[tokio::test]
async fn methods_paths_and_bodies() {
    let methods = [
        (Method::Get, "GET"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Delete, "DELETE"),
        (Method::Patch, "PATCH"),
        (Method::Options, "OPTIONS"),
    ];
    for alpn in ["h2", "http/1.1"] {
        let (mut call, url, connections) = server(alpn).await;
        for (method, name) in methods {
            let asked = format!("{url}/a%20b?c=d#not-sent");
            let response = call.fetch(send(method, &asked, b"some body")).await.unwrap();
            assert_eq!((response.status, &*response.body), (201, &b"some body"[..]));
            let told = header(&response, "asked").unwrap();
            assert!(told.starts_with(name) && told.ends_with("/a%20b?c=d"), "{told}");
            assert_eq!(header(&response, "got-content-length"), Some("9"));
            assert_eq!(header(&response, "got-transfer-encoding"), None);
        }
        assert_eq!(connections.begun(), 1);
    }
}

#[tokio::test]
async fn large_bodies_both_ways() {
    for alpn in ["h2", "http/1.1"] {
        let (mut call, url, _) = server(alpn).await;
        let body: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
        let response = call.fetch(send(Method::Post, &url, &body)).await.unwrap();
        assert!(response.body == body);
        assert_eq!((call.logged()[0].bytes_sent, call.logged()[0].bytes_received), (3_000_000, 3_000_000));
    }
}

#[tokio::test]
async fn headers_of_the_guest() {
    let (mut call, url, _) = server("http/1.1").await;
    let given = [("X-Own", "one"), ("x-own", "two"), ("authorization", "Bearer x"), ("x-utf8", "ä")];
    let response = call.fetch(with_headers(get(&url), &given)).await.unwrap();
    let own: Vec<_> = response.headers.iter().filter(|(name, _)| name == "got-x-own").collect();
    assert_eq!(own.len(), 2);
    assert_eq!(header(&response, "got-authorization"), Some("Bearer x"));
    assert_eq!(header(&response, "got-x-utf8"), Some("ä"));
    assert_eq!(header(&response, "got-host"), url.strip_prefix("https://"));
    // Nothing that the guest did not write, but the host.
    let got = response.headers.iter().filter(|(name, _)| name.starts_with("got-")).count();
    assert_eq!(got, given.len() + 1);
    let empty = call.fetch(Request { method: Method::Post, ..get(&url) }).await.unwrap();
    assert_eq!(header(&empty, "got-content-length"), Some("0"));
}

#[tokio::test]
async fn headers_that_are_not_the_guests() {
    let (mut call, url, _) = server("h2").await;
    for name in [
        "host",
        "Content-Length",
        "connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "proxy-connection",
        "http2-settings",
    ] {
        let error = call.fetch(with_headers(get(&url), &[(name, "1")])).await.unwrap_err();
        assert_eq!(error, format!("the header {} is not the guest's to set", name.to_lowercase()));
    }
    let cases = [
        (("a b", "1"), "\"a b\" is no name of a header"),
        (("", "1"), "\"\" is no name of a header"),
        ((":path", "/x"), "\":path\" is no name of a header"),
        (("x", "a\r\ny: b"), "the value of the header x has characters that a header cannot have"),
        (("x", "a\0"), "the value of the header x has characters that a header cannot have"),
    ];
    for (header, expected) in cases {
        assert_eq!(call.fetch(with_headers(get(&url), &[header])).await.unwrap_err(), expected);
    }
    for headers in [vec![("x", "y"); 101], vec![("x", &*"y".repeat(70_000))]] {
        let error = call.fetch(with_headers(get(&url), &headers)).await.unwrap_err();
        assert!(error.starts_with("a request has 100 headers at most"), "{error}");
    }
    assert!(call.logged().is_empty());
}

#[tokio::test]
async fn urls_that_are_not_fetched() {
    let mut call = Call::anywhere(Roots::Mozilla);
    let cases = [
        ("http://localhost/", "only https urls are fetched, and this one begins with \"http:\""),
        ("file:///etc/passwd", "only https urls are fetched, and this one begins with \"file:\""),
        ("https://user@localhost/", "the url cannot be used: it has user information before the host"),
        ("localhost", "the url cannot be used: it does not begin with https://"),
    ];
    for (url, expected) in cases {
        assert_eq!(call.fetch(get(url)).await.unwrap_err(), expected);
    }
    assert!(call.logged().is_empty());
}

#[tokio::test]
async fn what_the_rules_do_not_allow_is_refused_and_logged() {
    let server = listen(|_| async { panic!("nobody may connect") }).await;
    let port = server.port();
    let rules = [format!("https://127.0.0.1:{port}"), format!("http://localhost:{port}")];
    let mut call = Call::new(&[&rules[0], &rules[1], "lookup://localhost"], Roots::Mozilla);
    let error = call.fetch(get(&format!("https://localhost:{port}/secret"))).await.unwrap_err();
    assert_eq!(error, format!("the app's network rules do not allow https://localhost:{port}"));
    let logged = call.logged();
    assert_eq!((logged.len(), logged[0].outcome), (1, EgressOutcome::Refused));
    assert_eq!((&*logged[0].host, logged[0].port), ("localhost", port));
}

#[tokio::test]
async fn the_log_says_what_happened_and_no_more() {
    let (mut call, url, _) = server("h2").await;
    let before = SystemTime::now();
    let request = with_headers(send(Method::Put, &format!("{url}/secret"), b"12345"), &[("x", "secret")]);
    call.fetch(request).await.unwrap();
    let logged = &call.logged()[0];
    let expected = EgressRequest {
        method: "PUT",
        scheme: "https",
        host: "localhost".to_owned(),
        port: url.rsplit(':').next().unwrap().parse().unwrap(),
        outcome: EgressOutcome::Status(201),
        bytes_sent: 5,
        bytes_received: 5,
        tls: Some(TlsVersion::Tls13),
        ..logged.clone()
    };
    assert_eq!(*logged, expected);
    assert!(logged.peer.is_some() && logged.began >= before);
    assert!(!format!("{logged:?}").contains("secret"));
}

/// Answers as the path says.
async fn odd(request: Asked<Incoming>) -> Answer<AnyBody> {
    let answer = Answer::builder();
    let answer = match request.uri().path() {
        "/204" => answer.status(204).body(whole("")),
        "/304" => answer.status(304).header("etag", "\"x\"").body(whole("")),
        "/head" => answer.header("content-length", "1000").body(whole("")),
        "/gzip" => answer.header("content-encoding", "gzip").body(whole(&b"\x1f\x8b not unpacked"[..])),
        "/latin1" => {
            let mut answer = Answer::new(whole(""));
            let value = http::HeaderValue::from_bytes(b"caf\xe9").unwrap();
            answer.headers_mut().insert("x", value);
            Ok(answer)
        }
        _ => answer.status(599).header("b", "1").header("a", "2").header("c", "3").body(whole("what")),
    };
    answer.unwrap()
}

#[tokio::test]
async fn odd_answers() {
    for alpn in ["h2", "http/1.1"] {
        let authority = Authority::new();
        let (address, connections) =
            serve_counted(authority.good().acceptor(&[alpn], Versions::All), odd).await;
        let mut call = Call::anywhere(authority.roots());
        let url = |path: &str| format!("https://localhost:{}{path}", address.port());
        for (path, status) in [("/204", 204), ("/304", 304)] {
            let response = call.fetch(get(&url(path))).await.unwrap();
            assert_eq!((response.status, response.body.len()), (status, 0));
        }
        let head = call.fetch(Request { method: Method::Head, ..get(&url("/head")) }).await.unwrap();
        assert_eq!((header(&head, "content-length"), head.body.len()), (Some("1000"), 0));
        let gzip = call.fetch(get(&url("/gzip"))).await.unwrap();
        assert_eq!(
            (header(&gzip, "content-encoding"), &*gzip.body),
            (Some("gzip"), &b"\x1f\x8b not unpacked"[..])
        );
        assert_eq!(header(&call.fetch(get(&url("/latin1"))).await.unwrap(), "x"), Some("café"));
        let what = call.fetch(get(&url("/what"))).await.unwrap();
        assert_eq!((what.status, &*what.body), (599, &b"what"[..]));
        let names: Vec<_> =
            what.headers.iter().map(|(name, _)| &**name).filter(|name| name.len() == 1).collect();
        assert_eq!(names, ["b", "a", "c"]);
        assert_eq!(connections.begun(), 1);
    }
}

#[tokio::test]
async fn calls_of_one_app_share_connections() {
    let (mut call, url, connections) = server("http/1.1").await;
    for _ in 0..30 {
        call.fetch(get(&url)).await.unwrap();
    }
    assert_eq!((connections.begun(), call.logged().len()), (1, 30));
}
