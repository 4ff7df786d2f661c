use super::{LANE_LEN, Lane};
use cloister_frames::decode_length;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Range;

/// How a host treats one usercall.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Moves this many bytes at most.
    Moves(usize),
    Fails(io::ErrorKind),
}

/// What answers a request's payload, with bytes that need not be a frame.
type Serve = dyn FnMut(&[u8]) -> Vec<u8> + Send;

/// A host in this process: whole requests are answered by a function.
pub(crate) struct Scripted {
    buffer: Vec<u8>,
    request: Vec<u8>,
    answer: VecDeque<u8>,
    serve: Box<Serve>,
    /// Used up front to back; afterwards everything moves at once.
    pub(crate) steps: VecDeque<Step>,
    /// Bytes of the buffer that were taken already.
    taken: RefCell<Vec<bool>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    /// A host that answers a request's payload with these bytes.
    pub(crate) fn new(serve: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        Self {
            buffer: vec![0xee; LANE_LEN],
            request: Vec::new(),
            answer: VecDeque::new(),
            serve: Box::new(serve),
            steps: VecDeque::new(),
            taken: RefCell::new(vec![false; LANE_LEN]),
        }
    }

    /// One that gives the same bytes to each request, after these steps.
    pub(crate) fn after(steps: impl IntoIterator<Item = Step>, answer: Vec<u8>) -> Self {
        let mut scripted = Self::new(move |_| answer.clone());
        scripted.steps.extend(steps);
        scripted
    }

    fn step(&mut self, offered: usize) -> io::Result<usize> {
        match self.steps.pop_front() {
            Some(Step::Moves(most)) => Ok(most.min(offered)),
            Some(Step::Fails(kind)) => Err(kind.into()),
            None => Ok(offered),
        }
    }
}

impl Lane for Scripted {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.buffer[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn take(&self, at: usize, into: &mut [u8]) {
        let part = at..at + into.len();
        for taken in &mut self.taken.borrow_mut()[part.clone()] {
            assert!(!*taken, "a byte of host memory is taken twice");
            *taken = true;
        }
        into.copy_from_slice(&self.buffer[part]);
    }

    fn write(&mut self, part: Range<usize>) -> io::Result<usize> {
        let count = self.step(part.len())?;
        self.request.extend_from_slice(&self.buffer[part][..count]);
        if let Some((prefix, payload)) = self.request.split_first_chunk()
            && decode_length(*prefix) == Ok(payload.len())
        {
            self.answer.extend((self.serve)(payload));
            self.request.clear();
        }
        Ok(count)
    }

    fn read(&mut self, part: Range<usize>) -> io::Result<usize> {
        let count = self.step(part.len())?.min(self.answer.len());
        self.taken.borrow_mut().fill(false);
        for (into, byte) in self.buffer[part].iter_mut().zip(self.answer.drain(..count)) {
            *into = byte;
        }
        Ok(count)
    }
}
