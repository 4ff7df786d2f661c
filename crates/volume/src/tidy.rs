//! Making the disk shorter: what is at its end moves to free blocks before, so that the end can be cut off.
//!
//! A volume that holds less than half of what the disk has room for is gone through once, without its data, for blocks
//! near the end. They are made dirty, some with each commit, and so find new places.

use std::sync::Arc;

use crate::dataset::ObjectId;
use crate::error::VolumeError;
use crate::layout::{BITMAP, Place, Record, STRUCTURE, TABLE, span};
use crate::space::{SLACK, Space, TAIL};
use crate::state::{PATH, Purpose, Root, State, Step};
use crate::volume::Inner;
use crate::walk::{Depth, Walk};

/// What is known of moving blocks to the front.
#[derive(Debug, Default)]
pub(crate) struct Tidy {
    /// Blocks that may be beyond `limit`, the next last.
    places: Vec<Place>,
    limit: u64,
    /// Length and used blocks of the disk when it was gone through last.
    last: Option<(u64, u64)>,
}

/// Blocks moved with one commit: 8 MiB.
const BATCH: usize = 2048;

impl Tidy {
    /// Where everything could be before, if going through the volume is worth it.
    fn is_due(&self, space: &Space) -> Option<u64> {
        let (blocks, taken) = (space.blocks(), space.blocks() - space.available());
        let limit = taken + taken / 8 + SLACK;
        let is_new = self.last.is_none_or(|(then, had)| blocks > then || taken < had - had / 4);
        (taken < blocks / 2 && space.end() > limit + TAIL && is_new).then_some(limit)
    }
}

impl Inner {
    /// Makes some blocks at the end of the disk dirty; whether there were any, so that another commit is worth it.
    pub(crate) fn tidy(&self) -> bool {
        let walk = {
            let mut state = self.lock();
            match state.tidy.is_due(&state.space) {
                Some(limit) if state.tidy.places.is_empty() && !state.space.is_pinned(u64::MAX) => {
                    state.tidy.limit = limit;
                    state.tidy.last =
                        Some((state.space.blocks(), state.space.blocks() - state.space.available()));
                    let (key, body) = (state.structure.key().clone(), state.durable.body.clone());
                    Some((Walk::new(Arc::clone(&self.disk), &key, &body, Depth::Nodes), limit, body.bitmap))
                }
                _ => None,
            }
        };
        if let Some((walk, limit, bitmap)) = walk {
            let mut places = find(walk, limit);
            // The bitmap is not walked; touching its root's first block moves its whole path.
            if bitmap.is_some_and(|bitmap| bitmap.block >= limit) {
                places.push(Place { dataset: STRUCTURE, object: BITMAP, level: 0, index: 0 });
            }
            self.lock().tidy.places = places;
        }
        let batch = {
            let mut state = self.lock();
            let left = state.tidy.places.len().saturating_sub(BATCH);
            state.tidy.places.split_off(left)
        };
        if batch.is_empty() {
            return false;
        }
        self.gate.enter();
        for place in batch {
            // What cannot be read or no longer exists stays or goes where it is.
            let _ = self.move_block(&place);
        }
        self.gate.leave();
        self.lock().changed = true;
        true
    }

    fn move_block(&self, place: &Place) -> Result<(), VolumeError> {
        self.run(|state| {
            if place.dataset == STRUCTURE {
                let tree = if place.object == BITMAP { &mut state.bitmap } else { &mut state.catalog };
                tree.touch_block(place);
                return Ok(());
            }
            let limit = state.tidy.limit;
            match state.pointer(place)? {
                Some(pointer) if pointer.block >= limit => soil(state, place),
                _ => Ok(()),
            }
        })
    }
}

/// The blocks of a commit that are at `limit` or beyond.
fn find(mut walk: Walk, limit: u64) -> Vec<Place> {
    let mut places = Vec::new();
    // An error or damage ends it: what was found is something.
    while let Ok(Some(visited)) = walk.step() {
        let beyond = visited.places.iter().zip(&visited.blocks).filter(|(_, block)| **block >= limit);
        places.extend(beyond.map(|(place, _)| *place));
    }
    places
}

/// Makes a block dirty without changing it.
fn soil(state: &mut State, place: &Place) -> Step<()> {
    let (dataset, object) = (place.dataset, place.object);
    let Root { level, pointer } = state.root(dataset, object)?;
    state.prepare_path(Root { level, pointer }, place)?;
    state.load(place)?;
    if object == TABLE {
        state.room(PATH, Purpose::Change)?;
        state.cache.change(place);
        state.soil_path(place, level);
        state.touch_entry(dataset);
        return Ok(());
    }
    let record: Record = state.record(dataset, ObjectId(object))?;
    state.prepare_record(dataset, ObjectId(object))?;
    state.room(PATH, Purpose::Change)?;
    state.cache.change(place);
    state.soil_path(place, level);
    state.put_record(dataset, ObjectId(object), &record);
    Ok(())
}

/// The first of the lowest blocks that the block at `place` leads to.
pub(crate) fn first_leaf(place: &Place) -> u64 {
    place.index.saturating_mul(span(place.level))
}
