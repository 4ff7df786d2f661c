//! UDP, one step after the other.

use crate::address::{family, parse, text, unspecified};
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::io::poll::poll;
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{ErrorCode, IpSocketAddress};
use crate::wasi::sockets::udp::{OutgoingDatagram, UdpSocket};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;

/// Who says where a datagram goes.
#[derive(Clone, Copy)]
pub(crate) enum Peer {
    SetOnSocket,
    NamedInDatagram,
    /// As `NamedInDatagram`, after the socket had one.
    ForgottenBySocket,
}

pub(crate) fn bind(address: &str) -> Result<String, String> {
    let socket = bound(parse(address)?).map_err(name)?;
    socket.local_address().map(text).map_err(name)
}

pub(crate) fn roundtrip(address: &str, bytes: Vec<u8>, peer: Peer, patience: u64) -> Result<Vec<u8>, String> {
    exchange(parse(address)?, bytes, peer, patience).map_err(name)
}

pub(crate) fn options(address: &str) -> Result<Vec<(String, u64)>, String> {
    set_and_ask(&create_udp_socket(family(&parse(address)?)).map_err(name)?).map_err(name)
}

fn set_and_ask(socket: &UdpSocket) -> Result<Vec<(String, u64)>, ErrorCode> {
    socket.set_unicast_hop_limit(64)?;
    socket.set_receive_buffer_size(65_536)?;
    socket.set_send_buffer_size(65_536)?;
    let values = [
        ("unicast-hop-limit", socket.unicast_hop_limit()?.into()),
        ("receive-buffer-size", socket.receive_buffer_size()?),
        ("send-buffer-size", socket.send_buffer_size()?),
    ];
    Ok(values.into_iter().map(|(option, value)| (option.to_owned(), value)).collect())
}

fn exchange(to: IpSocketAddress, data: Vec<u8>, peer: Peer, patience: u64) -> Result<Vec<u8>, ErrorCode> {
    let socket = bound(unspecified(family(&to)))?;
    if matches!(peer, Peer::ForgottenBySocket) {
        drop(socket.stream(Some(to))?);
    }
    let (of_the_socket, of_the_datagram) = match peer {
        Peer::SetOnSocket => (Some(to), None),
        Peer::NamedInDatagram | Peer::ForgottenBySocket => (None, Some(to)),
    };
    let (incoming, outgoing) = socket.stream(of_the_socket)?;
    while outgoing.check_send()? == 0 {
        outgoing.subscribe().block();
    }
    let sent = outgoing.send(&[OutgoingDatagram { data, remote_address: of_the_datagram }])?;
    if sent != 1 {
        return Err(ErrorCode::Unknown);
    }
    let timer = subscribe_duration(patience.saturating_mul(1_000_000));
    loop {
        match incoming.receive(1)?.pop() {
            Some(datagram) => return Ok(datagram.data),
            None if timer.ready() => return Err(ErrorCode::Timeout),
            None => drop(poll(&[&timer, &incoming.subscribe()])),
        }
    }
}

fn bound(at: IpSocketAddress) -> Result<UdpSocket, ErrorCode> {
    let socket = create_udp_socket(family(&at))?;
    socket.start_bind(&instance_network(), at)?;
    loop {
        match socket.finish_bind() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(error) => return Err(error),
            Ok(()) => return Ok(socket),
        }
    }
}

fn name(error: ErrorCode) -> String {
    error.name().to_owned()
}
