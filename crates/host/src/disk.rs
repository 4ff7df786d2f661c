//! The disk: one file, of which the enclave sees blocks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use cloister_frames::{BLOCK_LEN, DiskFailure, DiskRequest, DiskResponse, MAX_BLOCKS};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::HostError;
use crate::abi::UsercallError;
use crate::interference::Interference;
use crate::log::LogSink;
use crate::service::{Answer, Service};
use crate::statistics::DiskStatistics;
use crate::sync::{lock, read, write};

/// Name of the volume's file in the state folder, where no other path is given.
pub const VOLUME_NAME: &str = "volume";

/// The file of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// The file. It is made where it is missing, readable for nobody else, and grows as the enclave asks for it. One
    /// enclave at a time may use it.
    pub path: PathBuf,
    /// How far it may grow, in bytes.
    pub max_bytes: u64,
}

impl DiskSettings {
    /// The default of [`DiskSettings::max_bytes`]: 16 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 16 << 30;

    /// The file [`VOLUME_NAME`] in this folder, of the default size at most.
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(VOLUME_NAME), max_bytes: Self::DEFAULT_MAX_BYTES }
    }
}

/// The disk service.
#[derive(Debug)]
pub(crate) struct Disk {
    /// `None` once it is closed. Whoever uses it holds the lock for reading.
    file: RwLock<Option<File>>,
    path: PathBuf,
    max_blocks: u64,
    /// Length in blocks. A last part of the file that is shorter than a block is none.
    blocks: AtomicU64,
    resizing: Mutex<()>,
    /// The length may not be durable yet.
    resized: AtomicBool,
    counts: Counts,
    log: LogSink,
    /// The last failure was logged, and nothing has gone well since.
    failing: AtomicBool,
    interference: Option<Arc<dyn Interference>>,
}

impl Disk {
    /// Opens the file, makes it where it is missing, and takes its lock.
    pub(crate) fn open(
        settings: DiskSettings,
        log: LogSink,
        interference: Option<Arc<dyn Interference>>,
    ) -> Result<Self, HostError> {
        let DiskSettings { path, max_bytes } = settings;
        let failed = |action| {
            let path = path.clone();
            move |source| HostError::Volume { action, path, source }
        };
        let file = open_or_create(&path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HostError::VolumeInUse(path)),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let length = file.metadata().map_err(failed("measure"))?.len();
        Ok(Self {
            file: RwLock::new(Some(file)),
            path,
            max_blocks: (max_bytes / BLOCK).min(MAX_BLOCKS),
            blocks: AtomicU64::new(length / BLOCK),
            resizing: Mutex::new(()),
            // A length that an earlier process set may not be durable either.
            resized: AtomicBool::new(true),
            counts: Counts::default(),
            log,
            failing: AtomicBool::new(false),
            interference,
        })
    }

    /// Waits for requests that are under way, and lets another enclave have the file. Later requests fail.
    pub(crate) fn close(&self) {
        drop(write(&self.file).take());
    }

    pub(crate) fn statistics(&self) -> DiskStatistics {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        DiskStatistics {
            reads: of(&self.counts.reads),
            read_bytes: of(&self.counts.read_bytes),
            writes: of(&self.counts.writes),
            written_bytes: of(&self.counts.written_bytes),
            flushes: of(&self.counts.flushes),
            failures: of(&self.counts.failures),
        }
    }

    /// Serves a request honestly.
    fn serve(&self, request: &DiskRequest<'_>, answer: &mut Answer) {
        match self.attempt(request, answer) {
            Ok(()) => {
                if self.failing.load(Ordering::Relaxed) {
                    self.failing.store(false, Ordering::Relaxed);
                }
            }
            Err(error) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                answer.clear();
                answer.put(&DiskResponse::Failed(self.failure(&error)).encode());
            }
        }
    }

    fn attempt(&self, request: &DiskRequest<'_>, answer: &mut Answer) -> io::Result<()> {
        let file = read(&self.file);
        let file = file.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        let response = match *request {
            DiskRequest::Size => DiskResponse::Size(self.blocks.load(Ordering::Acquire)),
            DiskRequest::Resize { blocks } => {
                self.resize(file, blocks)?;
                DiskResponse::Done
            }
            DiskRequest::Read { block, count } => {
                let start = self.offset(block, count)?;
                let frame = answer.room(DATA_HEAD + (count * BLOCK) as usize);
                let (head, data) = frame.split_at_mut(DATA_HEAD);
                file.read_exact_at(data, start)?;
                self.counts.add(&self.counts.reads, &self.counts.read_bytes, data.len());
                head.copy_from_slice(&DiskResponse::Data(data).head().as_bytes()[PREFIX..]);
                return Ok(());
            }
            DiskRequest::Write { block, data } => {
                let start = self.offset(block, data.len() as u64 / BLOCK)?;
                file.write_all_at(data, start)?;
                self.counts.add(&self.counts.writes, &self.counts.written_bytes, data.len());
                DiskResponse::Done
            }
            DiskRequest::Discard { block, count } => {
                let start = self.offset(block, count)?;
                discard(file, start, count * BLOCK)?;
                DiskResponse::Done
            }
            DiskRequest::Flush => {
                self.flush(file)?;
                self.counts.flushes.fetch_add(1, Ordering::Relaxed);
                DiskResponse::Done
            }
        };
        answer.put(&response.encode());
        Ok(())
    }

    /// The first block's place in the file, where all of them lie in it.
    fn offset(&self, block: u64, count: u64) -> io::Result<u64> {
        let end = block.checked_add(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.blocks.load(Ordering::Acquire) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(block * BLOCK)
    }

    fn resize(&self, file: &File, blocks: u64) -> io::Result<()> {
        let _one_at_a_time = lock(&self.resizing);
        let before = self.blocks.load(Ordering::Acquire);
        if blocks > self.max_blocks && blocks > before {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.resized.store(true, Ordering::Release);
        if blocks > before
            && let Err(error) = reserve(file, before * BLOCK, (blocks - before) * BLOCK)
        {
            // What was reserved of it before the space ran out.
            file.set_len(before * BLOCK)?;
            return Err(error);
        }
        file.set_len(blocks * BLOCK)?;
        self.blocks.store(blocks, Ordering::Release);
        Ok(())
    }

    fn flush(&self, file: &File) -> io::Result<()> {
        if !self.resized.swap(false, Ordering::AcqRel) {
            return file.sync_data();
        }
        file.sync_all().inspect_err(|_| self.resized.store(true, Ordering::Release))
    }

    /// What the enclave is told, and the first time in a row also the log.
    fn failure(&self, error: &io::Error) -> DiskFailure {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    self.log.host(&format!("the volume {} has no space left: {error}", self.path.display()));
                }
                DiskFailure::NoSpace
            }
            io::ErrorKind::UnexpectedEof => DiskFailure::OutOfRange,
            _ => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    self.log.host(&format!("the volume {} fails: {error}", self.path.display()));
                }
                DiskFailure::Io
            }
        }
    }

    /// A disk of at most 16 blocks in a file that is gone already.
    #[cfg(test)]
    pub(crate) fn of_few_blocks(interference: Option<Arc<dyn Interference>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DiskSettings { path: folder.path().join("volume"), max_bytes: 16 * BLOCK };
        Self::open(settings, LogSink::discard(), interference).unwrap()
    }
}

impl Service for Disk {
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
        let request = DiskRequest::decode(request).map_err(|_| UsercallError::InvalidData)?;
        if let Some(interference) = &self.interference {
            let honest = |request: &DiskRequest<'_>| Answer::payload(|answer| self.serve(request, answer));
            if let Some(told) = interference.disk(&request, &honest) {
                answer.put(&told);
                return Ok(());
            }
        }
        self.serve(&request, answer);
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    flushes: AtomicU64,
    failures: AtomicU64,
}

impl Counts {
    fn add(&self, requests: &AtomicU64, bytes: &AtomicU64, length: usize) {
        requests.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// The file, and nothing but a file. A new one's name is durable when this returns.
fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let file = options.create(true).truncate(false).open(path)?;
            file.sync_all()?;
            fs::File::open(folder)?.sync_all()?;
            file
        }
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Takes space for a part of the file, where its file system can; else the space is taken by the writes.
fn reserve(file: &File, start: u64, length: u64) -> io::Result<()> {
    match uninterrupted(|| fallocate(file, FallocateFlags::empty(), start, length)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

/// Gives the space of a part of the file back, where its file system can.
fn discard(file: &File, start: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match uninterrupted(|| fallocate(file, flags, start, length)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

fn uninterrupted(mut operation: impl FnMut() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    loop {
        match operation() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

const BLOCK: u64 = BLOCK_LEN as u64;
/// Bytes of a frame's length, which the stream writes itself.
const PREFIX: usize = 4;
/// Bytes before the contents in the payload of an answer.
const DATA_HEAD: usize = 4;

#[cfg(test)]
mod tests;
