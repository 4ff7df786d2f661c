//! Going through all blocks of one commit.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::disk::{BLOCK, Disk};
use crate::error::{Damage, VolumeError};
use crate::fetch::read_run;
use crate::keys::{Key, KeyRing};
use crate::layout::{
    BITMAP, Block, Body, CATALOG, ENTRIES, ENTRY_LEN, Entry, FANOUT, Place, Pointer, RECORDS, Record,
    STRUCTURE, TABLE, pointer_at,
};
use crate::resident::ResidentTree;
use crate::space::{BITS, RUN, SUPERBLOCKS};
use crate::state::{Fetch, damage};

/// Visits the blocks of a commit from its superblock down, knowing nothing but that.
pub(crate) struct Walk {
    disk: Arc<dyn Disk>,
    blocks: u64,
    depth: Depth,
    structure: KeyRing,
    datasets: HashMap<u64, (String, KeyRing)>,
    /// Blocks to visit: siblings together, in the order of the disk.
    groups: Vec<Vec<(Place, Pointer)>>,
}

/// How far down a walk reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Blocks that lead to others; of the rest only where they are. The bitmap is left out.
    Nodes,
    /// Everything.
    Data,
}

/// What a walk came by at once.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    /// The blocks on the disk; they follow each other where they were read.
    pub(crate) blocks: Vec<u64>,
    /// What they are.
    pub(crate) places: Vec<Place>,
    /// Their sealed bytes, where they were read and all are intact.
    pub(crate) sealed: Vec<u8>,
    pub(crate) damage: Vec<Damage>,
    /// Blocks that the bitmap, where it came by, says are used.
    pub(crate) marked: u64,
}

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Walk {
    pub(crate) fn new(disk: Arc<dyn Disk>, structure: &Key, body: &Body, depth: Depth) -> Walk {
        let root = |object, leaves: u64, pointer: Option<Pointer>| {
            let level = (ResidentTree::shape(leaves).len() - 1) as u8;
            Some((Place { dataset: STRUCTURE, object, level, index: 0 }, pointer?))
        };
        let catalog = root(CATALOG, body.entries.div_ceil(ENTRIES as u64), body.catalog);
        let bitmap = root(BITMAP, body.blocks.div_ceil(BITS), body.bitmap).filter(|_| depth == Depth::Data);
        Walk {
            disk,
            blocks: body.blocks,
            depth,
            structure: KeyRing::new(structure.clone()),
            datasets: HashMap::new(),
            groups: vec![catalog.into_iter().collect(), bitmap.into_iter().collect()],
        }
    }

    /// Visits some more blocks; none when all were.
    pub(crate) fn step(&mut self) -> Result<Option<Visited>, VolumeError> {
        loop {
            let Some(mut group) = self.groups.pop() else { return Ok(None) };
            let Some(&(place, first)) = group.first() else { continue };
            if !(SUPERBLOCKS..self.blocks).contains(&first.block) {
                group.remove(0);
                self.groups.push(group);
                return Ok(Some(Visited {
                    damage: vec![self.damage(&place, first.block)],
                    ..Visited::default()
                }));
            }
            let follows =
                |(at, (_, pointer)): (usize, &(Place, Pointer))| pointer.block == first.block + at as u64;
            let last = first.block + (RUN as u64).min(self.blocks - first.block);
            let length = group.iter().enumerate().take_while(|&item| follows(item)).count();
            let length = length.min((last - first.block) as usize);
            let rest = group.split_off(length);
            self.groups.push(rest);
            if self.depth == Depth::Nodes && is_leaf(&place) {
                let (places, pointers): (_, Vec<_>) = group.into_iter().unzip();
                let blocks = pointers.iter().map(|pointer| pointer.block).collect();
                return Ok(Some(Visited { blocks, places, ..Visited::default() }));
            }
            return self.visit(&group).map(Some);
        }
    }

    /// Reads and verifies blocks that follow each other.
    fn visit(&mut self, run: &[(Place, Pointer)]) -> Result<Visited, VolumeError> {
        let mut visited = Visited::default();
        let start = run[0].1.block;
        let mut bytes = vec![0; run.len() * BLOCK];
        if !read_run(&*self.disk, start, &mut bytes)? {
            // The disk is too short for all of them; those before its end are there.
            for (bytes, (_, pointer)) in bytes.chunks_exact_mut(BLOCK).zip(run) {
                if !read_run(&*self.disk, pointer.block, bytes)? {
                    bytes.fill(0);
                }
            }
        }
        let sealed = if self.depth == Depth::Data { bytes.clone() } else { Vec::new() };
        for (bytes, (place, pointer)) in bytes.chunks_exact_mut(BLOCK).zip(run) {
            visited.blocks.push(pointer.block);
            visited.places.push(*place);
            let cipher = self.ring(place).cipher(&pointer.key);
            let fetch = Fetch { place: *place, pointer: *pointer, cipher };
            let content = if fetch.open(bytes) { <&Block>::try_from(&*bytes).ok() } else { None };
            let followed = content.and_then(|content| self.follow(place, content, &mut visited.marked));
            if followed.is_none() {
                visited.damage.push(self.damage(place, pointer.block));
            }
        }
        if visited.damage.is_empty() {
            visited.sealed = sealed;
        }
        Ok(visited)
    }

    /// Takes up what an intact block leads to; none where it makes no sense.
    fn follow(&mut self, place: &Place, content: &Block, marked: &mut u64) -> Option<()> {
        let mut group = Vec::new();
        match (place.dataset, place.object, place.level) {
            (STRUCTURE, CATALOG, 0) => {
                for bytes in content.chunks_exact(ENTRY_LEN) {
                    let Some(entry) = Entry::decode(bytes).ok()? else { continue };
                    let place =
                        Place { dataset: entry.id, object: TABLE, level: entry.table_level, index: 0 };
                    group.extend(entry.table.map(|pointer| (place, pointer)));
                    self.datasets.insert(entry.id, (entry.name.clone(), KeyRing::new(entry.key.clone())));
                }
            }
            (STRUCTURE, _, 0) => {
                *marked += content.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
            }
            (dataset, TABLE, 0) => {
                for slot in 0..RECORDS {
                    if let Record::Object { level, pointer, .. } = Record::at(content, slot as usize).ok()? {
                        let object = place.index * RECORDS + slot + 1;
                        let place = Place { dataset, object, level, index: 0 };
                        group.extend(pointer.map(|pointer| (place, pointer)));
                    }
                }
            }
            (_, _, 0) => return Some(()),
            _ => {
                let child = |slot: usize| Some((place.child(slot), pointer_at(content, slot)?));
                group.extend((0..FANOUT as usize).filter_map(child));
            }
        }
        group.sort_unstable_by_key(|(_, pointer)| pointer.block);
        // Data is visited in runs apart from what leads to more.
        let (leaves, nodes) = group.into_iter().partition::<Vec<_>, _>(|(place, _)| is_leaf(place));
        self.groups.push(nodes);
        self.groups.push(leaves);
        Some(())
    }

    fn ring(&mut self, place: &Place) -> &mut KeyRing {
        match self.datasets.get_mut(&place.dataset) {
            Some((_, ring)) => ring,
            None => &mut self.structure,
        }
    }

    fn damage(&self, place: &Place, block: u64) -> Damage {
        let name = self.datasets.get(&place.dataset).map(|(name, _)| name.clone());
        damage(place, block, name.unwrap_or_default())
    }
}

/// Whether the block at `place` leads to no other.
fn is_leaf(place: &Place) -> bool {
    place.level == 0 && place.object != TABLE && place.dataset != STRUCTURE
}
