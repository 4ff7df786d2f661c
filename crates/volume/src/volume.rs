//! A mounted volume.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::adoption::Adoption;
use crate::anchor::{Anchor, AnchorProvider};
use crate::commit::Queue;
use crate::disk::{BLOCK, Disk};
use crate::error::VolumeError;
use crate::fetch::read_block;
use crate::gate::Gate;
use crate::layout::{Header, Pointer};
use crate::state::{self, Fetch, Step, Wait};
use crate::{MAX_BLOCKS, MAX_NAME};

/// How a volume is mounted.
#[derive(Clone)]
pub struct Options {
    /// Bytes of plaintext blocks kept in memory, apart from those that wait for a commit.
    pub cache_bytes: usize,
    /// From how many uncommitted bytes on [`Volume::is_crowded`] says yes.
    pub dirty_bytes: usize,
    /// Decides what is accepted at mount; none: the newest intact commit on the disk.
    pub anchor: Option<Arc<dyn AnchorProvider>>,
    /// An epoch that is accepted although the anchor says that it is old: a backup that the operator allowed.
    pub accept_epoch: Option<u64>,
    /// The volume's key as another image handed it over, for the first mount after that. A volume that this image can open
    /// without it does not need it.
    pub adopt: Option<Adoption>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cache_bytes: 64 << 20,
            dirty_bytes: 32 << 20,
            anchor: None,
            accept_epoch: None,
            adopt: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("cache_bytes", &self.cache_bytes)
            .field("dirty_bytes", &self.dirty_bytes)
            .field("anchor", &self.anchor.is_some())
            .field("accept_epoch", &self.accept_epoch)
            .field("adopt", &self.adopt.is_some())
            .finish()
    }
}

/// A commit: which, and the hash that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Commits counted since the volume was made.
    pub epoch: u64,
    /// SHA-256 of the superblock's body, from which every block of the commit can be verified.
    pub root: [u8; 32],
}

/// Figures about a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// The last durable commit.
    pub state: State,
    /// Blocks of the disk that the volume takes.
    pub blocks: u64,
    /// Blocks in use, superblocks included.
    pub used: u64,
    /// Blocks free for the next commit.
    pub free: u64,
    /// Bytes that wait for a commit or are being written by one.
    pub dirty_bytes: u64,
    /// Bytes of plaintext blocks in memory.
    pub cached_bytes: u64,
    /// Commits since the volume was mounted.
    pub commits: u64,
    /// Blocks that reads found in memory.
    pub cache_hits: u64,
    /// Blocks that had to be read from the disk.
    pub cache_misses: u64,
}

/// A mounted volume. Clones are handles to the same one.
#[derive(Clone)]
pub struct Volume {
    pub(crate) inner: Arc<Inner>,
}

/// Several writes that become durable together or not at all: no commit takes its snapshot while this lives.
///
/// Take it before any lock of your own, never one inside another, and never commit while you hold it: each of these
/// waits for itself for ever.
#[derive(Debug)]
#[must_use = "the writes of an operation are together only while it lives"]
pub struct Operation<'a> {
    gate: &'a Gate,
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

impl Volume {
    /// The volume's identifier, drawn when it was created.
    pub fn id(&self) -> [u8; 16] {
        self.inner.header.volume
    }

    /// The last durable commit.
    pub fn state(&self) -> State {
        self.inner.lock().durable.commit
    }

    /// The freshness anchor's identity, where there is one: [`Anchor::identity`](crate::Anchor::identity), until an
    /// operator's exception was used. From then on it is the SHA-256 of that and of 16 bytes that were drawn at the
    /// exception, so whoever pinned the identity learns that the anchor was overruled.
    pub fn anchor(&self) -> Option<[u8; 32]> {
        let identity = self.inner.anchor.as_ref()?.identity();
        let exception = self.inner.lock().durable.body.exception;
        if exception == [0; 16] {
            return Some(identity);
        }
        Some(Sha256::new_with_prefix(identity).chain_update(exception).finalize().into())
    }

    /// Whether something waits for a commit or is being written by one.
    pub fn has_uncommitted(&self) -> bool {
        let state = self.inner.lock();
        state.changed || state.settled != state.snapshots
    }

    /// Whether more is uncommitted than [`Options::dirty_bytes`]: writers should commit before they write more.
    pub fn is_crowded(&self) -> bool {
        self.inner.lock().cache.pinned() * BLOCK > self.inner.dirty_bytes
    }

    /// Begins an operation; waits while a snapshot is being taken.
    pub fn begin(&self) -> Operation<'_> {
        self.inner.gate.enter();
        Operation { gate: &self.inner.gate }
    }

    /// Figures as they are now.
    pub fn statistics(&self) -> Statistics {
        let state = self.inner.lock();
        Statistics {
            state: state.durable.commit,
            blocks: state.space.blocks(),
            used: state.space.used(),
            free: state.space.available(),
            dirty_bytes: (state.cache.pinned() * BLOCK) as u64,
            cached_bytes: (state.cache.len() * BLOCK) as u64,
            commits: state.counters.commits,
            cache_hits: state.counters.hits,
            cache_misses: state.counters.misses,
        }
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume").field("id", &self.id()).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// What all handles share. It has no `Debug`, and neither has what it is made of: there is plaintext in it.
pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    /// The plaintext of the superblocks, without what changes with each.
    pub(crate) header: Header,
    pub(crate) anchor: Option<Box<dyn Anchor>>,
    pub(crate) dirty_bytes: usize,
    pub(crate) state: Mutex<state::State>,
    pub(crate) gate: Gate,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) committed: Condvar,
    /// Held while the disk's length changes.
    pub(crate) resizing: Mutex<()>,
    /// Held by whoever changes an object in several steps.
    objects: [Mutex<()>; STRIPES],
}

/// Locks that all objects share.
const STRIPES: usize = 64;

/// The disk grows by at least so many blocks: 4 MiB.
const GROWTH: u64 = 1024;

impl Inner {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        header: Header,
        anchor: Option<Box<dyn Anchor>>,
        options: &Options,
        state: state::State,
    ) -> Inner {
        Inner {
            disk,
            header,
            anchor,
            dirty_bytes: options.dirty_bytes,
            state: Mutex::new(state),
            gate: Gate::default(),
            queue: Mutex::default(),
            committed: Condvar::new(),
            resizing: Mutex::default(),
            objects: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// A panic while the lock was held leaves it poisoned: what is in memory can still be read, and the next commit
    /// refuses ([`VolumeError::Interrupted`]).
    pub(crate) fn lock(&self) -> MutexGuard<'_, state::State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time changes an object in several steps.
    pub(crate) fn lock_object(&self, dataset: u64, object: u64) -> MutexGuard<'_, ()> {
        let stripe = (dataset.wrapping_mul(31).wrapping_add(object) % STRIPES as u64) as usize;
        self.objects[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a step, and gets what it waits for until it is taken.
    pub(crate) fn run<T>(
        &self,
        mut step: impl FnMut(&mut state::State) -> Step<T>,
    ) -> Result<T, VolumeError> {
        let mut failed = Vec::new();
        loop {
            let wait = match step(&mut self.lock()) {
                Ok(done) => return Ok(done),
                Err(wait) => wait,
            };
            match wait {
                Wait::Error(error) => return Err(error),
                Wait::Fetch(fetch) => self.bring(&fetch, &mut failed)?,
                Wait::Grow(blocks) => self.grow(blocks),
            }
        }
    }

    /// Reads a block into memory. `failed` has pointers that led to something else before: twice is damage, once may
    /// be a block that a commit replaced while it was read.
    fn bring(&self, fetch: &Fetch, failed: &mut Vec<Pointer>) -> Result<(), VolumeError> {
        match read_block(&*self.disk, fetch)? {
            Some(block) => {
                let mut state = self.lock();
                state.counters.misses += 1;
                state.keep(fetch, block);
                Ok(())
            }
            None if failed.contains(&fetch.pointer) => {
                Err(self.lock().damage(&fetch.place, fetch.pointer.block).into())
            }
            None => {
                failed.push(fetch.pointer);
                Ok(())
            }
        }
    }

    /// Makes the disk longer by `blocks` or more; where the host refuses, that is remembered until the next commit.
    pub(crate) fn grow(&self, blocks: u64) {
        let _one_at_a_time = self.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.lock().space.blocks();
        for step in [GROWTH.max(before / 8).max(blocks), blocks] {
            let target = (before + step).min(MAX_BLOCKS);
            if target > before && self.disk.resize(target).is_ok() {
                self.lock().space.grow(target);
                return;
            }
        }
        self.lock().stuck = true;
    }
}

/// Dataset names have 1 to [`MAX_NAME`] bytes.
pub(crate) fn check_name(name: &str) -> Result<(), VolumeError> {
    match name.len() {
        1..=MAX_NAME => Ok(()),
        length => Err(VolumeError::BadName(length)),
    }
}
