//! Reading an object.

use std::sync::Arc;

use crate::dataset::{Dataset, ObjectId};
use crate::disk::BLOCK;
use crate::error::VolumeError;
use crate::fetch::read_together;
use crate::layout::{Block, Place, Pointer, Record};
use crate::space::RUN;
use crate::state::{Fetch, Root, SEQUENCES, Sequence, State, Step};
use crate::volume::Inner;

/// Blocks that are read together with one that is missed in a sequence.
const AHEAD: u64 = 32;

impl Dataset {
    /// Reads bytes of an object from `offset` on; returns how many there were. Unwritten bytes are zeros.
    ///
    /// # Errors
    /// [`VolumeError::Damaged`] where a block is not what was written, [`VolumeError::NoObject`],
    /// [`VolumeError::Removed`], or the disk's.
    pub fn read(&self, id: ObjectId, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError> {
        let mut done = 0;
        while done < into.len() {
            let at = offset.saturating_add(done as u64);
            let first = (at % BLOCK as u64) as usize;
            let window = (into.len() - done).min(RUN * BLOCK - first);
            let read = self.read_window(id, at, &mut into[done..done + window])?;
            done += read;
            if read < window {
                break;
            }
        }
        Ok(done)
    }

    /// Reads at most [`RUN`] blocks.
    fn read_window(&self, id: ObjectId, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError> {
        let inner = &self.volume.inner;
        let mut suspects = Vec::new();
        loop {
            let mut plan = inner.run(|state| plan(state, self.id, id, offset, into.len()))?;
            if !plan.missing.is_empty() {
                inner.read_missing(&mut plan, &mut suspects)?;
                if plan.is_incomplete {
                    continue;
                }
            }
            copy(&plan, offset, &mut into[..plan.length]);
            return Ok(plan.length);
        }
    }
}

/// What a read needs.
struct Plan {
    /// Bytes that there are.
    length: usize,
    /// The blocks wanted; none for a hole or one that is missing.
    blocks: Vec<Option<Arc<Block>>>,
    missing: Vec<Missing>,
    /// A missing block could not be read.
    is_incomplete: bool,
}

struct Missing {
    fetch: Fetch,
    /// Which of the blocks wanted; none for one read ahead.
    wanted: Option<usize>,
}

/// Collects what is in memory and what is not.
fn plan(state: &mut State, dataset: u64, id: ObjectId, offset: u64, wanted: usize) -> Step<Plan> {
    let Record::Object { level, length, pointer, .. } = state.record(dataset, id)? else {
        return Err(VolumeError::NoObject(id.0).into());
    };
    let root = Root { level, pointer };
    let length = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX).min(wanted);
    let mut plan = Plan { length, blocks: Vec::new(), missing: Vec::new(), is_incomplete: false };
    if length == 0 {
        return Ok(plan);
    }
    let first = offset / BLOCK as u64;
    let last = (offset + length as u64 - 1) / BLOCK as u64;
    plan.blocks.reserve_exact((last - first + 1) as usize);
    for index in first..=last {
        let place = Place { dataset, object: id.0, level: 0, index };
        let block = state.cache.find(&place).cloned();
        if block.is_none()
            && let Some(pointer) = state.pointer_below(root, &place)?
        {
            let wanted = Some(plan.blocks.len());
            plan.missing.push(Missing { fetch: state.fetch(&place, pointer)?, wanted });
        }
        plan.blocks.push(block);
    }
    let missed = plan.missing.len() as u64;
    state.counters.hits += last - first + 1 - missed;
    state.counters.misses += missed;
    if follows_sequence(state, dataset, id, first, last) && missed > 0 {
        read_ahead(state, root, Place { dataset, object: id.0, level: 0, index: last }, &mut plan);
    }
    Ok(plan)
}

/// Whether the read goes on where an earlier one ended.
fn follows_sequence(state: &mut State, dataset: u64, id: ObjectId, first: u64, last: u64) -> bool {
    let slot = (dataset.wrapping_mul(31).wrapping_add(id.0) % SEQUENCES as u64) as usize;
    let before =
        std::mem::replace(&mut state.sequences[slot], Sequence { dataset, object: id.0, next: last + 1 });
    // A reader of less than a block comes back to the same one.
    (before.dataset, before.object) == (dataset, id.0) && (before.next == first || before.next == first + 1)
}

/// Adds the blocks after `last` that can be found without reading a node.
fn read_ahead(state: &mut State, root: Root, last: Place, plan: &mut Plan) {
    for index in last.index + 1..=last.index + AHEAD {
        if plan.missing.len() >= RUN {
            return;
        }
        let place = Place { index, ..last };
        if state.cache.contains(&place) {
            continue;
        }
        let Ok(Some(pointer)) = state.pointer_below(root, &place) else { return };
        let Ok(fetch) = state.fetch(&place, pointer) else { return };
        plan.missing.push(Missing { fetch, wanted: None });
    }
}

impl Inner {
    /// Reads the missing blocks, those that follow each other on the disk at once. A block that fails once may have
    /// been replaced by a commit meanwhile; one that fails twice, and is still wanted by the same pointer, is damaged.
    fn read_missing(&self, plan: &mut Plan, suspects: &mut Vec<Pointer>) -> Result<(), VolumeError> {
        plan.missing.sort_by_key(|missing| missing.fetch.pointer.block);
        let missing = std::mem::take(&mut plan.missing);
        let mut kept = Vec::with_capacity(missing.len());
        for run in missing.chunk_by(|a, b| a.fetch.pointer.block + 1 == b.fetch.pointer.block) {
            for run in run.chunks(RUN) {
                self.read_run(run, plan, suspects, &mut kept)?;
            }
        }
        let mut state = self.lock();
        for (fetch, block) in kept {
            state.keep(fetch, block);
        }
        Ok(())
    }

    fn read_run<'a>(
        &self,
        run: &'a [Missing],
        plan: &mut Plan,
        suspects: &mut Vec<Pointer>,
        kept: &mut Vec<(&'a Fetch, Arc<Block>)>,
    ) -> Result<(), VolumeError> {
        let fetches = run.iter().map(|missing| &missing.fetch);
        for (missing, block) in run.iter().zip(read_together(&*self.disk, fetches)?) {
            let fetch = &missing.fetch;
            match (block, missing.wanted) {
                (Some(block), wanted) => {
                    kept.push((fetch, Arc::clone(&block)));
                    if let Some(wanted) = wanted {
                        plan.blocks[wanted] = Some(block);
                    }
                }
                (None, None) => {}
                (None, Some(_)) if suspects.contains(&fetch.pointer) => {
                    return Err(self.lock().damage(&fetch.place, fetch.pointer.block).into());
                }
                (None, Some(_)) => {
                    suspects.push(fetch.pointer);
                    plan.is_incomplete = true;
                }
            }
        }
        Ok(())
    }
}

/// Copies what was collected to where it is wanted.
fn copy(plan: &Plan, offset: u64, into: &mut [u8]) {
    let mut skip = (offset % BLOCK as u64) as usize;
    let mut rest = into;
    for block in &plan.blocks {
        let count = (BLOCK - skip).min(rest.len());
        let (part, after) = rest.split_at_mut(count);
        match block {
            Some(block) => part.copy_from_slice(&block[skip..skip + count]),
            None => part.fill(0),
        }
        (skip, rest) = (0, after);
    }
}
