//! Sockets, addresses and connections that the cases begin with.

use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::io::poll::{Pollable, poll};
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use crate::wasi::sockets::tcp::TcpSocket;
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::wasi::sockets::udp::{IncomingDatagramStream, OutgoingDatagramStream, UdpSocket};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use conformance_suite::{Cases, Failure, Outcome, same};
use std::fmt::Debug;

pub(crate) type Family = IpAddressFamily;

/// A case over addresses of a family.
pub(crate) type Case = fn(Family) -> Outcome;

/// Adds functions, of which each is a case of `area` for IPv4, and one for IPv6 where this machine has `::1`.
pub(crate) fn add(cases: &mut Cases, area: &str, functions: &[(&str, Case)]) {
    for (family, suffix) in families() {
        for &(function, run) in functions {
            cases.add(&format!("{area}.{suffix}"), function, move || run(family));
        }
    }
}

/// The families that this machine has, and what their cases are called after.
pub(crate) fn families() -> Vec<(Family, &'static str)> {
    let mut families = vec![(Family::Ipv4, "ipv4")];
    if udp_bound(Family::Ipv6).is_ok() {
        families.push((Family::Ipv6, "ipv6"));
    }
    families
}

pub(crate) fn other(family: Family) -> Family {
    match family {
        Family::Ipv4 => Family::Ipv6,
        Family::Ipv6 => Family::Ipv4,
    }
}

pub(crate) fn loopback(family: Family, port: u16) -> IpSocketAddress {
    match family {
        Family::Ipv4 => ipv4([127, 0, 0, 1], port),
        Family::Ipv6 => ipv6([0, 0, 0, 0, 0, 0, 0, 1], port),
    }
}

/// `0.0.0.0` or `::`.
pub(crate) fn unspecified(family: Family, port: u16) -> IpSocketAddress {
    match family {
        Family::Ipv4 => ipv4([0; 4], port),
        Family::Ipv6 => ipv6([0; 8], port),
    }
}

/// RFC 5737 and RFC 3849: for documentation, so of no machine.
pub(crate) fn of_nobody(family: Family, port: u16) -> IpSocketAddress {
    match family {
        Family::Ipv4 => ipv4([198, 51, 100, 7], port),
        Family::Ipv6 => ipv6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], port),
    }
}

/// All hosts of the link.
pub(crate) fn multicast(family: Family, port: u16) -> IpSocketAddress {
    match family {
        Family::Ipv4 => ipv4([224, 0, 0, 1], port),
        Family::Ipv6 => ipv6([0xff02, 0, 0, 0, 0, 0, 0, 1], port),
    }
}

/// `::ffff:127.0.0.1`.
pub(crate) fn mapped(port: u16) -> IpSocketAddress {
    ipv6([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], port)
}

/// `255.255.255.255`.
pub(crate) fn broadcast(port: u16) -> IpSocketAddress {
    ipv4([255; 4], port)
}

fn ipv4([a, b, c, d]: [u8; 4], port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) })
}

fn ipv6([a, b, c, d, e, f, g, h]: [u16; 8], port: u16) -> IpSocketAddress {
    let address = (a, b, c, d, e, f, g, h);
    IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
}

pub(crate) fn port_of(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

#[track_caller]
pub(crate) fn same_address(actual: IpSocketAddress, expected: IpSocketAddress) -> Outcome {
    same(format!("{actual:?}"), format!("{expected:?}"))
}

pub(crate) fn network() -> Network {
    instance_network()
}

pub(crate) fn unbound(family: Family) -> Outcome<TcpSocket> {
    Ok(create_tcp_socket(family)?)
}

pub(crate) fn bind(socket: &TcpSocket, address: IpSocketAddress) -> Result<(), ErrorCode> {
    socket.start_bind(&network(), address)?;
    wait_while_blocked(&socket.subscribe(), || socket.finish_bind())
}

/// A socket at a free port of the loopback interface.
pub(crate) fn bound(family: Family) -> Outcome<TcpSocket> {
    let socket = unbound(family)?;
    bind(&socket, loopback(family, 0))?;
    Ok(socket)
}

pub(crate) fn listen(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_listen()?;
    wait_while_blocked(&socket.subscribe(), || socket.finish_listen())
}

/// A socket that listens at a free port of the loopback interface.
pub(crate) fn listener(family: Family) -> Outcome<TcpSocket> {
    let socket = bound(family)?;
    listen(&socket)?;
    Ok(socket)
}

/// An end of a connection. The streams are dropped before the socket, whose children they are.
pub(crate) struct Connection {
    pub(crate) input: InputStream,
    pub(crate) output: OutputStream,
    pub(crate) socket: TcpSocket,
}

/// Connects a socket.
pub(crate) fn finish_connecting(
    socket: &TcpSocket,
    to: IpSocketAddress,
) -> Result<(InputStream, OutputStream), ErrorCode> {
    socket.start_connect(&network(), to)?;
    wait_while_blocked(&socket.subscribe(), || socket.finish_connect())
}

pub(crate) fn connect(to: IpSocketAddress) -> Outcome<Connection> {
    let family = match to {
        IpSocketAddress::Ipv4(_) => Family::Ipv4,
        IpSocketAddress::Ipv6(_) => Family::Ipv6,
    };
    let socket = unbound(family)?;
    let (input, output) = finish_connecting(&socket, to)?;
    Ok(Connection { input, output, socket })
}

pub(crate) fn accept(listener: &TcpSocket) -> Outcome<Connection> {
    let (socket, input, output) = wait_while_blocked(&listener.subscribe(), || listener.accept())?;
    Ok(Connection { input, output, socket })
}

/// A connection's end that connected, and the one that was accepted.
pub(crate) fn pair(family: Family) -> Outcome<(Connection, Connection)> {
    let listener = listener(family)?;
    let client = connect(listener.local_address()?)?;
    let server = accept(&listener)?;
    Ok((client, server))
}

/// Calls until the answer is not that it would block.
fn wait_while_blocked<T>(
    pollable: &Pollable,
    mut call: impl FnMut() -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match call() {
            Err(ErrorCode::WouldBlock) => pollable.block(),
            result => return result,
        }
    }
}

/// Passes where the pollable becomes ready in time.
#[track_caller]
pub(crate) fn becomes_ready(pollable: &Pollable) -> Outcome {
    let ready = poll(&[pollable, &subscribe_duration(PATIENCE)]);
    if ready.contains(&0) { Ok(()) } else { Err(Failure::new("it does not become ready")) }
}

/// Passes where the pollable does not become ready for a while.
#[track_caller]
pub(crate) fn stays_pending(pollable: &Pollable) -> Outcome {
    let ready = poll(&[pollable, &subscribe_duration(A_WHILE)]);
    if ready.contains(&0) { Err(Failure::new("it becomes ready")) } else { Ok(()) }
}

/// Tries until it passes, for a third of the minute that TIME_WAIT takes.
///
/// For what comes after the end of a socket: where the host starts a program just then, that has the socket too until it
/// has begun (fork(2)).
pub(crate) fn at_last(mut attempt: impl FnMut() -> Outcome) -> Outcome {
    for _ in 0..ATTEMPTS {
        if attempt().is_ok() {
            return Ok(());
        }
        subscribe_duration(BETWEEN_ATTEMPTS).block();
    }
    attempt()
}

/// Everything until the stream is closed.
pub(crate) fn read_to_end(input: &InputStream) -> Outcome<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(64 << 10) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// So many bytes.
pub(crate) fn read_exactly(input: &InputStream, count: usize) -> Outcome<Vec<u8>> {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        all.extend(input.blocking_read((count - all.len()) as u64)?);
    }
    Ok(all)
}

/// All the bytes, waiting for permits.
pub(crate) fn write_all(output: &OutputStream, mut bytes: &[u8]) -> Outcome {
    while !bytes.is_empty() {
        let permit = output.check_write()?;
        if permit == 0 {
            output.subscribe().block();
            continue;
        }
        let (now, later) = bytes.split_at(bytes.len().min(permit as usize));
        output.write(now)?;
        bytes = later;
    }
    output.blocking_flush()?;
    Ok(())
}

#[track_caller]
pub(crate) fn is_closed<T: Debug>(result: Result<T, StreamError>) -> Outcome {
    match result {
        Err(StreamError::Closed) => Ok(()),
        other => Err(Failure::new(format!("{other:?} instead of closed"))),
    }
}

/// A UDP socket that is bound and nothing more.
pub(crate) fn udp_bound(family: Family) -> Outcome<UdpSocket> {
    let socket = create_udp_socket(family)?;
    udp_bind(&socket, loopback(family, 0))?;
    Ok(socket)
}

pub(crate) fn udp_bind(socket: &UdpSocket, address: IpSocketAddress) -> Result<(), ErrorCode> {
    socket.start_bind(&network(), address)?;
    wait_while_blocked(&socket.subscribe(), || socket.finish_bind())
}

/// A UDP socket with its streams, which are dropped before it.
pub(crate) struct Udp {
    pub(crate) input: IncomingDatagramStream,
    pub(crate) output: OutgoingDatagramStream,
    pub(crate) socket: UdpSocket,
}

impl Udp {
    /// At a free port, for whoever sends.
    pub(crate) fn new(family: Family) -> Outcome<Self> {
        Self::of(udp_bound(family)?, None)
    }

    pub(crate) fn of(socket: UdpSocket, peer: Option<IpSocketAddress>) -> Outcome<Self> {
        let (input, output) = socket.stream(peer)?;
        Ok(Self { input, output, socket })
    }

    /// The same socket with other streams.
    pub(crate) fn again(self, peer: Option<IpSocketAddress>) -> Outcome<Self> {
        let Self { input, output, socket } = self;
        drop((input, output));
        Self::of(socket, peer)
    }

    pub(crate) fn address(&self) -> Outcome<IpSocketAddress> {
        Ok(self.socket.local_address()?)
    }
}

/// Nanoseconds after which what has to happen did not.
const PATIENCE: u64 = 50_000_000_000;
const ATTEMPTS: u32 = 200;
/// Nanoseconds.
const BETWEEN_ATTEMPTS: u64 = 100_000_000;
/// Nanoseconds in which what must not happen would have.
const A_WHILE: u64 = 50_000_000;
