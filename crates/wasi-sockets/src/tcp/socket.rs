//! The states of a TCP socket, as
//! <https://github.com/WebAssembly/WASI/blob/main/proposals/sockets/TcpSocketOperationalSemantics.md> has them.

use std::net::SocketAddr;

use cloister_api::NetworkPolicy;
use cloister_boundary::net::{self, Family, Shutdown, SocketError, SocketOption};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::reader::Reader;
use super::writer::Writer;
use crate::address::{self, check_tcp_local, check_tcp_remote};
use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::context::{Exits, SocketsCtx};
use crate::failure::code;
use crate::usage::{Slot, Usage};

/// A TCP socket of a guest.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct TcpSocket {
    lent: net::TcpSocket,
    family: Family,
    state: State,
    backlog: u32,
    usage: Usage,
    exits: Exits,
    _slot: Slot,
}

#[derive(Debug)]
enum State {
    Unbound,
    BindStarted,
    Bound,
    /// How it ended is known where a pollable has asked.
    ConnectStarted {
        remote: SocketAddr,
        outcome: Option<Result<(), SocketError>>,
    },
    ListenStarted,
    /// A pollable that became ready has accepted already.
    Listening {
        accepted: Option<Result<(net::TcpSocket, SocketAddr), SocketError>>,
    },
    Connected {
        remote: SocketAddr,
        reader: Reader,
        writer: Writer,
    },
    /// An attempt to connect has failed.
    Closed,
}

impl TcpSocket {
    pub(super) fn new(context: &SocketsCtx, exits: Exits, family: Family) -> Result<Self, ErrorCode> {
        let slot = context.usage.socket()?;
        Ok(Self {
            lent: net::TcpSocket::new(family).map_err(code)?,
            family,
            state: State::Unbound,
            backlog: DEFAULT_BACKLOG,
            usage: context.usage.clone(),
            exits,
            _slot: slot,
        })
    }

    pub(super) fn start_bind(&mut self, policy: &NetworkPolicy, local: SocketAddr) -> Result<(), ErrorCode> {
        self.check_idle()?;
        if !matches!(self.state, State::Unbound) {
            return Err(ErrorCode::InvalidState);
        }
        check_tcp_local(self.family, local)?;
        let is_allowed = if local.port() == 0 { policy.uses_tcp() } else { policy.allows_tcp_listen(local) };
        allow(is_allowed)?;
        self.lent.bind(local).map_err(code)?;
        self.state = State::BindStarted;
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        match self.state {
            State::BindStarted => self.state = State::Bound,
            _ => return Err(ErrorCode::NotInProgress),
        }
        Ok(())
    }

    /// An address that is not valid or not allowed leaves the socket as it was; any other failure closes it.
    pub(super) fn start_connect(
        &mut self,
        policy: &NetworkPolicy,
        remote: SocketAddr,
    ) -> Result<(), ErrorCode> {
        self.check_idle()?;
        if !matches!(self.state, State::Unbound | State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        check_tcp_remote(self.family, remote)?;
        allow(policy.allows_tcp_connect(remote))?;
        let started = self.lent.start_connect(remote);
        self.state = match started {
            Ok(()) => State::ConnectStarted { remote, outcome: None },
            Err(_) => State::Closed,
        };
        started.map_err(code)
    }

    pub(super) fn finish_connect(&mut self) -> Result<(Reader, Writer), ErrorCode> {
        let State::ConnectStarted { remote, outcome } = &mut self.state else {
            return Err(ErrorCode::NotInProgress);
        };
        let remote = *remote;
        match outcome.take().unwrap_or_else(|| self.lent.finish_connect()) {
            Ok(()) => Ok(self.connected(remote)),
            Err(SocketError::WouldBlock) => Err(ErrorCode::WouldBlock),
            Err(error) => {
                self.state = State::Closed;
                Err(code(error))
            }
        }
    }

    pub(super) fn start_listen(&mut self, policy: &NetworkPolicy) -> Result<(), ErrorCode> {
        self.check_idle()?;
        if !matches!(self.state, State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        allow(policy.allows_tcp_listen(self.local_address()?))?;
        self.lent.listen(self.backlog).map_err(code)?;
        self.state = State::ListenStarted;
        Ok(())
    }

    pub(super) fn finish_listen(&mut self) -> Result<(), ErrorCode> {
        match self.state {
            State::ListenStarted => self.state = State::Listening { accepted: None },
            _ => return Err(ErrorCode::NotInProgress),
        }
        Ok(())
    }

    /// The connection inherits its options from the listener, as Linux has it.
    pub(super) fn accept(&mut self) -> Result<(Self, Reader, Writer), ErrorCode> {
        let State::Listening { accepted } = &mut self.state else {
            return Err(ErrorCode::InvalidState);
        };
        let slot = self.usage.socket()?;
        let (lent, remote) = accepted.take().unwrap_or_else(|| self.lent.accept()).map_err(code)?;
        if !address::is_of(self.family, remote.ip()) {
            return Err(code(SocketError::Host));
        }
        let mut connection = Self {
            lent,
            family: self.family,
            state: State::Unbound,
            backlog: DEFAULT_BACKLOG,
            usage: self.usage.clone(),
            exits: self.exits.clone(),
            _slot: slot,
        };
        let (reader, writer) = connection.connected(remote);
        Ok((connection, reader, writer))
    }

    pub(super) fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Unbound | State::BindStarted | State::Closed => Err(ErrorCode::InvalidState),
            _ => {
                let local = self.lent.local_address().map_err(code)?;
                if address::is_of(self.family, local.ip()) { Ok(local) } else { Err(code(SocketError::Host)) }
            }
        }
    }

    pub(super) fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Connected { remote, .. } => Ok(remote),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn set_backlog(&mut self, size: u64) -> Result<(), ErrorCode> {
        if size == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let backlog = u32::try_from(size).unwrap_or(MAX_BACKLOG).min(MAX_BACKLOG);
        match self.state {
            State::Unbound | State::BindStarted | State::Bound => {}
            State::ListenStarted | State::Listening { .. } => {
                self.lent.listen(backlog).map_err(|_| ErrorCode::NotSupported)?;
            }
            State::ConnectStarted { .. } | State::Connected { .. } | State::Closed => {
                return Err(ErrorCode::InvalidState);
            }
        }
        self.backlog = backlog;
        Ok(())
    }

    pub(crate) fn option(&self, option: SocketOption) -> Result<u64, ErrorCode> {
        self.check_open()?;
        self.lent.option(option).map_err(code)
    }

    /// "If the provided value is 0, an `invalid-argument` error is returned. Any other value will never cause an error, but
    /// it might be silently clamped".
    pub(crate) fn set_option(&self, option: SocketOption, value: u64) -> Result<(), ErrorCode> {
        if value == 0 && option != SocketOption::KeepAlive {
            return Err(ErrorCode::InvalidArgument);
        }
        self.check_open()?;
        self.lent.set_option(option, value).map_err(code)
    }

    /// "This function is idempotent".
    pub(super) fn shutdown(&mut self, direction: Shutdown) -> Result<(), ErrorCode> {
        let State::Connected { reader, writer, .. } = &self.state else {
            return Err(ErrorCode::InvalidState);
        };
        if matches!(direction, Shutdown::Read | Shutdown::Both) {
            reader.shut_down();
        }
        if matches!(direction, Shutdown::Write | Shutdown::Both) {
            writer.shut_down();
        }
        Ok(())
    }

    fn connected(&mut self, remote: SocketAddr) -> (Reader, Writer) {
        let reader = Reader::new(self.lent.clone(), self.usage.clone(), self.exits.clone());
        let writer = Writer::new(self.lent.clone(), self.usage.clone(), self.exits.clone());
        self.state = State::Connected { remote, reader: reader.clone(), writer: writer.clone() };
        (reader, writer)
    }

    fn check_idle(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::BindStarted | State::ConnectStarted { .. } | State::ListenStarted => {
                Err(ErrorCode::ConcurrencyConflict)
            }
            _ => Ok(()),
        }
    }

    fn check_open(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Closed => Err(ErrorCode::InvalidState),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Pollable for TcpSocket {
    async fn ready(&mut self) {
        match &mut self.state {
            State::ConnectStarted { outcome, .. } => {
                while outcome.is_none() {
                    self.lent.writable().await;
                    self.exits.add();
                    *outcome = answer(self.lent.finish_connect());
                }
            }
            State::Listening { accepted } => {
                while accepted.is_none() {
                    self.lent.readable().await;
                    self.exits.add();
                    *accepted = answer(self.lent.accept());
                }
            }
            _ => {}
        }
    }
}

fn answer<T>(result: Result<T, SocketError>) -> Option<Result<T, SocketError>> {
    match result {
        Err(SocketError::WouldBlock) => None,
        result => Some(result),
    }
}

fn allow(is_allowed: bool) -> Result<(), ErrorCode> {
    if is_allowed { Ok(()) } else { Err(ErrorCode::AccessDenied) }
}

/// Connections that wait to be accepted, unless the guest says how many: as Rust's standard library asks for.
const DEFAULT_BACKLOG: u32 = 128;
/// `SOMAXCONN` of Linux, which takes no more by default.
const MAX_BACKLOG: u32 = 4_096;
