//! Cutting parts off trees and freeing them.
//!
//! First the part is detached in one step, so that nobody finds it any more; then its blocks are freed, node by node,
//! without holding anyone up. A commit cannot come between, since the operation goes on. Where a node cannot be read,
//! what is below it stays marked as used until the map of used blocks is rebuilt.

use std::sync::Arc;

use crate::dataset::ObjectId;
use crate::disk::BLOCK;
use crate::error::VolumeError;
use crate::fetch::read_block;
use crate::layout::{Block, FANOUT, Place, Pointer, RECORDS, Record, TABLE, pointer_at, put_pointer, span};
use crate::state::{PATH, Purpose, Root, State, Step};
use crate::volume::Inner;

/// A block, and all below it, that no longer belongs to its tree.
#[derive(Debug)]
pub(crate) struct Detached {
    place: Place,
    pointer: Option<Pointer>,
}

/// Blocks that are freed without letting others in between.
const BATCH: usize = 4096;

/// Brings into memory what [`detach`] needs.
pub(crate) fn prepare(state: &mut State, dataset: u64, object: u64, root: Root, from: u64) -> Step<()> {
    match from.checked_sub(1) {
        Some(kept) if kept < span(root.level) => {
            state.prepare_path(root, &Place { dataset, object, level: 0, index: kept })
        }
        _ => Ok(()),
    }
}

/// Cuts off all data blocks with index `from` and higher; returns where the tree begins now, and the parts.
pub(crate) fn detach(
    state: &mut State,
    dataset: u64,
    object: u64,
    root: Root,
    from: u64,
) -> (Root, Vec<Detached>) {
    let mut parts = Vec::new();
    let Some(kept) = from.checked_sub(1) else {
        let place = Place { dataset, object, level: root.level, index: 0 };
        if root.pointer.is_some() || state.cache.contains(&place) {
            parts.push(Detached { place, pointer: root.pointer });
        }
        return (Root { level: 0, pointer: None }, parts);
    };
    if kept >= span(root.level) {
        return (root, parts);
    }
    let last = Place { dataset, object, level: 0, index: kept };
    let mut below = last;
    while below.level < root.level {
        let node = below.parent();
        let before = parts.len();
        if let Some(block) = state.cache.find(&node).cloned() {
            for slot in below.slot() + 1..FANOUT as usize {
                let (place, pointer) = (node.child(slot), pointer_at(&block, slot));
                if pointer.is_some() || state.cache.contains(&place) {
                    parts.push(Detached { place, pointer });
                }
            }
        }
        if parts.len() > before {
            state.soil_path(&node, root.level);
            if let Some(block) = state.cache.change(&node) {
                for slot in below.slot() + 1..FANOUT as usize {
                    put_pointer(block, slot, None);
                }
            }
        }
        below = node;
    }
    (root, parts)
}

/// Takes an object out of the table; returns its tree and how many data blocks it has. Its number is not free yet.
pub(crate) fn detach_object(state: &mut State, dataset: u64, id: ObjectId) -> Step<(Vec<Detached>, u64)> {
    let Record::Object { level, generation, blocks, pointer, .. } = state.record(dataset, id)? else {
        return Err(VolumeError::NoObject(id.0).into());
    };
    state.prepare_record(dataset, id)?;
    state.room(PATH, Purpose::Removal)?;
    let (_, parts) = detach(state, dataset, id.0, Root { level, pointer }, 0);
    state.put_record(dataset, id, &Record::Free { generation, next: 0 });
    Ok((parts, blocks))
}

/// Puts the number of a removed object on the list of free ones.
pub(crate) fn give_number_back(state: &mut State, dataset: u64, id: ObjectId, blocks: u64) -> Step<()> {
    let Record::Free { generation, .. } = state.record(dataset, id)? else { return Ok(()) };
    state.prepare_record(dataset, id)?;
    let entry = &mut state.dataset(dataset)?.entry;
    let next = std::mem::replace(&mut entry.free, id.0);
    entry.usage.objects = entry.usage.objects.saturating_sub(1);
    entry.usage.bytes = entry.usage.bytes.saturating_sub(blocks.saturating_mul(BLOCK as u64));
    if entry.root == id.0 {
        entry.root = 0;
    }
    state.put_record(dataset, id, &Record::Free { generation, next });
    Ok(())
}

/// Counts blocks off that were cut from an object.
pub(crate) fn account(state: &mut State, dataset: u64, id: ObjectId, freed: u64) -> Step<()> {
    let mut record = state.record(dataset, id)?;
    let Record::Object { blocks, length, .. } = &mut record else { return Ok(()) };
    state.prepare_record(dataset, id)?;
    // Blocks below a damaged node were not counted; none is beyond the length.
    let left = blocks.saturating_sub(freed).min(length.div_ceil(BLOCK as u64));
    let gone = std::mem::replace(blocks, left) - left;
    let usage = &mut state.dataset(dataset)?.entry.usage;
    usage.bytes = usage.bytes.saturating_sub(gone.saturating_mul(BLOCK as u64));
    state.put_record(dataset, id, &record);
    Ok(())
}

impl Inner {
    /// Frees detached parts; returns how many data blocks were among them.
    pub(crate) fn free_detached(&self, parts: Vec<Detached>) -> u64 {
        let mut freed = 0;
        let mut stack = parts;
        let mut fetched = None;
        while !stack.is_empty() || fetched.is_some() {
            let wanted = self.free_batch(&mut stack, &mut fetched, &mut freed);
            let Some(part) = wanted else { continue };
            let content = self.read_detached(&part);
            if content.is_none() {
                self.lock().cache.purge(|place| is_below(place, &part.place));
            }
            fetched = Some((part, content));
        }
        freed
    }

    /// Frees until the stack is empty, a batch is done, or a node must be read, which is returned.
    fn free_batch(
        &self,
        stack: &mut Vec<Detached>,
        fetched: &mut Option<(Detached, Option<Arc<Block>>)>,
        freed: &mut u64,
    ) -> Option<Detached> {
        let mut state = self.lock();
        if let Some((part, content)) = fetched.take() {
            free_node(&mut state, &part, content.as_deref(), stack, freed);
        }
        for _ in 0..BATCH {
            let part = stack.pop()?;
            if is_data(&part.place) {
                free_block(&mut state, &part);
                *freed += 1;
                continue;
            }
            match state.cache.find(&part.place).cloned() {
                Some(content) => free_node(&mut state, &part, Some(&content), stack, freed),
                None => return Some(part),
            }
        }
        None
    }

    fn read_detached(&self, part: &Detached) -> Option<Arc<Block>> {
        let fetch = self.lock().fetch(&part.place, part.pointer?).ok()?;
        read_block(&*self.disk, &fetch).ok()?
    }
}

/// Frees a node and takes up its children; those of the lowest nodes are freed at once.
fn free_node(
    state: &mut State,
    part: &Detached,
    content: Option<&Block>,
    stack: &mut Vec<Detached>,
    freed: &mut u64,
) {
    for child in content.map(|content| children(&part.place, content)).unwrap_or_default() {
        if is_data(&child.place) {
            *freed += u64::from(free_block(state, &child));
        } else if child.pointer.is_some() || state.cache.contains(&child.place) {
            stack.push(child);
        }
    }
    free_block(state, part);
}

/// What a node, or a block of a table of objects, may lead to.
fn children(place: &Place, content: &Block) -> Vec<Detached> {
    if place.level > 0 {
        let child = |slot| Detached { place: place.child(slot), pointer: pointer_at(content, slot) };
        return (0..FANOUT as usize).map(child).collect();
    }
    let object = |slot: usize| match Record::at(content, slot) {
        Ok(Record::Object { level, pointer, .. }) => {
            let object = place.index * RECORDS + slot as u64 + 1;
            Some(Detached { place: Place { dataset: place.dataset, object, level, index: 0 }, pointer })
        }
        _ => None,
    };
    (0..RECORDS as usize).filter_map(object).collect()
}

/// Whether the block at `place` leads to no other.
fn is_data(place: &Place) -> bool {
    place.level == 0 && place.object != TABLE
}

/// Frees one block, in memory and on the disk; whether there was one.
fn free_block(state: &mut State, part: &Detached) -> bool {
    let was_cached = state.cache.remove(&part.place);
    if let Some(pointer) = part.pointer {
        state.space.free(pointer.block);
    }
    state.changed = true;
    was_cached || part.pointer.is_some()
}

fn is_below(place: &Place, top: &Place) -> bool {
    (place.dataset, place.object) == (top.dataset, top.object)
        && place.level < top.level
        && place.index / span(top.level - place.level) == top.index
}

/// The tree of a dataset's table of objects, all of it.
pub(crate) fn detach_table(state: &mut State, dataset: u64, root: Root) -> Vec<Detached> {
    detach(state, dataset, TABLE, root, 0).1
}
