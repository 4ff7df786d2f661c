//! One thread waits at the host's readiness stream and wakes the tasks whose sockets changed.

use super::usercalls::{self, Fd};
use cloister_frames::{EVENT_LEN, Event, READINESS, SHUTDOWN_FD};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
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

/// Which half of a socket.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Read,
    Write,
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
        let state = Arc::new(State::default());
        let mut sources = lock(&REACTOR.sources);
        if fd == SHUTDOWN_FD || sources.contains_key(&fd) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the host gave a number that is in use"));
        }
        sources.insert(fd, Arc::clone(&state));
        drop(sources);
        Ok(Self { fd, state })
    }

    pub(super) fn fd(&self) -> Fd {
        self.fd
    }

    /// Does `operation` once the socket is ready for it.
    pub(super) fn poll<T>(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let seen = match self.state.half(direction).ready(cx) {
                Some(seen) => seen,
                None => return Poll::Pending,
            };
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state.half(direction).blocked(seen);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Forgotten before it is closed: the host may give the number again at once.
        lock(&REACTOR.sources).remove(&self.fd);
        usercalls::close(self.fd);
    }
}

#[derive(Debug, Default)]
struct State {
    read: Mutex<Half>,
    write: Mutex<Half>,
}

impl State {
    fn half(&self, direction: Direction) -> MutexGuard<'_, Half> {
        lock(match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        })
    }
}

#[derive(Debug, Default)]
struct Half {
    /// Events so far. An event between an operation and its `WouldBlock` must not be forgotten.
    events: u64,
    /// The count at which the socket blocked.
    blocked_at: Option<u64>,
    waker: Option<Waker>,
}

impl Half {
    /// The count of events, if the socket may be ready; else the task will be woken.
    fn ready(&mut self, cx: &mut Context<'_>) -> Option<u64> {
        if self.blocked_at == Some(self.events) {
            self.waker = Some(cx.waker().clone());
            return None;
        }
        Some(self.events)
    }

    fn blocked(&mut self, seen: u64) {
        self.blocked_at = Some(seen);
    }

    fn event(&mut self) -> Option<Waker> {
        self.events = self.events.wrapping_add(1);
        self.waker.take()
    }
}

struct Reactor {
    sources: Mutex<HashMap<Fd, Arc<State>>>,
    shutdown: watch::Sender<bool>,
}

static REACTOR: LazyLock<Reactor> =
    LazyLock::new(|| Reactor { sources: Mutex::default(), shutdown: watch::Sender::new(false) });

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
    let Some(state) = lock(&REACTOR.sources).get(&event.fd).cloned() else { return };
    for (changed, direction) in [(event.readable, Direction::Read), (event.writable, Direction::Write)] {
        let waker = if changed { state.half(direction).event() } else { None };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const EVENTS_AT_ONCE: usize = 256;
