//! What a power cut leaves.

use super::{BlockBytes, DiskOperation};
use crate::BLOCK;
use crate::disk::memory::{Image, MemoryDisk};
use std::sync::Arc;

/// The unit that a disk writes whole, in bytes.
pub const SECTOR: usize = 512;

/// The power goes: what was durable, and what may or may not be on the disk.
#[derive(Clone, Debug)]
pub struct PowerCut {
    moment: usize,
    durable: Image,
    unsynced: Vec<Unsynced>,
    max_blocks: u64,
}

impl PowerCut {
    /// How many operations went before.
    pub fn moment(&self) -> usize {
        self.moment
    }

    /// What was not flushed, in order; one for each block.
    pub fn unsynced(&self) -> &[Unsynced] {
        &self.unsynced
    }

    /// The disk that is found afterwards, where each thing unsynced met its fate.
    ///
    /// # Panics
    /// Where `fates` are not as many as [`unsynced`](Self::unsynced).
    pub fn disk(&self, fates: &[Fate]) -> MemoryDisk {
        assert_eq!(fates.len(), self.unsynced.len());
        let mut image = self.durable.clone();
        for (unsynced, fate) in self.unsynced.iter().zip(fates) {
            unsynced.apply(*fate, &mut image, self.max_blocks);
        }
        MemoryDisk::of(image, self.max_blocks)
    }

    /// Fates for at most `limit` disks. All subsets, kept or dropped, where those are no more than that; else all kept,
    /// all dropped, and some of: all but one, one only, the first few. What is left of the limit goes to blocks torn
    /// alone and to random fates, tears included; where little is unsynced, fewer than the limit are tried.
    pub fn fates(&self, limit: usize, random: &mut impl FnMut() -> u64) -> Vec<Vec<Fate>> {
        let count = self.unsynced.len();
        let subsets = u32::try_from(count).ok().and_then(|count| 1usize.checked_shl(count));
        let mut fates: Vec<_> = match subsets.filter(|subsets| *subsets <= limit) {
            Some(subsets) => {
                (0..subsets).map(|set| self.all(|index| Fate::kept_if(set >> index & 1 == 1))).collect()
            }
            None => {
                let mut unusual = vec![0, 1];
                let few = limit.saturating_sub(2).min(self.unusual_subsets() - 2) * 3 / 4;
                unusual
                    .extend((0..few).map(|_| 2 + (random() % (self.unusual_subsets() as u64 - 2)) as usize));
                unusual.sort_unstable();
                unusual.dedup();
                unusual.into_iter().map(|number| self.unusual_subset(number)).collect()
            }
        };
        let limit = subsets.map_or(limit, |subsets| limit.min(subsets.saturating_mul(6)));
        if count == 0 {
            return fates;
        }
        let alone = limit.saturating_sub(fates.len()) / 2;
        for _ in 0..alone {
            let one = (random() % count as u64) as usize;
            let torn = Fate::torn(random());
            fates.push(self.all(|index| if index == one { torn } else { Fate::Kept }));
        }
        while fates.len() < limit {
            let mostly_kept = random() % 4;
            fates.push(self.all(|_| match random() % 8 {
                0 => Fate::torn(random()),
                number => Fate::kept_if(number <= 1 + 2 * mostly_kept),
            }));
        }
        fates
    }

    pub(super) fn at_start(base: Image, max_blocks: u64) -> Self {
        Self { moment: 0, durable: base, unsynced: Vec::new(), max_blocks }
    }

    pub(super) fn follow(&mut self, operation: &DiskOperation) {
        self.moment += 1;
        match operation {
            DiskOperation::Write { block, contents } => self.unsynced.extend(
                (*block..)
                    .zip(contents)
                    .map(|(block, bytes)| Unsynced::Write { block, bytes: bytes.clone() }),
            ),
            DiskOperation::Resize(blocks) => self.unsynced.push(Unsynced::Resize(*blocks)),
            DiskOperation::Discard { block, count } => {
                self.unsynced.push(Unsynced::Discard { block: *block, count: *count });
            }
            DiskOperation::Flush => {
                for unsynced in self.unsynced.drain(..) {
                    unsynced.apply(Fate::Kept, &mut self.durable, self.max_blocks);
                }
            }
            DiskOperation::Lost => self.unsynced.retain(|unsynced| matches!(unsynced, Unsynced::Resize(_))),
        }
    }

    fn all(&self, fate: impl FnMut(usize) -> Fate) -> Vec<Fate> {
        (0..self.unsynced.len()).map(fate).collect()
    }

    /// How many there are of [`unusual_subset`](Self::unusual_subset).
    fn unusual_subsets(&self) -> usize {
        2 + 3 * self.unsynced.len()
    }

    /// All, none, all but one, one only, the first few.
    fn unusual_subset(&self, number: usize) -> Vec<Fate> {
        match number {
            0 => self.all(|_| Fate::Kept),
            1 => self.all(|_| Fate::Dropped),
            _ => {
                let (which, one) = ((number - 2) % 3, (number - 2) / 3);
                self.all(|index| {
                    Fate::kept_if(match which {
                        0 => index != one,
                        1 => index == one,
                        _ => index <= one,
                    })
                })
            }
        }
    }
}

/// Something that was done and not flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// One block was written.
    Write {
        /// Which.
        block: u64,
        /// Its new contents.
        bytes: BlockBytes,
    },
    /// The disk was made this many blocks long.
    Resize(u64),
    /// Blocks were discarded.
    Discard {
        /// The first of them.
        block: u64,
        /// How many.
        count: u64,
    },
}

impl Unsynced {
    fn apply(&self, fate: Fate, image: &mut Image, max_blocks: u64) {
        match (self, fate) {
            (_, Fate::Dropped) => {}
            (Self::Write { block, bytes }, Fate::Kept | Fate::Torn { .. }) => {
                // A write after the end of a disk whose growth was lost makes it longer, as in a file.
                if *block >= image.len() as u64 && *block < max_blocks {
                    image.resize(*block as usize + 1);
                }
                let Some(index) = image.index(*block) else { return };
                let mut content = [0; BLOCK];
                image.copy(index, &mut content);
                for sector in (0..BLOCK / SECTOR).filter(|sector| fate.keeps(*sector)) {
                    let sector = sector * SECTOR..(sector + 1) * SECTOR;
                    content[sector.clone()].copy_from_slice(&bytes[sector]);
                }
                image.put(index, Arc::new(content));
            }
            (Self::Resize(blocks), _) => image.resize(*blocks as usize),
            (Self::Discard { block, count }, _) => image.discard(*block, *count),
        }
    }
}

/// What a power cut made of something unsynced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on the disk.
    Kept,
    /// It never was there.
    Dropped,
    /// Some sectors of the block were written. What is not a write is kept.
    Torn {
        /// The lowest bit is the first sector of [`SECTOR`] bytes; 1 is written.
        sectors: u8,
    },
}

impl Fate {
    fn kept_if(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Dropped }
    }

    /// Torn after a first part, before a last part, or anyhow.
    fn torn(random: u64) -> Self {
        let [kind, number, ..] = random.to_le_bytes();
        let sectors = match kind % 3 {
            0 => (1 << (number % 7 + 1)) - 1,
            1 => !((1 << (number % 7 + 1)) - 1),
            _ => number.clamp(1, 254),
        };
        Self::Torn { sectors }
    }

    fn keeps(self, sector: usize) -> bool {
        match self {
            Self::Kept => true,
            Self::Dropped => false,
            Self::Torn { sectors } => sectors >> sector & 1 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk as _;
    use crate::disk::faulty::FaultyDisk;

    #[test]
    fn what_was_flushed_survives_and_each_subset_of_the_rest_is_possible() {
        let disk = three_blocks();
        disk.write(0, &[1; BLOCK]).unwrap();
        disk.flush().unwrap();
        disk.write(0, &[2; 2 * BLOCK]).unwrap();
        disk.write(0, &[3; BLOCK]).unwrap();
        let cut = disk.cut(disk.operations());
        assert_eq!(cut.unsynced().len(), 3);
        let mut disks: Vec<_> =
            cut.fates(8, &mut || 0)[..8].iter().map(|fates| first_bytes(&cut.disk(fates))).collect();
        disks.sort();
        disks.dedup();
        assert_eq!(disks, [[1, 0, 0], [1, 2, 0], [2, 0, 0], [2, 2, 0], [3, 0, 0], [3, 2, 0]]);
    }

    #[test]
    fn a_block_is_torn_between_sectors() {
        let disk = three_blocks();
        disk.write(1, &[5; BLOCK]).unwrap();
        let cut = disk.cut(disk.operations());
        let torn = cut.disk(&[Fate::Torn { sectors: 0b1000_0001 }]).snapshot();
        let sectors: Vec<_> =
            torn[BLOCK..2 * BLOCK].chunks(SECTOR).map(|sector| sector[SECTOR - 1]).collect();
        assert_eq!(sectors, [5, 0, 0, 0, 0, 0, 0, 5]);
        for random in 0..10_000 {
            let Fate::Torn { sectors } = Fate::torn(random * 77) else { panic!("not torn") };
            assert!(sectors != 0 && sectors != 255, "{sectors:08b} is not torn");
        }
    }

    #[test]
    fn lengths_are_lost_too() {
        let disk = three_blocks();
        disk.resize(5).unwrap();
        disk.write(4, &[5; BLOCK]).unwrap();
        disk.resize(1).unwrap();
        let cut = disk.cut(disk.operations());
        use Fate::{Dropped, Kept};
        let length = |fates: [Fate; 3]| cut.disk(&fates).blocks().unwrap();
        assert_eq!(length([Dropped, Dropped, Dropped]), 3);
        assert_eq!(length([Kept, Dropped, Dropped]), 5);
        assert_eq!(length([Dropped, Kept, Dropped]), 5);
        assert_eq!(length([Kept, Kept, Kept]), 1);
    }

    #[test]
    fn many_unsynced_writes_are_sampled() {
        let disk = FaultyDisk::new(64);
        disk.resize(64).unwrap();
        disk.flush().unwrap();
        disk.write(0, &[1; 64 * BLOCK]).unwrap();
        let cut = disk.cut(disk.operations());
        let mut seed = 1u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 20
        };
        for limit in [4, 50, 500] {
            let fates = cut.fates(limit, &mut random);
            assert_eq!(fates.len(), limit);
            assert!(fates.contains(&vec![Fate::Kept; 64]));
            assert!(fates.contains(&vec![Fate::Dropped; 64]));
        }
    }

    fn three_blocks() -> FaultyDisk {
        let disk = FaultyDisk::new(16);
        disk.resize(3).unwrap();
        disk.flush().unwrap();
        disk
    }

    fn first_bytes(disk: &MemoryDisk) -> Vec<u8> {
        disk.snapshot().chunks(BLOCK).map(|block| block[0]).collect()
    }
}
