//! A small tree whose pointers are all in memory: the bitmap's and the catalog's.

use std::collections::BTreeSet;

use crate::disk::BLOCK;
use crate::layout::{Block, FANOUT, Place, Pointer, STRUCTURE, put_pointer};
use crate::tidy::first_leaf;

/// The pointers of a tree over a list of blocks, without the blocks.
#[derive(Debug)]
pub(crate) struct ResidentTree {
    object: u64,
    /// Pointers to the blocks of each level; the last level has one, the root.
    levels: Vec<Vec<Option<Pointer>>>,
    /// Blocks of each level that the next commit must write.
    changed: Vec<BTreeSet<u64>>,
}

impl ResidentTree {
    /// A tree over `leaves` blocks, none of which is written yet.
    pub(crate) fn new(object: u64, leaves: u64) -> ResidentTree {
        let mut tree = ResidentTree { object, levels: Vec::new(), changed: Vec::new() };
        tree.resize(leaves);
        tree
    }

    /// A tree as it is on the disk.
    pub(crate) fn from_levels(object: u64, levels: Vec<Vec<Option<Pointer>>>) -> ResidentTree {
        let changed = levels.iter().map(|_| BTreeSet::new()).collect();
        ResidentTree { object, levels, changed }
    }

    /// How many blocks each level has above `leaves` blocks.
    pub(crate) fn shape(leaves: u64) -> Vec<u64> {
        let mut shape = vec![leaves];
        while let Some(&count) = shape.last()
            && count > 1
        {
            shape.push(count.div_ceil(FANOUT));
        }
        shape
    }

    /// All blocks of the tree.
    pub(crate) fn total(&self) -> u64 {
        self.levels.iter().map(|level| level.len() as u64).sum()
    }

    pub(crate) fn root(&self) -> Option<Pointer> {
        self.levels.last().and_then(|level| level.first()).copied().flatten()
    }

    /// Gives the tree `leaves` blocks and returns the blocks on the disk that it no longer has.
    pub(crate) fn resize(&mut self, leaves: u64) -> Vec<u64> {
        let shape = ResidentTree::shape(leaves);
        let mut gone = Vec::new();
        for level in self.levels.drain(shape.len().min(self.levels.len())..) {
            gone.extend(level.into_iter().flatten().map(|pointer| pointer.block));
        }
        self.levels.resize_with(shape.len(), Vec::new);
        self.changed.resize_with(shape.len(), BTreeSet::new);
        for (level, &count) in shape.iter().enumerate() {
            let pointers = &mut self.levels[level];
            let before = pointers.len() as u64;
            gone.extend(
                pointers.drain((count.min(before)) as usize..).flatten().map(|pointer| pointer.block),
            );
            pointers.resize(count as usize, None);
            self.changed[level].retain(|&index| index < count);
            if count == before {
                continue;
            }
            for index in before.min(count.saturating_sub(1))..count {
                self.touch_from(level, index, &shape);
            }
        }
        gone
    }

    /// Block `leaf` changed, and with it the nodes above.
    pub(crate) fn touch(&mut self, leaf: u64) {
        let shape = self.levels.iter().map(|level| level.len() as u64).collect::<Vec<_>>();
        self.touch_from(0, leaf, &shape);
    }

    /// The block at `place` must be written again, changed or not.
    pub(crate) fn touch_block(&mut self, place: &Place) {
        let leaf = first_leaf(place);
        if leaf < self.levels.first().map_or(0, |leaves| leaves.len() as u64) {
            self.touch(leaf);
        }
    }

    #[cfg(test)]
    pub(crate) fn is_changed(&self) -> bool {
        self.changed.iter().any(|level| !level.is_empty())
    }

    /// The changed blocks, level by level from below, which are now taken as written.
    pub(crate) fn take_changed(&mut self) -> Vec<Place> {
        let mut places = Vec::new();
        for (level, changed) in self.changed.iter_mut().enumerate() {
            let indexes = std::mem::take(changed);
            let object = self.object;
            let place = |index| Place { dataset: STRUCTURE, object, level: level as u8, index };
            places.extend(indexes.into_iter().map(place));
        }
        places
    }

    pub(crate) fn pointer(&self, place: &Place) -> Option<Pointer> {
        self.levels.get(usize::from(place.level))?.get(place.index as usize).copied().flatten()
    }

    pub(crate) fn set_pointer(&mut self, place: &Place, pointer: Pointer) {
        if let Some(slot) = self
            .levels
            .get_mut(usize::from(place.level))
            .and_then(|level| level.get_mut(place.index as usize))
        {
            *slot = Some(pointer);
        }
    }

    /// Whether `place` is the root.
    pub(crate) fn is_root(&self, place: &Place) -> bool {
        usize::from(place.level) + 1 == self.levels.len()
    }

    /// The contents of the node at `place`, which is above the leaves.
    pub(crate) fn node(&self, place: &Place) -> Box<Block> {
        let mut node = Box::new([0; BLOCK]);
        let below = &self.levels[usize::from(place.level) - 1];
        for (slot, pointer) in
            below.iter().skip((place.index * FANOUT) as usize).take(FANOUT as usize).enumerate()
        {
            put_pointer(&mut node, slot, pointer.as_ref());
        }
        node
    }

    fn touch_from(&mut self, level: usize, index: u64, shape: &[u64]) {
        let mut index = index;
        for changed in &mut self.changed[level..shape.len()] {
            changed.insert(index);
            index /= FANOUT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::BITMAP;

    fn write_all(tree: &mut ResidentTree, next: &mut u64) -> Vec<Place> {
        let places = tree.take_changed();
        for place in &places {
            *next += 1;
            tree.set_pointer(place, Pointer { block: *next, counter: 0, key: [0; 12], tag: [0; 16] });
        }
        places
    }

    #[test]
    fn a_change_reaches_the_root() {
        let mut tree = ResidentTree::new(BITMAP, 250);
        assert_eq!(tree.total(), 250 + 3 + 1);
        assert_eq!(write_all(&mut tree, &mut 10).len(), 254);
        tree.touch(103);
        let changed = tree.take_changed();
        let steps = changed.iter().map(|place| (place.level, place.index)).collect::<Vec<_>>();
        assert_eq!(steps, vec![(0, 103), (1, 1), (2, 0)]);
        assert!(tree.is_root(&changed[2]));
    }

    #[test]
    fn growing_and_shrinking_keeps_every_path_written() {
        let mut tree = ResidentTree::new(BITMAP, 1);
        let mut next = 10;
        write_all(&mut tree, &mut next);
        for leaves in [2, 102, 103, 40, 1, 10_500, 102, 3, 1] {
            let before = tree.total();
            let gone = tree.resize(leaves);
            let changed = write_all(&mut tree, &mut next);
            assert!(changed.iter().any(|place| tree.is_root(place)), "{leaves}: the root was not written");
            assert!(tree.levels.iter().flatten().all(Option::is_some), "{leaves}");
            assert!(gone.len() as u64 + tree.total() >= before, "{leaves}: blocks were lost");
        }
        assert!(!tree.is_changed());
    }
}
