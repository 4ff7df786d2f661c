//! A freshness anchor in memory.

use cloister_volume::{Anchor, AnchorError, AnchorProvider, AnchorPurpose, FaultyDisk};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use zeroize::Zeroizing;

/// Where a new counter stands: a TPM's does not begin at zero.
const FIRST: u64 = 1000;

/// A monotonic counter, and everything that can go wrong with one. A clone is the same counter.
#[derive(Clone, Debug)]
pub(crate) struct Counter(Arc<Mutex<Inner>>);

#[derive(Clone, Debug)]
struct Inner {
    value: u64,
    /// The volume that it was made for, and the secret that it was made with.
    owner: Option<([u8; 16], [u8; 32])>,
    beside: Option<FaultyDisk>,
    /// For each time that it advanced, how many operations the disk had done.
    advanced: Vec<usize>,
    trouble: Option<Trouble>,
}

/// What the next advance meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It does not reach the anchor.
    Lost,
    /// The anchor advances, and its answer is lost.
    AnswerLost,
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            value: FIRST,
            owner: None,
            beside: None,
            advanced: Vec::new(),
            trouble: None,
        })))
    }

    /// A counter of the same value that notes, from here on, how far this disk was at each advance.
    pub(crate) fn beside(&self, disk: &FaultyDisk) -> Self {
        let inner = Inner { beside: Some(disk.clone()), advanced: Vec::new(), ..self.inner().clone() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Another counter of the same value.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.inner().clone())))
    }

    /// The same counter, which takes its present value for the one that it began with.
    pub(crate) fn forget(self) -> Self {
        self.inner().advanced.clear();
        self
    }

    pub(crate) fn provider(&self) -> Arc<dyn AnchorProvider> {
        Arc::new(self.clone())
    }

    pub(crate) fn present(&self) -> u64 {
        self.inner().value
    }

    pub(crate) fn meet(&self, trouble: Trouble) {
        self.inner().trouble = Some(trouble);
    }

    /// Somebody else advances it.
    pub(crate) fn disturb(&self, by: u64) {
        self.inner().value += by;
    }

    /// What no counter does.
    pub(crate) fn set_back(&self, by: u64) {
        self.inner().value -= by;
    }

    /// The counters that may be found after a power cut: an advance right at that moment may have happened or not.
    pub(crate) fn possible(&self, moment: usize) -> impl Iterator<Item = Self> {
        let inner = self.inner().clone();
        let begin = inner.value - inner.advanced.len() as u64;
        let before = |include: bool| {
            let advanced = |done: &&usize| **done < moment || include && **done == moment;
            inner.advanced.iter().take_while(advanced).count() as u64
        };
        (before(false)..=before(true)).map(move |advanced| {
            let found =
                Inner { value: begin + advanced, beside: None, advanced: Vec::new(), ..inner.clone() };
            Self(Arc::new(Mutex::new(found)))
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics with the lock")
    }
}

impl AnchorProvider for Counter {
    fn open(
        &self,
        volume: &[u8; 16],
        secret: &Zeroizing<[u8; 32]>,
        purpose: AnchorPurpose,
    ) -> Result<Box<dyn Anchor>, AnchorError> {
        let mut inner = self.inner();
        match (purpose, inner.owner) {
            (AnchorPurpose::Create, Some((owner, _))) if owner == *volume => return Err(AnchorError::Exists),
            (AnchorPurpose::Create, _) => inner.owner = Some((*volume, **secret)),
            (AnchorPurpose::Existing, None) => return Err(AnchorError::Missing),
            (AnchorPurpose::Existing, Some(owner)) => {
                assert_eq!(owner, (*volume, **secret), "a volume asks for the same anchor each time");
            }
        }
        drop(inner);
        Ok(Box::new(self.clone()))
    }
}

impl Anchor for Counter {
    fn value(&self) -> Result<u64, AnchorError> {
        Ok(self.present())
    }

    fn advance(&self) -> Result<u64, AnchorError> {
        let mut inner = self.inner();
        let trouble = inner.trouble.take();
        if trouble == Some(Trouble::Lost) {
            return Err(AnchorError::Unreachable(io::ErrorKind::ConnectionRefused));
        }
        inner.value += 1;
        let operations = inner.beside.as_ref().map_or(0, FaultyDisk::operations);
        inner.advanced.push(operations);
        match trouble {
            Some(Trouble::AnswerLost) => Err(AnchorError::Unreachable(io::ErrorKind::BrokenPipe)),
            _ => Ok(inner.value),
        }
    }

    fn identity(&self) -> [u8; 32] {
        [0xA0; 32]
    }
}
