//! One thread waits at the host's readiness stream and wakes the tasks whose sockets changed.

use super::usercalls::{self, Fd};
use crate::lanes::Patience;
use crate::readiness::{Direction, Registry, State};
use cloister_frames::{EVENT_LEN, Event, READINESS, SHUTDOWN_FD};
use std::io;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use tokio::sync::watch;

/// Opens the readiness stream and starts the thread.
pub(super) fn start() -> io::Result<()> {
    let fd = usercalls::connect(READINESS)?;
    std::thread::Builder::new().name("reactor".into()).spawn(move || wait_for_events(fd))?;
    Ok(())
}

/// Ends when the host asked for an end, or can no longer say.
pub(super) async fn shutdown_requested() {
    let mut requested = REACTOR.shutdown.subscribe();
    // The sender is in a static: it is never dropped.
    let _ = requested.wait_for(|&requested| requested).await;
}

/// The number is that of a socket which is watched.
pub(super) fn is_watched(fd: Fd) -> bool {
    REACTOR.sources.contains(fd)
}

/// A socket whose readiness is watched. Dropping it closes the socket.
#[derive(Debug)]
pub(super) struct Source {
    fd: Fd,
    state: Arc<State>,
}

impl Source {
    /// Watches a non-blocking socket.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where the host gives a number that is in use: two sockets would share it.
    pub(super) fn new(fd: Fd) -> io::Result<Self> {
        let taken = fd == SHUTDOWN_FD || usercalls::is_taken(fd);
        let state = if taken { None } else { REACTOR.sources.insert(fd) };
        let in_use = || io::Error::new(io::ErrorKind::InvalidData, "the host gave a number that is in use");
        Ok(Self { fd, state: state.ok_or_else(in_use)? })
    }

    pub(super) fn fd(&self) -> Fd {
        self.fd
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Does `operation` once the socket is ready for it.
    pub(super) fn poll<T>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let mut patience = Patience::default();
        loop {
            let seen = ready!(self.state.poll_ready(direction, cx));
            match patience.attempt(&mut operation) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.blocked(direction, seen);
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Forgotten before it is closed: the host may give the number again at once.
        REACTOR.sources.remove(self.fd);
        usercalls::close(self.fd);
    }
}

struct Reactor {
    sources: Registry,
    shutdown: watch::Sender<bool>,
}

static REACTOR: LazyLock<Reactor> =
    LazyLock::new(|| Reactor { sources: Registry::default(), shutdown: watch::Sender::new(false) });

fn wait_for_events(fd: Fd) {
    let mut buffer = [0; EVENTS_AT_ONCE * EVENT_LEN];
    loop {
        match usercalls::read(fd, &mut buffer) {
            Ok(length) if length > 0 => buffer[..length].as_chunks().0.iter().for_each(deliver),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Without readiness nothing can be served: the same as being asked to end.
            Ok(_) | Err(_) => {
                REACTOR.shutdown.send_replace(true);
                return;
            }
        }
    }
}

fn deliver(bytes: &[u8; EVENT_LEN]) {
    let event = Event::decode(bytes);
    if event.fd == SHUTDOWN_FD {
        REACTOR.shutdown.send_replace(true);
        return;
    }
    REACTOR.sources.deliver(event.fd, event.readable, event.writable);
}

const EVENTS_AT_ONCE: usize = 256;
