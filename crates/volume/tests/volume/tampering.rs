//! Whatever the host does to the blocks, what is read is right or is reported as damaged, and what was left alone can
//! still be read.

use crate::keys::{Platform, options};
use crate::model::QUOTA;
use crate::random::{Random, amount};
use cloister_volume::{
    BLOCK, Damage, Disk as _, MemoryDisk, MountError, ObjectId, Options, Part, State, Volume, VolumeError,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

#[test]
fn every_block_is_changed_anywhere() {
    let subject = Subject::new();
    let mut random = Random::seeded("every_block_is_changed_anywhere");
    let mut tally = Tally::default();
    for block in 0..subject.length {
        let mut bytes: Vec<usize> = vec![0, 1, 511, 512, 2048, BLOCK - 17, BLOCK - 16, BLOCK - 1];
        bytes.extend((0..amount(4, 40)).map(|_| random.below(BLOCK as u64) as usize));
        if block < 2 {
            bytes.extend(0..256);
        }
        for byte in bytes {
            let disk = subject.newest().fork();
            let bit = 1 << random.below(8);
            disk.modify(block, |content| content[byte] ^= bit);
            subject.judge(
                &disk,
                &mut tally,
                &format!("bit {bit:#x} of byte {byte} of block {block} is flipped"),
            );
        }
    }
    tally.print("flipped bits");
    // Each block of data is what one piece is read from, and nothing else depends on it.
    assert!(tally.lost.get(&1).is_some_and(|cases| *cases >= subject.data_blocks()), "{tally:?}");
}

#[test]
fn every_block_is_zeroed_or_filled_with_noise() {
    let subject = Subject::new();
    let mut random = Random::seeded("every_block_is_zeroed_or_filled_with_noise");
    let mut tally = Tally::default();
    for block in 0..subject.length {
        let disk = subject.newest().fork();
        disk.modify(block, |content| content.fill(0));
        subject.judge(&disk, &mut tally, &format!("block {block} is zeroed"));
        let noise = random.bytes(BLOCK);
        disk.modify(block, |content| content.copy_from_slice(&noise));
        subject.judge(&disk, &mut tally, &format!("block {block} is noise"));
    }
    tally.print("zeroed and noisy blocks");
}

#[test]
fn every_block_is_replaced_by_its_older_versions() {
    let subject = Subject::new();
    let mut tally = Tally::default();
    for (number, older) in subject.history[..subject.history.len() - 1].iter().enumerate() {
        for block in 0..subject.length.min(older.disk.blocks().expect("a length")) {
            let content = block_of(&older.disk, block);
            if content == block_of(subject.newest(), block) {
                continue;
            }
            let disk = subject.newest().fork();
            disk.modify(block, |present| present.copy_from_slice(&content));
            subject.judge(&disk, &mut tally, &format!("block {block} is as it was after commit {number}"));
        }
    }
    tally.print("older versions of blocks");
    assert!(tally.detected() >= 20, "{tally:?}");
}

#[test]
fn every_block_is_swapped_with_others_and_copied_over_them() {
    let subject = Subject::new();
    let mut random = Random::seeded("every_block_is_swapped_with_others_and_copied_over_them");
    let mut tally = Tally::default();
    for one in 0..subject.length {
        for other in 0..subject.length {
            if one == other || random.below(subject.length) >= amount(24, usize::MAX) as u64 {
                continue;
            }
            let (first, second) = (block_of(subject.newest(), one), block_of(subject.newest(), other));
            let disk = subject.newest().fork();
            disk.modify(one, |content| content.copy_from_slice(&second));
            if first != second {
                subject.judge(&disk, &mut tally, &format!("block {other} is copied over block {one}"));
            }
            disk.modify(other, |content| content.copy_from_slice(&first));
            if one < other && first != second {
                subject.judge(&disk, &mut tally, &format!("blocks {one} and {other} are swapped"));
            }
        }
    }
    tally.print("swapped and repeated blocks");
}

#[test]
fn the_disk_is_cut_short_at_every_block() {
    let subject = Subject::new();
    let mut tally = Tally::default();
    for length in 0..subject.length {
        let disk = subject.newest().fork();
        disk.resize(length).expect("it becomes shorter");
        subject.judge(&disk, &mut tally, &format!("the disk ends after {length} blocks"));
        disk.resize(subject.length).expect("it grows again");
        subject.judge(
            &disk,
            &mut tally,
            &format!("the disk was cut after {length} blocks and filled with zeros"),
        );
    }
    tally.print("disks cut short");
}

#[test]
fn every_older_disk_shows_its_epoch_and_mixtures_are_no_disk() {
    let subject = Subject::new();
    let mut tally = Tally::default();
    for (number, older) in subject.history.iter().enumerate() {
        let volume = mount(&older.disk).expect("it was right once");
        assert_eq!(volume.state(), older.state, "its epoch and root tell that it is old");
        for (which, piece) in older.pieces.iter().enumerate() {
            assert_eq!(piece.read(&volume), Ok(Found::Right), "piece {which} after commit {number}");
        }
        if number + 1 == subject.history.len() {
            continue;
        }
        // The newest superblocks over older blocks, and older superblocks over the newest blocks.
        let disk = subject.newest().fork();
        for block in 2..subject.length.min(older.disk.blocks().expect("a length")) {
            disk.modify(block, |content| content.copy_from_slice(&block_of(&older.disk, block)));
        }
        subject.judge(&disk, &mut tally, &format!("all but the superblocks is as after commit {number}"));
        let disk = subject.newest().fork();
        for block in 0..2 {
            disk.modify(block, |content| content.copy_from_slice(&block_of(&older.disk, block)));
        }
        subject.judge(&disk, &mut tally, &format!("the superblocks are as after commit {number}"));
    }
    tally.print("mixtures of disks");
}

#[test]
fn blocks_are_changed_while_the_volume_is_mounted() {
    let subject = Subject::new();
    let mut tally = Tally::default();
    for block in 2..subject.length {
        let disk = subject.newest().fork();
        let volume = mount(&disk).expect("it is intact");
        disk.modify(block, |content| content[77] ^= 4);
        let used = subject.used.contains(&block);
        let lost = subject.lost(&volume).unwrap_or_else(|what| panic!("{what}, block {block} is changed"));
        let checked = damage_found(&volume).unwrap_or_else(|what| panic!("{what}, block {block} is changed"));
        assert_eq!(checked > 0, used, "block {block} is changed: {checked} damaged blocks, used: {used}");
        assert!(used || lost.is_empty(), "block {block} is free, and changing it loses {lost:?}");
        tally.count(lost.len(), used);

        // Put back in time, nothing has happened.
        disk.modify(block, |content| content[77] ^= 4);
        assert_eq!(subject.lost(&volume), Ok(BTreeSet::new()), "block {block} is as it was");
    }
    tally.print("blocks changed under a mounted volume");
}

#[test]
fn another_platform_or_volume_opens_nothing() {
    #[derive(Debug)]
    struct Other;
    impl cloister_volume::SealingKey for Other {
        fn sealing_key(
            &self,
            _: &[u8; 32],
        ) -> Result<zeroize::Zeroizing<[u8; 16]>, cloister_volume::SealingError> {
            Ok(zeroize::Zeroizing::new([1; 16]))
        }
    }
    let subject = Subject::new();
    let error = Volume::mount(Arc::new(subject.newest().fork()), &Other, options()).expect_err("another key");
    assert_eq!(error, MountError::WrongKey);

    // Blocks of another volume of the same enclave are as good as noise.
    let other = Subject::new();
    let mut tally = Tally::default();
    for block in 0..subject.length {
        let disk = subject.newest().fork();
        disk.modify(block, |content| content.copy_from_slice(&block_of(other.newest(), block)));
        if block >= 2 {
            subject.judge(&disk, &mut tally, &format!("block {block} is another volume's"));
        }
    }
    tally.print("blocks of another volume");
}

#[test]
fn the_host_reads_none_of_it() {
    let subject = Subject::new();
    for version in &subject.history {
        let bytes = version.disk.snapshot();
        for marker in [&b"plain words"[..], b"app:one", b"app:two"] {
            assert!(!bytes.windows(marker.len()).any(|window| window == marker), "the disk shows a marker");
        }
        // Nothing is written twice in the same way, and nothing is left in the clear.
        let mut seen = BTreeSet::new();
        for block in 2..version.disk.blocks().expect("a length") {
            let content = block_of(&version.disk, block);
            let zeros = content.iter().filter(|byte| **byte == 0).count();
            if zeros != BLOCK {
                assert!(zeros < 100, "block {block} has {zeros} zeros");
                assert!(seen.insert(content), "block {block} is there twice");
            }
        }
    }
}

/// A volume whose disk is known after each of its commits.
#[derive(Debug)]
struct Subject {
    history: Vec<Version>,
    /// Blocks that the last commit refers to.
    used: BTreeSet<u64>,
    length: u64,
}

#[derive(Debug)]
struct Version {
    disk: MemoryDisk,
    state: State,
    pieces: Vec<Piece>,
}

/// One block's worth of an object.
#[derive(Clone, Debug)]
struct Piece {
    dataset: &'static str,
    object: ObjectId,
    index: u64,
    /// None where nothing was written.
    content: Option<Vec<u8>>,
}

/// How a piece was found.
#[derive(Debug, PartialEq)]
enum Found {
    Right,
    Damaged,
}

impl Subject {
    fn new() -> Self {
        let disk = MemoryDisk::new(1 << 16);
        let volume =
            Volume::create(Arc::new(disk.clone()), &Platform, options()).expect("a volume is created");
        let mut pieces: BTreeMap<(&'static str, u64, u64), Option<Vec<u8>>> = BTreeMap::new();
        let mut history = Vec::new();
        let mut objects = Vec::new();
        for dataset in ["app:one", "app:two"] {
            let handle = volume.create_dataset(&volume.begin(), dataset, QUOTA).expect("a dataset");
            for number in 0..4 {
                let id = handle.create_object(&volume.begin(), &[number; 64]).expect("an object");
                objects.push((dataset, id));
            }
        }
        // One block; several; holes and two levels of nodes; three levels.
        let places: [&[u64]; 4] = [&[0], &[0, 1, 2, 3], &[0, 50, 51, 150], &[7, 103, 10_409]];
        for commit in 0..5u64 {
            for (which, (dataset, id)) in objects.iter().enumerate() {
                let handle = volume.dataset(dataset).expect("intact").expect("there");
                for (nth, index) in places[which % 4].iter().enumerate() {
                    // Everything is written at first, and each time some of it again.
                    if commit > 0 && (which + nth) as u64 % 4 != commit % 4 {
                        continue;
                    }
                    let mut content =
                        format!("plain words of {dataset}, {which}, {index}, {commit}. ").repeat(300);
                    content.truncate(BLOCK);
                    let content = content.into_bytes();
                    let operation = volume.begin();
                    handle.write(&operation, *id, index * BLOCK as u64, &content).expect("a write");
                    pieces.insert((dataset, id.0, *index), Some(content));
                }
                if which % 4 >= 2 {
                    pieces.insert((dataset, id.0, 30), None);
                }
            }
            let state = volume.commit().expect("a commit");
            let pieces = pieces.iter().map(|((dataset, object, index), content)| Piece {
                dataset,
                object: ObjectId(*object),
                index: *index,
                content: content.clone(),
            });
            history.push(Version { disk: disk.fork(), state, pieces: pieces.collect() });
        }
        let mut used = BTreeSet::new();
        let mut backup = volume.backup().expect("a backup");
        while let Some(chunk) = backup.next_chunk().expect("it is intact") {
            used.extend((chunk.block..).take(chunk.bytes.len() / BLOCK));
        }
        let length = disk.blocks().expect("a length");
        Self { history, used, length }
    }

    fn newest(&self) -> &MemoryDisk {
        &self.last().disk
    }

    fn last(&self) -> &Version {
        self.history.last().expect("there are commits")
    }

    fn data_blocks(&self) -> usize {
        self.last().pieces.iter().filter(|piece| piece.content.is_some()).count()
    }

    /// Mounts a disk that was tampered with and reads everything.
    fn judge(&self, disk: &MemoryDisk, tally: &mut Tally, story: &str) {
        let disk = disk.fork();
        let harmful = self.is_harmful(&disk);
        let volume = match mount(&disk) {
            Ok(volume) => volume,
            Err(
                MountError::Damaged(_)
                | MountError::WrongKey
                | MountError::Blank
                | MountError::Version(_)
                | MountError::Volume(VolumeError::Damaged(_)),
            ) => {
                assert!(harmful, "{story}: refused, though nothing in use was changed");
                return tally.refused += 1;
            }
            Err(error) => panic!("{story}: {error}"),
        };
        // A damaged map of used blocks is made anew when the volume is mounted, which takes a commit.
        let is_repaired = volume.state().epoch == self.last().state.epoch + 1;
        if volume.state() != self.last().state && !is_repaired {
            return self.judge_older(&volume, tally, story);
        }
        assert!(!is_repaired || harmful, "{story}: the map is made anew, though nothing in use was changed");
        let lost = self.lost(&volume).unwrap_or_else(|what| panic!("{what}: {story}"));
        let damaged = damage_found(&volume).unwrap_or_else(|what| panic!("{what}: {story}"));
        if !harmful {
            assert!(
                lost.is_empty() && damaged == 0,
                "{story}: loses {lost:?}, though nothing in use was changed"
            );
        }
        if is_repaired {
            tally.repaired += 1;
        } else if harmful && lost.is_empty() && damaged == 0 {
            assert!(!self.is_seen(&disk), "{story}: it is not detected");
            tally.needless += 1;
        }
        tally.count(lost.len(), harmful);
        self.judge_next_commit(volume, &disk, &lost, story);
    }

    /// The newest superblock is gone, and the one before is there: a whole older state, which its epoch shows. Where its
    /// map of used blocks is damaged too, making that anew took a commit.
    fn judge_older(&self, volume: &Volume, tally: &mut Tally, story: &str) {
        let now = volume.state();
        let as_it_was = self.history.iter().find(|version| version.state == now);
        let repaired = || self.history.iter().find(|version| version.state.epoch + 1 == now.epoch);
        let older =
            as_it_was.or_else(repaired).unwrap_or_else(|| panic!("{story}: {now:?} was never committed"));
        assert!(older.state.epoch < self.last().state.epoch);
        assert_ne!(now.root, self.last().state.root);
        for piece in &older.pieces {
            piece.read(volume).unwrap_or_else(|what| panic!("{what}: {story}"));
        }
        tally.older += 1;
    }

    /// The volume is still of use, and using it makes nothing worse.
    fn judge_next_commit(&self, volume: Volume, disk: &MemoryDisk, lost: &BTreeSet<usize>, story: &str) {
        let written = (|| {
            let dataset = volume.create_dataset(&volume.begin(), "app:three", QUOTA)?;
            let id = dataset.create_object(&volume.begin(), &[3; 64])?;
            dataset.write(&volume.begin(), id, 0, &[3; 9 * BLOCK])?;
            volume.commit()
        })();
        match written {
            Ok(_) | Err(VolumeError::Damaged(_)) => {}
            Err(error) => panic!("{story}: the next commit fails: {error}"),
        }
        let committed = written.is_ok();
        drop(volume);
        if !committed {
            return;
        }
        let volume = mount(disk).unwrap_or_else(|error| panic!("{story}: after the next commit: {error}"));
        let now = self.lost(&volume).unwrap_or_else(|what| panic!("{what}: {story}, after the next commit"));
        assert!(now.is_subset(lost), "{story}: the next commit loses {now:?}, and before it was {lost:?}");
    }

    /// Which pieces are reported as damaged.
    ///
    /// # Errors
    /// Something is wrong and not reported, or reported as something else.
    fn lost(&self, volume: &Volume) -> Result<BTreeSet<usize>, String> {
        let mut lost = BTreeSet::new();
        for (which, piece) in self.last().pieces.iter().enumerate() {
            if piece.read(volume)? == Found::Damaged {
                lost.insert(which);
            }
        }
        Ok(lost)
    }

    /// Whether a block differs that the newest commit refers to.
    fn is_harmful(&self, disk: &MemoryDisk) -> bool {
        self.used.iter().any(|block| self.differs(disk, *block))
    }

    /// Whether such a block differs that everybody has to see: one of the two superblocks is enough.
    fn is_seen(&self, disk: &MemoryDisk) -> bool {
        self.used.range(2..).any(|block| self.differs(disk, *block))
    }

    fn differs(&self, disk: &MemoryDisk, block: u64) -> bool {
        block >= disk.blocks().expect("a length") || block_of(disk, block) != block_of(self.newest(), block)
    }
}

impl Piece {
    /// # Errors
    /// It is wrong, or something else is reported than damage to it.
    fn read(&self, volume: &Volume) -> Result<Found, String> {
        let name = self.dataset;
        let mut into = vec![0xEE; BLOCK];
        let read = match volume.dataset(name) {
            Ok(Some(dataset)) => dataset.read(self.object, self.index * BLOCK as u64, &mut into),
            Ok(None) => return Err(format!("{name} is not there, and nothing is said of damage")),
            Err(error) => Err(error),
        };
        match read {
            Ok(_) => {
                let right = match &self.content {
                    Some(content) => into == *content,
                    None => into.iter().all(|byte| *byte == 0),
                };
                if right { Ok(Found::Right) } else { Err(format!("WRONG DATA is read from {self}")) }
            }
            Err(VolumeError::Damaged(damage)) if self.is_named(&damage) => Ok(Found::Damaged),
            Err(VolumeError::Damaged(damage)) => Err(format!("{self} is reported as: {damage:?}")),
            Err(error) => Err(format!("{self} is reported as: {error}")),
        }
    }

    fn is_named(&self, damage: &Damage) -> bool {
        let here = (damage.offset..damage.offset + damage.bytes).contains(&(self.index * BLOCK as u64));
        let this_dataset = damage.dataset == self.dataset;
        match damage.part {
            Part::Data | Part::Node => this_dataset && damage.object == Some(self.object.0) && here,
            Part::Objects => this_dataset,
            Part::Catalog => damage.object.is_none(),
            Part::Bitmap => false,
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "block {} of object {} of {}", self.index, self.object.0, self.dataset)
    }
}

/// How cases ended.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    older: usize,
    /// The map of used blocks was made anew.
    repaired: usize,
    /// A superblock that is not the newest.
    needless: usize,
    without_effect: usize,
    checked: usize,
    /// How many cases lost how many pieces.
    lost: BTreeMap<usize, usize>,
}

impl Tally {
    fn count(&mut self, lost: usize, harmful: bool) {
        match (lost, harmful) {
            (0, false) => self.without_effect += 1,
            (0, true) => self.checked += 1,
            (lost, _) => *self.lost.entry(lost).or_default() += 1,
        }
    }

    fn detected(&self) -> usize {
        self.refused + self.older + self.checked - self.needless + self.lost.values().sum::<usize>()
    }

    fn print(&self, what: &str) {
        let Self { refused, older, repaired, needless, without_effect, lost, .. } = self;
        println!(
            "{what}: {} detected ({refused} refused at mount; {older} shown by an older epoch; {} by a check; reads that \
             fail, by how many pieces are lost: {lost:?}; in {repaired} of these the map of used blocks was made anew), \
             {needless} in a superblock that is not needed, {without_effect} in free blocks, 0 undetected",
            self.detected(),
            self.checked - needless,
        );
    }
}

/// With next to no cache, so that what is read comes from the disk.
fn mount(disk: &MemoryDisk) -> Result<Volume, MountError> {
    Volume::mount(Arc::new(disk.clone()), &Platform, Options { cache_bytes: 0, ..options() })
}

/// How many blocks a check finds damaged.
fn damage_found(volume: &Volume) -> Result<u64, String> {
    match volume.check(&mut |_, _| {}) {
        Ok(report) => Ok(report.damaged),
        Err(VolumeError::Damaged(_)) => Ok(1),
        Err(error) => Err(format!("it cannot be checked: {error}")),
    }
}

fn block_of(disk: &MemoryDisk, block: u64) -> Vec<u8> {
    let mut content = vec![0; BLOCK];
    disk.read(block, &mut content).expect("the disk has this block");
    content
}
