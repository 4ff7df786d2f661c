use std::net::{SocketAddr, TcpListener, UdpSocket as Outside};

use super::*;
use crate::bindings::wasi::sockets::network::ErrorCode::AccessDenied;
use crate::bindings::wasi::sockets::udp::OutgoingDatagram;

#[tokio::test]
async fn without_rules_sockets_open_and_do_nothing() {
    let mut guest = Guest::allowed(&["https://example.com"]);
    let tcp = guest.tcp(IpAddressFamily::Ipv4).await;
    let udp = guest.udp(IpAddressFamily::Ipv6).await;
    assert_eq!(code(guest.bind(&tcp, ANY_PORT.parse().unwrap()).await), Some(AccessDenied));
    assert_eq!(code(guest.start_connect(&tcp, nobody()).await), Some(AccessDenied));
    assert_eq!(code(guest.bind_udp(&udp, "[::1]:0".parse().unwrap()).await), Some(AccessDenied));
}

#[tokio::test]
async fn connections_go_where_a_rule_says() {
    let outside = TcpListener::bind(ANY_PORT).unwrap();
    let allowed = outside.local_addr().unwrap();
    let mut guest = Guest::allowed(&[&format!("tcp://{allowed}")]);
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    let denied = SocketAddr::new(allowed.ip(), allowed.port() ^ 1);
    assert_eq!(code(guest.start_connect(&socket, denied).await), Some(AccessDenied));
    let denied: SocketAddr = format!("127.0.0.2:{}", allowed.port()).parse().unwrap();
    assert_eq!(code(guest.start_connect(&socket, denied).await), Some(AccessDenied));
    assert!(guest.connect(&socket, allowed).await.is_ok());
}

#[tokio::test]
async fn a_rule_to_connect_is_none_to_listen() {
    let mut guest = Guest::allowed(&["tcp://127.0.0.1:*"]);
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    assert_eq!(code(guest.bind(&socket, nobody()).await), Some(AccessDenied));
    guest.bind(&socket, ANY_PORT.parse().unwrap()).await.unwrap();
    assert_eq!(code(guest.view().start_listen(lent(&socket)).await), Some(AccessDenied));
}

#[tokio::test]
async fn a_rule_to_listen_is_none_to_connect() {
    let at = nobody();
    let mut guest = Guest::allowed(&[&format!("tcp-listen://{at}")]);
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    assert_eq!(code(guest.start_connect(&socket, at).await), Some(AccessDenied));
    let everywhere = SocketAddr::from(([0, 0, 0, 0], at.port()));
    assert_eq!(code(guest.bind(&socket, everywhere).await), Some(AccessDenied));
    guest.bind(&socket, at).await.unwrap();
    guest.view().start_listen(lent(&socket)).await.unwrap();
    guest.view().finish_listen(lent(&socket)).await.unwrap();
    let _peer = std::net::TcpStream::connect(at).unwrap();
    guest.accept(&socket).await;
}

#[tokio::test]
async fn datagrams_of_those_without_a_rule_do_not_exist() {
    let (friend, stranger) = (Outside::bind(ANY_PORT).unwrap(), Outside::bind(ANY_PORT).unwrap());
    let (known, unknown) = (friend.local_addr().unwrap(), stranger.local_addr().unwrap());
    let mut guest = Guest::allowed(&[&format!("udp://{known}")]);
    let (socket, local) = guest.bound_udp().await;
    assert_eq!(code(guest.stream(&socket, Some(unknown)).await), Some(AccessDenied));
    let (incoming, outgoing) = guest.stream(&socket, None).await.unwrap();
    for _ in 0..20 {
        stranger.send_to(b"flood", local).unwrap();
    }
    let pollable = guest.incoming_pollable(&incoming).await;
    assert_eq!(guest.poll(std::slice::from_ref(&pollable)).await, None);
    stranger.send_to(b"flood", local).unwrap();
    friend.send_to(b"hello", local).unwrap();
    guest.block(pollable).await;
    let received = guest.view().receive(lent(&incoming), 16).await.unwrap();
    assert_eq!(received.into_iter().map(|datagram| datagram.data).collect::<Vec<_>>(), [b"hello"]);
    guest.view().check_send(lent(&outgoing)).await.unwrap();
    let to = |to: SocketAddr| OutgoingDatagram { data: Vec::new(), remote_address: Some(to.into()) };
    let sent = guest.view().send(lent(&outgoing), vec![to(unknown)]).await;
    assert_eq!(code(sent), Some(AccessDenied));
    guest.view().check_send(lent(&outgoing)).await.unwrap();
    assert_eq!(guest.view().send(lent(&outgoing), vec![to(known), to(unknown)]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_port_of_ones_choice_needs_a_rule() {
    let at = nobody();
    let mut guest = Guest::allowed(&["udp://127.0.0.1:*"]);
    let socket = guest.udp(IpAddressFamily::Ipv4).await;
    assert_eq!(code(guest.bind_udp(&socket, at).await), Some(AccessDenied));
    let mut guest = Guest::allowed(&["udp://127.0.0.1:*", &format!("udp-listen://{at}")]);
    let socket = guest.udp(IpAddressFamily::Ipv4).await;
    guest.bind_udp(&socket, at).await.unwrap();
}

#[tokio::test]
async fn the_capability_is_needed() {
    let mut guest = Guest::new();
    let network = guest.network().await;
    let gone = lent(&network);
    crate::bindings::wasi::sockets::network::HostNetwork::drop(&mut guest.view(), network).await.unwrap();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    // The number is another resource's now.
    let local: SocketAddr = ANY_PORT.parse().unwrap();
    assert!(matches!(
        HostTcpSocket::start_bind(&mut guest.view(), lent(&socket), gone, local.into()).await,
        Err(Failure::Trap(_))
    ));
}
