//! A disk that fails: operations that return errors, and power cuts.
//!
//! It does what a real disk may do, and nothing that a real disk may not. What was flushed is kept. Of what was not,
//! each block may have been written, may not have been, or may be torn between two of its sectors of 512 bytes; which of
//! them, and in which order, is up to the disk. The same goes for a change of its length and for a discard.

mod cut;

use super::Disk;
use super::memory::{Content, Image, MemoryDisk, contents};
use crate::BLOCK;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use cut::{Fate, PowerCut, SECTOR, Unsynced};

/// A disk in memory that remembers every operation in order, and what was on it before.
///
/// [`cuts`](Self::cuts) gives, for each moment, every disk that a power cut may leave. A clone is the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    disk: MemoryDisk,
    state: Arc<Mutex<State>>,
}

impl FaultyDisk {
    /// An empty disk that grows to `max_blocks` blocks.
    pub fn new(max_blocks: u64) -> Self {
        Self::over(&MemoryDisk::new(max_blocks))
    }

    /// A disk that begins with the contents of `disk`, all of it durable. Writes do not reach `disk`.
    pub fn over(disk: &MemoryDisk) -> Self {
        let disk = disk.fork();
        let base = disk.image().clone();
        let state = State { durable: base.clone(), base, log: Vec::new(), failures: Vec::new(), failed: 0 };
        Self { disk, state: Arc::new(Mutex::new(state)) }
    }

    /// What is on it at this moment, as a process that still runs sees it, as a disk of its own.
    pub fn fork(&self) -> MemoryDisk {
        self.disk.fork()
    }

    /// How many operations were done that change the disk: moments for [`cut`](Self::cut) are 0 to this number.
    pub fn operations(&self) -> usize {
        self.state().log.len()
    }

    /// What was done so far, in order.
    pub fn log(&self) -> Vec<DiskOperation> {
        self.state().log.clone()
    }

    /// How many times it was flushed.
    pub fn flushes(&self) -> usize {
        self.state().log.iter().filter(|operation| matches!(operation, DiskOperation::Flush)).count()
    }

    /// Makes all that is on it durable and forgets how it came there, to save memory.
    pub fn forget(&self) {
        let mut state = self.state();
        let now = self.disk.image().clone();
        (state.base, state.durable) = (now.clone(), now);
        state.log.clear();
    }

    /// The cut after the first `moment` operations.
    ///
    /// # Panics
    /// Where fewer were done.
    pub fn cut(&self, moment: usize) -> PowerCut {
        let state = self.state();
        let mut cut = PowerCut::at_start(state.base.clone(), self.disk.max_blocks());
        state.log[..moment].iter().for_each(|operation| cut.follow(operation));
        cut
    }

    /// The cut after every operation, the one before the first included.
    pub fn cuts(&self) -> impl Iterator<Item = PowerCut> + use<> {
        let (log, base) = {
            let state = self.state();
            (state.log.clone(), state.base.clone())
        };
        let first = PowerCut::at_start(base, self.disk.max_blocks());
        let mut log = log.into_iter();
        std::iter::successors(Some(first), move |last| {
            let operation = log.next()?;
            let mut next = last.clone();
            next.follow(&operation);
            Some(next)
        })
    }

    /// Plans a failure; several may be planned.
    pub fn fail(&self, failure: DiskFailure) {
        self.state().failures.push(Planned { failure, seen: 0 });
    }

    /// How many operations have failed as planned.
    pub fn failed(&self) -> u64 {
        self.state().failed
    }

    /// No planned failure happens any more.
    pub fn heal(&self) {
        self.state().failures.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one operation; a failure planned for it is returned.
    fn asked(&self, kind: DiskOperationKind) -> Option<DiskFailure> {
        let mut state = self.state();
        let failures = state.failures.iter_mut().filter_map(|planned| planned.happens(kind));
        let failure = failures.reduce(|first, _| first);
        state.failed += u64::from(failure.is_some());
        failure
    }

    fn do_logged(&self, operation: DiskOperation, failure: Option<DiskFailure>) -> io::Result<()> {
        let mut state = self.state();
        match failure.map(|failure| (failure.effect, failure.kind)) {
            None => {
                operation.apply(&mut self.disk.image());
                state.push(operation, &self.disk);
                Ok(())
            }
            Some((FailureEffect::Done, kind)) => {
                operation.apply(&mut self.disk.image());
                state.push(operation, &self.disk);
                Err(kind.into())
            }
            Some((FailureEffect::Nothing, kind)) => Err(kind.into()),
            Some((FailureEffect::Lost, kind)) => {
                let mut image = self.disk.image();
                let length = image.len();
                *image = state.durable.clone();
                image.resize(length);
                state.log.push(DiskOperation::Lost);
                Err(kind.into())
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn blocks(&self) -> io::Result<u64> {
        self.disk.blocks()
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        let failure = self.asked(DiskOperationKind::Resize);
        let blocks = self.disk.checked_length(blocks)?;
        self.do_logged(DiskOperation::Resize(blocks as u64), failure)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        match self.asked(DiskOperationKind::Read) {
            None => self.disk.read(block, into),
            Some(failure) => Err(failure.kind.into()),
        }
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let failure = self.asked(DiskOperationKind::Write);
        self.disk.image().run(block, bytes.len())?;
        self.do_logged(
            DiskOperation::Write { block, contents: contents(bytes).map(BlockBytes).collect() },
            failure,
        )
    }

    fn discard(&self, block: u64, count: u64) -> io::Result<()> {
        let failure = self.asked(DiskOperationKind::Discard);
        self.do_logged(DiskOperation::Discard { block, count }, failure)
    }

    fn flush(&self) -> io::Result<()> {
        let failure = self.asked(DiskOperationKind::Flush);
        self.do_logged(DiskOperation::Flush, failure)
    }
}

/// One thing that was done to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Blocks were written from `block` on.
    Write {
        /// The first of them.
        block: u64,
        /// Their new contents.
        contents: Vec<BlockBytes>,
    },
    /// The disk was made this many blocks long.
    Resize(u64),
    /// Blocks were said to be of no use any more.
    Discard {
        /// The first of them.
        block: u64,
        /// How many.
        count: u64,
    },
    /// All before is durable.
    Flush,
    /// All but lengths since the last flush was lost while the disk went on working; see [`FailureEffect::Lost`].
    Lost,
}

impl DiskOperation {
    fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { block, contents } => {
                for (number, content) in (*block..).zip(contents) {
                    if let Some(index) = image.index(number) {
                        image.put(index, content.0.clone());
                    }
                }
            }
            Self::Resize(blocks) => image.resize(*blocks as usize),
            Self::Discard { block, count } => image.discard(*block, *count),
            Self::Flush | Self::Lost => {}
        }
    }
}

/// The contents of one block. Its Debug form is a few bytes, so that logs are readable.
#[derive(Clone, PartialEq, Eq)]
pub struct BlockBytes(Content);

impl std::ops::Deref for BlockBytes {
    type Target = [u8; BLOCK];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::fmt::Debug for BlockBytes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:02x?}…", &self.0[..4])
    }
}

/// Which operation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperationKind {
    /// A change of length.
    Resize,
    /// A read of one or more blocks.
    Read,
    /// A write of one or more blocks.
    Write,
    /// A discard.
    Discard,
    /// A flush.
    Flush,
}

/// An error that the disk will return.
#[derive(Clone, Copy, Debug)]
pub struct DiskFailure {
    /// Only operations of this kind are counted and fail. A question for the length is none.
    pub only: Option<DiskOperationKind>,
    /// How many go well before.
    pub after: u64,
    /// How many in a row fail then.
    pub times: u64,
    /// What is returned.
    pub kind: io::ErrorKind,
    /// What happens all the same.
    pub effect: FailureEffect,
}

/// What an operation that returned an error did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureEffect {
    /// Nothing.
    Nothing,
    /// All of it, and the answer was lost.
    Done,
    /// All that was not flushed before is gone too, but for the disk's length. A kernel does this: after a failed
    /// `fsync` it takes the pages for clean, and a second `fsync` that succeeds has not written them.
    Lost,
}

#[derive(Debug)]
struct State {
    /// What the log begins with.
    base: Image,
    /// What the last flush made durable.
    durable: Image,
    log: Vec<DiskOperation>,
    failures: Vec<Planned>,
    failed: u64,
}

impl State {
    fn push(&mut self, operation: DiskOperation, disk: &MemoryDisk) {
        if operation == DiskOperation::Flush {
            self.durable = disk.image().clone();
        }
        self.log.push(operation);
    }
}

#[derive(Debug)]
struct Planned {
    failure: DiskFailure,
    /// Operations of its kind so far.
    seen: u64,
}

impl Planned {
    fn happens(&mut self, kind: DiskOperationKind) -> Option<DiskFailure> {
        if self.failure.only.is_some_and(|only| only != kind) {
            return None;
        }
        let before = self.seen.checked_sub(self.failure.after);
        self.seen += 1;
        before.is_some_and(|before| before < self.failure.times).then_some(self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_blocks() -> FaultyDisk {
        let disk = FaultyDisk::new(16);
        disk.resize(3).unwrap();
        disk.flush().unwrap();
        disk
    }

    fn first_bytes(disk: &MemoryDisk) -> Vec<u8> {
        disk.snapshot().chunks(BLOCK).map(|block| block[0]).collect()
    }

    #[test]
    fn a_cut_is_possible_after_each_operation() {
        let disk = three_blocks();
        disk.write(2, &[1; BLOCK]).unwrap();
        let unsynced: Vec<_> = disk.cuts().map(|cut| (cut.moment(), cut.unsynced().len())).collect();
        assert_eq!(unsynced, [(0, 0), (1, 1), (2, 0), (3, 1)]);
        for (cut, again) in disk.cuts().zip(0..) {
            assert_eq!(cut.unsynced(), disk.cut(again).unsynced());
        }
    }

    #[test]
    fn planned_failures_happen_once() {
        let disk = three_blocks();
        let failure = DiskFailure {
            after: 1,
            times: 1,
            only: None,
            kind: io::ErrorKind::TimedOut,
            effect: FailureEffect::Nothing,
        };
        disk.fail(failure);
        disk.write(0, &[1; BLOCK]).unwrap();
        assert_eq!(disk.write(1, &[1; BLOCK]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        disk.write(2, &[1; BLOCK]).unwrap();
        assert_eq!(first_bytes(&disk.fork()), [1, 0, 1]);

        disk.fail(DiskFailure { after: 0, effect: FailureEffect::Done, ..failure });
        disk.write(1, &[4; BLOCK]).unwrap_err();
        assert_eq!(first_bytes(&disk.fork()), [1, 4, 1]);

        disk.fail(DiskFailure {
            after: 0,
            effect: FailureEffect::Lost,
            only: Some(DiskOperationKind::Flush),
            ..failure
        });
        disk.flush().unwrap_err();
        assert_eq!(first_bytes(&disk.fork()), [0, 0, 0]);
        disk.flush().unwrap();
        let cut = disk.cut(disk.operations());
        assert_eq!(first_bytes(&cut.disk(&[])), [0, 0, 0]);
    }
}
