//! Making what was written durable.
//!
//! A commit has three parts. Under the lock, and with no operation under way, a snapshot is taken: places on the disk are
//! found for everything that changed, and the maps are brought up to date. Without the lock the snapshot is encrypted
//! from the leaves up, written and flushed, and made the newest by its superblock. With the lock again the blocks in
//! memory learn their children's tags, and the places that only the commit before needed become free. One commit runs at
//! a time; whoever asks meanwhile shares the next.

use std::sync::PoisonError;

use crate::anchor::AnchorError;
use crate::error::VolumeError;
use crate::layout::TABLE;
use crate::snapshot::Snapshot;
use crate::state::Durable;
use crate::volume::{Inner, State, Volume};

/// Who commits, and for whom.
#[derive(Default)]
pub(crate) struct Queue {
    is_running: bool,
    /// The last snapshot that is durable.
    durable: u64,
    /// Counts the tries.
    tries: u64,
    /// The last try that failed, and why.
    failed: Option<(u64, VolumeError)>,
    /// A snapshot whose write failed; it is written again, to the byte, before another is taken.
    pending: Option<Snapshot>,
}

/// How often one caller's commit is followed by another that moves blocks to the front of the disk.
const TIDIED: usize = 4;

/// Freed runs of so many blocks are given back to the host: 256 KiB.
const DISCARD: usize = 64;

/// A commit advances the anchor once; the one at mount twice.
const MOST_STEPS: u64 = 2;

impl Volume {
    /// Makes everything written before this call durable, and returns when it is. Concurrent callers share commits.
    ///
    /// # Errors
    /// [`VolumeError::Disk`] and [`VolumeError::Anchor`]: nothing is lost, the next commit tries the same again.
    /// [`VolumeError::Full`] where the disk has no room for what changed.
    pub fn commit(&self) -> Result<State, VolumeError> {
        let inner = &*self.inner;
        let wanted = {
            let state = inner.lock();
            if state.changed { state.snapshots + 1 } else { state.snapshots }
        };
        let mut queue = inner.queue();
        let entered = queue.tries;
        loop {
            if queue.durable >= wanted {
                drop(queue);
                return Ok(self.state());
            }
            if let Some((which, error)) = &queue.failed
                && *which > entered
            {
                return Err(error.clone());
            }
            if !queue.is_running {
                break;
            }
            queue = inner.committed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_running = true;
        let pending = queue.pending.take();
        drop(queue);
        let mut leader = Leader { inner, pending, outcome: Err(VolumeError::Interrupted) };
        leader.outcome = leader.lead(wanted);
        let outcome = leader.outcome.clone();
        drop(leader);
        outcome.map(|()| self.state())
    }
}

/// The one who commits. Lets the others go on when dropped, also by a panic.
struct Leader<'a> {
    inner: &'a Inner,
    pending: Option<Snapshot>,
    outcome: Result<(), VolumeError>,
}

impl Leader<'_> {
    /// Lets those go on who waited for this snapshot.
    fn publish(&self, number: u64) {
        self.inner.queue().durable = number;
        self.inner.committed.notify_all();
    }

    fn lead(&mut self, wanted: u64) -> Result<(), VolumeError> {
        let mut tidied = 0;
        loop {
            let mut snapshot = match self.pending.take() {
                Some(snapshot) => snapshot,
                None => match self.inner.snapshot() {
                    Err(_) if tidied > 0 => return Ok(()),
                    taken => taken?,
                },
            };
            let number = snapshot.number;
            let written = self.inner.write_snapshot(&mut snapshot);
            if let Err(error) = written {
                self.pending = Some(snapshot);
                // What was asked for is durable; what was moved since is not, and will be tried again.
                return if tidied > 0 { Ok(()) } else { Err(error) };
            }
            self.inner.settle(snapshot);
            self.publish(number);
            if number >= wanted && (tidied == TIDIED || !self.inner.tidy()) {
                return Ok(());
            }
            tidied += usize::from(number >= wanted);
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A snapshot may be lost with the panic; what follows it must not be written.
            self.inner.lock().is_in_doubt = true;
        }
        let mut queue = self.inner.queue();
        queue.is_running = false;
        queue.tries += 1;
        queue.pending = self.pending.take();
        if let Err(error) = &self.outcome {
            queue.failed = Some((queue.tries, error.clone()));
        }
        drop(queue);
        self.inner.committed.notify_all();
    }
}

impl Inner {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a snapshot.
    fn snapshot(&self) -> Result<Snapshot, VolumeError> {
        self.make_room();
        let _closed = self.gate.close();
        let mut state = self.state.lock().map_err(|_| VolumeError::Interrupted)?;
        Snapshot::take(&mut state)
    }

    /// Lets the disk grow where the snapshot would not fit.
    fn make_room(&self) {
        let missing = {
            let state = self.lock();
            Snapshot::needed(&state).saturating_sub(state.space.available())
        };
        if missing > 0 {
            self.grow(missing);
        }
    }

    /// Encrypts and writes a snapshot: all but the superblock, then that.
    fn write_snapshot(&self, snapshot: &mut Snapshot) -> Result<(), VolumeError> {
        snapshot.encrypt(&self.header, |block, bytes| {
            self.disk.write(block, bytes).map_err(|error| VolumeError::disk("writing", &error))
        })?;
        let flush = || self.disk.flush().map_err(|error| VolumeError::disk("flushing", &error));
        flush()?;
        let (slot, superblock) = snapshot.superblock();
        self.disk
            .write(slot, superblock)
            .map_err(|error| VolumeError::disk("writing the superblock", &error))?;
        flush()?;
        self.advance_anchor(snapshot)
    }

    fn advance_anchor(&self, snapshot: &mut Snapshot) -> Result<(), VolumeError> {
        let (Some(anchor), Some(mark)) = (&self.anchor, snapshot.body.anchor) else { return Ok(()) };
        let mut value = anchor.value()?;
        if value >= mark.value && !snapshot.is_anchor_in_doubt {
            // Somebody else counts with it: to advance it would only stop them, too.
            return Err(AnchorError::OutOfStep { expected: mark.value - 1, found: value }.into());
        }
        // From here on a failure leaves it open whether the counter advanced.
        snapshot.is_anchor_in_doubt = true;
        while value < mark.value && value + MOST_STEPS >= mark.value {
            let found = anchor.advance()?;
            if found != value + 1 {
                return Err(AnchorError::OutOfStep { expected: value + 1, found }.into());
            }
            value = found;
        }
        if value == mark.value {
            Ok(())
        } else {
            Err(AnchorError::OutOfStep { expected: mark.value, found: value }.into())
        }
    }

    /// A snapshot is durable.
    fn settle(&self, snapshot: Snapshot) {
        let epoch = snapshot.body.epoch;
        let is_pinned = {
            let mut state = self.lock();
            snapshot.tell_tags(&mut state);
            state.durable = Durable {
                commit: State { epoch, root: snapshot.root },
                body: snapshot.body.clone(),
                sealed: snapshot.sealed.clone(),
            };
            state.cache.settle(snapshot.places());
            state.settled = snapshot.number;
            state.counters.commits += 1;
            state.space.is_pinned(epoch)
        };
        let mut freed = snapshot.freed;
        freed.sort_unstable();
        if !is_pinned {
            for run in freed.chunk_by(|a, b| a + 1 == *b).filter(|run| run.len() >= DISCARD) {
                // A hint: where the host does not take it, the blocks keep their place in its file.
                let _ = self.disk.discard(run[0], run.len() as u64);
            }
        }
        {
            let mut state = self.lock();
            state.space.release(epoch, freed);
            state.stuck = false;
        }
        if let Some(length) = snapshot.cut_to {
            self.cut_tail(length);
        }
    }

    /// Makes the disk as short as the last commit says, unless it grew again.
    fn cut_tail(&self, length: u64) {
        let _one_at_a_time = self.resizing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock().space.blocks() == length {
            // Where the host does not take it, the file stays longer than it must be.
            let _ = self.disk.resize(length);
        }
    }
}

/// The order in which blocks are placed and encrypted: objects before the tables that point to them, and each level
/// before the one above.
pub(crate) fn rank(place: &crate::layout::Place) -> (bool, u8, u64, u64, u64) {
    (place.object == TABLE, place.level, place.dataset, place.object, place.index)
}
