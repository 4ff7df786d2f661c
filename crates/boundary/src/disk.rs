//! The host's disk over streams of frames: what is the same wherever the host's memory lies.

use cloister_frames::{
    BLOCK_LEN, DiskFailure, DiskRequest, DiskResponse, MAX_BLOCKS, MAX_BLOCKS_PER_FRAME, MAX_DISK_HEAD,
    decode_length,
};
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of host memory that a lane needs: the largest request and the largest response fit.
pub(crate) const LANE_LEN: usize = MAX_DISK_HEAD + MAX_BLOCKS_PER_FRAME * BLOCK_LEN;

/// A stream to the host's disk, with a buffer of [`LANE_LEN`] bytes in host memory. The host may change the buffer at
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

/// The host's disk over a few lanes, so that requests of several threads do not wait for each other.
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

    /// Asks on a lane that is free, and waits for one where none is. A lane that fails is closed: what the host says on
    /// it afterwards could belong to an earlier request.
    fn request(&self, request: DiskRequest<'_>, into: &mut [u8]) -> io::Result<Answer> {
        let mut borrowed = self.borrow();
        let lane = match &mut borrowed.lane {
            Some(lane) => lane,
            closed => closed.insert((self.open)()?),
        };
        let answer = exchange(lane, request, into);
        if answer.is_err() {
            borrowed.lane = None;
        }
        match answer? {
            Answer::Failed(failure) => Err(error(failure)),
            answer => Ok(answer),
        }
    }

    fn done(&self, request: DiskRequest<'_>) -> io::Result<()> {
        self.request(request, &mut []).map(drop)
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

    fn free(&self) -> MutexGuard<'_, Vec<Option<L>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Lane> cloister_volume::Disk for Lanes<L> {
    fn blocks(&self) -> io::Result<u64> {
        match self.request(DiskRequest::Size, &mut [])? {
            Answer::Size(blocks) => Ok(blocks),
            Answer::Data | Answer::Done | Answer::Failed(_) => Err(lied("an answer of another kind")),
        }
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        if blocks > MAX_BLOCKS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.done(DiskRequest::Resize { blocks })
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        check_range(block, into.len())?;
        let parts = into.chunks_mut(MAX_BLOCKS_PER_FRAME * BLOCK_LEN);
        (block..).step_by(MAX_BLOCKS_PER_FRAME).zip(parts).try_for_each(|(block, part)| {
            let count = (part.len() / BLOCK_LEN) as u64;
            self.request(DiskRequest::Read { block, count }, part).map(drop)
        })
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        check_range(block, bytes.len())?;
        let parts = bytes.chunks(MAX_BLOCKS_PER_FRAME * BLOCK_LEN);
        (block..)
            .step_by(MAX_BLOCKS_PER_FRAME)
            .zip(parts)
            .try_for_each(|(block, data)| self.done(DiskRequest::Write { block, data }))
    }

    fn discard(&self, block: u64, count: u64) -> io::Result<()> {
        match block.checked_add(count) {
            _ if count == 0 => Ok(()),
            Some(end) if end <= MAX_BLOCKS => self.done(DiskRequest::Discard { block, count }),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.done(DiskRequest::Flush)
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

/// What the host answered, of the kind that was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Size(u64),
    /// It stands where the caller wanted it.
    Data,
    Done,
    Failed(DiskFailure),
}

/// Sends a request and takes its answer; the contents that a read asks for go to `into`.
///
/// # Errors
/// As the host says; [`io::ErrorKind::InvalidData`] for anything but exactly one answer of the kind that was asked for,
/// with exactly as many bytes. The lane cannot be used any more after an error.
fn exchange(lane: &mut impl Lane, request: DiskRequest<'_>, into: &mut [u8]) -> io::Result<Answer> {
    let head = request.head();
    let (head, data) = (head.as_bytes(), request.data());
    lane.put(0, head);
    if !data.is_empty() {
        lane.put(head.len(), data);
    }
    let mut patience = Patience::default();
    let mut sent = 0..head.len() + data.len();
    while !sent.is_empty() {
        match patience.attempt(|| lane.write(sent.clone()))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => sent.start += count,
        }
    }
    let limit = (ANSWER_HEAD + into.len()).max(SHORT_ANSWER);
    let mut received = 0;
    let mut receive = |lane: &mut _, until: usize| -> io::Result<usize> {
        while received < until {
            match patience.attempt(|| Lane::read(lane, received..limit))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => received += count,
            }
        }
        Ok(received)
    };
    receive(lane, ANSWER_HEAD)?;
    let mut answer = [0; SHORT_ANSWER];
    lane.take(0, &mut answer[..ANSWER_HEAD]);
    let (prefix, _) = answer.split_first_chunk::<PREFIX>().expect("the array is longer");
    let length = PREFIX + decode_length(*prefix).map_err(|_| lied("a frame that is too long"))?;
    if !(ANSWER_HEAD..=limit).contains(&length) || receive(lane, length)? != length {
        return Err(lied("an answer of another length"));
    }
    if !into.is_empty() && answer[..ANSWER_HEAD] == *DiskResponse::Data(into).head().as_bytes() {
        lane.take(ANSWER_HEAD, into);
        return Ok(Answer::Data);
    }
    let Some(short) = answer.get_mut(..length) else { return Err(lied("an answer of another length")) };
    if length > ANSWER_HEAD {
        lane.take(ANSWER_HEAD, &mut short[ANSWER_HEAD..]);
    }
    match (DiskResponse::decode(&short[PREFIX..]), request) {
        (Ok(DiskResponse::Failed(failure)), _) => Ok(Answer::Failed(failure)),
        (Ok(DiskResponse::Size(blocks)), DiskRequest::Size) => Ok(Answer::Size(blocks)),
        (Ok(DiskResponse::Done), DiskRequest::Resize { .. } | DiskRequest::Write { .. }) => Ok(Answer::Done),
        (Ok(DiskResponse::Done), DiskRequest::Discard { .. } | DiskRequest::Flush) => Ok(Answer::Done),
        (Ok(_), _) => Err(lied("an answer of another kind")),
        (Err(_), _) => Err(lied("no answer of its disk")),
    }
}

/// Interruptions that one exchange bears.
#[derive(Default)]
struct Patience {
    interruptions: u32,
}

impl Patience {
    fn attempt(&mut self, mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.interruptions += 1;
                    if self.interruptions > MAX_INTERRUPTIONS {
                        return Err(io::Error::other("the host interrupts every transfer with its disk"));
                    }
                }
                done => return done,
            }
        }
    }
}

fn check_range(block: u64, length: usize) -> io::Result<()> {
    let count = (length / BLOCK_LEN) as u64;
    let end = block.checked_add(count).filter(|end| *end <= MAX_BLOCKS);
    if length.is_multiple_of(BLOCK_LEN) && end.is_some() {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

fn error(failure: DiskFailure) -> io::Error {
    let kind = match failure {
        DiskFailure::NoSpace => io::ErrorKind::StorageFull,
        DiskFailure::OutOfRange => io::ErrorKind::UnexpectedEof,
        DiskFailure::Io => io::ErrorKind::Other,
    };
    io::Error::new(kind, failure)
}

fn lied(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the host gives {what}"))
}

/// Most requests under way at once.
const LANES: usize = 4;
/// Most interruptions of one exchange; an honest host has hardly one.
const MAX_INTERRUPTIONS: u32 = 64;
/// Bytes of a frame's length.
const PREFIX: usize = 4;
/// Bytes of an answer's length and tag.
const ANSWER_HEAD: usize = 8;
/// Bytes of the longest answer without contents.
const SHORT_ANSWER: usize = 16;

#[cfg(test)]
mod tests;
