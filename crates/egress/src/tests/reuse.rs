//! Which requests share a connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloister_test_authority::{Authority, Versions};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::sync::Semaphore;

use super::app::{App, Ask, whole};
use super::server::{AnyBody, AsRoots as _, Connections, frames, serve_counted, whole as all};
use crate::{MAX_IDLE_OF_APP, MAX_IDLE_TIME, Roots, TlsVersion, Trust, tls::fingerprint};

async fn hello(_: Request<Incoming>) -> Response<AnyBody> {
    Response::new(all("hello"))
}

/// A server of an authority of its own, and an app that trusts it.
async fn server(alpn: &str) -> (App, Authority, String, Connections) {
    let authority = Authority::new();
    let (address, connections) =
        serve_counted(authority.good().acceptor(&[alpn], Versions::All), hello).await;
    (App::new(authority.roots()), authority, format!("localhost:{}", address.port()), connections)
}

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    for alpn in ["h2", "http/1.1"] {
        let (app, _, host, connections) = server(alpn).await;
        for _ in 0..20 {
            assert_eq!(app.fetch(Ask::get(&host)).await.unwrap(), "hello");
            assert_eq!(app.fetch(Ask::post(&host, b"some body")).await.unwrap(), "hello");
        }
        assert_eq!(connections.begun(), 1, "{alpn}");
        assert_eq!(app.logged().len(), 40);
    }
}

#[tokio::test]
async fn each_request_is_logged_with_the_servers_certificate() {
    for (alpn, versions, version) in
        [("h2", Versions::All, TlsVersion::Tls13), ("http/1.1", Versions::Tls12, TlsVersion::Tls12)]
    {
        let authority = Authority::new();
        let identity = authority.good();
        let peer = fingerprint(&identity.certificate());
        let (address, _) = serve_counted(identity.acceptor(&[alpn], versions), hello).await;
        let host = format!("localhost:{}", address.port());
        let app = App::new(authority.roots());
        for _ in 0..3 {
            app.fetch(Ask::get(&host)).await.unwrap();
        }
        for logged in app.logged() {
            assert_eq!((logged.tls, logged.peer), (Some(version), Some(peer)));
        }
    }
}

#[tokio::test]
async fn a_session_that_is_resumed_has_the_certificate_of_the_first() {
    let (app, _, host, connections) = server("http/1.1").await;
    app.fetch(Ask::get(&host)).await.unwrap();
    // Taken and not given back, so that the next one needs a connection of its own.
    let response = app.send(Ask::get(&host)).await.unwrap();
    app.fetch(Ask::get(&host)).await.unwrap();
    drop(response);
    let logged = app.logged();
    assert!(connections.begun() >= 1);
    assert!(logged[0].peer.is_some());
    assert!(logged.iter().all(|request| request.peer == logged[0].peer));
}

#[tokio::test]
async fn requests_at_once_share_a_connection_of_http2_and_no_other() {
    for (alpn, expected) in [("h2", 1), ("http/1.1", 5)] {
        let authority = Authority::new();
        let all_there = Arc::new(tokio::sync::Barrier::new(5));
        let answer = move |request: Request<Incoming>| {
            let all_there = Arc::clone(&all_there);
            async move {
                if request.uri().path() == "/together" {
                    all_there.wait().await;
                }
                Response::new(all("hello"))
            }
        };
        let acceptor = authority.good().acceptor(&[alpn], Versions::All);
        let (address, connections) = serve_counted(acceptor, answer).await;
        let host = format!("localhost:{}", address.port());
        let app = App::new(authority.roots());
        app.fetch(Ask::get(&host)).await.unwrap();
        let together = || app.fetch(Ask::get(&host).at("/together"));
        let (a, b, c, d, e) = tokio::join!(together(), together(), together(), together(), together());
        assert!([a, b, c, d, e].into_iter().all(|fetched| fetched.unwrap() == "hello"));
        assert_eq!(connections.begun(), expected, "{alpn}");
    }
}

/// More than one connection's window would hold, were it shared.
#[tokio::test]
async fn a_response_that_nobody_reads_does_not_hold_up_others() {
    let authority = Authority::new();
    let large = |_| async {
        let mut left = 64;
        Response::new(frames(move || {
            left -= 1;
            (left >= 0).then(|| Ok(Frame::data(Bytes::from_static(&[7; 16 << 10]))))
        }))
    };
    let (address, connections) =
        serve_counted(authority.good().acceptor(&["h2"], Versions::All), large).await;
    let host = format!("localhost:{}", address.port());
    let app = App::new(authority.roots());
    app.fetch(Ask::get(&host)).await.unwrap();
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(app.send(Ask::get(&host)).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(app.fetch(Ask::get(&host)).await.unwrap().len(), 1 << 20);
    for response in unread {
        assert_eq!(whole(response).await.unwrap().len(), 1 << 20);
    }
    assert_eq!(connections.begun(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_read_to_its_end_costs_the_connection_of_http1_and_the_stream_of_http2() {
    for (alpn, expected) in [("http/1.1", 3), ("h2", 1)] {
        let authority = Authority::new();
        let endless =
            |_| async { Response::new(frames(|| Some(Ok(Frame::data(Bytes::from_static(&[1; 1000])))))) };
        let acceptor = authority.good().acceptor(&[alpn], Versions::All);
        let (address, connections) = serve_counted(acceptor, endless).await;
        let host = format!("localhost:{}", address.port());
        let app = App::new(authority.roots());
        for _ in 0..3 {
            let mut body = app.send(Ask::get(&host)).await.unwrap().into_body();
            assert!(body.frame().await.unwrap().unwrap().is_data());
        }
        assert_eq!(connections.begun(), expected, "{alpn}");
        connections.open(usize::from(alpn == "h2")).await;
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_costs_the_connection_of_http1_and_the_stream_of_http2() {
    for (alpn, expected) in [("http/1.1", 2), ("h2", 1)] {
        let authority = Authority::new();
        let (asked, given_up) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        struct Tell(Arc<Semaphore>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.add_permits(1);
            }
        }
        let (tell_asked, tell_given_up) = (Arc::clone(&asked), Arc::clone(&given_up));
        let answer = move |request: Request<Incoming>| {
            let (asked, tell) = (Arc::clone(&tell_asked), Tell(Arc::clone(&tell_given_up)));
            async move {
                let _tell = tell;
                if request.uri().path() == "/never" {
                    asked.add_permits(1);
                    std::future::pending::<()>().await;
                }
                Response::new(all("hello"))
            }
        };
        let acceptor = authority.good().acceptor(&[alpn], Versions::All);
        let (address, connections) = serve_counted(acceptor, answer).await;
        let host = format!("localhost:{}", address.port());
        let app = App::new(authority.roots());
        app.fetch(Ask::get(&host)).await.unwrap();
        given_up.acquire().await.unwrap().forget();
        tokio::select! {
            _ = app.send(Ask::get(&host).at("/never")) => panic!("there is no answer"),
            asked = asked.acquire() => asked.unwrap().forget(),
        }
        given_up.acquire().await.unwrap().forget();
        assert_eq!(app.fetch(Ask::get(&host)).await.unwrap(), "hello");
        assert_eq!(connections.begun(), expected, "{alpn}");
    }
}

#[tokio::test]
async fn a_server_that_wants_to_close_is_not_asked_again() {
    let authority = Authority::new();
    let answer = |_| async {
        let mut response = Response::new(all("bye"));
        response.headers_mut().insert("connection", "close".parse().unwrap());
        response
    };
    let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
    let (address, connections) = serve_counted(acceptor, answer).await;
    let host = format!("localhost:{}", address.port());
    let app = App::new(authority.roots());
    for _ in 0..3 {
        assert_eq!(app.fetch(Ask::get(&host)).await.unwrap(), "bye");
    }
    assert_eq!(connections.begun(), 3);
}

#[tokio::test]
async fn no_two_apps_share_a_connection() {
    for alpn in ["h2", "http/1.1"] {
        let (app, authority, host, connections) = server(alpn).await;
        let other = App::new(authority.roots());
        let the_same = app.again();
        for _ in 0..3 {
            app.fetch(Ask::get(&host)).await.unwrap();
            other.fetch(Ask::get(&host)).await.unwrap();
            the_same.fetch(Ask::get(&host)).await.unwrap();
        }
        assert_eq!(connections.begun(), 2, "{alpn}");
    }
}

#[tokio::test]
async fn requests_share_a_connection_only_where_they_trust_the_same() {
    let (app, authority, host, connections) = server("http/1.1").await;
    let own = Trust::roots(authority.roots()).unwrap();
    let again = Trust::roots(authority.roots()).unwrap();
    let twice = Trust::roots(Roots::These(vec![authority.certificate(); 2])).unwrap();
    for _ in 0..3 {
        app.fetch(Ask::get(&host)).await.unwrap();
        app.fetch(Ask::get(&host).trusting(&own)).await.unwrap();
        app.fetch(Ask::get(&host).trusting(&again)).await.unwrap();
        app.fetch(Ask::get(&host).trusting(&twice)).await.unwrap();
    }
    assert_eq!(connections.begun(), 3);
    let strangers = Trust::roots(Authority::new().roots()).unwrap();
    app.fetch(Ask::get(&host).trusting(&strangers)).await.unwrap_err();
}

#[tokio::test]
async fn names_and_addresses_of_one_server_do_not_share_a_connection() {
    let (app, _, host, connections) = server("h2").await;
    let address = host.replace("localhost", "127.0.0.1");
    for _ in 0..3 {
        app.fetch(Ask::get(&host)).await.unwrap();
        app.fetch(Ask::get(&host.replace("localhost", "LocalHost."))).await.unwrap();
        app.fetch(Ask::get(&address)).await.unwrap();
    }
    assert_eq!(connections.begun(), 2);
}

#[tokio::test]
async fn what_is_idle_is_closed_after_a_while() {
    for alpn in ["h2", "http/1.1"] {
        let (app, _, host, connections) = server(alpn).await;
        app.fetch(Ask::get(&host)).await.unwrap();
        connections.open(1).await;
        tokio::time::pause();
        tokio::time::advance(MAX_IDLE_TIME - Duration::from_secs(15)).await;
        tokio::time::resume();
        app.fetch(Ask::get(&host)).await.unwrap();
        assert_eq!(connections.begun(), 1, "{alpn}");
        tokio::time::pause();
        tokio::time::advance(MAX_IDLE_TIME + Duration::from_secs(1)).await;
        tokio::time::resume();
        // Without another request, too.
        connections.open(0).await;
        app.fetch(Ask::get(&host)).await.unwrap();
        assert_eq!(connections.begun(), 2, "{alpn}");
    }
}

#[tokio::test]
async fn connections_end_with_their_app() {
    for alpn in ["h2", "http/1.1"] {
        let (app, _, host, connections) = server(alpn).await;
        app.fetch(Ask::get(&host)).await.unwrap();
        connections.open(1).await;
        let clone = app.client.clone();
        drop(app);
        tokio::time::sleep(Duration::from_millis(50)).await;
        connections.open(1).await;
        drop(clone);
        connections.open(0).await;
    }
}

#[tokio::test]
async fn a_response_that_outlives_its_app_is_not_kept() {
    let (app, _, host, connections) = server("http/1.1").await;
    let response = app.send(Ask::get(&host)).await.unwrap();
    drop(app);
    assert_eq!(whole(response).await.unwrap(), "hello");
    connections.open(0).await;
}

#[tokio::test]
async fn an_app_keeps_few_connections() {
    let authority = Authority::new();
    let app = App::new(authority.roots());
    let mut servers = Vec::new();
    for _ in 0..MAX_IDLE_OF_APP + 2 {
        let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
        let (address, connections) = serve_counted(acceptor, hello).await;
        let host = format!("localhost:{}", address.port());
        app.fetch(Ask::get(&host)).await.unwrap();
        servers.push((host, connections));
    }
    for (index, (_, connections)) in servers.iter().enumerate() {
        connections.open(usize::from(index >= 2)).await;
    }
    // The oldest went, and the others are used.
    for (host, connections) in &servers[2..] {
        app.fetch(Ask::get(host)).await.unwrap();
        assert_eq!(connections.begun(), 1);
    }
}

/// As when a call's state is dropped by a thread that has nothing to do with the executor.
#[test]
fn responses_may_be_dropped_anywhere() {
    for alpn in ["h2", "http/1.1"] {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (app, response, connections) = runtime.block_on(async {
            let (app, _, host, connections) = server(alpn).await;
            (app.again(), app.send(Ask::get(&host)).await.unwrap(), connections)
        });
        drop(response);
        runtime.block_on(connections.open(usize::from(alpn == "h2")));
        drop(app);
        runtime.block_on(connections.open(0));
    }
}

/// A server that sends without end while nobody uses the connection.
#[tokio::test]
async fn a_server_that_does_not_rest_is_left() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let authority = Authority::new();
    let flood = |mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>| async move {
        // RFC 9113, section 3.4: the client's preface and its settings; then settings of the server's.
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        let mut request = [0; 4096];
        while stream
            .read(&mut request)
            .await
            .is_ok_and(|read| !request[..read].windows(4).any(|it| it[3] == 1))
        {}
        // The head of a response in HPACK: status 204, and the end of stream 1.
        let _ = stream.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).await;
        // Pings, answered already as their flag says.
        while stream.write_all(&[0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {}
    };
    let acceptor = authority.good().acceptor(&["h2"], Versions::All);
    let (address, connections) = super::server::listen_counted(acceptor, flood).await;
    let app = App::new(authority.roots());
    app.fetch(Ask::get(&format!("localhost:{}", address.port()))).await.unwrap();
    connections.open(0).await;
}
