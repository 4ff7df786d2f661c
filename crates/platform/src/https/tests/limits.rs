//! Servers that send too much, too little or too slowly.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloister_channel_body::Channel;
use cloister_egress::{Budget, EgressOutcome, Total};
use cloister_test_authority::{Authority, Versions};
use http::{Request as Asked, Response as Answer};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::call::{Call, get, send};
use super::server::{AnyBody, AsRoots as _, BoxError, frames, listen_counted, serve, whole};
use crate::bindings::privasys::enclave_os::https::{Method, Response};
use crate::https::MAX_RESPONSE_BYTES;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// With what TLS says at the end: RFC 8446, section 6.1.
    CloseNotify,
    /// As if the network had ended it.
    Silence,
}

/// Fetches from a server that answers every request with these bytes and hangs up.
async fn fetch_raw(answer: impl Into<Vec<u8>>, end: End) -> (Call, Result<Response, String>) {
    let authority = Authority::new();
    let answer: Bytes = answer.into().into();
    let connection = move |mut stream: TlsStream<TcpStream>| {
        let answer = answer.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let _ = stream.write_all(&answer).await;
            let _ = stream.flush().await;
            if end == End::CloseNotify {
                let _ = stream.shutdown().await;
            } else {
                let _ = stream.get_mut().0.shutdown().await;
            }
            let _ = stream.read(&mut [0; 1]).await;
        }
    };
    let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
    let (address, _) = listen_counted(acceptor, connection).await;
    let mut call = Call::anywhere(authority.roots());
    let fetched = call.fetch(get(&format!("https://localhost:{}/", address.port()))).await;
    (call, fetched)
}

#[tokio::test]
async fn bodies_that_break_off() {
    let cases = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", End::CloseNotify),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", End::Silence),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", End::CloseNotify),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", End::CloseNotify),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", End::Silence),
        // Only TLS can say that this was all.
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", End::Silence),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", End::Silence),
    ];
    for (answer, end) in cases {
        let (call, fetched) = fetch_raw(answer, end).await;
        let error = fetched.expect_err(answer);
        assert!(error.ends_with(": the response broke off before its end"), "{answer:?}: {error}");
        assert_eq!(call.logged()[0].outcome, EgressOutcome::Failed("http-response-incomplete"));
    }
}

#[tokio::test]
async fn bodies_that_end_with_the_connection() {
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", End::CloseNotify, "until the end"),
        ("HTTP/1.0 200 OK\r\n\r\n", End::CloseNotify, ""),
        // Here the length says so.
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", End::Silence, "abc"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", End::Silence, "abc"),
    ];
    for (answer, end, expected) in cases {
        let (_, fetched) = fetch_raw(answer, end).await;
        assert_eq!(fetched.unwrap().body, expected.as_bytes(), "{answer:?}");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let many = |count: usize| "x: y\r\n".repeat(count);
    let cases = [
        (String::new(), "the connection ended before there was a response"),
        ("HTTP/1.1 200 O".to_owned(), "the connection ended before there was a response"),
        ("nonsense\r\n\r\n".to_owned(), "the server's answer is no HTTP"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
            "the server's answer is no HTTP",
        ),
        (
            "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_owned(),
            "the server switched to another protocol",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", many(101)),
            "the response has more than 100 headers, or more than 64 KiB of them",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000)),
            "the response has more than 100 headers, or more than 64 KiB of them",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}", many(1_000_000)),
            "the response has more than 100 headers, or more than 64 KiB of them",
        ),
    ];
    for (answer, expected) in cases {
        let start: String = answer.chars().take(40).collect();
        let (_, fetched) = fetch_raw(answer, End::CloseNotify).await;
        let error = fetched.expect_err(&start);
        assert!(error.ends_with(expected), "{start:?}: {error}");
    }
}

#[tokio::test]
async fn heads_of_http2_are_bounded_too() {
    let authority = Authority::new();
    for (fields, length) in [(101, 1), (70, 1000)] {
        let answer = move |_: Asked<Incoming>| async move {
            let mut answer = Answer::new(whole(""));
            for field in 0..fields {
                let name = http::HeaderName::try_from(format!("x-{field}")).unwrap();
                answer.headers_mut().insert(name, "y".repeat(length).parse().unwrap());
            }
            answer
        };
        let server = serve(authority.good().acceptor(&["h2"], Versions::All), answer).await;
        let mut call = Call::anywhere(authority.roots());
        let error = call.fetch(get(&format!("https://localhost:{}/", server.port()))).await.unwrap_err();
        assert!(error.contains("more than 100 headers"), "{error}");
    }
}

/// `/NUMBER` has so many bytes, without saying so before; `/length/NUMBER` says so; `/endless` never ends.
async fn sized(request: Asked<Incoming>) -> Answer<AnyBody> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if let Some(length) = path.strip_prefix("length/") {
        return Answer::new(whole(vec![7; length.parse().unwrap()]));
    }
    let mut left: usize = path.parse().unwrap_or(usize::MAX);
    Answer::new(frames(move || {
        let piece = left.min(50_000);
        left -= piece;
        (piece > 0).then(|| Ok(Frame::data(vec![7; piece].into())))
    }))
}

#[tokio::test]
async fn bodies_have_a_most() {
    for alpn in ["h2", "http/1.1"] {
        let authority = Authority::new();
        let server = serve(authority.good().acceptor(&[alpn], Versions::All), sized).await;
        let mut call = Call::anywhere(authority.roots());
        let url = |path: String| format!("https://localhost:{}/{path}", server.port());
        for path in [format!("length/{MAX_RESPONSE_BYTES}"), MAX_RESPONSE_BYTES.to_string(), "0".to_owned()] {
            let expected: usize = path.rsplit('/').next().unwrap().parse().unwrap();
            let response = call.fetch(get(&url(path))).await.unwrap();
            assert_eq!(response.body.len(), expected);
            assert!(response.body.iter().all(|&byte| byte == 7));
        }
        let more = MAX_RESPONSE_BYTES + 1;
        for path in [format!("length/{more}"), more.to_string(), "endless".to_owned()] {
            let error = call.fetch(get(&url(path.clone()))).await.unwrap_err();
            assert!(error.ends_with("the response's body has more than 8388608 bytes"), "{path}: {error}");
        }
        assert_eq!(call.logged().pop().unwrap().outcome, EgressOutcome::Failed("http-response-body-size"));
    }
}

#[tokio::test]
async fn what_takes_too_long_ends() {
    let drip = |_: Asked<Incoming>| async {
        let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
        tokio::spawn(async move {
            while sender.send_data(Bytes::from_static(b".")).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Answer::new(body.boxed_unsync())
    };
    let never = |_: Asked<Incoming>| async { std::future::pending().await };
    for alpn in ["h2", "http/1.1"] {
        let authority = Authority::new();
        let dripping = serve(authority.good().acceptor(&[alpn], Versions::All), drip).await;
        let silent = serve(authority.good().acceptor(&[alpn], Versions::All), never).await;
        for server in [dripping, silent] {
            let began = Instant::now();
            let mut call = Call::anywhere(authority.roots()).within(Duration::from_millis(1_500));
            let error = call.fetch(get(&format!("https://localhost:{}/", server.port()))).await.unwrap_err();
            assert_eq!(error, "the response was not there within 60 seconds");
            assert!((Duration::from_millis(1_450)..Duration::from_secs(50)).contains(&began.elapsed()));
            assert_eq!(call.logged()[0].outcome, EgressOutcome::Failed("http-response-timeout"));
        }
    }
}

/// Each step is fast enough, and all of them are not.
#[tokio::test]
async fn the_time_is_that_of_all_redirects_together() {
    let slow = |_: Asked<Incoming>| async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        Answer::builder().status(302).header("location", "/").body(whole("")).unwrap()
    };
    let authority = Authority::new();
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), slow).await;
    let mut call = Call::anywhere(authority.roots()).within(Duration::from_millis(2_100));
    let error = call.fetch(get(&format!("https://localhost:{}/", server.port()))).await.unwrap_err();
    assert_eq!(error, "the response was not there within 60 seconds");
    assert!((2..6).contains(&call.logged().len()));
}

#[tokio::test]
async fn what_all_fetches_hold_has_a_most() {
    static TOTAL: Total = Total::new(1_000_000);
    let authority = Authority::new();
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), sized).await;
    let url = |path: &str| format!("https://localhost:{}/{path}", server.port());
    let mut call = Call::anywhere(authority.roots()).holding(Budget::new(MAX_RESPONSE_BYTES, &TOTAL));
    let others = Budget::new(usize::MAX, &TOTAL).take(100_000).unwrap();
    let busy = "the fetches of all apps hold as many bodies as there is room for; try again later";
    for path in ["950000", "length/950000", "endless"] {
        assert_eq!(call.fetch(get(&url(path))).await.unwrap_err(), busy, "{path}");
    }
    assert_eq!(call.fetch(send(Method::Post, &url("1"), &[0; 950_000])).await.unwrap_err(), busy);
    // What is done with counts no more.
    for _ in 0..3 {
        assert_eq!(call.fetch(get(&url("length/400000"))).await.unwrap().body.len(), 400_000);
    }
    drop(others);
    assert_eq!(call.fetch(get(&url("length/950000"))).await.unwrap().body.len(), 950_000);
}
