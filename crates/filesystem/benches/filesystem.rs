//! Many small files on a sealed volume against a plain directory, and what large directories and writes cost.
//! `cargo bench -p cloister-filesystem`.
//!
//! All are in `TMPDIR`. The volume is one file, flushed with `fdatasync` at each commit. The plain files are not flushed at
//! all in one column, and each by itself in the other, which is what a plain directory takes to keep the same promise.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::Instant,
};

use cloister_filesystem::{Filesystem, Follow, Node, OpenHow};
use cloister_volume::{BLOCK, Disk, Options, Quota, SealingError, SealingKey, Volume};
use zeroize::Zeroizing;

const FILES: usize = 10_000;
/// Flushing takes so long that fewer have to do.
const FLUSHED_FILES: usize = 300;
const LENGTH: usize = 1024;
const CREATE: OpenHow = OpenHow { create: true, exclusive: false, truncate: false, directory: false };
const PLAIN: OpenHow = OpenHow { create: false, exclusive: false, truncate: false, directory: false };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    println!("{FILES} files of {LENGTH} bytes, microseconds a file");
    println!("{:<30} {:>12} {:>12} {:>12} {:>12}", "", "one commit", "every 100", "plain", "flushed");
    let columns = [
        sealed(&place.path().join("volume, one commit"), FILES)?,
        sealed(&place.path().join("volume, every 100"), 100)?,
        plain(&place.path().join("plain"), FILES, Flush::Never)?,
        plain(&place.path().join("flushed"), FLUSHED_FILES, Flush::Each)?,
    ];
    for (row, step) in
        ["create and write", "open and read after a mount", "again", "remove"].iter().enumerate()
    {
        let [one, every, plain, flushed] = columns.each_ref().map(|column| column[row]);
        println!("{step:<30} {one:>12.1} {every:>12.1} {plain:>12.1} {flushed:>12.1}");
    }
    large_directory(&place.path().join("large directory"))?;
    sequential(&place.path().join("sequential"), &place.path().join("plain file"))?;
    Ok(())
}

/// Microseconds a file for each step.
type Steps = Vec<f64>;

fn sealed(path: &Path, group: usize) -> Result<Steps, Box<dyn std::error::Error>> {
    let filesystem = new_filesystem(path)?;
    let volume = filesystem.dataset().volume().clone();
    let root = filesystem.root()?;
    let bytes = [7; LENGTH];
    let commit_after = |number: usize| -> Result<(), cloister_volume::VolumeError> {
        if (number + 1).is_multiple_of(group) || volume.is_crowded() {
            volume.commit()?;
        }
        Ok(())
    };
    let create = timed(FILES, || {
        for number in 0..FILES {
            let file = root.open_at(&name(number), Follow::Yes, &CREATE)?;
            file.write_at(0, &bytes)?;
            commit_after(number)?;
        }
        volume.commit()?;
        Ok(())
    })?;
    drop((root, filesystem, volume));
    // Nothing is in the volume's cache any more; the host's has the file.
    let filesystem = mount(path)?;
    let volume = filesystem.dataset().volume().clone();
    let root = filesystem.root()?;
    let read = timed(FILES, || read_all(&root))?;
    let read_again = timed(FILES, || read_all(&root))?;
    let remove = timed(FILES, || {
        for number in 0..FILES {
            root.unlink_file_at(&name(number))?;
            if (number + 1).is_multiple_of(group) {
                volume.commit()?;
            }
        }
        volume.commit()?;
        Ok(())
    })?;
    Ok(vec![create, read, read_again, remove])
}

fn read_all(root: &Node) -> Result<(), Box<dyn std::error::Error>> {
    let mut into = [0; LENGTH];
    for number in 0..FILES {
        let file = root.open_at(&name(number), Follow::Yes, &PLAIN)?;
        assert_eq!(file.read_at(0, &mut into)?, LENGTH);
    }
    Ok(())
}

/// How a plain file becomes durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flush {
    /// When the host feels like it.
    Never,
    /// It is flushed, and its directory is.
    Each,
}

fn plain(path: &Path, files: usize, flush: Flush) -> Result<Steps, Box<dyn std::error::Error>> {
    fs::create_dir(path)?;
    let directory = File::open(path)?;
    let bytes = [7; LENGTH];
    let create = timed(files, || {
        for number in 0..files {
            let file = File::create(path.join(name(number)))?;
            file.write_all_at(&bytes, 0)?;
            if flush == Flush::Each {
                file.sync_data()?;
                directory.sync_data()?;
            }
        }
        Ok(())
    })?;
    let read = || {
        timed(files, || {
            let mut into = [0; LENGTH];
            for number in 0..files {
                assert_eq!(File::open(path.join(name(number)))?.read_at(&mut into, 0)?, LENGTH);
            }
            Ok(())
        })
    };
    let (first, again) = (read()?, read()?);
    let remove = timed(files, || {
        for number in 0..files {
            fs::remove_file(path.join(name(number)))?;
            if flush == Flush::Each {
                directory.sync_data()?;
            }
        }
        Ok(())
    })?;
    Ok(vec![create, first, again, remove])
}

fn large_directory(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const ENTRIES: usize = 100_000;
    let filesystem = new_filesystem(path)?;
    let root = filesystem.root()?;
    let fill = timed(ENTRIES, || {
        for number in 0..ENTRIES {
            root.open_at(&name(number), Follow::Yes, &CREATE)?;
            if filesystem.is_crowded() {
                filesystem.dataset().volume().commit()?;
            }
        }
        filesystem.dataset().volume().commit()?;
        Ok(())
    })?;
    drop((root, filesystem));
    let filesystem = mount(path)?;
    let root = filesystem.root()?;
    let first = timed(1, || {
        root.metadata_at(&name(5), Follow::No)?;
        Ok(())
    })?;
    let list = timed(ENTRIES, || {
        let mut after = None;
        loop {
            let (_, next) = root.entries(after, 100)?;
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    })?;
    println!(
        "directory of {ENTRIES} files: {:.1} µs to add one, {:.1} ms for the first look-up after a mount, {:.2} µs an \
         entry to list",
        fill,
        first / 1e3,
        list
    );
    Ok(())
}

fn sequential(volume: &Path, plain: &Path) -> Result<(), Box<dyn std::error::Error>> {
    const TOTAL: u64 = 256 << 20;
    let piece = vec![5; 1 << 20];
    let rate = |microseconds: f64| TOTAL as f64 / microseconds;
    let offsets = || (0..TOTAL).step_by(piece.len());
    let filesystem = new_filesystem(volume)?;
    let file = filesystem.root()?.open_at("file", Follow::Yes, &CREATE)?;
    let write = timed(1, || {
        for offset in offsets() {
            file.write_at(offset, &piece)?;
            if filesystem.is_crowded() {
                filesystem.dataset().volume().commit()?;
            }
        }
        filesystem.dataset().volume().commit()?;
        Ok(())
    })?;
    drop((file, filesystem));
    let filesystem = mount(volume)?;
    let file = filesystem.root()?.open_at("file", Follow::Yes, &PLAIN)?;
    let mut into = vec![0; piece.len()];
    let read = timed(1, || {
        for offset in offsets() {
            assert_eq!(file.read_at(offset, &mut into)?, into.len());
        }
        Ok(())
    })?;
    let host = OpenOptions::new().read(true).write(true).create_new(true).open(plain)?;
    let host_write = timed(1, || {
        offsets().try_for_each(|offset| host.write_all_at(&piece, offset))?;
        Ok(host.sync_data()?)
    })?;
    let host_read = timed(1, || Ok(offsets().try_for_each(|offset| host.read_exact_at(&mut into, offset))?))?;
    println!("{:<44} {:>10} {:>10}", "256 MiB by 1 MiB, MB/s", "sealed", "plain");
    println!("{:<44} {:>10.0} {:>10.0}", "write, durable at the end", rate(write), rate(host_write));
    println!(
        "{:<44} {:>10.0} {:>10.0}",
        "read after a mount, from the host's cache",
        rate(read),
        rate(host_read)
    );
    Ok(())
}

/// Microseconds for each of `count`.
fn timed(
    count: usize,
    work: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e6 / count as f64)
}

fn name(number: usize) -> String {
    format!("file {number:06}")
}

fn new_filesystem(path: &Path) -> Result<Filesystem, Box<dyn std::error::Error>> {
    let volume = Volume::create(Arc::new(FileDisk::open(path)?), &FixedKey, Options::default())?;
    let op = volume.begin();
    let dataset = volume.create_dataset(&op, "app:bench", Quota { bytes: 1 << 40, objects: 1 << 30 })?;
    drop(op);
    let filesystem = Filesystem::open(dataset)?;
    volume.commit()?;
    Ok(filesystem)
}

fn mount(path: &Path) -> Result<Filesystem, Box<dyn std::error::Error>> {
    let volume = Volume::mount(Arc::new(FileDisk::open(path)?), &FixedKey, Options::default())?;
    let dataset = volume.dataset("app:bench")?.ok_or("the volume has lost its dataset")?;
    Ok(Filesystem::open(dataset)?)
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

/// A plain file, as the host lends it.
#[derive(Debug)]
struct FileDisk(File);

impl FileDisk {
    fn open(path: &Path) -> io::Result<FileDisk> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(FileDisk(file))
    }
}

impl Disk for FileDisk {
    fn blocks(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len() / BLOCK as u64)
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        self.0.set_len(blocks * BLOCK as u64)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, block * BLOCK as u64)
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, block * BLOCK as u64)
    }

    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
