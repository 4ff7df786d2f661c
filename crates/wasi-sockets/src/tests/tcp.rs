use std::net::{SocketAddr, TcpListener};

use cloister_boundary::net::SocketOption;
use wasmtime::component::Resource;

use super::*;
use crate::bindings::wasi::sockets::network::ErrorCode::{self, *};
use crate::bindings::wasi::sockets::tcp::ShutdownType;

/// A function of a socket.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ask {
    StartBind,
    FinishBind,
    StartConnect,
    FinishConnect,
    StartListen,
    FinishListen,
    Accept,
    Shutdown,
    LocalAddress,
    RemoteAddress,
    SetBacklog,
    KeepAlive,
    SetKeepAlive,
    SetHopLimit,
}

const ALL: [Ask; 14] = [
    Ask::StartBind,
    Ask::FinishBind,
    Ask::StartConnect,
    Ask::FinishConnect,
    Ask::StartListen,
    Ask::FinishListen,
    Ask::Accept,
    Ask::Shutdown,
    Ask::LocalAddress,
    Ask::RemoteAddress,
    Ask::SetBacklog,
    Ask::KeepAlive,
    Ask::SetKeepAlive,
    Ask::SetHopLimit,
];

impl Guest {
    async fn ask(&mut self, socket: &Resource<TcpSocket>, ask: Ask) -> Option<ErrorCode> {
        let network = self.network().await;
        // Port 0 is no remote address: the state is looked at before the arguments.
        let address: SocketAddr = ANY_PORT.parse().unwrap();
        let (socket, mut view) = (lent(socket), self.view());
        match ask {
            Ask::StartBind => {
                code(HostTcpSocket::start_bind(&mut view, socket, network, address.into()).await)
            }
            Ask::FinishBind => code(HostTcpSocket::finish_bind(&mut view, socket).await),
            Ask::StartConnect => code(view.start_connect(socket, network, address.into()).await),
            Ask::FinishConnect => code(view.finish_connect(socket).await),
            Ask::StartListen => code(view.start_listen(socket).await),
            Ask::FinishListen => code(view.finish_listen(socket).await),
            Ask::Accept => code(view.accept(socket).await),
            Ask::Shutdown => code(view.shutdown(socket, ShutdownType::Both).await),
            Ask::LocalAddress => code(HostTcpSocket::local_address(&mut view, socket).await),
            Ask::RemoteAddress => code(HostTcpSocket::remote_address(&mut view, socket).await),
            Ask::SetBacklog => code(view.set_listen_backlog_size(socket, 32).await),
            Ask::KeepAlive => code(view.keep_alive_enabled(socket).await),
            Ask::SetKeepAlive => code(view.set_keep_alive_enabled(socket, false).await),
            Ask::SetHopLimit => code(view.set_hop_limit(socket, 64).await),
        }
    }

    /// Asks everything but what changes the state, and compares; what is not listed succeeds.
    async fn expect(
        &mut self,
        socket: &Resource<TcpSocket>,
        changes: &[Ask],
        refused: &[(Ask, ErrorCode)],
        is_listening: bool,
    ) {
        for ask in ALL.into_iter().filter(|ask| !changes.contains(ask)) {
            let expected = refused.iter().find(|(refused, _)| *refused == ask).map(|(_, code)| *code);
            assert_eq!(self.ask(socket, ask).await, expected, "{ask:?}");
        }
        assert_eq!(self.view().is_listening(lent(socket)).await.unwrap(), is_listening);
        assert_eq!(
            HostTcpSocket::address_family(&mut self.view(), lent(socket)).await.unwrap(),
            IpAddressFamily::Ipv4
        );
    }
}

#[tokio::test]
async fn unbound() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    let refused = [
        (Ask::FinishBind, NotInProgress),
        (Ask::FinishConnect, NotInProgress),
        (Ask::StartListen, InvalidState),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, InvalidState),
        (Ask::Shutdown, InvalidState),
        (Ask::LocalAddress, InvalidState),
        (Ask::RemoteAddress, InvalidState),
    ];
    guest.expect(&socket, &[Ask::StartBind, Ask::StartConnect], &refused, false).await;
}

#[tokio::test]
async fn bind_in_progress() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    assert_eq!(guest.ask(&socket, Ask::StartBind).await, None);
    let refused = [
        (Ask::StartBind, ConcurrencyConflict),
        (Ask::StartConnect, ConcurrencyConflict),
        (Ask::FinishConnect, NotInProgress),
        (Ask::StartListen, ConcurrencyConflict),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, InvalidState),
        (Ask::Shutdown, InvalidState),
        (Ask::LocalAddress, InvalidState),
        (Ask::RemoteAddress, InvalidState),
    ];
    guest.expect(&socket, &[Ask::FinishBind], &refused, false).await;
}

#[tokio::test]
async fn bound() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    guest.bind(&socket, ANY_PORT.parse().unwrap()).await.unwrap();
    let refused = [
        (Ask::StartBind, InvalidState),
        (Ask::FinishBind, NotInProgress),
        (Ask::FinishConnect, NotInProgress),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, InvalidState),
        (Ask::Shutdown, InvalidState),
        (Ask::RemoteAddress, InvalidState),
    ];
    guest.expect(&socket, &[Ask::StartConnect, Ask::StartListen], &refused, false).await;
}

#[tokio::test]
async fn listen_in_progress() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    guest.bind(&socket, ANY_PORT.parse().unwrap()).await.unwrap();
    assert_eq!(guest.ask(&socket, Ask::StartListen).await, None);
    let refused = [
        (Ask::StartBind, ConcurrencyConflict),
        (Ask::FinishBind, NotInProgress),
        (Ask::StartConnect, ConcurrencyConflict),
        (Ask::FinishConnect, NotInProgress),
        (Ask::StartListen, ConcurrencyConflict),
        (Ask::Accept, InvalidState),
        (Ask::Shutdown, InvalidState),
        (Ask::RemoteAddress, InvalidState),
    ];
    guest.expect(&socket, &[Ask::FinishListen], &refused, false).await;
}

#[tokio::test]
async fn listening() {
    let mut guest = Guest::new();
    let (socket, _) = guest.listener().await;
    let refused = [
        (Ask::StartBind, InvalidState),
        (Ask::FinishBind, NotInProgress),
        (Ask::StartConnect, InvalidState),
        (Ask::FinishConnect, NotInProgress),
        (Ask::StartListen, InvalidState),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, WouldBlock),
        (Ask::Shutdown, InvalidState),
        (Ask::RemoteAddress, InvalidState),
    ];
    guest.expect(&socket, &[], &refused, true).await;
}

#[tokio::test]
async fn connect_in_progress() {
    let mut guest = Guest::new();
    let (_listener, address) = guest.listener().await;
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    guest.start_connect(&socket, address).await.unwrap();
    let refused = [
        (Ask::StartBind, ConcurrencyConflict),
        (Ask::FinishBind, NotInProgress),
        (Ask::StartConnect, ConcurrencyConflict),
        (Ask::StartListen, ConcurrencyConflict),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, InvalidState),
        (Ask::Shutdown, InvalidState),
        (Ask::RemoteAddress, InvalidState),
        (Ask::SetBacklog, InvalidState),
    ];
    guest.expect(&socket, &[Ask::FinishConnect], &refused, false).await;
}

#[tokio::test]
async fn connected() {
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let client = guest.tcp(IpAddressFamily::Ipv4).await;
    let _streams = guest.connect(&client, address).await.unwrap();
    let (server, ..) = guest.accept(&listener).await;
    let refused = [
        (Ask::StartBind, InvalidState),
        (Ask::FinishBind, NotInProgress),
        (Ask::StartConnect, InvalidState),
        (Ask::FinishConnect, NotInProgress),
        (Ask::StartListen, InvalidState),
        (Ask::FinishListen, NotInProgress),
        (Ask::Accept, InvalidState),
        (Ask::SetBacklog, InvalidState),
    ];
    guest.expect(&client, &[Ask::Shutdown], &refused, false).await;
    guest.expect(&server, &[Ask::Shutdown], &refused, false).await;
    let of_client =
        SocketAddr::from(HostTcpSocket::local_address(&mut guest.view(), lent(&client)).await.unwrap());
    let of_peer =
        SocketAddr::from(HostTcpSocket::remote_address(&mut guest.view(), lent(&server)).await.unwrap());
    assert_eq!(of_client, of_peer);
    assert_eq!(
        SocketAddr::from(HostTcpSocket::remote_address(&mut guest.view(), lent(&client)).await.unwrap()),
        address
    );
}

#[tokio::test]
async fn closed_after_a_connection_was_refused() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    let refusal = guest.connect(&socket, nobody()).await;
    assert_eq!(code(refusal), Some(ConnectionRefused));
    let refused = ALL.map(|ask| match ask {
        Ask::FinishBind | Ask::FinishConnect | Ask::FinishListen => (ask, NotInProgress),
        _ => (ask, InvalidState),
    });
    guest.expect(&socket, &[], &refused, false).await;
}

#[tokio::test]
async fn a_pollable_knows_how_the_connection_ended() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    guest.start_connect(&socket, nobody()).await.unwrap();
    guest.wait_for(&socket).await;
    guest.wait_for(&socket).await;
    assert_eq!(guest.ask(&socket, Ask::FinishConnect).await, Some(ConnectionRefused));
}

#[tokio::test]
async fn a_pollable_accepts_and_the_guest_gets_it() {
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let pollable = guest.tcp_pollable(&listener).await;
    assert!(!guest.is_ready(&pollable).await);
    let peer = std::net::TcpStream::connect(address).unwrap();
    guest.block(pollable).await;
    let (server, ..) = guest.view().accept(lent(&listener)).await.unwrap();
    let remote =
        SocketAddr::from(HostTcpSocket::remote_address(&mut guest.view(), lent(&server)).await.unwrap());
    assert_eq!(remote, peer.local_addr().unwrap());
    assert_eq!(guest.ask(&listener, Ask::Accept).await, Some(WouldBlock));
}

#[tokio::test]
async fn addresses_that_no_socket_may_have() {
    let mut guest = Guest::new();
    let v4 = guest.tcp(IpAddressFamily::Ipv4).await;
    let v6 = guest.tcp(IpAddressFamily::Ipv6).await;
    let cases = [
        (&v4, "[::1]:0"),
        (&v4, "224.0.0.1:0"),
        (&v4, "255.255.255.255:0"),
        (&v6, "127.0.0.1:0"),
        (&v6, "[ff02::1]:0"),
        (&v6, "[::ffff:127.0.0.1]:0"),
    ];
    for (socket, local) in cases {
        let bound = guest.bind(socket, local.parse().unwrap()).await;
        assert_eq!(code(bound), Some(InvalidArgument), "{local}");
    }
    let cases = [
        (&v4, "0.0.0.0:80"),
        (&v4, "127.0.0.1:0"),
        (&v4, "[::1]:80"),
        (&v4, "224.0.0.1:80"),
        (&v6, "[::]:80"),
        (&v6, "[::1]:0"),
        (&v6, "127.0.0.1:80"),
        (&v6, "[::ffff:127.0.0.1]:80"),
        (&v6, "[::127.0.0.1]:80"),
    ];
    for (socket, remote) in cases {
        let started = guest.start_connect(socket, remote.parse().unwrap()).await;
        assert_eq!(code(started), Some(InvalidArgument), "{remote}");
    }
    assert_eq!(code(guest.bind(&v4, ANY_PORT.parse().unwrap()).await), None, "a failed bind can be repeated");
}

#[tokio::test]
async fn addresses_that_the_host_does_not_have() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    let taken = TcpListener::bind(ANY_PORT).unwrap();
    assert_eq!(code(guest.bind(&socket, taken.local_addr().unwrap()).await), Some(AddressInUse));
    // RFC 5737: for documentation.
    let elsewhere = guest.bind(&socket, "192.0.2.1:0".parse().unwrap()).await;
    assert_eq!(code(elsewhere), Some(AddressNotBindable));
}

#[tokio::test]
async fn ipv6_works_as_ipv4_does() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let mut guest = Guest::new();
    let listener = guest.tcp(IpAddressFamily::Ipv6).await;
    guest.bind(&listener, "[::1]:0".parse().unwrap()).await.unwrap();
    guest.view().start_listen(lent(&listener)).await.unwrap();
    guest.view().finish_listen(lent(&listener)).await.unwrap();
    let address = HostTcpSocket::local_address(&mut guest.view(), lent(&listener)).await.unwrap().into();
    let client = guest.tcp(IpAddressFamily::Ipv6).await;
    let (_, output) = guest.connect(&client, address).await.unwrap();
    let (_server, input, _) = guest.accept(&listener).await;
    guest.write(&output, b"six").await.unwrap();
    assert_eq!(guest.read(&input, 10).await.unwrap(), b"six");
}

#[tokio::test]
async fn options_are_clamped_and_never_zero() {
    let mut guest = Guest::new();
    let socket = guest.tcp(IpAddressFamily::Ipv4).await;
    let options = [
        SocketOption::KeepIdle,
        SocketOption::KeepInterval,
        SocketOption::KeepCount,
        SocketOption::HopLimit,
        SocketOption::ReceiveBuffer,
        SocketOption::SendBuffer,
    ];
    for option in options {
        let most = match option {
            SocketOption::KeepCount => u32::MAX.into(),
            SocketOption::HopLimit => u8::MAX.into(),
            _ => u64::MAX,
        };
        for (value, expected) in [(0, Some(InvalidArgument)), (1, None), (most, None)] {
            let socket = guest.table.get(&lent(&socket)).unwrap();
            assert_eq!(socket.set_option(option, value).err(), expected, "{option:?} {value}");
            assert!(socket.option(option).unwrap() > 0, "{option:?}");
        }
    }
    assert_eq!(code(guest.view().set_listen_backlog_size(lent(&socket), 0).await), Some(InvalidArgument));
    for size in [1, u64::MAX] {
        assert_eq!(code(guest.view().set_listen_backlog_size(lent(&socket), size).await), None);
    }
}

#[tokio::test]
async fn options_are_read_back_and_inherited() {
    const SECOND: u64 = 1_000_000_000;
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let socket = || lent(&listener);
    assert!(!guest.view().keep_alive_enabled(socket()).await.unwrap());
    guest.view().set_keep_alive_enabled(socket(), true).await.unwrap();
    guest.view().set_keep_alive_idle_time(socket(), 42 * SECOND).await.unwrap();
    guest.view().set_keep_alive_interval(socket(), 7 * SECOND).await.unwrap();
    guest.view().set_keep_alive_count(socket(), 5).await.unwrap();
    guest.view().set_hop_limit(socket(), 42).await.unwrap();
    HostTcpSocket::set_receive_buffer_size(&mut guest.view(), socket(), 0x10000).await.unwrap();
    HostTcpSocket::set_send_buffer_size(&mut guest.view(), socket(), 0x10000).await.unwrap();
    let _peer = std::net::TcpStream::connect(address).unwrap();
    let (server, ..) = guest.accept(&listener).await;
    for socket in [&listener, &server] {
        let socket = || lent(socket);
        assert!(guest.view().keep_alive_enabled(socket()).await.unwrap());
        assert_eq!(guest.view().keep_alive_idle_time(socket()).await.unwrap(), 42 * SECOND);
        assert_eq!(guest.view().keep_alive_interval(socket()).await.unwrap(), 7 * SECOND);
        assert_eq!(guest.view().keep_alive_count(socket()).await.unwrap(), 5);
        assert_eq!(guest.view().hop_limit(socket()).await.unwrap(), 42);
        assert_eq!(HostTcpSocket::receive_buffer_size(&mut guest.view(), socket()).await.unwrap(), 0x10000);
        assert_eq!(HostTcpSocket::send_buffer_size(&mut guest.view(), socket()).await.unwrap(), 0x10000);
    }
}

#[tokio::test]
async fn sockets_with_streams_or_pollables_are_not_dropped_first() {
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let client = guest.tcp(IpAddressFamily::Ipv4).await;
    let _streams = guest.connect(&client, address).await.unwrap();
    let client = Resource::<TcpSocket>::new_own(client.rep());
    assert!(tcp_drop(&mut guest, client).await.is_err());
    assert!(tcp_drop(&mut guest, listener).await.is_ok());
}

async fn tcp_drop(guest: &mut Guest, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
    HostTcpSocket::drop(&mut guest.view(), socket).await
}
