//! Streams of frames to a service of the host, a few of them at once: what is the same wherever the host's memory lies.

use cloister_frames::{BLOCK_LEN, MAX_BLOCKS_PER_FRAME, MAX_DISK_HEAD, MAX_SOCKET_PAYLOAD};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of host memory that a lane needs: the largest request and the largest response of the disk fit, and so do
/// those of the sockets.
pub(crate) const LANE_LEN: usize = MAX_DISK_HEAD + MAX_BLOCKS_PER_FRAME * BLOCK_LEN;
const _: () = assert!(PREFIX + MAX_SOCKET_PAYLOAD <= LANE_LEN);

/// A stream to a service, with a buffer of [`LANE_LEN`] bytes in host memory. The host may change the buffer at
/// any time, so nothing is taken from it twice. Dropping a lane closes it.
pub(crate) trait Lane: Send + fmt::Debug {
    /// Copies bytes of the enclave to this offset of the buffer.
    fn put(&mut self, at: usize, bytes: &[u8]);

    /// Copies bytes at this offset of the buffer into the enclave.
    fn take(&self, at: usize, into: &mut [u8]);

    /// Writes this part of the buffer to the stream: how many bytes went, never more than were offered.
    ///
    /// # Errors
    /// As the host says.
    fn write(&mut self, part: Range<usize>) -> io::Result<usize>;

    /// Reads from the stream into this part of the buffer: how many bytes came, never more than fit.
    ///
    /// # Errors
    /// As the host says.
    fn read(&mut self, part: Range<usize>) -> io::Result<usize>;
}

/// Opens a lane.
pub(crate) type Opener<L> = fn() -> io::Result<L>;

/// A service over a few lanes, so that requests of several threads do not wait for each other.
#[derive(Debug)]
pub(crate) struct Lanes<L> {
    open: Opener<L>,
    /// [`LANES`] of them less those in use; the one used last is at the end. `None` is still to be opened.
    free: Mutex<Vec<Option<L>>>,
    freed: Condvar,
}

impl<L: Lane> Lanes<L> {
    /// Opens the first lane; the others are opened when they are needed.
    pub(crate) fn new(open: Opener<L>) -> io::Result<Self> {
        let mut free: Vec<Option<L>> = (1..LANES).map(|_| None).collect();
        free.push(Some(open()?));
        Ok(Self { open, free: Mutex::new(free), freed: Condvar::new() })
    }

    /// Opens no lane before one is needed.
    pub(crate) fn closed(open: Opener<L>) -> Self {
        let free = (0..LANES).map(|_| None).collect();
        Self { open, free: Mutex::new(free), freed: Condvar::new() }
    }

    /// Does an exchange on a lane that is free, and waits for one where none is. A lane that fails is closed: what the
    /// host says on it afterwards could belong to an earlier request.
    pub(crate) fn with<T>(&self, exchange: impl FnOnce(&mut L) -> io::Result<T>) -> io::Result<T> {
        let mut borrowed = self.borrow();
        let lane = match &mut borrowed.lane {
            Some(lane) => lane,
            closed => closed.insert((self.open)()?),
        };
        let answer = exchange(lane);
        if answer.is_err() {
            borrowed.lane = None;
        }
        answer
    }

    fn borrow(&self) -> Borrowed<'_, L> {
        let mut free = self.free();
        loop {
            match free.pop() {
                Some(lane) => return Borrowed { lanes: self, lane },
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    pub(crate) fn free(&self) -> MutexGuard<'_, Vec<Option<L>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane that nobody else uses. Dropping gives it back.
struct Borrowed<'a, L: Lane> {
    lanes: &'a Lanes<L>,
    lane: Option<L>,
}

impl<L: Lane> Drop for Borrowed<'_, L> {
    fn drop(&mut self) {
        self.lanes.free().push(self.lane.take());
        self.lanes.freed.notify_one();
    }
}

/// Writes all of a part of a lane's buffer.
///
/// # Errors
/// As the host says; [`io::ErrorKind::WriteZero`] where it takes nothing.
pub(crate) fn send(lane: &mut impl Lane, mut part: Range<usize>, patience: &mut Patience) -> io::Result<()> {
    while !part.is_empty() {
        match patience.attempt(|| lane.write(part.clone()))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => part.start += count,
        }
    }
    Ok(())
}

/// What has come of an answer, at the start of a lane's buffer.
#[derive(Default)]
pub(crate) struct Received(usize);

impl Received {
    /// Reads until at least `until` bytes have come, but not beyond `limit`: how many have.
    ///
    /// # Errors
    /// As the host says; [`io::ErrorKind::UnexpectedEof`] where nothing more comes.
    pub(crate) fn until(
        &mut self,
        until: usize,
        limit: usize,
        lane: &mut impl Lane,
        patience: &mut Patience,
    ) -> io::Result<usize> {
        while self.0 < until {
            match patience.attempt(|| lane.read(self.0..limit))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.0 += count,
            }
        }
        Ok(self.0)
    }
}

/// Interruptions that one exchange bears.
#[derive(Default)]
pub(crate) struct Patience {
    interruptions: u32,
}

impl Patience {
    pub(crate) fn attempt<T>(&mut self, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.interruptions += 1;
                    if self.interruptions > MAX_INTERRUPTIONS {
                        return Err(io::Error::other("the host interrupts every transfer"));
                    }
                }
                done => return done,
            }
        }
    }
}

/// The host's answer is none.
pub(crate) fn lied(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the host gives {what}"))
}

/// Most requests under way at once.
pub(crate) const LANES: usize = 4;
/// Most interruptions of one exchange; an honest host has hardly one.
const MAX_INTERRUPTIONS: u32 = 64;
/// Bytes of a frame's length.
pub(crate) const PREFIX: usize = 4;

#[cfg(test)]
pub(crate) mod scripted;
