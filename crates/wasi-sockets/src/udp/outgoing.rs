use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Waker};

use cloister_boundary::net::{Datagram, MAX_DATAGRAM, MAX_DATAGRAMS, SocketError};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::socket::Association;
use crate::address::check_udp_remote;
use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::bindings::wasi::sockets::udp::OutgoingDatagram;
use crate::failure::{Breach, Failure, code};

/// Datagrams to those that the app may speak to.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OutgoingDatagramStream {
    to: Association,
    permitted: usize,
    /// The host took less than it was given.
    is_blocked: bool,
}

impl OutgoingDatagramStream {
    pub(super) fn new(to: Association) -> Self {
        Self { to, permitted: 0, is_blocked: false }
    }

    /// How many datagrams the next `send` may have.
    pub(super) fn check_send(&mut self) -> u64 {
        if self.is_blocked {
            let writable = pin!(self.to.lent.writable());
            self.is_blocked = writable.poll(&mut Context::from_waker(Waker::noop())).is_pending();
        }
        self.permitted = if self.is_blocked { 0 } else { MAX_DATAGRAMS };
        self.permitted as u64
    }

    /// How many of the datagrams were sent: those before the first one that could not be.
    pub(super) fn send(&mut self, datagrams: Vec<OutgoingDatagram>) -> Result<u64, Failure> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        if datagrams.len() > self.permitted {
            return Err(Breach::Send { sent: datagrams.len(), permitted: self.permitted }.into());
        }
        self.permitted = 0;
        let mut valid = Vec::with_capacity(datagrams.len());
        for datagram in datagrams {
            match self.check(datagram) {
                Ok(datagram) => valid.push(datagram),
                Err(error) if valid.is_empty() => return Err(error.into()),
                Err(_) => break,
            }
        }
        let sent = match self.to.lent.send(&valid) {
            Ok(sent) => sent.min(valid.len()),
            Err(SocketError::WouldBlock) => 0,
            Err(error) => return Err(error.into()),
        };
        self.is_blocked = sent < valid.len();
        Ok(sent as u64)
    }

    fn check(&self, datagram: OutgoingDatagram) -> Result<Datagram, ErrorCode> {
        let peer = match (datagram.remote_address.map(SocketAddr::from), self.to.peer) {
            (None, None) => return Err(ErrorCode::InvalidArgument),
            (Some(given), Some(peer)) if given != peer => return Err(ErrorCode::InvalidArgument),
            (_, Some(peer)) | (Some(peer), None) => peer,
        };
        check_udp_remote(self.to.family, peer)?;
        if datagram.data.len() > MAX_DATAGRAM {
            return Err(code(SocketError::DatagramTooLarge));
        }
        if !self.to.policy.allows_udp_peer(peer) {
            return Err(ErrorCode::AccessDenied);
        }
        Ok(Datagram { peer, bytes: datagram.data.into() })
    }
}

#[async_trait]
impl Pollable for OutgoingDatagramStream {
    async fn ready(&mut self) {
        if self.is_blocked {
            self.to.lent.writable().await;
            self.is_blocked = false;
        }
    }
}
