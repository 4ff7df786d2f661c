//! Requests that succeed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cloister_test_authority::{Authority, Versions};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::sync::Semaphore;

use super::call::{Ask, Call};
use super::server::{AnyBody, AsRoots as _, drain, frames, serve, serve_counted, serve_plain, whole};
use crate::bindings::wasi::http::types::{ErrorCode, Method, Scheme};
use crate::{EgressOutcome, EgressRequest, MAX_REQUESTS_UNDER_WAY, MAX_REQUESTS_WAITING, TlsVersion};

/// For what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says what it was asked, and answers with what it was sent, trailers included.
async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let (head, body) = request.into_parts();
    let mut response = Response::builder()
        .status(201)
        .header("connection-specific", "kept")
        .header("asked", format!("{} {}", head.method, head.uri))
        .header("trailer", "sum");
    for name in ["host", "te", "content-length", "transfer-encoding", "x-own"] {
        for value in head.headers.get_all(name) {
            response = response.header(format!("got-{name}"), value);
        }
    }
    response.body(body.map_err(Into::into).boxed_unsync()).unwrap()
}

async fn https(alpn: &[&str], versions: Versions) -> (Call, String) {
    let authority = Authority::new();
    let server = serve(authority.good().acceptor(alpn, versions), echo).await;
    let host = format!("localhost:{}", server.port());
    (Call::new(&[&format!("https://{host}")], authority.roots()), host)
}

#[tokio::test]
async fn a_get_over_http2() {
    let (mut call, host) = https(&["h2", "http/1.1"], Versions::All).await;
    let headers = &[("x-own", "a"), ("x-own", "b"), ("te", "trailers")];
    let received = call.fetch(&Ask { path: Some("/p?q=1"), headers, ..Ask::get(&host) }).await.unwrap();
    assert_eq!(received.status, 201);
    assert_eq!(received.header("asked").unwrap(), format!("GET https://{host}/p?q=1"));
    assert_eq!(received.header("got-te"), Some("trailers"));
    let own: Vec<_> = received.headers.iter().filter(|(name, _)| name == "got-x-own").collect();
    assert_eq!(own.len(), 2);
    assert!(received.body.is_empty());
    assert!(call.table.is_empty());
}

#[tokio::test]
async fn a_post_over_http1_with_trailers_both_ways() {
    let (mut call, host) = https(&["http/1.1"], Versions::All).await;
    let headers = &[("trailer", "sum"), ("te", "trailers")];
    let (future, body) = call.send_open(&Ask { headers, ..Ask::post(&host, "/up") }).await;
    call.write_body(body, b"hello, world", Some(&[("sum", "12")])).await.unwrap();
    let received = call.receive(future).await.unwrap();
    assert_eq!(received.header("asked"), Some("POST /up"));
    assert_eq!(received.header("got-host"), Some(&*host));
    assert_eq!(received.header("got-transfer-encoding"), Some("chunked"));
    assert_eq!(received.header("transfer-encoding"), None);
    assert_eq!(received.body, b"hello, world");
    assert_eq!(received.trailers, Some(vec![("sum".to_owned(), "12".to_owned())]));
}

#[tokio::test]
async fn a_post_over_http2_with_trailers_both_ways() {
    let (mut call, host) = https(&["h2"], Versions::All).await;
    let (future, body) = call.send_open(&Ask::post(&host, "")).await;
    call.write_body(body, b"hello", Some(&[("sum", "5")])).await.unwrap();
    let received = call.receive(future).await.unwrap();
    assert_eq!(received.header("asked").unwrap(), format!("POST https://{host}/"));
    assert_eq!(received.body, b"hello");
    assert_eq!(received.trailers, Some(vec![("sum".to_owned(), "5".to_owned())]));
}

#[tokio::test]
async fn a_declared_length_is_what_is_sent() {
    let (mut call, host) = https(&["http/1.1"], Versions::All).await;
    let headers = &[("content-length", "3")];
    let (future, body) = call.send_open(&Ask { headers, ..Ask::post(&host, "/") }).await;
    call.write_body(body, b"abc", None).await.unwrap();
    let received = call.receive(future).await.unwrap();
    assert_eq!(received.header("got-content-length"), Some("3"));
    assert_eq!(received.header("got-transfer-encoding"), None);
    assert_eq!(received.body, b"abc");
}

#[tokio::test]
async fn a_post_without_a_body_has_length_zero() {
    let (mut call, host) = https(&["http/1.1"], Versions::All).await;
    let received = call.fetch(&Ask { path: None, ..Ask::post(&host, "/") }).await.unwrap();
    assert_eq!(received.header("asked"), Some("POST /"));
    assert_eq!(received.header("got-content-length"), Some("0"));
}

#[tokio::test]
async fn a_server_without_alpn_and_with_tls_1_2_is_served_too() {
    let (mut call, host) = https(&[], Versions::Tls12).await;
    let received = call.fetch(&Ask::get(&host)).await.unwrap();
    assert_eq!(received.status, 201);
    assert_eq!(call.one_logged().await.tls, Some(TlsVersion::Tls12));
}

#[tokio::test]
async fn an_address_with_a_certificate_for_it() {
    let authority = Authority::new();
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), echo).await;
    let host = format!("127.0.0.1:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    assert_eq!(call.fetch(&Ask::get(&host)).await.unwrap().status, 201);
}

#[tokio::test]
async fn calls_of_one_app_share_connections() {
    for alpn in ["h2", "http/1.1"] {
        let authority = Authority::new();
        let (server, connections) =
            serve_counted(authority.good().acceptor(&[alpn], Versions::All), echo).await;
        let host = format!("localhost:{}", server.port());
        let app = Call::new(&[&format!("https://{host}")], authority.roots());
        for _ in 0..5 {
            let mut call = app.another();
            assert_eq!(call.fetch(&Ask::get(&host)).await.unwrap().status, 201);
            let (future, body) = call.send_open(&Ask::post(&host, "/")).await;
            call.write_body(body, b"hello", None).await.unwrap();
            assert_eq!(call.receive(future).await.unwrap().body, b"hello");
            assert!(call.table.is_empty());
        }
        assert_eq!((connections.begun(), app.logged().len()), (1, 10), "{alpn}");
    }
}

/// A call that ends in the middle of a request's body takes no connection along that others use.
#[tokio::test]
async fn a_body_that_a_guest_does_not_finish_is_not_sent_on() {
    let authority = Authority::new();
    let (begun, ended) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (come, tell) = (Arc::clone(&begun), Arc::clone(&ended));
    let answer = move |request: Request<Incoming>| {
        let (come, tell) = (Arc::clone(&come), Arc::clone(&tell));
        async move {
            come.add_permits(1);
            let body = request.into_body().collect().await;
            if body.is_err() {
                tell.add_permits(1);
            }
            Response::new(whole("done"))
        }
    };
    let (server, connections) =
        serve_counted(authority.good().acceptor(&["h2"], Versions::All), answer).await;
    let host = format!("localhost:{}", server.port());
    let app = Call::new(&[&format!("https://{host}")], authority.roots());
    app.another().fetch(&Ask::get(&host)).await.unwrap();
    let mut call = app.another();
    let (future, body) = call.send_open(&Ask::post(&host, "/")).await;
    let stream = call.stream_to(&body).await;
    call.write(&stream, Bytes::from_static(&[1; 100_000])).await.unwrap();
    tokio::time::timeout(PATIENCE, begun.acquire_many(2)).await.unwrap().unwrap().forget();
    // The guest lets go of the response, and holds on to the body.
    call.table.delete(future).unwrap();
    tokio::time::timeout(PATIENCE, ended.acquire()).await.unwrap().unwrap().forget();
    drop(call);
    assert_eq!(app.another().fetch(&Ask::get(&host)).await.unwrap().body, b"done");
    assert_eq!(connections.begun(), 1);
}

#[tokio::test]
async fn plaintext_where_the_policy_says_so() {
    let server = serve_plain(echo).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("http://{host}")], crate::Roots::These(Vec::new()));
    let ask = Ask { scheme: Some(Scheme::Http), ..Ask::get(&host) };
    assert_eq!(call.fetch(&ask).await.unwrap().status, 201);
    let logged = call.one_logged().await;
    assert_eq!((logged.scheme, logged.tls), ("http", None));
}

#[tokio::test]
async fn the_log_says_what_happened_and_no_more() {
    let (mut call, host) = https(&["h2"], Versions::All).await;
    let port = host.rsplit(':').next().unwrap().parse().unwrap();
    let before = SystemTime::now();
    let authority = format!("LocalHost.:{port}");
    let ask = Ask { method: Method::Other("REPORT".to_owned()), ..Ask::post(&authority, "/secret?key=1") };
    let (future, body) = call.send_open(&ask).await;
    call.write_body(body, &[7; 1000], None).await.unwrap();
    call.receive(future).await.unwrap();
    let logged = call.one_logged().await;
    assert!(logged.began >= before && logged.began + logged.duration <= SystemTime::now());
    let expected = EgressRequest {
        method: "other",
        scheme: "https",
        host: "localhost".to_owned(),
        port,
        outcome: EgressOutcome::Status(201),
        bytes_sent: 1000,
        bytes_received: 1000,
        tls: Some(TlsVersion::Tls13),
        ..logged.clone()
    };
    assert_eq!(logged, expected);
    assert!(!format!("{logged:?}").contains("secret"));
}

#[tokio::test]
async fn a_guest_that_lets_go_of_a_response_is_logged_with_what_it_read() {
    let authority = Authority::new();
    let endless =
        |_| async { Response::new(frames(|| Some(Ok(Frame::data(Bytes::from_static(&[1; 1000])))))) };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), endless).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    let future = call.send(&Ask::get(&host)).await.unwrap();
    let response = call.response(&future).await.unwrap();
    assert!(call.logged().is_empty());
    let body = call.body_of(&response).await;
    let stream = call.stream_of(&body).await;
    let read = call.table.get_mut(&stream).unwrap().blocking_read(10).await.unwrap();
    assert_eq!(read.len(), 10);
    drop(std::mem::take(&mut call.table));
    let logged = call.one_logged().await;
    assert_eq!(logged.outcome, EgressOutcome::Status(200));
    assert!(logged.bytes_received >= 10);
}

#[tokio::test]
async fn a_guest_that_does_not_wait_ends_the_request() {
    let (here, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (come, tell, authority) = (Arc::clone(&here), Arc::clone(&gone), Authority::new());
    let never = move |_| {
        let (come, tell) = (Arc::clone(&come), Arc::clone(&tell));
        async move {
            struct Tell(Arc<Semaphore>);
            impl Drop for Tell {
                fn drop(&mut self) {
                    self.0.add_permits(1);
                }
            }
            let _tell = Tell(tell);
            come.add_permits(1);
            std::future::pending::<Response<AnyBody>>().await
        }
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), never).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    let future = call.send(&Ask::get(&host)).await.unwrap();
    tokio::time::timeout(PATIENCE, here.acquire()).await.unwrap().unwrap().forget();
    call.table.delete(future).unwrap();
    assert_eq!(call.one_logged().await.outcome, EgressOutcome::Failed("dropped-by-guest"));
    tokio::time::timeout(PATIENCE, gone.acquire()).await.unwrap().unwrap().forget();
}

#[tokio::test]
async fn requests_take_turns_and_too_many_are_refused() {
    let (under_way, most) = (Arc::new(Semaphore::new(1000)), Arc::new(std::sync::Mutex::new(0)));
    let authority = Authority::new();
    let (held, seen) = (Arc::clone(&under_way), Arc::clone(&most));
    let slow = move |_| {
        let (held, seen) = (Arc::clone(&held), Arc::clone(&seen));
        async move {
            let _held = held.acquire().await.unwrap();
            {
                let mut most = seen.lock().unwrap();
                *most = (*most).max(1000 - held.available_permits());
            }
            while *seen.lock().unwrap() < MAX_REQUESTS_UNDER_WAY {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // As long as more would come, if they were let.
            tokio::time::sleep(Duration::from_millis(100)).await;
            Response::new(whole("done"))
        }
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), slow).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    let mut futures = Vec::new();
    for _ in 0..MAX_REQUESTS_UNDER_WAY + MAX_REQUESTS_WAITING {
        futures.push(call.send(&Ask::get(&host)).await.unwrap());
    }
    let refused = call.send(&Ask::get(&host)).await.unwrap_err();
    assert!(matches!(refused, ErrorCode::ConnectionLimitReached));
    for future in futures {
        assert_eq!(call.receive(future).await.unwrap().body, b"done");
    }
    assert_eq!(*most.lock().unwrap(), MAX_REQUESTS_UNDER_WAY);
    assert_eq!(call.fetch(&Ask::get(&host)).await.unwrap().status, 200);
    assert_eq!(call.logged().len(), MAX_REQUESTS_UNDER_WAY + MAX_REQUESTS_WAITING + 2);
}

#[tokio::test]
async fn a_server_may_answer_before_it_has_read_the_request() {
    let authority = Authority::new();
    let early = |request: Request<Incoming>| async {
        tokio::spawn(drain(request.into_body()));
        Response::new(whole("early"))
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), early).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    let (future, body) = call.send_open(&Ask::post(&host, "/")).await;
    let response = call.response(&future).await.unwrap();
    let arrived = call.body_of(&response).await;
    assert_eq!(call.read_body(arrived).await.unwrap().0, b"early");
    call.write_body(body, b"late", None).await.unwrap();
}

/// Trailers that are about the connection do not reach the guest.
#[tokio::test]
async fn forbidden_fields_of_a_server_are_taken_off() {
    let authority = Authority::new();
    let answer = |_| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("proxy-authenticate", "1".parse().unwrap());
        trailers.insert("fine", "2".parse().unwrap());
        let pieces = [Ok(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
        let mut pieces = pieces.into_iter();
        let mut response = Response::new(frames(move || pieces.next()));
        response.headers_mut().insert("proxy-authenticate", "Basic".parse().unwrap());
        response.headers_mut().insert("x-kept", "yes".parse().unwrap());
        response
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), answer).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&[&format!("https://{host}")], authority.roots());
    let received = call.fetch(&Ask::get(&host)).await.unwrap();
    assert_eq!((received.header("proxy-authenticate"), received.header("x-kept")), (None, Some("yes")));
    assert_eq!(received.trailers, Some(vec![("fine".to_owned(), "2".to_owned())]));
}
