//! One commit's blocks, from the moment that they are decided to the moment that they are durable.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cloister_tee::RandomError;
use sha2::{Digest, Sha256};

use crate::commit::rank;
use crate::dataset::ObjectId;
use crate::disk::BLOCK;
use crate::error::VolumeError;
use crate::keys::{Cipher, KeyRing};
use crate::layout::{
    AnchorMark, BITMAP, BODY_AT, Block, Body, CATALOG, ENTRIES, ENTRY_LEN, ENTRY_POINTER, Header, KeyId,
    POINTER_LEN, POINTER_TAG, Place, Pointer, RECORD_POINTER, Record, STRUCTURE, TABLE, put_pointer,
};
use crate::space::{BITS, RUN, Space};
use crate::state::{Root, State, entry_place, record_offset, record_place};

/// What a commit writes. Contents, places, keys and counters are decided once: where writing fails, the same bytes are
/// written again, so no key and counter ever seal two different blocks.
pub(crate) struct Snapshot {
    pub(crate) number: u64,
    pub(crate) body: Body,
    /// SHA-256 of the body.
    pub(crate) root: [u8; 32],
    /// The superblock.
    pub(crate) sealed: Box<Block>,
    /// Blocks that the commit before needs and this one does not.
    pub(crate) freed: Vec<u64>,
    /// The disk's new length, where its tail is cut off.
    pub(crate) cut_to: Option<u64>,
    /// How far the anchor advanced is not known.
    pub(crate) is_anchor_in_doubt: bool,
    superblock_key: (KeyId, u64, Arc<Cipher>),
    items: Vec<Item>,
}

/// One block.
struct Item {
    place: Place,
    pointer: Pointer,
    cipher: Arc<Cipher>,
    content: Content,
    parent: Parent,
}

enum Content {
    /// Data, shared with the cache.
    Shared(Arc<Block>),
    /// A block with pointers, which get their tags here.
    Own(Box<Block>),
}

/// What holds the pointer to a block.
#[derive(Clone, Copy, Debug)]
enum Parent {
    /// The block of that item, at that byte.
    Item(usize, usize),
    CatalogRoot,
    BitmapRoot,
}

impl Snapshot {
    /// Blocks that must be available for a snapshot.
    pub(crate) fn needed(state: &State) -> u64 {
        let bitmap = state.space.blocks().div_ceil(BITS);
        state.cache.dirty() as u64
            + state.catalog.total()
            + state.bitmap.total().max(bitmap + bitmap / 50 + 2)
            + 2
    }

    /// Decides everything. Fails before it changes anything, or for good.
    pub(crate) fn take(state: &mut State) -> Result<Snapshot, VolumeError> {
        if state.is_in_doubt {
            return Err(VolumeError::Interrupted);
        }
        let needed = Snapshot::needed(state);
        if state.space.available() < needed {
            return Err(VolumeError::Full);
        }
        prepare_keys(state, needed)?;
        let superblock_key = state.superblock.next().ok_or(VolumeError::Randomness)?;
        state.is_in_doubt = true;
        let cut_to = state.space.cut_tail(needed * 2);
        for block in state.bitmap.resize(state.space.blocks().div_ceil(BITS)) {
            state.space.free(block);
        }

        let mut places = state.cache.take_dirty();
        places.sort_unstable_by_key(rank);
        let mut pointers = Vec::with_capacity(places.len() + 16);
        place_all(state, &places, &mut pointers)?;
        let catalog = state.catalog.take_changed();
        place_all(state, &catalog, &mut pointers)?;
        places.extend(catalog);
        place_bitmap(state, &mut places, &mut pointers)?;

        let items = collect(state, &places, pointers)?;
        let before = &state.durable;
        let body = Body {
            epoch: before.commit.epoch + 1,
            blocks: state.space.blocks(),
            anchor: before.body.anchor.map(|mark| AnchorMark { value: mark.value + 1, ..mark }),
            previous: before.commit.root,
            next_dataset: state.next_dataset,
            entries: state.entries.len() as u64,
            catalog: state.catalog.root(),
            bitmap: state.bitmap.root(),
            exception: before.body.exception,
            lineage: before.body.lineage.clone(),
        };
        state.changed = false;
        state.snapshots += 1;
        state.is_in_doubt = false;
        Ok(Snapshot {
            number: state.snapshots,
            body,
            root: [0; 32],
            sealed: Box::new([0; BLOCK]),
            freed: state.space.take_freed(),
            cut_to,
            is_anchor_in_doubt: std::mem::take(&mut state.is_anchor_in_doubt),
            superblock_key,
            items,
        })
    }

    /// Encrypts from the leaves up, so that each tag gets into the block above before that is encrypted, and hands the
    /// ciphertexts to `write`, in runs as they are on the disk. The superblock is known afterwards.
    ///
    /// What is encrypted never changes, so doing this again gives the same bytes.
    pub(crate) fn encrypt<E>(
        &mut self,
        header: &Header,
        mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut run = Vec::with_capacity(RUN.min(self.items.len()) * BLOCK);
        let mut start = 0;
        for index in 0..self.items.len() {
            let (below, above) = self.items.split_at_mut(index + 1);
            let item = &mut below[index];
            let follows = item.pointer.block == start + (run.len() / BLOCK) as u64;
            if !run.is_empty() && (!follows || run.len() == RUN * BLOCK) {
                write(start, &run)?;
                run.clear();
            }
            if run.is_empty() {
                start = item.pointer.block;
            }
            let at = run.len();
            run.extend_from_slice(match &item.content {
                Content::Shared(block) => &block[..],
                Content::Own(block) => &block[..],
            });
            let tag = item.cipher.seal(item.pointer.counter, &item.place.aad(), &mut run[at..]);
            item.pointer.tag = tag;
            match item.parent {
                Parent::Item(parent, at) => {
                    if let Content::Own(block) = &mut above[parent - index - 1].content {
                        block[at + POINTER_TAG..at + POINTER_LEN].copy_from_slice(&tag);
                    }
                }
                Parent::CatalogRoot => self.body.catalog = Some(item.pointer),
                Parent::BitmapRoot => self.body.bitmap = Some(item.pointer),
            }
        }
        if !run.is_empty() {
            write(start, &run)?;
        }
        (self.sealed, self.root) = seal_superblock(header, &self.body, &self.superblock_key);
        Ok(())
    }

    /// Fills the tags in where the blocks in memory still point to what was encrypted.
    pub(crate) fn tell_tags(&self, state: &mut State) {
        for item in &self.items {
            tell_tag(state, &item.place, &item.pointer);
        }
    }

    /// The superblock and its slot.
    pub(crate) fn superblock(&self) -> (u64, &[u8]) {
        (self.body.epoch % 2, &self.sealed[..])
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.items.iter().map(|item| item.place)
    }
}

/// A superblock, and its body's hash.
pub(crate) fn seal_superblock(
    header: &Header,
    body: &Body,
    (key, counter, cipher): &(KeyId, u64, Arc<Cipher>),
) -> (Box<Block>, [u8; 32]) {
    let mut block = Box::new([0; BLOCK]);
    let mut header = Header { key: *key, counter: *counter, ..*header };
    header.encode(&mut block);
    let bytes = body.encode();
    let root = Sha256::digest(bytes).into();
    block[BODY_AT..].copy_from_slice(&bytes);
    let (plain, body) = block.split_at_mut(BODY_AT);
    header.tag = cipher.seal(*counter, &plain[..Header::AAD_LEN], body);
    header.encode(&mut block);
    (block, root)
}

/// Makes sure of keys for all that will be encrypted.
fn prepare_keys(state: &mut State, blocks: u64) -> Result<(), RandomError> {
    state.superblock.prepare(1)?;
    // The bitmap's blocks, the catalog's, and as many again to be sure.
    state.structure.prepare(blocks * 2)?;
    for id in state.cache.dirty_datasets() {
        if let Some(dataset) = state.datasets.get_mut(&id) {
            dataset.ring.prepare(blocks)?;
        }
    }
    Ok(())
}

/// Finds places on the disk for blocks and points their parents to them.
fn place_all(
    state: &mut State,
    places: &[Place],
    pointers: &mut Vec<(Pointer, Arc<Cipher>)>,
) -> Result<(), VolumeError> {
    let mut blocks = Vec::with_capacity(places.len());
    state.space.allocate(places.len(), &mut blocks).ok_or(VolumeError::Full)?;
    for (place, block) in places.iter().zip(blocks) {
        let ring: &mut KeyRing = match place.dataset {
            STRUCTURE => &mut state.structure,
            id => &mut state.dataset(id)?.ring,
        };
        let (key, counter, cipher) = ring.next().ok_or(VolumeError::Randomness)?;
        let pointer = Pointer { block, counter, key, tag: [0; 16] };
        if let Some(old) = replace_pointer(state, place, pointer) {
            state.space.free(old.block);
        }
        pointers.push((pointer, cipher));
    }
    Ok(())
}

/// Finds places for the bitmap's blocks, which changes the bitmap, until every block that changed has one.
fn place_bitmap(
    state: &mut State,
    places: &mut Vec<Place>,
    pointers: &mut Vec<(Pointer, Arc<Cipher>)>,
) -> Result<(), VolumeError> {
    let mut placed = BTreeSet::new();
    loop {
        for leaf in state.space.take_changed() {
            state.bitmap.touch(leaf);
        }
        let mut new = state.bitmap.take_changed();
        new.retain(|place| placed.insert(*place));
        if new.is_empty() {
            break;
        }
        place_all(state, &new, pointers)?;
    }
    // Later rounds add lower blocks too: all of one level come before the next.
    let from = places.len();
    let mut sorted = placed.into_iter().collect::<Vec<_>>();
    sorted.sort_unstable_by_key(rank);
    let drawn = pointers.split_off(from);
    let by_block = drawn.into_iter().map(|(pointer, cipher)| (pointer.block, (pointer, cipher)));
    let mut by_block = by_block.collect::<HashMap<_, _>>();
    for place in sorted {
        let drawn = state.bitmap.pointer(&place).and_then(|pointer| by_block.remove(&pointer.block));
        if let Some(drawn) = drawn {
            places.push(place);
            pointers.push(drawn);
        }
    }
    Ok(())
}

/// Points the parent of `place` to its new version; returns the old one.
fn replace_pointer(state: &mut State, place: &Place, pointer: Pointer) -> Option<Pointer> {
    with_pointer(state, place, |old| old.replace(pointer)).flatten()
}

fn tell_tag(state: &mut State, place: &Place, told: &Pointer) {
    with_pointer(state, place, |pointer| {
        if let Some(pointer) = pointer
            && pointer.is_same_encryption(told)
        {
            pointer.tag = told.tag;
        }
    });
}

/// Changes the pointer to `place` in memory, if its parent is there.
fn with_pointer<T>(
    state: &mut State,
    place: &Place,
    change: impl FnOnce(&mut Option<Pointer>) -> T,
) -> Option<T> {
    match (place.dataset, place.object) {
        (STRUCTURE, object) => {
            let tree = if object == BITMAP { &mut state.bitmap } else { &mut state.catalog };
            let mut pointer = tree.pointer(place);
            let result = change(&mut pointer);
            if let Some(pointer) = pointer {
                tree.set_pointer(place, pointer);
            }
            return Some(result);
        }
        (dataset, TABLE) => {
            let entry = &mut state.datasets.get_mut(&dataset)?.entry;
            if place.level == entry.table_level {
                return Some(change(&mut entry.table));
            }
        }
        (dataset, object) => {
            let Root { level, .. } = state.root(dataset, object).ok()?;
            if place.level == level {
                let (leaf, slot) = record_place(dataset, ObjectId(object));
                let block = state.cache.patch(&leaf)?;
                let mut record = Record::at(block, slot).ok()?;
                let Record::Object { pointer, .. } = &mut record else { return None };
                let result = change(pointer);
                record.put(block, slot);
                return Some(result);
            }
        }
    }
    let node = state.cache.patch(&place.parent())?;
    let slot = place.slot();
    let mut pointer = crate::layout::pointer_at(node, slot);
    let result = change(&mut pointer);
    put_pointer(node, slot, pointer.as_ref());
    Some(result)
}

/// The blocks' contents, now that all pointers are known but for their tags.
fn collect(
    state: &mut State,
    places: &[Place],
    pointers: Vec<(Pointer, Arc<Cipher>)>,
) -> Result<Vec<Item>, VolumeError> {
    let nodes = places.iter().enumerate().filter(|(_, place)| place.level > 0 || holds_pointers(place));
    let index = nodes.map(|(index, place)| (*place, index)).collect::<HashMap<_, _>>();
    let mut items = Vec::with_capacity(places.len());
    for (place, (pointer, cipher)) in places.iter().zip(pointers) {
        let content = match (place.dataset, place.object, place.level) {
            (STRUCTURE, CATALOG, 0) => Content::Own(catalog_block(state, place.index)),
            (STRUCTURE, CATALOG, _) => Content::Own(state.catalog.node(place)),
            (STRUCTURE, _, 0) => Content::Own(Space::bitmap(&state.space, place.index)),
            (STRUCTURE, _, _) => Content::Own(state.bitmap.node(place)),
            _ => match state.cache.find(place) {
                Some(block) if place.level == 0 && place.object != TABLE => {
                    Content::Shared(Arc::clone(block))
                }
                Some(block) => Content::Own(Box::new(**block)),
                None => return Err(VolumeError::Interrupted),
            },
        };
        let parent = parent_of(state, place, &index).ok_or(VolumeError::Interrupted)?;
        items.push(Item { place: *place, pointer, cipher, content, parent });
    }
    Ok(items)
}

/// Whether a lowest block has pointers: the catalog's and the tables'.
fn holds_pointers(place: &Place) -> bool {
    (place.dataset == STRUCTURE && place.object == CATALOG)
        || (place.dataset != STRUCTURE && place.object == TABLE)
}

fn parent_of(state: &mut State, place: &Place, index: &HashMap<Place, usize>) -> Option<Parent> {
    let node = |index: &HashMap<Place, usize>| {
        Some(Parent::Item(*index.get(&place.parent())?, place.slot() * POINTER_LEN))
    };
    match (place.dataset, place.object) {
        (STRUCTURE, BITMAP) if state.bitmap.is_root(place) => Some(Parent::BitmapRoot),
        (STRUCTURE, CATALOG) if state.catalog.is_root(place) => Some(Parent::CatalogRoot),
        (STRUCTURE, _) => node(index),
        (dataset, TABLE) => {
            let dataset = state.datasets.get(&dataset)?;
            if place.level < dataset.entry.table_level {
                return node(index);
            }
            let leaf = *index.get(&entry_place(dataset.slot))?;
            Some(Parent::Item(leaf, dataset.slot % ENTRIES * ENTRY_LEN + ENTRY_POINTER))
        }
        (dataset, object) => {
            if place.level < state.root(dataset, object).ok()?.level {
                return node(index);
            }
            let id = ObjectId(object);
            let leaf = *index.get(&record_place(dataset, id).0)?;
            Some(Parent::Item(leaf, record_offset(id) + RECORD_POINTER))
        }
    }
}

/// Block `index` of the catalog.
fn catalog_block(state: &State, index: u64) -> Box<Block> {
    let mut block = Box::new([0; BLOCK]);
    let entries = state.entries.iter().skip(index as usize * ENTRIES);
    for (bytes, id) in block.chunks_exact_mut(ENTRY_LEN).zip(entries) {
        if let Some(dataset) = id.and_then(|id| state.datasets.get(&id)) {
            dataset.entry.encode(bytes);
        }
    }
    block
}
