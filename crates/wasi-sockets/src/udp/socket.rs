use std::net::SocketAddr;
use std::sync::Arc;

use cloister_api::NetworkPolicy;
use cloister_boundary::net::{self, Family, SocketError, SocketOption};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::{IncomingDatagramStream, OutgoingDatagramStream};
use crate::address::{self, check_udp_local, check_udp_remote};
use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::context::{Exits, SocketsCtx};
use crate::failure::code;
use crate::usage::{Slot, Usage};

/// A UDP socket of a guest.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct UdpSocket {
    lent: net::UdpSocket,
    family: Family,
    state: State,
    /// The only peer, where the newest streams have one.
    peer: Option<SocketAddr>,
    policy: Arc<NetworkPolicy>,
    usage: Usage,
    exits: Exits,
    _slot: Slot,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Unbound,
    BindStarted,
    /// To this address, whatever a peer has made of it since.
    Bound(SocketAddr),
}

/// What a stream has of its socket.
#[derive(Clone, Debug)]
pub(super) struct Association {
    pub(super) lent: net::UdpSocket,
    pub(super) family: Family,
    pub(super) peer: Option<SocketAddr>,
    pub(super) policy: Arc<NetworkPolicy>,
    pub(super) usage: Usage,
    pub(super) exits: Exits,
}

impl UdpSocket {
    pub(super) fn new(context: &SocketsCtx, exits: Exits, family: Family) -> Result<Self, ErrorCode> {
        let slot = context.usage.socket()?;
        Ok(Self {
            lent: net::UdpSocket::new(family).map_err(code)?,
            family,
            state: State::Unbound,
            peer: None,
            policy: context.policy.clone(),
            usage: context.usage.clone(),
            exits,
            _slot: slot,
        })
    }

    pub(super) fn start_bind(&mut self, local: SocketAddr) -> Result<(), ErrorCode> {
        match self.state {
            State::Unbound => {}
            State::BindStarted => return Err(ErrorCode::ConcurrencyConflict),
            State::Bound(_) => return Err(ErrorCode::InvalidState),
        }
        check_udp_local(self.family, local)?;
        if !self.policy.allows_udp_bind(local) {
            return Err(ErrorCode::AccessDenied);
        }
        self.lent.bind(local).map_err(code)?;
        self.state = State::BindStarted;
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        match self.state {
            State::BindStarted => self.state = State::Bound(self.lent_address()?),
            State::Unbound | State::Bound(_) => return Err(ErrorCode::NotInProgress),
        }
        Ok(())
    }

    /// Streams to one peer or to all; those before are gone by now.
    pub(super) fn stream(
        &mut self,
        peer: Option<SocketAddr>,
    ) -> Result<(IncomingDatagramStream, OutgoingDatagramStream), ErrorCode> {
        let State::Bound(local) = self.state else {
            return Err(ErrorCode::InvalidState);
        };
        if let Some(peer) = peer {
            check_udp_remote(self.family, peer)?;
            if !self.policy.allows_udp_peer(peer) {
                return Err(ErrorCode::AccessDenied);
            }
        }
        if self.peer.is_some() || peer.is_some() {
            self.peer = None;
            self.associate(local, peer).map_err(code)?;
            self.peer = peer;
        }
        let association = Association {
            lent: self.lent.clone(),
            family: self.family,
            peer,
            policy: self.policy.clone(),
            usage: self.usage.clone(),
            exits: self.exits.clone(),
        };
        Ok((IncomingDatagramStream::new(association.clone()), OutgoingDatagramStream::new(association)))
    }

    fn associate(&self, local: SocketAddr, peer: Option<SocketAddr>) -> Result<(), SocketError> {
        let associated = self.lent.connect(peer);
        // A socket of Linux that forgets its peer forgets a port that it did not choose itself.
        if (peer.is_none() || associated.is_err())
            && matches!(self.lent.local_address(), Err(SocketError::InvalidState))
        {
            self.lent.bind(local)?;
        }
        associated
    }

    pub(super) fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Bound(_) => self.lent_address(),
            State::Unbound | State::BindStarted => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        self.peer.ok_or(ErrorCode::InvalidState)
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn option(&self, option: SocketOption) -> Result<u64, ErrorCode> {
        self.lent.option(option).map_err(code)
    }

    pub(super) fn set_option(&self, option: SocketOption, value: u64) -> Result<(), ErrorCode> {
        if value == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        self.lent.set_option(option, value).map_err(code)
    }

    fn lent_address(&self) -> Result<SocketAddr, ErrorCode> {
        let local = self.lent.local_address().map_err(code)?;
        if address::is_of(self.family, local.ip()) { Ok(local) } else { Err(code(SocketError::Host)) }
    }
}

#[async_trait]
impl Pollable for UdpSocket {
    /// No function of the socket ever has to wait.
    async fn ready(&mut self) {}
}
