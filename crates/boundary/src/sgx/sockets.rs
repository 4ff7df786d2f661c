use super::reactor::Source;
use super::usercalls::{self, HostLane};
use crate::lanes::Patience;
use crate::net::{Datagram, SocketError};
use crate::readiness::Direction;
use crate::sockets::{Found, Sockets, of_family, transfer_error};
use cloister_frames::{Family, SOCKETS, Shutdown, SocketOption, Transport};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::task::{Context, Poll};

/// A socket of the host. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    source: Source,
    family: Family,
}

impl Socket {
    pub(crate) fn open(transport: Transport, family: Family) -> Result<Self, SocketError> {
        let source = watch(LENT.open(transport, family)?)?;
        Ok(Self { source, family })
    }

    pub(crate) fn bind(&self, local: SocketAddr) -> Result<(), SocketError> {
        LENT.bind(self.source.fd(), local)
    }

    pub(crate) fn start_connect(&self, remote: SocketAddr) -> Result<(), SocketError> {
        LENT.start_connect(self.source.fd(), remote)
    }

    pub(crate) fn finish_connect(&self) -> Result<(), SocketError> {
        self.attempt(Direction::Write, || LENT.finish_connect(self.source.fd()))
    }

    pub(crate) fn disconnect(&self) -> Result<(), SocketError> {
        LENT.disconnect(self.source.fd())
    }

    pub(crate) fn listen(&self, backlog: u32) -> Result<(), SocketError> {
        LENT.listen(self.source.fd(), backlog)
    }

    pub(crate) fn accept(&self) -> Result<(Self, SocketAddr), SocketError> {
        let (number, peer) = self.attempt(Direction::Read, || LENT.accept(self.source.fd()))?;
        let source = watch(number)?;
        let peer = of_family(peer, self.family)?;
        Ok((Self { source, family: self.family }, peer))
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr, SocketError> {
        LENT.local_address(self.source.fd(), self.family)
    }

    pub(crate) fn remote_address(&self) -> Result<SocketAddr, SocketError> {
        LENT.remote_address(self.source.fd(), self.family)
    }

    pub(crate) fn option(&self, option: SocketOption) -> Result<u64, SocketError> {
        LENT.option(self.source.fd(), option)
    }

    pub(crate) fn set_option(&self, option: SocketOption, value: u64) -> Result<(), SocketError> {
        LENT.set_option(self.source.fd(), option, value)
    }

    pub(crate) fn shutdown(&self, direction: Shutdown) -> Result<(), SocketError> {
        LENT.shutdown(self.source.fd(), direction)
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> Result<usize, SocketError> {
        self.attempt(Direction::Read, || transfer(|| usercalls::read(self.source.fd(), into)))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.attempt(Direction::Write, || transfer(|| usercalls::write(self.source.fd(), bytes)))
    }

    pub(crate) fn receive(&self, most: usize) -> Result<Vec<Datagram>, SocketError> {
        self.attempt(Direction::Read, || LENT.receive(self.source.fd(), self.family, most))
    }

    pub(crate) fn send(&self, datagrams: &[Datagram]) -> Result<usize, SocketError> {
        self.attempt(Direction::Write, || LENT.send(self.source.fd(), datagrams))
    }

    pub(crate) fn poll_ready(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        self.source.state().poll_ready(direction, cx).map(drop)
    }

    fn attempt<T>(
        &self,
        direction: Direction,
        operation: impl FnOnce() -> Result<T, SocketError>,
    ) -> Result<T, SocketError> {
        self.source.state().attempt(direction, operation)
    }
}

/// The addresses of a name that is none itself.
pub(crate) async fn look_up(name: &str) -> Result<Vec<IpAddr>, SocketError> {
    let answer = watch(LENT.resolve(name)?)?;
    let mut found = Found::default();
    loop {
        let missing = found.missing()?;
        if missing == 0 {
            return found.addresses();
        }
        let mut bytes = vec![0; missing];
        let read =
            poll_fn(|cx| answer.poll(Direction::Read, cx, || usercalls::read(answer.fd(), &mut bytes)));
        match read.await {
            Ok(0) | Err(_) => return Err(SocketError::Host),
            Ok(length) => found.add(&bytes[..length]),
        }
    }
}

/// Opened when they are asked for first.
static LENT: LazyLock<Sockets<HostLane>> = LazyLock::new(|| Sockets::new(|| HostLane::connect(SOCKETS)));

fn watch(number: u64) -> Result<Source, SocketError> {
    Source::new(number).map_err(|_| SocketError::Host)
}

fn transfer(mut operation: impl FnMut() -> io::Result<usize>) -> Result<usize, SocketError> {
    Patience::default().attempt(&mut operation).map_err(|error| transfer_error(&error))
}
