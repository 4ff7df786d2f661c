//! The host's sockets over streams of frames: every answer is one to what was asked, or an error.

mod answer;

use crate::lanes::{Lane, Lanes, Opener};
use crate::net::{Datagram, SocketError};
use answer::{exchange, take};
use bytes::Bytes;
use cloister_frames::{
    Datagram as Packet, Family, MAX_DATAGRAM, MAX_DATAGRAMS, MAX_NAME, MAX_SOCKET_PAYLOAD, Shutdown,
    SocketOption, SocketRequest, SocketResponse, Transport,
};
use std::io;
use std::net::SocketAddr;

pub(crate) use answer::{Found, of_family};

/// The host's sockets, for any number of threads at a time. Numbers of new sockets are the host's word.
#[derive(Debug)]
pub(crate) struct Sockets<L> {
    lanes: Lanes<L>,
}

impl<L: Lane> Sockets<L> {
    pub(crate) fn new(open: Opener<L>) -> Self {
        Self { lanes: Lanes::closed(open) }
    }

    pub(crate) fn open(&self, transport: Transport, family: Family) -> Result<u64, SocketError> {
        self.ask(SocketRequest::Open { transport, family }, opened)
    }

    pub(crate) fn bind(&self, socket: u64, local: SocketAddr) -> Result<(), SocketError> {
        self.ask(SocketRequest::Bind { socket, local }, done)
    }

    pub(crate) fn start_connect(&self, socket: u64, remote: SocketAddr) -> Result<(), SocketError> {
        self.ask(SocketRequest::Connect { socket, remote }, done)
    }

    pub(crate) fn finish_connect(&self, socket: u64) -> Result<(), SocketError> {
        self.ask(SocketRequest::FinishConnect { socket }, done)
    }

    pub(crate) fn disconnect(&self, socket: u64) -> Result<(), SocketError> {
        self.ask(SocketRequest::Disconnect { socket }, done)
    }

    pub(crate) fn listen(&self, socket: u64, backlog: u32) -> Result<(), SocketError> {
        self.ask(SocketRequest::Listen { socket, backlog }, done)
    }

    /// A number, and a peer that may be of any family: whoever has the number closes it, too.
    pub(crate) fn accept(&self, socket: u64) -> Result<(u64, SocketAddr), SocketError> {
        self.ask(SocketRequest::Accept { socket }, |response| match response {
            SocketResponse::Accepted { number, peer } => Some((number, peer)),
            _ => None,
        })
    }

    pub(crate) fn local_address(&self, socket: u64, family: Family) -> Result<SocketAddr, SocketError> {
        self.ask(SocketRequest::LocalAddress { socket }, |response| address(response, family))
    }

    pub(crate) fn remote_address(&self, socket: u64, family: Family) -> Result<SocketAddr, SocketError> {
        self.ask(SocketRequest::RemoteAddress { socket }, |response| address(response, family))
    }

    pub(crate) fn option(&self, socket: u64, option: SocketOption) -> Result<u64, SocketError> {
        let most = match option {
            SocketOption::KeepAlive => 1,
            SocketOption::HopLimit => u64::from(u8::MAX),
            SocketOption::KeepCount => u64::from(u32::MAX),
            SocketOption::KeepIdle | SocketOption::KeepInterval => u64::MAX,
            SocketOption::ReceiveBuffer | SocketOption::SendBuffer => u64::MAX,
        };
        self.ask(SocketRequest::Option { socket, option }, |response| match response {
            SocketResponse::Value(value) => (value <= most).then_some(value),
            _ => None,
        })
    }

    pub(crate) fn set_option(
        &self,
        socket: u64,
        option: SocketOption,
        value: u64,
    ) -> Result<(), SocketError> {
        self.ask(SocketRequest::SetOption { socket, option, value }, done)
    }

    pub(crate) fn shutdown(&self, socket: u64, direction: Shutdown) -> Result<(), SocketError> {
        self.ask(SocketRequest::Shutdown { socket, direction }, done)
    }

    pub(crate) fn receive(
        &self,
        socket: u64,
        family: Family,
        most: usize,
    ) -> Result<Vec<Datagram>, SocketError> {
        let most = u8::try_from(most.min(MAX_DATAGRAMS)).expect("16 fit a byte");
        if most == 0 {
            return Ok(Vec::new());
        }
        self.ask(SocketRequest::Receive { socket, most }, |response| match response {
            SocketResponse::Received(packets) if packets.len() <= usize::from(most) => packets
                .into_iter()
                .map(|Packet { peer, bytes }| {
                    let peer = of_family(peer, family).ok()?;
                    Some(Datagram { peer, bytes: Bytes::copy_from_slice(bytes) })
                })
                .collect(),
            _ => None,
        })
    }

    /// As many of the datagrams as one frame holds.
    pub(crate) fn send(&self, socket: u64, datagrams: &[Datagram]) -> Result<usize, SocketError> {
        let mut room = MAX_SOCKET_PAYLOAD - SEND_HEAD;
        let packets: Vec<_> = datagrams
            .iter()
            .map(|Datagram { peer, bytes }| Packet { peer: *peer, bytes })
            .take(MAX_DATAGRAMS)
            .take_while(|packet| {
                let fits = packet.bytes.len() <= MAX_DATAGRAM && packet.encoded_len() <= room;
                room = room.saturating_sub(packet.encoded_len());
                fits
            })
            .collect();
        match packets.len() {
            0 if datagrams.is_empty() => Ok(0),
            0 => Err(SocketError::DatagramTooLarge),
            offered => {
                self.ask(SocketRequest::Send { socket, datagrams: packets }, |response| match response {
                    SocketResponse::Sent(count) => Some(usize::from(count)).filter(|count| *count <= offered),
                    _ => None,
                })
            }
        }
    }

    /// Starts a lookup: the number of the stream that will have [`Found`].
    pub(crate) fn resolve(&self, name: &str) -> Result<u64, SocketError> {
        if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
            return Err(SocketError::InvalidArgument);
        }
        self.ask(SocketRequest::Resolve { name }, opened)
    }

    fn ask<T>(
        &self,
        request: SocketRequest<'_>,
        wanted: impl FnOnce(SocketResponse<'_>) -> Option<T>,
    ) -> Result<T, SocketError> {
        let payload = request.encode();
        let answer = self.lanes.with(|lane| {
            let answer = exchange(lane, &payload)?;
            take(&request, &answer, wanted)
        });
        answer.unwrap_or(Err(SocketError::Host))
    }
}

/// What `read` and `write` of a connection failed with.
pub(crate) fn transfer_error(error: &io::Error) -> SocketError {
    match error.kind() {
        io::ErrorKind::WouldBlock => SocketError::WouldBlock,
        io::ErrorKind::PermissionDenied => SocketError::AccessDenied,
        io::ErrorKind::ConnectionRefused => SocketError::ConnectionRefused,
        io::ErrorKind::ConnectionAborted => SocketError::ConnectionAborted,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => SocketError::ConnectionReset,
        io::ErrorKind::NotConnected => SocketError::InvalidState,
        io::ErrorKind::TimedOut => SocketError::Timeout,
        io::ErrorKind::InvalidInput => SocketError::InvalidArgument,
        io::ErrorKind::InvalidData => SocketError::Host,
        _ => SocketError::Unknown,
    }
}

fn opened(response: SocketResponse<'_>) -> Option<u64> {
    match response {
        SocketResponse::Opened { number } => Some(number),
        _ => None,
    }
}

fn done(response: SocketResponse<'_>) -> Option<()> {
    matches!(response, SocketResponse::Done).then_some(())
}

fn address(response: SocketResponse<'_>, family: Family) -> Option<SocketAddr> {
    match response {
        SocketResponse::Address(address) => of_family(address, family).ok(),
        _ => None,
    }
}

/// Bytes of a send request in front of its datagrams: tag and socket.
const SEND_HEAD: usize = 9;

#[cfg(test)]
mod tests;
