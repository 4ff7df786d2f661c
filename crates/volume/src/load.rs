//! Reading the small trees that stay in memory: the catalog's and the bitmap's.

use std::sync::Arc;

use crate::disk::Disk;
use crate::error::VolumeError;
use crate::fetch::read_together;
use crate::keys::KeyRing;
use crate::layout::{Block, FANOUT, Place, Pointer, STRUCTURE, pointer_at};
use crate::resident::ResidentTree;
use crate::space::{RUN, SUPERBLOCKS};
use crate::state::{Fetch, damage};

/// A tree, and the contents of its lowest blocks.
pub(crate) type Loaded = (ResidentTree, Vec<Arc<Block>>);

/// Reads the tree of `object` over `leaves` blocks. Pointers beyond `blocks` are damage.
pub(crate) fn tree(
    disk: &dyn Disk,
    blocks: u64,
    ring: &mut KeyRing,
    object: u64,
    leaves: u64,
    root: Option<Pointer>,
) -> Result<Loaded, VolumeError> {
    let shape = ResidentTree::shape(leaves);
    let mut levels = vec![Vec::new(); shape.len()];
    let mut contents = Vec::new();
    if leaves > 0 {
        levels[shape.len() - 1] = vec![root];
    }
    for level in (0..shape.len()).rev() {
        contents = Vec::with_capacity(shape[level] as usize);
        let mut fetches = Vec::with_capacity(shape[level] as usize);
        for (index, pointer) in levels[level].iter().enumerate() {
            let place = Place { dataset: STRUCTURE, object, level: level as u8, index: index as u64 };
            let pointer = pointer.filter(|pointer| (SUPERBLOCKS..blocks).contains(&pointer.block));
            let pointer = pointer.ok_or_else(|| damage(&place, 0, String::new()))?;
            fetches.push(Fetch { place, pointer, cipher: ring.cipher(&pointer.key) });
        }
        for run in fetches.chunk_by(|a, b| a.pointer.block + 1 == b.pointer.block) {
            for run in run.chunks(RUN) {
                for (fetch, block) in run.iter().zip(read_together(disk, run.iter())?) {
                    let gone = || damage(&fetch.place, fetch.pointer.block, String::new());
                    contents.push(block.ok_or_else(gone)?);
                }
            }
        }
        if level > 0 {
            let pointers =
                contents.iter().flat_map(|node| (0..FANOUT as usize).map(|slot| pointer_at(node, slot)));
            levels[level - 1] = pointers.take(shape[level - 1] as usize).collect();
        }
    }
    Ok((ResidentTree::from_levels(object, levels), contents))
}
