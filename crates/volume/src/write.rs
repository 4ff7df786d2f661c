//! Writing an object, and making it shorter or longer.

use crate::dataset::{Dataset, ObjectId};
use crate::disk::BLOCK;
use crate::error::{QuotaExceeded, VolumeError};
use crate::layout::{Block, FANOUT, Place, Record, level_for, span};
use crate::state::{PATH, Purpose, Root, State, Step, Wait};
use crate::volume::Operation;
use crate::{MAX_LENGTH, prune};

/// Blocks that one step of a write changes at most.
const PIECE: u64 = 256;

impl Dataset {
    /// Writes bytes of an object from `offset` on and makes it longer where they go beyond its end.
    ///
    /// Whether quota and disk suffice is known before anything changes; only where somebody else takes the room while
    /// more than 1 MiB is written does a part of it stay.
    ///
    /// # Errors
    /// [`VolumeError::QuotaExceeded`], [`VolumeError::Full`], [`VolumeError::TooLarge`], [`VolumeError::NoObject`],
    /// [`VolumeError::Removed`], or the disk's and damage to what the write touches.
    pub fn write(
        &self,
        _operation: &Operation<'_>,
        id: ObjectId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), VolumeError> {
        let inner = &self.volume.inner;
        let end = offset.saturating_add(bytes.len() as u64);
        if end > MAX_LENGTH {
            return Err(VolumeError::TooLarge(end));
        }
        if bytes.is_empty() {
            return self.object(id).map(drop);
        }
        let _one_at_a_time = inner.lock_object(self.id, id.0);
        let pieces = || pieces(offset, bytes);
        if pieces().nth(1).is_some() {
            let mut new = 0;
            for (offset, bytes) in pieces() {
                new += inner
                    .run(|state| prepare(state, self.id, id, offset, bytes).map(|prepared| prepared.new))?;
            }
            let blocks = (bytes.len() / BLOCK) as u64;
            inner.run(|state| {
                check_quota(state, self.id, new)?;
                state.room(blocks + blocks / FANOUT * 2 + PATH, purpose(new))
            })?;
        }
        for (offset, bytes) in pieces() {
            inner.run(|state| write_piece(state, self.id, id, offset, bytes))?;
        }
        Ok(())
    }

    /// Makes an object `length` bytes long. What is cut off is freed; what is added reads as zeros and takes no space.
    ///
    /// # Errors
    /// [`VolumeError::TooLarge`], [`VolumeError::NoObject`], [`VolumeError::Removed`], or the disk's and damage to the
    /// last block that stays or the nodes above it.
    pub fn set_length(
        &self,
        _operation: &Operation<'_>,
        id: ObjectId,
        length: u64,
    ) -> Result<(), VolumeError> {
        let inner = &self.volume.inner;
        if length > MAX_LENGTH {
            return Err(VolumeError::TooLarge(length));
        }
        let _one_at_a_time = inner.lock_object(self.id, id.0);
        let detached = inner.run(|state| change_length(state, self.id, id, length))?;
        if detached.is_empty() {
            return Ok(());
        }
        let freed = inner.free_detached(detached);
        inner.run(|state| prune::account(state, self.id, id, freed))
    }

    /// Removes an object and frees its blocks. Its number may come back with another generation.
    ///
    /// # Errors
    /// [`VolumeError::NoObject`], [`VolumeError::Removed`], or the disk's and damage to the table of objects. Damage
    /// to the object itself is none: what cannot be found is not freed.
    pub fn remove_object(&self, _operation: &Operation<'_>, id: ObjectId) -> Result<(), VolumeError> {
        let inner = &self.volume.inner;
        let _one_at_a_time = inner.lock_object(self.id, id.0);
        let (detached, blocks) = inner.run(|state| prune::detach_object(state, self.id, id))?;
        inner.free_detached(detached);
        inner.run(|state| prune::give_number_back(state, self.id, id, blocks))
    }
}

/// `bytes` from `offset` on, cut where [`PIECE`] blocks are full.
fn pieces(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let (mut offset, mut rest) = (offset, bytes);
    let piece = PIECE * BLOCK as u64;
    std::iter::from_fn(move || {
        let count = ((piece - offset % piece) as usize).min(rest.len());
        let (part, after) = rest.split_at(count);
        let at = offset;
        (offset, rest) = (offset + count as u64, after);
        (count > 0).then_some((at, part))
    })
}

/// What a piece of a write finds.
struct Prepared {
    record: Record,
    root: Root,
    length: u64,
    first: u64,
    last: u64,
    /// Data blocks that do not exist yet.
    new: u64,
}

fn prepare(state: &mut State, dataset: u64, id: ObjectId, offset: u64, bytes: &[u8]) -> Step<Prepared> {
    let record = state.record(dataset, id)?;
    let Record::Object { level, pointer, length, .. } = record else {
        return Err(VolumeError::NoObject(id.0).into());
    };
    let root = Root { level, pointer };
    let end = offset + bytes.len() as u64;
    let (first, last) = (offset / BLOCK as u64, (end - 1) / BLOCK as u64);
    let mut new = 0;
    for index in first..=last {
        let place = Place { dataset, object: id.0, level: 0, index };
        if (index == first || index % FANOUT == 0) && index < span(level) {
            state.prepare_path(root, &place)?;
        }
        if state.cache.contains(&place) {
            continue;
        }
        match state.pointer_below(root, &place)? {
            None => new += 1,
            Some(pointer) => {
                let start = index * BLOCK as u64;
                let is_whole = offset <= start && start + BLOCK as u64 <= end;
                if !is_whole {
                    return Err(Wait::Fetch(state.fetch(&place, pointer)?));
                }
            }
        }
    }
    Ok(Prepared { record, root, length: length.max(end), first, last, new })
}

fn check_quota(state: &mut State, dataset: u64, new: u64) -> Step<()> {
    let entry = &state.dataset(dataset)?.entry;
    let wanted = entry.usage.bytes.saturating_add(new.saturating_mul(BLOCK as u64));
    if new > 0 && wanted > entry.quota.bytes {
        return Err(VolumeError::from(QuotaExceeded::Bytes { wanted, allowed: entry.quota.bytes }).into());
    }
    Ok(())
}

fn purpose(new: u64) -> Purpose {
    if new > 0 { Purpose::Growth } else { Purpose::Change }
}

fn write_piece(state: &mut State, dataset: u64, id: ObjectId, offset: u64, bytes: &[u8]) -> Step<()> {
    let Prepared { mut record, root, length: new_length, first, last, new } =
        prepare(state, dataset, id, offset, bytes)?;
    state.prepare_record(dataset, id)?;
    check_quota(state, dataset, new)?;
    let count = last - first + 1;
    state.room(count + count / FANOUT + PATH, purpose(new))?;

    let raised = state.raise(dataset, id.0, root, level_for(last));
    let mut rest = bytes;
    let mut skip = (offset % BLOCK as u64) as usize;
    for index in first..=last {
        let place = Place { dataset, object: id.0, level: 0, index };
        if index == first || index % FANOUT == 0 {
            state.soil_path(&place, raised.level);
        }
        let (part, after) = rest.split_at((BLOCK - skip).min(rest.len()));
        if let Ok(whole) = <&Block>::try_from(part) {
            state.cache.replace(place, whole);
        } else if let Some(block) = state.cache.change(&place) {
            block[skip..skip + part.len()].copy_from_slice(part);
        } else {
            let mut block = [0; BLOCK];
            block[skip..skip + part.len()].copy_from_slice(part);
            state.cache.replace(place, &block);
        }
        (skip, rest) = (0, after);
    }
    if let Record::Object { level, pointer, length, blocks, .. } = &mut record {
        (*level, *pointer) = (raised.level, raised.pointer);
        *length = new_length;
        *blocks += new;
    }
    if let Ok(dataset) = state.dataset(dataset) {
        dataset.entry.usage.bytes += new * BLOCK as u64;
    }
    state.put_record(dataset, id, &record);
    Ok(())
}

/// Sets the length, zeroes the rest of the last block, and returns what no longer belongs to the object.
fn change_length(state: &mut State, dataset: u64, id: ObjectId, new: u64) -> Step<Vec<prune::Detached>> {
    let mut record = state.record(dataset, id)?;
    let Record::Object { level, pointer, length, .. } = &mut record else {
        return Err(VolumeError::NoObject(id.0).into());
    };
    let root = Root { level: *level, pointer: *pointer };
    let is_cut = new < *length;
    let from = new.div_ceil(BLOCK as u64);
    let tail = Place { dataset, object: id.0, level: 0, index: new / BLOCK as u64 };
    let cut_block = is_cut && !new.is_multiple_of(BLOCK as u64);
    if is_cut {
        prune::prepare(state, dataset, id.0, root, from)?;
    }
    if cut_block
        && !state.cache.contains(&tail)
        && let Some(pointer) = state.pointer_below(root, &tail)?
    {
        return Err(Wait::Fetch(state.fetch(&tail, pointer)?));
    }
    state.prepare_record(dataset, id)?;
    state.room(PATH, if is_cut { Purpose::Removal } else { Purpose::Change })?;

    *length = new;
    let mut detached = Vec::new();
    if is_cut {
        let (kept, gone) = prune::detach(state, dataset, id.0, root, from);
        (*level, *pointer) = (kept.level, kept.pointer);
        detached = gone;
    }
    if cut_block && let Some(block) = state.cache.change(&tail) {
        block[(new % BLOCK as u64) as usize..].fill(0);
        state.soil_path(&tail, *level);
    }
    state.put_record(dataset, id, &record);
    Ok(detached)
}
