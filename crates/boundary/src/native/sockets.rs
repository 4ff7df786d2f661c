use crate::net::{Datagram, SocketError};
use crate::readiness::{Direction, Registry, State};
use bytes::Bytes;
use cloister_frames::{Family, MAX_DATAGRAM, MAX_DATAGRAMS, Shutdown, SocketOption, Transport};
use rustix::event::epoll;
use rustix::io::Errno;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread;
use tokio::sync::oneshot;

/// A socket of this process. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: cloister_sockets::Socket,
    number: u64,
    state: Arc<State>,
}

impl Socket {
    pub(crate) fn open(transport: Transport, family: Family) -> Result<Self, SocketError> {
        Self::watched(cloister_sockets::Socket::new(family, transport)?)
    }

    pub(crate) fn bind(&self, local: SocketAddr) -> Result<(), SocketError> {
        Ok(self.socket.bind(local)?)
    }

    pub(crate) fn start_connect(&self, remote: SocketAddr) -> Result<(), SocketError> {
        Ok(self.socket.start_connect(remote)?)
    }

    pub(crate) fn finish_connect(&self) -> Result<(), SocketError> {
        self.state.attempt(Direction::Write, || Ok(self.socket.finish_connect()?))
    }

    pub(crate) fn disconnect(&self) -> Result<(), SocketError> {
        Ok(self.socket.disconnect()?)
    }

    pub(crate) fn listen(&self, backlog: u32) -> Result<(), SocketError> {
        Ok(self.socket.listen(backlog)?)
    }

    pub(crate) fn accept(&self) -> Result<(Self, SocketAddr), SocketError> {
        let (socket, peer) = self.state.attempt(Direction::Read, || Ok(self.socket.accept()?))?;
        Ok((Self::watched(socket)?, peer))
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr, SocketError> {
        Ok(self.socket.local_address()?)
    }

    pub(crate) fn remote_address(&self) -> Result<SocketAddr, SocketError> {
        Ok(self.socket.remote_address()?)
    }

    pub(crate) fn option(&self, option: SocketOption) -> Result<u64, SocketError> {
        Ok(self.socket.option(option)?)
    }

    pub(crate) fn set_option(&self, option: SocketOption, value: u64) -> Result<(), SocketError> {
        Ok(self.socket.set_option(option, value)?)
    }

    pub(crate) fn shutdown(&self, direction: Shutdown) -> Result<(), SocketError> {
        Ok(self.socket.shutdown(direction)?)
    }

    pub(crate) fn read(&self, into: &mut [u8]) -> Result<usize, SocketError> {
        self.state.attempt(Direction::Read, || Ok(self.socket.read(into)?))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.state.attempt(Direction::Write, || Ok(self.socket.write(bytes)?))
    }

    pub(crate) fn receive(&self, most: usize) -> Result<Vec<Datagram>, SocketError> {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut received = Vec::new();
        while received.len() < most.min(MAX_DATAGRAMS) {
            match self.state.attempt(Direction::Read, || Ok(self.socket.receive(&mut buffer)?)) {
                Ok((length, peer)) => {
                    received.push(Datagram { peer, bytes: Bytes::copy_from_slice(&buffer[..length]) });
                }
                Err(_) if !received.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(received)
    }

    pub(crate) fn send(&self, datagrams: &[Datagram]) -> Result<usize, SocketError> {
        let mut sent = 0;
        for Datagram { peer, bytes } in datagrams.iter().take(MAX_DATAGRAMS) {
            match self.state.attempt(Direction::Write, || Ok(self.socket.send(bytes, *peer)?)) {
                Ok(()) => sent += 1,
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    pub(crate) fn poll_ready(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        self.state.poll_ready(direction, cx).map(drop)
    }

    fn watched(socket: cloister_sockets::Socket) -> Result<Self, SocketError> {
        let number = REACTOR.next.fetch_add(1, Ordering::Relaxed);
        let state = REACTOR.sources.insert(number).expect("no number is used twice");
        let watched = Self { socket, number, state };
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&REACTOR.epoll, &watched.socket, epoll::EventData::new_u64(number), flags)
            .map_err(|_| SocketError::NewSocketLimit)?;
        Ok(watched)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        REACTOR.sources.remove(self.number);
    }
}

/// The addresses of a name that is none itself.
pub(crate) async fn look_up(name: &str) -> Result<Vec<IpAddr>, SocketError> {
    let (done, answer) = oneshot::channel();
    let name = name.to_owned();
    if LOOKUPS.fetch_add(1, Ordering::Relaxed) >= MAX_LOOKUPS {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        return Err(SocketError::TemporaryResolverFailure);
    }
    thread::spawn(move || {
        let found = cloister_sockets::look_up(&name);
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits any more where it fails.
        let _ = done.send(found);
    });
    Ok(answer.await.map_err(|_| SocketError::Unknown)??)
}

/// Watches sockets for whichever runtime their users have, as the enclave's reactor does.
struct Reactor {
    epoll: OwnedFd,
    sources: Registry,
    next: AtomicU64,
}

static REACTOR: LazyLock<Reactor> = LazyLock::new(|| {
    let epoll =
        epoll::create(epoll::CreateFlags::CLOEXEC).expect("the operating system has an epoll to give");
    thread::spawn(wait_for_events);
    Reactor { epoll, sources: Registry::default(), next: AtomicU64::new(0) }
});

fn wait_for_events() {
    let mut ready = Vec::with_capacity(EVENTS_AT_ONCE);
    loop {
        ready.clear();
        match epoll::wait(&REACTOR.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => panic!("epoll fails: {errno}"),
        }
        for event in &ready {
            let (flags, data) = (event.flags, event.data);
            let over = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            let readable = over || flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP);
            let writable = over || flags.contains(epoll::EventFlags::OUT);
            REACTOR.sources.deliver(data.u64(), readable, writable);
        }
    }
}

/// Lookups under way.
static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
/// As the host has it.
const MAX_LOOKUPS: usize = 64;
const EVENTS_AT_ONCE: usize = 256;
