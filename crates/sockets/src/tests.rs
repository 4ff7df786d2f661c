use super::*;
use std::time::{Duration, Instant};

fn localhost(family: Family) -> SocketAddr {
    match family {
        Family::V4 => ([127, 0, 0, 1], 0).into(),
        Family::V6 => ([0, 0, 0, 0, 0, 0, 0, 1], 0).into(),
    }
}

fn soon<T>(mut attempt: impl FnMut() -> Result<T, SocketFailure>) -> Result<T, SocketFailure> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match attempt() {
            Err(SocketFailure::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

fn listener(family: Family) -> (Socket, SocketAddr) {
    let listener = Socket::new(family, Transport::Tcp).unwrap();
    listener.bind(localhost(family)).unwrap();
    listener.listen(4).unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

fn connected(family: Family) -> (Socket, Socket) {
    let (listener, address) = listener(family);
    let client = Socket::new(family, Transport::Tcp).unwrap();
    client.start_connect(address).unwrap();
    soon(|| client.finish_connect()).unwrap();
    let (server, peer) = soon(|| listener.accept()).unwrap();
    assert_eq!(client.local_address(), Ok(peer));
    (client, server)
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn both_families_connect() {
    for family in [Family::V4, Family::V6] {
        if family == Family::V6 && !has_ipv6() {
            continue;
        }
        let (client, server) = connected(family);
        let mut bytes = [0; 8];
        assert_eq!(server.read(&mut bytes), Err(SocketFailure::WouldBlock));
        assert_eq!(client.write(b"abc"), Ok(3));
        assert_eq!(soon(|| server.read(&mut bytes)), Ok(3));
        assert_eq!(server.remote_address(), client.local_address());
    }
}

#[test]
fn ipv6_never_speaks_ipv4() {
    if !has_ipv6() {
        return;
    }
    let both = Socket::new(Family::V6, Transport::Tcp).unwrap();
    assert_eq!(sockopt::ipv6_v6only(&both), Ok(true));
    let mapped: SocketAddr = "[::ffff:127.0.0.1]:1".parse().unwrap();
    assert!(both.start_connect(mapped).is_err());
}

#[test]
fn a_port_can_be_bound_again_at_once() {
    let (listener, address) = listener(Family::V4);
    let client = Socket::new(Family::V4, Transport::Tcp).unwrap();
    client.start_connect(address).unwrap();
    let (server, _) = soon(|| listener.accept()).unwrap();
    // Whoever ends first keeps the port for a while (TIME-WAIT, RFC 9293, section 3.3.2).
    drop((server, listener, client));
    let again = Socket::new(Family::V4, Transport::Tcp).unwrap();
    again.bind(address).unwrap();
    again.listen(1).unwrap();
}

#[test]
fn an_attempt_to_connect_ends_once() {
    let (listening, address) = listener(Family::V4);
    drop(listening);
    let socket = Socket::new(Family::V4, Transport::Tcp).unwrap();
    assert_eq!(socket.finish_connect(), Err(SocketFailure::InvalidState));
    socket.start_connect(address).unwrap();
    assert_eq!(soon(|| socket.finish_connect()), Err(SocketFailure::ConnectionRefused));
    let (client, _server) = connected(Family::V4);
    assert_eq!(client.finish_connect(), Ok(()));
    assert_eq!(client.start_connect(address), Err(SocketFailure::InvalidState));
}

#[test]
fn a_backlog_of_none_is_one() {
    let listening = Socket::new(Family::V4, Transport::Tcp).unwrap();
    listening.bind(localhost(Family::V4)).unwrap();
    listening.listen(0).unwrap();
    let client = Socket::new(Family::V4, Transport::Tcp).unwrap();
    client.start_connect(listening.local_address().unwrap()).unwrap();
    soon(|| listening.accept()).unwrap();
}

#[test]
fn accepted_sockets_have_the_listeners_options() {
    let (listening, address) = listener(Family::V4);
    listening.set_option(SocketOption::KeepAlive, 1).unwrap();
    listening.set_option(SocketOption::HopLimit, 17).unwrap();
    let client = Socket::new(Family::V4, Transport::Tcp).unwrap();
    client.start_connect(address).unwrap();
    let (server, _) = soon(|| listening.accept()).unwrap();
    assert_eq!(server.option(SocketOption::KeepAlive), Ok(1));
    assert_eq!(server.option(SocketOption::HopLimit), Ok(17));
    assert_eq!((server.family(), server.transport()), (Family::V4, Transport::Tcp));
    assert_eq!(server.read(&mut [0; 1]), Err(SocketFailure::WouldBlock));
}

#[test]
fn options_are_clamped_and_zero_is_refused() {
    const SECOND: u64 = 1_000_000_000;
    let socket = Socket::new(Family::V4, Transport::Tcp).unwrap();
    for option in SocketOption::ALL.into_iter().filter(|option| *option != SocketOption::KeepAlive) {
        assert_eq!(socket.set_option(option, 0), Err(SocketFailure::InvalidArgument), "{option:?}");
    }
    assert_eq!(socket.set_option(SocketOption::HopLimit, 256), Err(SocketFailure::InvalidArgument));
    for (option, value, stored) in [
        (SocketOption::KeepIdle, 1, SECOND),
        (SocketOption::KeepIdle, u64::MAX, MAX_KEEP_SECONDS * SECOND),
        (SocketOption::KeepInterval, 2 * SECOND + 1, 2 * SECOND),
        (SocketOption::KeepInterval, u64::MAX, MAX_KEEP_SECONDS * SECOND),
        (SocketOption::KeepCount, u64::MAX, 127),
        (SocketOption::KeepAlive, 0, 0),
    ] {
        socket.set_option(option, value).unwrap();
        assert_eq!(socket.option(option), Ok(stored), "{option:?} {value}");
    }
    for option in [SocketOption::ReceiveBuffer, SocketOption::SendBuffer] {
        socket.set_option(option, u64::MAX).unwrap();
        let most = socket.option(option).unwrap();
        socket.set_option(option, most).unwrap();
        assert_eq!(socket.option(option), Ok(most), "what was read can be written");
    }
}

#[test]
fn datagrams_have_peers_and_bounds() {
    let one = Socket::new(Family::V4, Transport::Udp).unwrap();
    assert_eq!(one.local_address(), Err(SocketFailure::InvalidState));
    one.bind(localhost(Family::V4)).unwrap();
    let address = one.local_address().unwrap();
    let other = std::net::UdpSocket::bind(localhost(Family::V4)).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(one.receive(&mut bytes), Err(SocketFailure::WouldBlock));
    other.send_to(b"longer than there is room", address).unwrap();
    other.send_to(b"fits", address).unwrap();
    assert_eq!(soon(|| one.receive(&mut bytes)), Ok((4, other.local_addr().unwrap())));
    assert_eq!(&bytes, b"fits");
    let too_large = vec![0; MAX_DATAGRAM + 1];
    assert_eq!(one.send(&too_large, address), Err(SocketFailure::DatagramTooLarge));
    assert_eq!(one.send(b"x", "[::1]:9".parse().unwrap()), Err(SocketFailure::InvalidArgument));
    for option in [SocketOption::KeepAlive, SocketOption::KeepCount] {
        assert_eq!(one.option(option), Err(SocketFailure::NotSupported));
        assert_eq!(one.set_option(option, 1), Err(SocketFailure::NotSupported));
    }
}

/// `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL` of Linux.
const MAX_KEEP_SECONDS: u64 = 32_767;
