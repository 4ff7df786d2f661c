//! The host's disk over streams of frames.

use crate::lanes::{Lane, Lanes, PREFIX, Patience, Received, lied, send};
use cloister_frames::{
    BLOCK_LEN, DiskFailure, DiskRequest, DiskResponse, MAX_BLOCKS, MAX_BLOCKS_PER_FRAME, decode_length,
};
use std::io;

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

impl<L: Lane> Lanes<L> {
    fn request(&self, request: DiskRequest<'_>, into: &mut [u8]) -> io::Result<Answer> {
        match self.with(|lane| exchange(lane, request, into))? {
            Answer::Failed(failure) => Err(error(failure)),
            answer => Ok(answer),
        }
    }

    fn done(&self, request: DiskRequest<'_>) -> io::Result<()> {
        self.request(request, &mut []).map(drop)
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
    send(lane, 0..head.len() + data.len(), &mut patience)?;
    let limit = (ANSWER_HEAD + into.len()).max(SHORT_ANSWER);
    let mut received = Received::default();
    received.until(ANSWER_HEAD, limit, lane, &mut patience)?;
    let mut answer = [0; SHORT_ANSWER];
    lane.take(0, &mut answer[..ANSWER_HEAD]);
    let (prefix, _) = answer.split_first_chunk::<PREFIX>().expect("the array is longer");
    let length = PREFIX + decode_length(*prefix).map_err(|_| lied("a frame that is too long"))?;
    if !(ANSWER_HEAD..=limit).contains(&length)
        || received.until(length, limit, lane, &mut patience)? != length
    {
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

/// Bytes of an answer's length and tag.
const ANSWER_HEAD: usize = 8;
/// Bytes of the longest answer without contents.
const SHORT_ANSWER: usize = 16;

#[cfg(test)]
mod tests;
