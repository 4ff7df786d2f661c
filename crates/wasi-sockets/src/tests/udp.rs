use std::net::{SocketAddr, UdpSocket as Outside};

use super::*;
use crate::bindings::wasi::sockets::network::ErrorCode::*;
use crate::bindings::wasi::sockets::udp::{IncomingDatagram, OutgoingDatagram};

type Incoming = Resource<IncomingDatagramStream>;
type Outgoing = Resource<OutgoingDatagramStream>;

impl Guest {
    /// Sends after asking whether it may.
    async fn send(&mut self, to: &Outgoing, datagrams: Vec<OutgoingDatagram>) -> Result<u64, Failure> {
        assert_eq!(self.view().check_send(lent(to)).await.unwrap(), 16);
        self.view().send(lent(to), datagrams).await
    }

    async fn receive(&mut self, from: &Incoming) -> Vec<IncomingDatagram> {
        self.wait_for_datagram(from).await;
        self.view().receive(lent(from), 100).await.unwrap()
    }

    async fn drop_streams(&mut self, (incoming, outgoing): (Incoming, Outgoing)) {
        HostIncomingDatagramStream::drop(&mut self.view(), incoming).await.unwrap();
        HostOutgoingDatagramStream::drop(&mut self.view(), outgoing).await.unwrap();
    }
}

fn datagram(data: &[u8], to: Option<SocketAddr>) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: to.map(Into::into) }
}

fn outside() -> (Outside, SocketAddr) {
    let socket = Outside::bind(ANY_PORT).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn next(outside: &Outside) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2_000];
    let (length, from) = outside.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn states_before_and_after_binding() {
    let mut guest = Guest::new();
    let socket = guest.udp(IpAddressFamily::Ipv4).await;
    let network = guest.network().await;
    let local = ANY_PORT.parse::<SocketAddr>().unwrap();
    // Unbound.
    assert_eq!(code(HostUdpSocket::finish_bind(&mut guest.view(), lent(&socket)).await), Some(NotInProgress));
    assert_eq!(code(guest.stream(&socket, None).await), Some(InvalidState));
    assert_eq!(
        code(HostUdpSocket::local_address(&mut guest.view(), lent(&socket)).await),
        Some(InvalidState)
    );
    assert_eq!(
        code(HostUdpSocket::remote_address(&mut guest.view(), lent(&socket)).await),
        Some(InvalidState)
    );
    // Bind in progress.
    HostUdpSocket::start_bind(&mut guest.view(), lent(&socket), lent(&network), local.into()).await.unwrap();
    let again =
        HostUdpSocket::start_bind(&mut guest.view(), lent(&socket), lent(&network), local.into()).await;
    assert_eq!(code(again), Some(ConcurrencyConflict));
    assert_eq!(code(guest.stream(&socket, None).await), Some(InvalidState));
    assert_eq!(
        code(HostUdpSocket::local_address(&mut guest.view(), lent(&socket)).await),
        Some(InvalidState)
    );
    // Bound.
    HostUdpSocket::finish_bind(&mut guest.view(), lent(&socket)).await.unwrap();
    assert_eq!(code(HostUdpSocket::finish_bind(&mut guest.view(), lent(&socket)).await), Some(NotInProgress));
    let again = HostUdpSocket::start_bind(&mut guest.view(), lent(&socket), network, local.into()).await;
    assert_eq!(code(again), Some(InvalidState));
    let bound =
        SocketAddr::from(HostUdpSocket::local_address(&mut guest.view(), lent(&socket)).await.unwrap());
    assert_eq!((bound.ip(), bound.port() == 0), (local.ip(), false));
    assert_eq!(
        code(HostUdpSocket::remote_address(&mut guest.view(), lent(&socket)).await),
        Some(InvalidState)
    );
    assert_eq!(
        HostUdpSocket::address_family(&mut guest.view(), lent(&socket)).await.unwrap(),
        IpAddressFamily::Ipv4
    );
    // Connected.
    let (_peer, address) = outside();
    let streams = guest.stream(&socket, Some(address)).await.unwrap();
    assert_eq!(
        SocketAddr::from(HostUdpSocket::remote_address(&mut guest.view(), lent(&socket)).await.unwrap()),
        address
    );
    assert_eq!(
        SocketAddr::from(HostUdpSocket::local_address(&mut guest.view(), lent(&socket)).await.unwrap()),
        bound
    );
    guest.drop_streams(streams).await;
}

#[tokio::test]
async fn addresses_that_no_socket_may_have() {
    let mut guest = Guest::new();
    let v4 = guest.udp(IpAddressFamily::Ipv4).await;
    for local in ["[::1]:0", "[::ffff:127.0.0.1]:0"] {
        assert_eq!(code(guest.bind_udp(&v4, local.parse().unwrap()).await), Some(InvalidArgument));
    }
    let v6 = guest.udp(IpAddressFamily::Ipv6).await;
    for local in ["127.0.0.1:0", "[::ffff:127.0.0.1]:0"] {
        assert_eq!(code(guest.bind_udp(&v6, local.parse().unwrap()).await), Some(InvalidArgument));
    }
    let (taken, address) = outside();
    assert_eq!(code(guest.bind_udp(&v4, address).await), Some(AddressInUse));
    drop(taken);
    assert_eq!(code(guest.bind_udp(&v4, "192.0.2.1:0".parse().unwrap()).await), Some(AddressNotBindable));
    guest.bind_udp(&v4, ANY_PORT.parse().unwrap()).await.unwrap();
    for peer in ["0.0.0.0:80", "127.0.0.1:0", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        let streams = guest.stream(&v4, Some(peer.parse().unwrap())).await;
        assert_eq!(code(streams), Some(InvalidArgument), "{peer}");
    }
}

#[tokio::test]
async fn datagrams_go_to_anybody_and_come_from_anybody() {
    let mut guest = Guest::new();
    let (socket, local) = guest.bound_udp().await;
    let (incoming, outgoing) = guest.stream(&socket, None).await.unwrap();
    let peers = [outside(), outside()];
    let datagrams = peers.iter().map(|(_, address)| datagram(b"hello", Some(*address))).collect();
    assert_eq!(guest.send(&outgoing, datagrams).await.unwrap(), 2);
    for (peer, address) in &peers {
        assert_eq!(next(peer), (b"hello".to_vec(), local));
        peer.send_to(b"back", local).unwrap();
        let [IncomingDatagram { data, remote_address }] = &guest.receive(&incoming).await[..] else {
            panic!("one datagram was sent");
        };
        assert_eq!((&data[..], SocketAddr::from(*remote_address)), (&b"back"[..], *address));
    }
}

#[tokio::test]
async fn receiving_takes_no_more_than_asked_and_never_waits() {
    let mut guest = Guest::new();
    let (socket, local) = guest.bound_udp().await;
    let (incoming, _) = guest.stream(&socket, None).await.unwrap();
    let nothing = guest.view().receive(lent(&incoming), 10).await.unwrap();
    assert!(nothing.is_empty());
    let pollable = guest.incoming_pollable(&incoming).await;
    assert!(!guest.is_ready(&pollable).await);
    let (peer, _) = outside();
    for number in 0..20 {
        peer.send_to(&[number], local).unwrap();
    }
    guest.block(pollable).await;
    let mut received = Vec::new();
    for (most, expected) in [(0, 0), (3, 3), (1, 1), (100, 16)] {
        let datagrams = guest.view().receive(lent(&incoming), most).await.unwrap();
        assert_eq!(datagrams.len(), expected);
        received.extend(datagrams.into_iter().map(|datagram| datagram.data));
    }
    assert_eq!(received, (0..20).map(|number| vec![number]).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connected_stream_has_one_peer() {
    let mut guest = Guest::new();
    let (socket, local) = guest.bound_udp().await;
    let (stranger, strange) = outside();
    let (peer, address) = outside();
    // Linux keeps this one, as it came before the peer was chosen.
    stranger.send_to(b"early", local).unwrap();
    let (incoming, outgoing) = guest.stream(&socket, Some(address)).await.unwrap();
    stranger.send_to(b"strange", local).unwrap();
    peer.send_to(b"mine", local).unwrap();
    let received = guest.receive(&incoming).await;
    assert_eq!(received.iter().map(|datagram| &datagram.data[..]).collect::<Vec<_>>(), [b"mine"]);
    for to in [None, Some(address)] {
        assert_eq!(guest.send(&outgoing, vec![datagram(b"yours", to)]).await.unwrap(), 1);
        assert_eq!(next(&peer).0, b"yours");
    }
    let elsewhere = guest.send(&outgoing, vec![datagram(b"no", Some(strange))]).await;
    assert_eq!(code(elsewhere), Some(InvalidArgument));
}

#[tokio::test]
async fn a_new_pair_of_streams_needs_the_old_one_gone() {
    let mut guest = Guest::new();
    let (socket, local) = guest.bound_udp().await;
    let (first, one) = outside();
    let (second, other) = outside();
    let streams = guest.stream(&socket, Some(one)).await.unwrap();
    let early = guest.stream(&socket, Some(other)).await;
    assert!(trap(early).contains("dropped the streams"));
    guest.drop_streams(streams).await;
    let (incoming, outgoing) = guest.stream(&socket, Some(other)).await.unwrap();
    assert_eq!(guest.send(&outgoing, vec![datagram(b"two", None)]).await.unwrap(), 1);
    assert_eq!(next(&second).0, b"two");
    guest.drop_streams((incoming, outgoing)).await;
    let (incoming, outgoing) = guest.stream(&socket, None).await.unwrap();
    assert_eq!(
        code(HostUdpSocket::remote_address(&mut guest.view(), lent(&socket)).await),
        Some(InvalidState)
    );
    assert_eq!(guest.send(&outgoing, vec![datagram(b"one", Some(one))]).await.unwrap(), 1);
    // Linux gave the port up with the peer, and the guest has it still.
    assert_eq!(next(&first), (b"one".to_vec(), local));
    second.send_to(b"again", local).unwrap();
    assert_eq!(guest.receive(&incoming).await[0].data, b"again");
}

#[tokio::test]
async fn sending_needs_a_permit_and_uses_it_up() {
    let mut guest = Guest::new();
    let (socket, _) = guest.bound_udp().await;
    let (_peer, address) = outside();
    let (_, outgoing) = guest.stream(&socket, Some(address)).await.unwrap();
    assert_eq!(guest.view().send(lent(&outgoing), Vec::new()).await.unwrap(), 0);
    let unasked = guest.view().send(lent(&outgoing), vec![datagram(b"x", None)]).await;
    assert!(trap(unasked).contains("had permitted 0"));
    let many = (0..17).map(|_| datagram(b"x", None)).collect();
    let too_many = guest.send(&outgoing, many).await;
    assert!(trap(too_many).contains("had permitted 16"));
    guest.send(&outgoing, vec![datagram(b"x", None)]).await.unwrap();
    let again = guest.view().send(lent(&outgoing), vec![datagram(b"x", None)]).await;
    assert!(trap(again).contains("had permitted 0"));
    let pollable = guest.outgoing_pollable(&outgoing).await;
    assert!(guest.is_ready(&pollable).await);
}

#[tokio::test]
async fn what_cannot_be_sent_stops_the_list() {
    let mut guest = Guest::new();
    let (socket, _) = guest.bound_udp().await;
    let (_incoming, outgoing) = guest.stream(&socket, None).await.unwrap();
    let (peer, address) = outside();
    let good = || datagram(b"good", Some(address));
    let at = |text: &str| Some(text.parse().unwrap());
    let bad = [
        (datagram(b"x", None), InvalidArgument),
        (datagram(b"x", at("0.0.0.0:80")), InvalidArgument),
        (datagram(b"x", at("127.0.0.1:0")), InvalidArgument),
        (datagram(b"x", at("[::1]:80")), InvalidArgument),
        (datagram(&[0; 65_508], Some(address)), DatagramTooLarge),
    ];
    for (bad, expected) in bad {
        let first = guest.send(&outgoing, vec![bad.clone(), good()]).await;
        assert_eq!(code(first), Some(expected));
        let later = guest.send(&outgoing, vec![good(), bad, good()]).await.unwrap();
        assert_eq!(later, 1);
        assert_eq!(next(&peer).0, b"good");
    }
    assert_eq!(guest.send(&outgoing, vec![datagram(&[7; 1_000], Some(address))]).await.unwrap(), 1);
    assert_eq!(next(&peer).0, [7; 1_000]);
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_told() {
    let mut guest = Guest::new();
    let (socket, _) = guest.bound_udp().await;
    let (peer, address) = outside();
    let (incoming, outgoing) = guest.stream(&socket, Some(address)).await.unwrap();
    drop(peer);
    guest.send(&outgoing, vec![datagram(b"hello", None)]).await.unwrap();
    guest.wait_for_datagram(&incoming).await;
    assert_eq!(code(guest.view().receive(lent(&incoming), 1).await), Some(ConnectionRefused));
    assert!(guest.view().receive(lent(&incoming), 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn options_are_never_zero() {
    let mut guest = Guest::new();
    let socket = guest.udp(IpAddressFamily::Ipv4).await;
    let it = || lent(&socket);
    assert_eq!(code(guest.view().set_unicast_hop_limit(it(), 0).await), Some(InvalidArgument));
    assert_eq!(
        code(HostUdpSocket::set_receive_buffer_size(&mut guest.view(), it(), 0).await),
        Some(InvalidArgument)
    );
    assert_eq!(
        code(HostUdpSocket::set_send_buffer_size(&mut guest.view(), it(), 0).await),
        Some(InvalidArgument)
    );
    for size in [1, u64::MAX, 0x10000] {
        HostUdpSocket::set_receive_buffer_size(&mut guest.view(), it(), size).await.unwrap();
        HostUdpSocket::set_send_buffer_size(&mut guest.view(), it(), size).await.unwrap();
    }
    assert_eq!(HostUdpSocket::receive_buffer_size(&mut guest.view(), it()).await.unwrap(), 0x10000);
    assert_eq!(HostUdpSocket::send_buffer_size(&mut guest.view(), it()).await.unwrap(), 0x10000);
    guest.view().set_unicast_hop_limit(it(), 42).await.unwrap();
    assert_eq!(guest.view().unicast_hop_limit(it()).await.unwrap(), 42);
}

#[tokio::test]
async fn the_socket_itself_never_waits() {
    let mut guest = Guest::new();
    let socket = guest.udp(IpAddressFamily::Ipv4).await;
    let pollable = HostUdpSocket::subscribe(&mut guest.view(), lent(&socket)).await.unwrap();
    assert!(guest.is_ready(&pollable).await);
}
