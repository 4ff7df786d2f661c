//! Sockets and name lookups that the enclave asks for through a service. None of them waits on an enclave's thread.

mod lookup;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use cloister_frames::{
    Datagram, Family, MAX_DATAGRAM, MAX_SOCKET_PAYLOAD, SocketFailure, SocketRequest, SocketResponse,
    Transport,
};
use cloister_sockets::Socket;

use crate::abi::UsercallError;
use crate::interference::Interference;
use crate::service::{Answer, Service};
use crate::streams::{Stream, Table};

pub(crate) use lookup::Lookup;

/// The service. Its sockets are streams like all others; it only opens them and does what usercalls cannot.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// It has streams to this service.
    table: Weak<Table>,
    /// Sockets, and answers to lookups that the enclave has not closed.
    lent: Arc<Limit<MAX_SOCKETS>>,
    /// Lookups under way.
    lookups: Arc<Limit<MAX_LOOKUPS>>,
    interference: Option<Arc<dyn Interference>>,
}

impl Sockets {
    pub(crate) fn new(table: &Arc<Table>, interference: Option<Arc<dyn Interference>>) -> Self {
        Self { table: Arc::downgrade(table), lent: Arc::default(), lookups: Arc::default(), interference }
    }

    /// Serves a request honestly.
    fn serve(&self, request: &SocketRequest<'_>) -> Vec<u8> {
        self.attempt(request).unwrap_or_else(|failure| SocketResponse::Failed(failure).encode())
    }

    fn attempt(&self, request: &SocketRequest<'_>) -> Result<Vec<u8>, SocketFailure> {
        let table = self.table.upgrade().ok_or(SocketFailure::Unknown)?;
        let Some(number) = request.socket() else {
            let number = match *request {
                SocketRequest::Resolve { name } => self.resolve(&table, name)?,
                SocketRequest::Open { transport, family } => self.open(&table, transport, family)?,
                _ => return Err(SocketFailure::NotSupported),
            };
            return Ok(SocketResponse::Opened { number }.encode());
        };
        let stream = table.find(number).map_err(|_| SocketFailure::InvalidState)?;
        let Stream::Lent(Lent { socket, .. }) = &*stream else { return Err(SocketFailure::InvalidState) };
        let response = match request {
            SocketRequest::Bind { local, .. } => socket.bind(*local).map(|()| SocketResponse::Done),
            SocketRequest::Connect { remote, .. } => {
                socket.start_connect(*remote).map(|()| SocketResponse::Done)
            }
            SocketRequest::FinishConnect { .. } => socket.finish_connect().map(|()| SocketResponse::Done),
            SocketRequest::Disconnect { .. } => {
                datagrams_only(socket)?.disconnect().map(|()| SocketResponse::Done)
            }
            SocketRequest::Listen { backlog, .. } => socket.listen(*backlog).map(|()| SocketResponse::Done),
            SocketRequest::Accept { .. } => self.accept(&table, socket),
            SocketRequest::LocalAddress { .. } => socket.local_address().map(SocketResponse::Address),
            SocketRequest::RemoteAddress { .. } => socket.remote_address().map(SocketResponse::Address),
            SocketRequest::Option { option, .. } => socket.option(*option).map(SocketResponse::Value),
            SocketRequest::SetOption { option, value, .. } => {
                socket.set_option(*option, *value).map(|()| SocketResponse::Done)
            }
            SocketRequest::Shutdown { direction, .. } => {
                socket.shutdown(*direction).map(|()| SocketResponse::Done)
            }
            SocketRequest::Receive { most, .. } => {
                return receive(datagrams_only(socket)?, usize::from(*most));
            }
            SocketRequest::Send { datagrams, .. } => {
                send(datagrams_only(socket)?, datagrams).map(SocketResponse::Sent)
            }
            SocketRequest::Open { .. } | SocketRequest::Resolve { .. } => Err(SocketFailure::NotSupported),
        };
        response.map(|response| response.encode())
    }

    fn open(&self, table: &Table, transport: Transport, family: Family) -> Result<u64, SocketFailure> {
        let permit = Permit::take(&self.lent).ok_or(SocketFailure::NewSocketLimit)?;
        self.lend(table, Socket::new(family, transport)?, permit)
    }

    fn accept(&self, table: &Table, listener: &Socket) -> Result<SocketResponse<'static>, SocketFailure> {
        let permit = Permit::take(&self.lent).ok_or(SocketFailure::NewSocketLimit)?;
        let (socket, peer) = listener.accept()?;
        let number = self.lend(table, socket, permit)?;
        Ok(SocketResponse::Accepted { number, peer })
    }

    fn lend(&self, table: &Table, socket: Socket, permit: Permit<MAX_SOCKETS>) -> Result<u64, SocketFailure> {
        let added = table.add(|number| {
            table.readiness().watch(&socket, number)?;
            Ok(Stream::Lent(Lent { socket, _permit: permit }))
        });
        added.map_err(|_| SocketFailure::NewSocketLimit)
    }

    fn resolve(&self, table: &Table, name: &str) -> Result<u64, SocketFailure> {
        let lent = Permit::take(&self.lent).ok_or(SocketFailure::NewSocketLimit)?;
        let under_way = Permit::take(&self.lookups).ok_or(SocketFailure::TemporaryResolverFailure)?;
        let lookup = Lookup::new(lent).map_err(|_| SocketFailure::NewSocketLimit)?;
        let number = table
            .add(|number| {
                table.readiness().watch(&*lookup, number)?;
                Ok(Stream::Lookup(Arc::clone(&lookup)))
            })
            .map_err(|_| SocketFailure::NewSocketLimit)?;
        let started = lookup.start(name, under_way, self.interference.clone());
        started.map(|()| number).map_err(|_| {
            table.close(number);
            SocketFailure::TemporaryResolverFailure
        })
    }
}

impl Service for Sockets {
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
        let request = SocketRequest::decode(request).map_err(|_| UsercallError::InvalidData)?;
        let told = self
            .interference
            .as_ref()
            .and_then(|interference| interference.socket(&request, &|request| self.serve(request)));
        answer.put(&told.unwrap_or_else(|| self.serve(&request)));
        Ok(())
    }
}

/// A socket that is the enclave's.
#[derive(Debug)]
pub(crate) struct Lent {
    socket: Socket,
    _permit: Permit<MAX_SOCKETS>,
}

impl Lent {
    /// What the usercalls `read` and `write` work on.
    ///
    /// # Errors
    /// `InvalidInput` for a socket of datagrams.
    pub(crate) fn connection(&self) -> Result<BorrowedFd<'_>, UsercallError> {
        match self.socket.transport() {
            Transport::Tcp => Ok(self.socket.as_fd()),
            Transport::Udp => Err(UsercallError::InvalidInput),
        }
    }
}

fn datagrams_only(socket: &Socket) -> Result<&Socket, SocketFailure> {
    match socket.transport() {
        Transport::Udp => Ok(socket),
        Transport::Tcp => Err(SocketFailure::NotSupported),
    }
}

/// As many datagrams as are there, are wanted, and fit a frame for certain.
fn receive(socket: &Socket, most: usize) -> Result<Vec<u8>, SocketFailure> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut answer = SocketResponse::Received(Vec::new()).encode();
    for received in 0..most {
        match socket.receive(&mut buffer) {
            Ok((length, peer)) => Datagram { peer, bytes: &buffer[..length] }.append_to(&mut answer),
            Err(failure) if received == 0 => return Err(failure),
            Err(_) => break,
        }
        if answer.len() + Datagram::MAX_ENCODED_LEN > MAX_SOCKET_PAYLOAD {
            break;
        }
    }
    Ok(answer)
}

fn send(socket: &Socket, datagrams: &[Datagram<'_>]) -> Result<u8, SocketFailure> {
    let mut sent = 0;
    for Datagram { peer, bytes } in datagrams {
        match socket.send(bytes, *peer) {
            Ok(()) => sent += 1,
            Err(failure) if sent == 0 => return Err(failure),
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// How many of at most `MOST` things there are.
#[derive(Debug, Default)]
struct Limit<const MOST: usize>(AtomicUsize);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Permit<const MOST: usize>(Arc<Limit<MOST>>);

impl<const MOST: usize> Permit<MOST> {
    fn take(limit: &Arc<Limit<MOST>>) -> Option<Self> {
        let one_more = |count| (count < MOST).then_some(count + 1);
        limit.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Self(Arc::clone(limit)))
    }
}

impl<const MOST: usize> Drop for Permit<MOST> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Most sockets of the enclave at a time.
const MAX_SOCKETS: usize = 4096;
/// Most lookups under way; each has a thread.
const MAX_LOOKUPS: usize = 64;

#[cfg(test)]
mod tests;
