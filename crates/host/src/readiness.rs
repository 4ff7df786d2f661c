//! The readiness stream: one epoll instance that watches every socket, edge-triggered.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_frames::{EVENT_LEN, Event, SHUTDOWN_FD};
use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::abi::UsercallError;

/// Says which sockets changed. One for all readiness streams that the enclave opens.
#[derive(Debug)]
pub(crate) struct Readiness {
    epoll: OwnedFd,
    /// Readable once someone wants a wait to end.
    wake: OwnedFd,
    shutdown: AtomicBool,
    /// Set for good by [`Readiness::stop`].
    stopped: AtomicBool,
}

impl Readiness {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Level-triggered: it must be seen by the wait after the one that it ends, too, until someone reads it.
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake, shutdown: AtomicBool::new(false), stopped: AtomicBool::new(false) })
    }

    /// Reports changes of a socket under `fd` from now on, until the socket is closed.
    pub(crate) fn watch(&self, socket: impl AsFd, fd: u64) -> io::Result<()> {
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(fd), flags)?)
    }

    /// Ends a wait: the one under way, or else the next.
    pub(crate) fn wake(&self) {
        // Fails only where the counter is full, and then a wait is about to end anyway.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Makes one wait report [`SHUTDOWN_FD`].
    pub(crate) fn request_shutdown(&self) {
        self.shutdown.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends every wait, now and later.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Blocks until something happened, and encodes as many events as fit into `room` bytes.
    ///
    /// # Errors
    /// `Interrupted` where a wait was ended with nothing to report; `InvalidInput` where `room` holds no event.
    pub(crate) fn wait(&self, room: usize) -> Result<Vec<u8>, UsercallError> {
        let capacity = (room / EVENT_LEN).min(MAX_EVENTS);
        if capacity == 0 {
            return Err(UsercallError::InvalidInput);
        }
        let mut ready = Vec::with_capacity(capacity);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), None) {
            Ok(_) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let mut bytes = Vec::with_capacity(ready.len() * EVENT_LEN);
        for event in &ready {
            // The structure is packed: its fields are copied, not referenced.
            let (flags, data) = (event.flags, event.data);
            match data.u64() {
                WAKE => bytes.extend(self.woken().map(Event::encode).into_iter().flatten()),
                fd => bytes.extend(event_of(fd, flags).encode()),
            }
        }
        if bytes.is_empty() { Err(UsercallError::Interrupted) } else { Ok(bytes) }
    }

    fn woken(&self) -> Option<Event> {
        if self.stopped.load(Ordering::Acquire) {
            // Left readable, so that every other wait ends as well.
            return None;
        }
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        let requested = self.shutdown.swap(false, Ordering::AcqRel);
        requested.then_some(Event { fd: SHUTDOWN_FD, readable: true, writable: true })
    }
}

/// A socket that failed or was closed is both readable and writable: the next operation tells which.
fn event_of(fd: u64, flags: epoll::EventFlags) -> Event {
    let over = flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR);
    Event {
        fd,
        readable: over || flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP),
        writable: over || flags.contains(epoll::EventFlags::OUT),
    }
}

/// Marks the wake-up's own event. File descriptors count up from zero and never get here.
const WAKE: u64 = u64::MAX - 1;

/// Most events that one wait reports.
const MAX_EVENTS: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn events(bytes: &[u8]) -> Vec<Event> {
        bytes.as_chunks().0.iter().map(Event::decode).collect()
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (server, client)
    }

    #[test]
    fn a_change_is_reported_once_under_its_number() {
        let readiness = Readiness::new().unwrap();
        let (server, mut client) = pair();
        readiness.watch(&server, 7).unwrap();
        let first = events(&readiness.wait(1024).unwrap());
        assert_eq!(first, [Event { fd: 7, readable: false, writable: true }]);
        client.write_all(b"x").unwrap();
        let second = events(&readiness.wait(1024).unwrap());
        assert_eq!(second, [Event { fd: 7, readable: true, writable: true }]);
        readiness.wake();
        assert_eq!(readiness.wait(1024), Err(UsercallError::Interrupted));
    }

    #[test]
    fn a_closed_socket_is_readable_and_writable() {
        let readiness = Readiness::new().unwrap();
        let (server, client) = pair();
        readiness.watch(&server, 9).unwrap();
        readiness.wait(1024).unwrap();
        drop(client);
        let closed = events(&readiness.wait(1024).unwrap());
        assert_eq!(closed, [Event { fd: 9, readable: true, writable: true }]);
    }

    #[test]
    fn only_whole_events_are_reported() {
        let readiness = Readiness::new().unwrap();
        let pairs: Vec<_> = (0..3).map(|_| pair()).collect();
        for (fd, (server, _)) in pairs.iter().enumerate() {
            readiness.watch(server, fd as u64).unwrap();
        }
        assert_eq!(readiness.wait(15), Err(UsercallError::InvalidInput));
        assert_eq!(readiness.wait(2 * EVENT_LEN + 15).unwrap().len(), 2 * EVENT_LEN);
        assert_eq!(readiness.wait(2 * EVENT_LEN).unwrap().len(), EVENT_LEN);
    }

    #[test]
    fn a_wake_up_ends_the_wait_under_way() {
        let readiness = Arc::new(Readiness::new().unwrap());
        let theirs = Arc::clone(&readiness);
        let waiting = thread::spawn(move || theirs.wait(1024));
        thread::sleep(Duration::from_millis(10));
        readiness.wake();
        assert_eq!(waiting.join().unwrap(), Err(UsercallError::Interrupted));
    }

    #[test]
    fn shutdown_is_reported_once() {
        let readiness = Readiness::new().unwrap();
        readiness.request_shutdown();
        assert_eq!(events(&readiness.wait(1024).unwrap())[0].fd, SHUTDOWN_FD);
        readiness.wake();
        assert_eq!(readiness.wait(1024), Err(UsercallError::Interrupted));
    }

    #[test]
    fn stopping_ends_every_wait() {
        let readiness = Arc::new(Readiness::new().unwrap());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let theirs = Arc::clone(&readiness);
                thread::spawn(move || theirs.wait(1024))
            })
            .collect();
        readiness.stop();
        for one in waiting {
            assert_eq!(one.join().unwrap(), Err(UsercallError::Interrupted));
        }
    }
}
