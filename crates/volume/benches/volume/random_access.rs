//! 4 KiB here and there: reads, and writes that are durable before the next.

use crate::{Numbers, create, dataset, mount, new_object, noise, rate, row, timed, title};
use cloister_volume::{BLOCK, Dataset, ObjectId, Volume, VolumeError};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

const BLOCKS: u64 = 16_384;
const READS: u64 = 30_000;
/// Writes of one store before it is the next one's turn: how long a flush takes changes from second to second.
const WRITES: u64 = 160;
const ROUNDS: u64 = 7;
const WRITERS: u64 = 8;
const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");

pub(crate) fn compare(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mib = (BLOCKS * BLOCK as u64) >> 20;
    title(&format!("4 KiB at random of {mib} MiB: {READS} reads"));
    let sealed = Sealed::fill(folder)?;
    let (fresh, again) = (timed(|| sealed.read())?.1, timed(|| sealed.read())?.1);
    row("volume: freshly mounted", &rate(READS, fresh));
    row("volume: again", &rate(READS, again));
    let keys = Keys::fill(folder)?;
    let (fresh, again) = (timed(|| keys.read())?.1, timed(|| keys.read())?.1);
    row("yardstick: redb on a plain file, freshly opened", &rate(READS, fresh));
    row("yardstick: redb on a plain file, again", &rate(READS, again));
    let plain = Plain::fill(folder)?;
    row("yardstick: plain file, pread", &rate(READS, timed(|| plain.read())?.1));

    title(&format!(
        "4 KiB at random of {mib} MiB: {WRITES} writes, each durable before the next; the median of {ROUNDS} rounds"
    ));
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        times[0].push(timed(|| sealed.write(round))?.1);
        times[1].push(timed(|| sealed.write_together(round))?.1);
        times[2].push(timed(|| keys.write(round))?.1);
        times[3].push(timed(|| plain.write(round))?.1);
    }
    let [one, together, keys, plain] = times.map(|mut times| {
        times.sort();
        rate(WRITES, times[times.len() / 2])
    });
    row("volume: a commit after each", &one);
    row(&format!("volume: the same by {WRITERS} threads, which share commits"), &together);
    row("yardstick: redb on a plain file, a commit after each", &keys);
    row("yardstick: plain file, pwrite and fdatasync", &plain);
    Ok(())
}

/// One object of a volume.
struct Sealed {
    volume: Volume,
    dataset: Dataset,
    id: ObjectId,
    block: Vec<u8>,
}

impl Sealed {
    fn fill(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let file = folder.join("random.volume");
        let volume = create(&file)?;
        let (filled, id) = new_object(&volume)?;
        filled.write(&volume.begin(), id, 0, &noise(BLOCKS as usize * BLOCK))?;
        volume.commit()?;
        drop((filled, volume));
        let volume = mount(&file, 128 << 20)?;
        Ok(Self { dataset: dataset(&volume)?, volume, id, block: noise(BLOCK) })
    }

    fn read(&self) -> Result<(), Box<dyn Error>> {
        let mut into = vec![0; BLOCK];
        for block in places(0, READS) {
            self.dataset.read(self.id, block * BLOCK as u64, &mut into)?;
        }
        Ok(())
    }

    fn write(&self, round: u64) -> Result<(), Box<dyn Error>> {
        Ok(places(round, WRITES).try_for_each(|block| self.write_one(block))?)
    }

    fn write_together(&self, round: u64) -> Result<(), Box<dyn Error>> {
        std::thread::scope(|scope| {
            let writers = (0..WRITERS).map(|writer| {
                let mut places = places(1000 + round * WRITERS + writer, WRITES / WRITERS);
                scope.spawn(move || places.try_for_each(|block| self.write_one(block)))
            });
            let writers: Vec<_> = writers.collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("no writer panics"))
        })?;
        Ok(())
    }

    fn write_one(&self, block: u64) -> Result<(), VolumeError> {
        self.dataset.write(&self.volume.begin(), self.id, block * BLOCK as u64, &self.block)?;
        self.volume.commit().map(drop)
    }
}

/// A table of redb, without encryption.
struct Keys {
    database: Database,
    value: Vec<u8>,
}

impl Keys {
    fn fill(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let path = folder.join("random.redb");
        let value = noise(BLOCK);
        let database = Database::create(&path)?;
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for block in 0..BLOCKS {
                table.insert(block, value.as_slice())?;
            }
        }
        transaction.commit()?;
        drop(database);
        Ok(Self { database: Database::open(&path)?, value })
    }

    fn read(&self) -> Result<(), Box<dyn Error>> {
        let mut into = vec![0; BLOCK];
        for block in places(0, READS) {
            let table = self.database.begin_read()?.open_table(TABLE)?;
            into.copy_from_slice(table.get(block)?.ok_or("a key is gone")?.value());
        }
        Ok(())
    }

    fn write(&self, round: u64) -> Result<(), Box<dyn Error>> {
        for block in places(round, WRITES) {
            let transaction = self.database.begin_write()?;
            transaction.open_table(TABLE)?.insert(block, self.value.as_slice())?;
            transaction.commit()?;
        }
        Ok(())
    }
}

/// A file.
struct Plain {
    file: File,
    block: Vec<u8>,
}

impl Plain {
    fn fill(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let path = folder.join("random.plain");
        std::fs::write(&path, noise(BLOCKS as usize * BLOCK))?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        file.sync_all()?;
        Ok(Self { file, block: noise(BLOCK) })
    }

    fn read(&self) -> Result<(), Box<dyn Error>> {
        let mut into = vec![0; BLOCK];
        Ok(places(0, READS).try_for_each(|block| self.file.read_exact_at(&mut into, block * BLOCK as u64))?)
    }

    fn write(&self, round: u64) -> Result<(), Box<dyn Error>> {
        for block in places(round, WRITES) {
            self.file.write_all_at(&self.block, block * BLOCK as u64)?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

fn places(seed: u64, count: u64) -> impl Iterator<Item = u64> {
    let mut numbers = Numbers(seed);
    (0..count).map(move |_| numbers.next() % BLOCKS)
}
