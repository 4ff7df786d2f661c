use super::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn localhost(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it takes too long")
}

async fn accepted(listener: &TcpSocket) -> (TcpSocket, SocketAddr) {
    loop {
        match listener.accept() {
            Err(SocketError::WouldBlock) => soon(listener.readable()).await,
            done => return done.unwrap(),
        }
    }
}

fn listener() -> (TcpSocket, SocketAddr) {
    let listener = TcpSocket::new(Family::V4).unwrap();
    listener.bind(localhost(0)).unwrap();
    listener.listen(8).unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_connection_carries_bytes_both_ways_and_ends_by_halves() {
    let (listener, address) = listener();
    let mut client = soon(connect("127.0.0.1", address.port(), |_| true)).await.unwrap();
    let (server, _) = accepted(&listener).await;
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut server = server.into_stream();
    let mut bytes = Vec::new();
    soon(server.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, b"hello");
    server.write_all(b"bye").await.unwrap();
    drop(server);
    bytes.clear();
    soon(client.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, b"bye");
}

async fn connected() -> (TcpSocket, TcpSocket) {
    let (listener, address) = listener();
    let client = soon(attempt(address)).await.unwrap();
    let (server, peer) = accepted(&listener).await;
    assert_eq!(client.local_address(), Ok(peer));
    assert_eq!(client.remote_address(), Ok(address));
    (client, server)
}

#[tokio::test]
async fn reads_and_writes_wait_until_they_are_worth_it() {
    let (client, server) = connected().await;
    let mut bytes = [0; 4096];
    assert_eq!(server.read(&mut bytes), Err(SocketError::WouldBlock));
    assert_eq!(server.read(&mut bytes), Err(SocketError::WouldBlock));
    let waiting = server.clone();
    let waits = tokio::spawn(async move { waiting.readable().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waits.is_finished());
    let mut written = 0;
    let blocked = loop {
        match client.write(&[7; 1 << 16]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(blocked, SocketError::WouldBlock);
    soon(waits).await.unwrap();
    let mut read = 0;
    while read < written {
        match server.read(&mut bytes) {
            Ok(count) => read += count,
            Err(SocketError::WouldBlock) => soon(server.readable()).await,
            Err(error) => panic!("{error}"),
        }
    }
    soon(client.writable()).await;
    assert!(client.write(b"x").is_ok());
}

#[tokio::test]
async fn all_who_wait_for_a_socket_are_woken() {
    let (client, server) = connected().await;
    assert_eq!(server.read(&mut [0]), Err(SocketError::WouldBlock));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let server = server.clone();
            tokio::spawn(async move { server.readable().await })
        })
        .collect();
    tokio::task::yield_now().await;
    client.write(b"x").unwrap();
    for task in tasks {
        soon(task).await.unwrap();
    }
}

#[tokio::test]
async fn the_last_clone_closes() {
    let (client, server) = connected().await;
    let clone = client.clone();
    drop(client);
    assert_eq!(server.read(&mut [0]), Err(SocketError::WouldBlock));
    drop(clone);
    soon(server.readable()).await;
    assert_eq!(server.read(&mut [0]), Ok(0));
}

#[tokio::test]
async fn nobody_there_is_refused_and_who_may_not_is_denied() {
    let (listening, address) = listener();
    drop(listening);
    assert_eq!(soon(attempt(address)).await.unwrap_err(), SocketError::ConnectionRefused);
    let refused = soon(connect("127.0.0.1", address.port(), |_| true)).await;
    assert_eq!(refused.unwrap_err(), SocketError::ConnectionRefused);
    let denied = soon(connect("127.0.0.1", 1, |_| false)).await;
    assert_eq!(denied.unwrap_err(), SocketError::AccessDenied);
}

#[tokio::test]
async fn a_name_leads_to_whichever_address_answers() {
    let (listener, address) = listener();
    let mut client = soon(connect("localhost", address.port(), |_| true)).await.unwrap();
    let (server, _) = accepted(&listener).await;
    client.write_all(b"x").await.unwrap();
    let mut server = server.into_stream();
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn addresses_are_names_of_themselves() {
    assert_eq!(resolve("192.0.2.1").await, Ok(vec!["192.0.2.1".parse().unwrap()]));
    assert_eq!(resolve("2001:db8::1").await, Ok(vec!["2001:db8::1".parse().unwrap()]));
    assert!(soon(resolve("localhost")).await.unwrap().iter().all(IpAddr::is_loopback));
    assert_eq!(soon(resolve("")).await, Err(SocketError::InvalidArgument));
}

#[tokio::test]
async fn datagrams_go_between_sockets() {
    let bound = || {
        let socket = UdpSocket::new(Family::V4).unwrap();
        socket.bind(localhost(0)).unwrap();
        let address = socket.local_address().unwrap();
        (socket, address)
    };
    let ((one, first), (other, second)) = (bound(), bound());
    assert_eq!(other.receive(16), Err(SocketError::WouldBlock));
    let datagram = |text: &'static str| Datagram { peer: second, bytes: Bytes::from_static(text.as_bytes()) };
    assert_eq!(one.send(&[datagram("a"), datagram("b"), datagram("c")]), Ok(3));
    let mut received = Vec::new();
    while received.len() < 3 {
        soon(other.readable()).await;
        match other.receive(2) {
            Ok(some) => received.extend(some),
            Err(error) => assert_eq!(error, SocketError::WouldBlock),
        }
    }
    assert!(received.iter().all(|datagram| datagram.peer == first));
    assert_eq!(received.iter().map(|datagram| &datagram.bytes[..]).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    other.connect(Some(first)).unwrap();
    assert_eq!(other.remote_address(), Ok(first));
    other.connect(None).unwrap();
    assert_eq!(other.remote_address(), Err(SocketError::InvalidState));
    soon(one.writable()).await;
}

#[test]
fn families_take_turns() {
    let parse = |addresses: &[&str]| -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    };
    let mixed = parse(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]);
    assert_eq!(alternate(&mixed), parse(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]));
    let one = parse(&["10.0.0.1", "10.0.0.2"]);
    assert_eq!(alternate(&one), one);
    assert!(alternate(&[]).is_empty());
}

#[test]
fn sockets_need_no_runtime_of_their_own() {
    let socket = TcpSocket::new(Family::V4).unwrap();
    socket.set_option(SocketOption::KeepCount, 3).unwrap();
    assert_eq!(socket.option(SocketOption::KeepCount), Ok(3));
    assert_eq!(socket.shutdown(Shutdown::Both), Err(SocketError::InvalidState));
    let error = std::io::Error::from(SocketError::ConnectionReset);
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
