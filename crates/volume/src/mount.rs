//! Making a volume, and opening one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cloister_tee::random;
use sha2::{Digest, Sha256};

use crate::MAX_LINEAGE;
use crate::adoption::{Adoption, unwrap, wrap};
use crate::anchor::{Anchor, AnchorError, AnchorPurpose};
use crate::cache::Cache;
use crate::disk::{BLOCK, Disk};
use crate::error::{MountError, VolumeError};
use crate::fetch::read_run;
use crate::keys::{self, Key, KeyRing};
use crate::layout::{
    AnchorMark, BITMAP, BODY_AT, BODY_LEN, Block, Body, CATALOG, ENTRIES, ENTRY_LEN, Entry, Header,
    HeaderError, Place, STRUCTURE, is_blank,
};
use crate::load;
use crate::resident::ResidentTree;
use crate::sealing::SealingKey;
use crate::space::{BITS, Bits, SUPERBLOCKS, Space};
use crate::state::{Counters, DatasetState, Durable, SEQUENCES, Sequence, State, damage};
use crate::tidy::Tidy;
use crate::volume::{Inner, Options, State as Commit, Volume};
use crate::walk::{Depth, Walk};

/// Blocks of a new volume: 1 MiB.
const FIRST_BLOCKS: u64 = 256;

impl Volume {
    /// Makes a volume on a blank disk.
    ///
    /// # Errors
    /// [`MountError::NotBlank`] where a superblock holds anything; the disk's, the sealing key's, the anchor's.
    pub fn create(
        disk: Arc<dyn Disk>,
        sealing: &dyn SealingKey,
        options: Options,
    ) -> Result<Volume, MountError> {
        if read_slots(&*disk)?.iter().flatten().any(|slot| !is_blank(&slot[..])) {
            return Err(MountError::NotBlank);
        }
        disk.resize(FIRST_BLOCKS).map_err(|error| VolumeError::disk("making room", &error))?;
        let mut id = [0; 16];
        random(&mut id).map_err(VolumeError::from)?;
        let key = keys::draw().map_err(VolumeError::from)?;
        let header = wrap(id, &key, sealing)?;
        let secrets = Secrets::of(&key, &header.volume);
        let (anchor, mark) = match &options.anchor {
            None => (None, None),
            Some(provider) => {
                let anchor = provider.open(&header.volume, &secrets.anchor, AnchorPurpose::Create)?;
                let mark = AnchorMark { value: anchor.value()?, identity: anchor.identity() };
                (Some(anchor), Some(mark))
            }
        };
        let body = Body {
            epoch: 0,
            blocks: FIRST_BLOCKS,
            anchor: mark,
            previous: [0; 32],
            next_dataset: 1,
            entries: 0,
            catalog: None,
            bitmap: None,
            exception: [0; 16],
            lineage: Vec::new(),
        };
        let durable =
            Durable { commit: Commit { epoch: 0, root: [0; 32] }, body, sealed: Box::new([0; BLOCK]) };
        let bitmap = ResidentTree::new(BITMAP, FIRST_BLOCKS.div_ceil(BITS));
        let catalog = ResidentTree::new(CATALOG, 0);
        let mut state = assemble(&options, secrets, durable, Space::new(FIRST_BLOCKS), bitmap, catalog)?;
        state.changed = true;
        let volume = Volume { inner: Arc::new(Inner::new(disk, header, anchor, &options, state)) };
        volume.commit()?;
        Ok(volume)
    }

    /// Opens the volume on a disk.
    ///
    /// # Errors
    /// [`MountError::Blank`] where there is none; otherwise what stands in the way.
    pub fn mount(
        disk: Arc<dyn Disk>,
        sealing: &dyn SealingKey,
        options: Options,
    ) -> Result<Volume, MountError> {
        // What a process before this one wrote may be in the host's memory only; what is accepted must be durable.
        disk.flush().map_err(|error| VolumeError::disk("flushing", &error))?;
        let slots = read_slots(&*disk)?;
        let mut found = open_slots(&slots, sealing, options.adopt.as_ref())?;
        let is_taken_over = found.iter().any(|opened| opened.by == Opener::Adoption);
        found.sort_by_key(|opened| std::cmp::Reverse(opened.durable.commit.epoch));
        let Accepted { opened, anchor, by } = accept(found, &options)?;
        let Opened { mut header, key, mut durable, by: opener } = opened;
        let secrets = Secrets::of(&key, &header.volume);
        if by == Rule::Exception {
            random(&mut durable.body.exception).map_err(VolumeError::from)?;
        }
        if opener == Opener::Adoption {
            let from = options.adopt.as_ref().map(Adoption::from);
            durable.body.lineage = with_image(durable.body.lineage, from)?;
            header = wrap(header.volume, &key, sealing)?;
        }
        durable.body.anchor = anchor.as_ref().map(|anchored| anchored.mark);
        let mut state = load_state(&disk, &options, secrets, durable)?;
        state.changed |= anchor.is_some() || is_taken_over;
        state.is_anchor_in_doubt = anchor.is_some();
        let (anchor, is_changed) = (anchor.map(|anchored| anchored.anchor), state.changed);
        let is_anchored = anchor.is_some();
        let length = state.space.blocks();
        if disk.blocks().is_ok_and(|blocks| blocks < length) {
            // The end was cut off. What was there is damaged, but what is free can be written again.
            let _ = disk.resize(length);
        }
        let volume = Volume { inner: Arc::new(Inner::new(disk, header, anchor, &options, state)) };
        if is_changed {
            let committed = volume.commit();
            // With an anchor nothing may be served before the commit. A map that was rebuilt can wait for the next.
            if is_anchored || is_taken_over {
                committed?;
            }
        }
        if is_taken_over {
            // The other slot's header goes, too: the image before must not open what is there from now on.
            volume.inner.lock().changed = true;
            volume.commit()?;
        }
        Ok(volume)
    }
}

/// The keys below the volume key.
struct Secrets {
    superblock: Key,
    structure: Key,
    anchor: Key,
}

impl Secrets {
    fn of(volume_key: &Key, volume: &[u8; 16]) -> Secrets {
        let derive =
            |purpose: &[u8]| keys::derive(volume_key, &[b"cloister volume 1 ", purpose, b"\0", volume]);
        Secrets {
            superblock: derive(b"superblock"),
            structure: derive(b"structure"),
            anchor: derive(b"anchor"),
        }
    }
}

/// A superblock that is intact and ours.
#[derive(Debug)]
struct Opened {
    header: Header,
    key: Key,
    durable: Durable,
    by: Opener,
}

/// What gave the volume's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    /// The superblock's header, which this image wrote.
    Header,
    /// [`Options::adopt`]; the header is the image's before.
    Adoption,
}

/// The two slots; none for one that is beyond the end of the disk.
fn read_slots(disk: &dyn Disk) -> Result<[Option<Box<Block>>; 2], VolumeError> {
    let blocks = disk.blocks().map_err(|error| VolumeError::disk("asking for the length", &error))?;
    let mut slots = [None, None];
    for (slot, number) in slots.iter_mut().zip(0..SUPERBLOCKS.min(blocks)) {
        let mut block = Box::new([0; BLOCK]);
        if read_run(disk, number, &mut *block)? {
            *slot = Some(block);
        }
    }
    Ok(slots)
}

/// Opens what can be opened of the two slots.
fn open_slots(
    slots: &[Option<Box<Block>>; 2],
    sealing: &dyn SealingKey,
    adoption: Option<&Adoption>,
) -> Result<Vec<Opened>, MountError> {
    let mut opened = Vec::new();
    let mut worst = MountError::Blank;
    for (number, slot) in slots.iter().enumerate() {
        let Some(slot) = slot else { continue };
        match open_slot(number as u64, slot, sealing, adoption) {
            Ok(superblock) => opened.push(superblock),
            Err(error) if severity(&error) > severity(&worst) => worst = error,
            Err(_) => {}
        }
    }
    if opened.is_empty() { Err(worst) } else { Ok(opened) }
}

/// Which of two slots' errors says more.
fn severity(error: &MountError) -> u8 {
    match error {
        MountError::Blank => 0,
        MountError::Damaged(_) => 1,
        MountError::Sealing(_) => 2,
        MountError::WrongKey => 3,
        _ => 4,
    }
}

fn open_slot(
    number: u64,
    slot: &Block,
    sealing: &dyn SealingKey,
    adoption: Option<&Adoption>,
) -> Result<Opened, MountError> {
    if is_blank(slot) {
        return Err(MountError::Blank);
    }
    let header = Header::decode(slot).map_err(|error| match error {
        HeaderError::NotOurs => MountError::Damaged("they do not begin as a volume's do"),
        HeaderError::Version(version) => MountError::Version(version),
    })?;
    let (key, by) = match (unwrap(&header, sealing), adoption) {
        (Err(MountError::WrongKey), Some(adoption)) if adoption.volume() == header.volume => {
            (adoption.open(sealing)?, Opener::Adoption)
        }
        (Err(MountError::WrongKey), Some(adoption)) => {
            return Err(MountError::AdoptionElsewhere { given: adoption.volume(), found: header.volume });
        }
        (own, _) => (own?, Opener::Header),
    };

    let damaged = MountError::Damaged("their bodies do not verify");
    let cipher = KeyRing::new(Secrets::of(&key, &header.volume).superblock).cipher(&header.key);
    let mut bytes = [0; BODY_LEN];
    bytes.copy_from_slice(&slot[BODY_AT..]);
    let opened = cipher.open(header.counter, &slot[..Header::AAD_LEN], &mut bytes, &header.tag);
    let body = opened.ok().and_then(|()| Body::decode(&bytes).ok()).ok_or(damaged.clone())?;
    if body.epoch % SUPERBLOCKS != number {
        return Err(damaged);
    }
    let commit = Commit { epoch: body.epoch, root: Sha256::digest(bytes).into() };
    Ok(Opened { header, key, durable: Durable { commit, body, sealed: Box::new(*slot) }, by })
}

/// The images that held the key before, and one more, each once.
fn with_image(mut lineage: Vec<[u8; 32]>, image: Option<[u8; 32]>) -> Result<Vec<[u8; 32]>, MountError> {
    if let Some(image) = image.filter(|image| !lineage.contains(image)) {
        if lineage.len() == MAX_LINEAGE {
            return Err(MountError::TooManyImages);
        }
        lineage.push(image);
    }
    Ok(lineage)
}

/// An anchor, and what the accepted commit counts as.
struct Anchored {
    anchor: Box<dyn Anchor>,
    mark: AnchorMark,
}

/// The commit that is mounted.
struct Accepted {
    opened: Opened,
    anchor: Option<Anchored>,
    by: Rule,
}

/// Why a commit is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The anchor says that it is the newest, or there is none.
    Freshness,
    /// The operator allowed it.
    Exception,
}

/// Decides which commit is mounted. `found` is the newest first, and not empty.
fn accept(mut found: Vec<Opened>, options: &Options) -> Result<Accepted, MountError> {
    let newest = &found[0].durable.body;
    let (epoch, newest_mark) = (newest.epoch, newest.anchor);
    let allowed = found.iter().position(|opened| Some(opened.durable.commit.epoch) == options.accept_epoch);
    let mismatch = MountError::AnchorMismatch { epoch, anchored: newest_mark.is_some() };
    let Some(provider) = &options.anchor else {
        return match (newest_mark, allowed) {
            (None, _) => Ok(Accepted { opened: found.remove(0), anchor: None, by: Rule::Freshness }),
            (Some(_), Some(allowed)) => {
                Ok(Accepted { opened: found.remove(allowed), anchor: None, by: Rule::Exception })
            }
            (Some(_), None) => Err(mismatch),
        };
    };
    let Some(written) = newest_mark.or_else(|| allowed.map(|_| AnchorMark { value: 0, identity: [0; 32] }))
    else {
        return Err(mismatch);
    };
    let Opened { header, key, .. } = &found[0];
    let secret = Secrets::of(key, &header.volume).anchor;
    let anchor = match provider.open(&header.volume, &secret, AnchorPurpose::Existing) {
        Err(AnchorError::Missing) if allowed.is_some() => {
            provider.open(&header.volume, &secret, AnchorPurpose::Create)
        }
        opened => opened,
    }?;
    let (mut value, identity) = (anchor.value()?, anchor.identity());
    let acceptable = found.iter().position(|opened| {
        let mark = opened.durable.body.anchor.filter(|mark| mark.identity == identity);
        mark.is_some_and(|mark| mark.value == value || value.checked_add(1) == Some(mark.value))
    });
    let (chosen, by) = match (acceptable, allowed) {
        (Some(acceptable), _) => {
            // This commit was durable, but the power went before the anchor counted it.
            if found[acceptable].durable.body.anchor.is_some_and(|mark| mark.value > value) {
                value = anchor.advance()?;
            }
            (acceptable, Rule::Freshness)
        }
        (None, Some(allowed)) => (allowed, Rule::Exception),
        (None, None) if written.identity != identity => {
            return Err(AnchorError::Forged("it is not the one that the volume was written with").into());
        }
        (None, None) => return Err(MountError::RolledBack { epoch, written: written.value, anchor: value }),
    };
    // The commit that follows adds one: it skips the value that a superblock which was never acknowledged may have.
    let mark = AnchorMark { value: value + 1, identity };
    Ok(Accepted { opened: found.remove(chosen), anchor: Some(Anchored { anchor, mark }), by })
}

/// Reads the catalog and the bitmap.
fn load_state(
    disk: &Arc<dyn Disk>,
    options: &Options,
    secrets: Secrets,
    durable: Durable,
) -> Result<State, MountError> {
    let body = durable.body.clone();
    let mut ring = KeyRing::new(secrets.structure.clone());
    let leaves = body.entries.div_ceil(ENTRIES as u64);
    let (catalog, contents) = load::tree(&**disk, body.blocks, &mut ring, CATALOG, leaves, body.catalog)?;
    let mut entries = Vec::with_capacity(body.entries as usize);
    for (index, block) in contents.iter().enumerate() {
        for bytes in block.chunks_exact(ENTRY_LEN).take(body.entries as usize - entries.len()) {
            let place = Place { dataset: STRUCTURE, object: CATALOG, level: 0, index: index as u64 };
            entries
                .push(Entry::decode(bytes).map_err(|_| VolumeError::from(damage(&place, 0, String::new())))?);
        }
    }
    let leaves = body.blocks.div_ceil(BITS);
    let (bitmap, space, is_rebuilt) =
        match load::tree(&**disk, body.blocks, &mut ring, BITMAP, leaves, body.bitmap) {
            Ok((bitmap, contents)) => (bitmap, Space::decode(body.blocks, &contents), false),
            Err(VolumeError::Damaged(_)) => {
                let walk = Walk::new(Arc::clone(disk), &secrets.structure, &body, Depth::Nodes);
                (ResidentTree::new(BITMAP, leaves), rebuild(walk, body.blocks)?, true)
            }
            Err(error) => return Err(error.into()),
        };
    let mut state = assemble(options, secrets, durable, space, bitmap, catalog)?;
    state.next_dataset = body.next_dataset;
    state.changed = is_rebuilt;
    for (slot, entry) in entries.into_iter().enumerate() {
        state.entries.push(entry.as_ref().map(|entry| entry.id));
        let Some(entry) = entry else { continue };
        state.names.insert(entry.name.clone(), entry.id);
        let ring = KeyRing::new(entry.key.clone());
        state.datasets.insert(entry.id, DatasetState { entry, slot, ring, is_removed: false });
    }
    Ok(state)
}

/// The map of used blocks from the trees. Where a part of them cannot be read, no block at all is taken as free: the
/// disk grows instead, and nothing that might come back is overwritten.
fn rebuild(mut walk: Walk, blocks: u64) -> Result<Space, VolumeError> {
    let mut used = Bits::new(blocks);
    for superblock in 0..SUPERBLOCKS {
        used.set(superblock);
    }
    while let Some(step) = walk.step()? {
        for block in step.blocks {
            used.set(block);
        }
        if !step.damage.is_empty() {
            used.fill(blocks);
            break;
        }
    }
    let mut space = Space::of_used(blocks, used);
    space.touch_all();
    Ok(space)
}

fn assemble(
    options: &Options,
    secrets: Secrets,
    durable: Durable,
    space: Space,
    bitmap: ResidentTree,
    catalog: ResidentTree,
) -> Result<State, MountError> {
    let mut seed = [0; 8];
    random(&mut seed).map_err(VolumeError::from)?;
    Ok(State {
        cache: Cache::new(options.cache_bytes, u64::from_le_bytes(seed)),
        space,
        structure: KeyRing::new(secrets.structure),
        superblock: KeyRing::new(secrets.superblock),
        datasets: HashMap::new(),
        names: BTreeMap::new(),
        entries: Vec::new(),
        catalog,
        bitmap,
        next_dataset: 1,
        durable,
        changed: false,
        snapshots: 0,
        settled: 0,
        is_in_doubt: false,
        is_anchor_in_doubt: false,
        stuck: false,
        tidy: Tidy::default(),
        sequences: [Sequence::default(); SEQUENCES],
        counters: Counters::default(),
    })
}
