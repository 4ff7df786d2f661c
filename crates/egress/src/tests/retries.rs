//! Kept connections that the server has closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloister_test_authority::{Authority, Versions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::app::{App, Ask};
use super::server::{AsRoots as _, Connections, listen_counted};
use crate::EgressError;

/// A server of HTTP/1.1 that answers the first request of a connection, and then does this.
async fn serve(after: After) -> (App, String, Connections, Arc<AtomicUsize>) {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let connection = move |mut stream: TlsStream<TcpStream>| {
        let requests = Arc::clone(&counted);
        async move {
            for number in 0.. {
                if number == 1 && after == After::Close {
                    let _ = stream.shutdown().await;
                    return;
                }
                if read_request(&mut stream).await.is_none() {
                    return;
                }
                requests.fetch_add(1, Ordering::SeqCst);
                let answer = match (number, after) {
                    (0, After::Junk) => &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"[..],
                    (1, After::HangUp) => return,
                    (1, After::Begin) => {
                        let _ = stream.write_all(b"HTTP/1.1 200 O").await;
                        let _ = stream.shutdown().await;
                        return;
                    }
                    _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                };
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    };
    let (address, connections) = listen_counted(acceptor, connection).await;
    (App::new(authority.roots()), format!("localhost:{}", address.port()), connections, requests)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Closes the connection when it has answered.
    Close,
    /// Reads another request, and closes without an answer.
    HangUp,
    /// Reads another request, and closes in the middle of its answer.
    Begin,
    /// Sends more than one answer to the first request.
    Junk,
}

/// A request with at most a body whose length the head says.
async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(())
}

#[tokio::test]
async fn what_the_server_closed_is_not_used_again() {
    let (app, host, connections, requests) = serve(After::Close).await;
    for _ in 0..3 {
        assert_eq!(app.fetch(Ask::get(&host)).await.unwrap(), "ok");
        connections.open(0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(app.fetch(Ask::post(&host, b"body")).await.unwrap(), "ok");
        connections.open(0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((connections.begun(), requests.load(Ordering::SeqCst)), (6, 6));
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_sent_once_more() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let (app, host, connections, requests) = serve(After::HangUp).await;
        app.fetch(Ask::get(&host)).await.unwrap();
        let ask = Ask { method, body: bytes::Bytes::from_static(b"body"), ..Ask::get(&host) };
        let ask = if ["PUT", "DELETE"].contains(&method) { ask } else { Ask { method, ..Ask::get(&host) } };
        app.fetch(ask).await.unwrap();
        assert_eq!((connections.begun(), requests.load(Ordering::SeqCst)), (2, 3), "{method}");
        assert_eq!(app.logged().len(), 2);
    }
}

#[tokio::test]
async fn a_request_that_may_have_had_its_effect_is_not() {
    for method in ["POST", "PATCH"] {
        let (app, host, connections, requests) = serve(After::HangUp).await;
        app.fetch(Ask::get(&host)).await.unwrap();
        let ask = Ask { method, ..Ask::post(&host, b"once") };
        assert_eq!(app.fetch(ask).await.unwrap_err(), EgressError::ConnectionTerminated);
        assert_eq!((connections.begun(), requests.load(Ordering::SeqCst)), (1, 2), "{method}");
    }
}

#[tokio::test]
async fn a_response_that_has_begun_is_not_asked_for_again() {
    let (app, host, connections, requests) = serve(After::Begin).await;
    app.fetch(Ask::get(&host)).await.unwrap();
    assert_eq!(app.fetch(Ask::get(&host)).await.unwrap_err(), EgressError::ConnectionTerminated);
    assert_eq!((connections.begun(), requests.load(Ordering::SeqCst)), (1, 2));
}

/// What follows a response that nobody asked for must not become the answer to the next request.
#[tokio::test]
async fn an_answer_before_its_request_is_not_taken() {
    let (app, host, connections, _) = serve(After::Junk).await;
    for _ in 0..3 {
        assert_eq!(app.fetch(Ask::get(&host)).await.unwrap(), "ok");
    }
    assert_eq!(connections.begun(), 3);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_is_a_failure() {
    let authority = Authority::new();
    let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
    let (address, connections) = listen_counted(acceptor, |mut stream| async move {
        let _ = read_request(&mut stream).await;
    })
    .await;
    let host = format!("localhost:{}", address.port());
    let app = App::new(authority.roots());
    assert_eq!(app.fetch(Ask::get(&host)).await.unwrap_err(), EgressError::ConnectionTerminated);
    assert_eq!(connections.begun(), 1);
}
