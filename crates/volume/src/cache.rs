//! Plaintext blocks in memory.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use crate::layout::{Block, Place, shared};

/// Blocks by their places: those that wait for a commit, and as many others as the bound allows.
pub(crate) struct Cache {
    map: HashMap<Place, u32, PlaceHash>,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// Places that became dirty, in order; some may not be any more.
    became_dirty: Vec<Place>,
    hand: usize,
    clean: usize,
    dirty: usize,
    in_flight: usize,
    /// Clean blocks kept.
    limit: usize,
}

struct Slot {
    place: Place,
    block: Option<Arc<Block>>,
    status: Status,
    referenced: bool,
}

/// How a block in memory relates to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As on the disk.
    Clean,
    /// Changed since the last snapshot.
    Dirty,
    /// In a snapshot that is not durable yet.
    InFlight,
}

/// The fewest clean blocks kept: several paths from a root to data.
const FEWEST: usize = 128;

impl Cache {
    /// `seed` makes the hash table's order unknown to guests, who choose places.
    pub(crate) fn new(bytes: usize, seed: u64) -> Cache {
        Cache {
            map: HashMap::with_hasher(PlaceHash(seed)),
            slots: Vec::new(),
            vacant: Vec::new(),
            became_dirty: Vec::new(),
            hand: 0,
            clean: 0,
            dirty: 0,
            in_flight: 0,
            limit: (bytes / size_of::<Block>()).max(FEWEST),
        }
    }

    pub(crate) fn find(&mut self, place: &Place) -> Option<&Arc<Block>> {
        let slot = &mut self.slots[*self.map.get(place)? as usize];
        slot.referenced = true;
        slot.block.as_ref()
    }

    pub(crate) fn contains(&self, place: &Place) -> bool {
        self.map.contains_key(place)
    }

    /// A block as it is on the disk; no effect where the place is in memory already.
    pub(crate) fn insert_clean(&mut self, place: Place, block: Arc<Block>) {
        if self.contains(&place) {
            return;
        }
        let new = self.put(place, block, Status::Clean);
        self.clean += 1;
        self.trim(Some(new));
    }

    /// The block to change, which is dirty from now on; none where the place is not in memory.
    pub(crate) fn change(&mut self, place: &Place) -> Option<&mut Block> {
        let index = *self.map.get(place)? as usize;
        self.soil(index);
        self.slots[index].block.as_mut().map(Arc::make_mut)
    }

    /// The block to change without a change of its status, to fill in what a snapshot decided.
    pub(crate) fn patch(&mut self, place: &Place) -> Option<&mut Block> {
        let index = *self.map.get(place)? as usize;
        self.slots[index].block.as_mut().map(Arc::make_mut)
    }

    /// Puts a whole new block, dirty, in place of what is there.
    pub(crate) fn replace(&mut self, place: Place, bytes: &Block) {
        if let Some(&index) = self.map.get(&place) {
            self.soil(index as usize);
            let slot = &mut self.slots[index as usize];
            match slot.block.as_mut().and_then(Arc::get_mut) {
                Some(block) => *block = *bytes,
                None => slot.block = Some(shared(bytes)),
            }
            return;
        }
        self.put(place, shared(bytes), Status::Dirty);
        self.dirty += 1;
        self.became_dirty.push(place);
    }

    /// Forgets a block; whether it was there.
    pub(crate) fn remove(&mut self, place: &Place) -> bool {
        let Some(index) = self.map.remove(place) else { return false };
        let slot = &mut self.slots[index as usize];
        *match slot.status {
            Status::Clean => &mut self.clean,
            Status::Dirty => &mut self.dirty,
            Status::InFlight => &mut self.in_flight,
        } -= 1;
        slot.block = None;
        slot.status = Status::Clean;
        self.vacant.push(index);
        true
    }

    /// Forgets all blocks for which `is_gone` holds. Looks at every block.
    pub(crate) fn purge(&mut self, is_gone: impl Fn(&Place) -> bool) {
        let gone = self.map.keys().copied().filter(|place| is_gone(place)).collect::<Vec<_>>();
        for place in gone {
            self.remove(&place);
        }
    }

    /// The datasets that have dirty blocks; some may not have any more.
    pub(crate) fn dirty_datasets(&self) -> BTreeSet<u64> {
        self.became_dirty.iter().map(|place| place.dataset).collect()
    }

    /// The dirty places, which are in flight from now on.
    pub(crate) fn take_dirty(&mut self) -> Vec<Place> {
        let mut places = std::mem::take(&mut self.became_dirty);
        places.retain(|place| {
            let Some(&index) = self.map.get(place) else { return false };
            let slot = &mut self.slots[index as usize];
            let is_dirty = slot.status == Status::Dirty;
            if is_dirty {
                slot.status = Status::InFlight;
            }
            is_dirty
        });
        self.dirty -= places.len();
        self.in_flight += places.len();
        places
    }

    /// A snapshot became durable: what is in flight is clean.
    pub(crate) fn settle(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            if let Some(&index) = self.map.get(&place) {
                let slot = &mut self.slots[index as usize];
                if slot.status == Status::InFlight {
                    slot.status = Status::Clean;
                    self.in_flight -= 1;
                    self.clean += 1;
                }
            }
        }
        self.trim(None);
    }

    /// Blocks that the next commit must write.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty
    }

    /// Blocks that cannot be evicted.
    pub(crate) fn pinned(&self) -> usize {
        self.dirty + self.in_flight
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn put(&mut self, place: Place, block: Arc<Block>, status: Status) -> usize {
        let slot = Slot { place, block: Some(block), status, referenced: false };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.map.insert(place, index);
        index as usize
    }

    fn soil(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        slot.referenced = true;
        match slot.status {
            Status::Dirty => return,
            Status::Clean => self.clean -= 1,
            Status::InFlight => self.in_flight -= 1,
        }
        slot.status = Status::Dirty;
        self.dirty += 1;
        self.became_dirty.push(slot.place);
    }

    /// Evicts clean blocks that were not used since the hand last passed; never `new`.
    fn trim(&mut self, new: Option<usize>) {
        while self.clean > self.limit {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if slot.block.is_none() || slot.status != Status::Clean || Some(self.hand) == new {
                continue;
            }
            if slot.referenced {
                slot.referenced = false;
                continue;
            }
            let place = slot.place;
            self.remove(&place);
        }
    }
}

/// A multiplying hash, quick on the four numbers of a place.
#[derive(Clone, Debug)]
struct PlaceHash(u64);

impl BuildHasher for PlaceHash {
    type Hasher = PlaceHasher;

    fn build_hasher(&self) -> PlaceHasher {
        PlaceHasher(self.0)
    }
}

#[derive(Debug)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The fractional part of the golden ratio; both halves of the product are kept.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::BLOCK;

    fn place(index: u64) -> Place {
        Place { dataset: 1, object: 1, level: 0, index }
    }

    fn block(byte: u8) -> Arc<Block> {
        Arc::new([byte; BLOCK])
    }

    #[test]
    fn clean_blocks_are_bounded_and_dirty_ones_stay() {
        let mut cache = Cache::new(0, 7);
        for index in 0..500 {
            cache.replace(place(10_000 + index), &[1; BLOCK]);
            cache.insert_clean(place(index), block(0));
        }
        assert_eq!(cache.len(), 500 + FEWEST);
        assert_eq!(cache.dirty(), 500);
        let dirty = cache.take_dirty();
        assert_eq!(dirty.len(), 500);
        assert_eq!((cache.dirty(), cache.pinned()), (0, 500));
        cache.settle(dirty.into_iter());
        assert_eq!(cache.len(), FEWEST);
    }

    #[test]
    fn a_block_that_is_used_outlives_those_that_are_not() {
        let mut cache = Cache::new(0, 7);
        cache.insert_clean(place(0), block(9));
        for index in 1..1000 {
            assert!(cache.find(&place(0)).is_some(), "gone at {index}");
            cache.insert_clean(place(index), block(0));
        }
    }

    #[test]
    fn a_block_changed_in_flight_stays_dirty_and_its_snapshot_as_it_was() {
        let mut cache = Cache::new(0, 7);
        cache.replace(place(1), &[1; BLOCK]);
        let places = cache.take_dirty();
        let snapshot = Arc::clone(cache.find(&place(1)).unwrap());
        cache.change(&place(1)).unwrap()[0] = 2;
        assert_eq!(snapshot[0], 1);
        cache.settle(places.into_iter());
        assert_eq!((cache.dirty(), cache.pinned()), (1, 1));
        assert_eq!(cache.take_dirty(), vec![place(1)]);
    }

    #[test]
    fn a_removed_block_is_not_written() {
        let mut cache = Cache::new(0, 7);
        cache.replace(place(1), &[1; BLOCK]);
        cache.replace(place(2), &[1; BLOCK]);
        assert!(cache.remove(&place(1)));
        assert!(!cache.remove(&place(1)));
        cache.purge(|place| place.index == 2);
        assert!(cache.take_dirty().is_empty());
        cache.replace(place(1), &[2; BLOCK]);
        assert_eq!(cache.take_dirty(), vec![place(1)]);
    }
}
