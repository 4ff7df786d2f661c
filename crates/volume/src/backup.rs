//! Copying and checking one commit while the volume goes on.

use std::fmt;
use std::sync::Arc;

use crate::error::{Damage, VolumeError};
use crate::state::Durable;
use crate::volume::{State, Volume};
use crate::walk::{Depth, Walk};

/// Some blocks of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where they go.
    pub block: u64,
    /// Whole blocks, as sealed as on the disk; at most 512 KiB.
    pub bytes: Vec<u8>,
}

/// A consistent copy of one commit, taken while the volume goes on. While it lives, blocks that later commits free stay
/// taken.
pub struct Backup {
    pinned: Pinned,
    walk: Walk,
    is_done: bool,
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Backup {
    /// The commit that is copied.
    pub fn state(&self) -> State {
        self.pinned.durable.commit
    }

    /// About how many blocks it has.
    pub fn total(&self) -> u64 {
        self.pinned.total
    }

    /// The next blocks, verified; none when all were returned. The superblock comes last, so that a copy which was not
    /// finished is not mistaken for one.
    ///
    /// # Errors
    /// [`VolumeError::Damaged`]: a damaged volume has no backup. The disk's.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, VolumeError> {
        if self.is_done {
            return Ok(None);
        }
        while let Some(visited) = self.walk.step()? {
            if let Some(damage) = visited.damage.into_iter().next() {
                return Err(damage.into());
            }
            if let Some(&block) = visited.blocks.first() {
                return Ok(Some(Chunk { block, bytes: visited.sealed }));
            }
        }
        self.is_done = true;
        let Durable { commit, sealed, .. } = &self.pinned.durable;
        Ok(Some(Chunk { block: commit.epoch % 2, bytes: sealed.to_vec() }))
    }
}

/// What [`Volume::check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The commit that was checked.
    pub state: State,
    /// Blocks read and verified.
    pub blocks: u64,
    /// Blocks that are not what was written.
    pub damaged: u64,
    /// The first thousand of them.
    pub damage: Vec<Damage>,
    /// Blocks marked as used that nothing intact leads to. Without damage they cost space, nothing else.
    pub unreachable: u64,
}

/// Damaged blocks that a report names.
const REPORTED: usize = 1000;

impl Volume {
    /// A copy of the last commit, sealed as on the disk. Written to a blank disk, it can be mounted by the same enclave.
    ///
    /// # Errors
    /// None at present; reading it has them.
    pub fn backup(&self) -> Result<Backup, VolumeError> {
        let pinned = Pinned::new(self);
        let walk = pinned.walk();
        Ok(Backup { pinned, walk, is_done: false })
    }

    /// Reads and verifies every block of the last commit. `progress` is told how many blocks of about how many are
    /// done.
    ///
    /// # Errors
    /// The disk's. Damage is in the report.
    pub fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, VolumeError> {
        let pinned = Pinned::new(self);
        let mut walk = pinned.walk();
        let mut report = CheckReport {
            state: pinned.durable.commit,
            blocks: 0,
            damaged: 0,
            damage: Vec::new(),
            unreachable: 0,
        };
        let (mut reached, mut marked) = (0, 0);
        while let Some(visited) = walk.step()? {
            reached += visited.blocks.len() as u64;
            marked += visited.marked;
            report.damaged += visited.damage.len() as u64;
            let room = REPORTED - report.damage.len();
            report.damage.extend(visited.damage.into_iter().take(room));
            progress(reached, pinned.total.max(reached));
        }
        report.blocks = reached.saturating_sub(report.damaged);
        report.unreachable = marked.saturating_sub(reached + crate::space::SUPERBLOCKS);
        Ok(report)
    }
}

/// Keeps the blocks of a commit as they are.
struct Pinned {
    volume: Volume,
    durable: Durable,
    total: u64,
}

impl Pinned {
    fn new(volume: &Volume) -> Pinned {
        let mut state = volume.inner.lock();
        let (durable, total) = (state.durable.clone(), state.space.used());
        state.space.pin(durable.commit.epoch);
        drop(state);
        Pinned { volume: volume.clone(), durable, total }
    }

    fn walk(&self) -> Walk {
        let inner = &self.volume.inner;
        let key = inner.lock().structure.key().clone();
        Walk::new(Arc::clone(&inner.disk), &key, &self.durable.body, Depth::Data)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.volume.inner.lock().space.unpin(self.durable.commit.epoch);
    }
}
