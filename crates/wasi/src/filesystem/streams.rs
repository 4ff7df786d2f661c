//! Files as `wasi:io` streams.

use bytes::Bytes;
use cloister_filesystem::{FsError, Node};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use super::{CHANGE_FUEL, LOOK_FUEL, SYNC_FUEL};
use crate::MAX_READ_BYTES;
use crate::metering::Debts;
use crate::storage::Storage;

/// Reads a file from an offset on. Once it met the end it stays closed, as the interface's streams do.
pub(super) struct FileInput {
    file: Node,
    offset: u64,
    debts: Debts,
    closed: bool,
}

impl FileInput {
    pub(super) fn new(file: Node, offset: u64, debts: Debts) -> Self {
        Self { file, offset, debts, closed: false }
    }
}

#[async_trait]
impl Pollable for FileInput {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for FileInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.closed {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        self.debts.add(LOOK_FUEL);
        let read = read(&self.file, size as u64, self.offset);
        let bytes = read.inspect_err(|_| self.closed = true).map_err(failed)?;
        if bytes.is_empty() {
            self.closed = true;
            return Err(StreamError::Closed);
        }
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        Ok(bytes.into())
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.read(size)
    }
}

/// Writes into a file, or to its end. A write is visible to every reader at once; a flush waits for nothing more.
pub(super) struct FileOutput {
    file: Node,
    place: Place,
    integrity: Integrity,
    storage: Storage,
    debts: Debts,
    state: State,
}

/// Where the next bytes go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At(u64),
    End,
}

/// When a descriptor's writes become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrity {
    /// With the next commit.
    Lazy,
    /// Before the write is over.
    Synchronous,
}

enum State {
    /// A commit was waited for, so the next write is due whatever others wrote meanwhile.
    Permitted,
    Ready,
    /// A commit is to be waited for.
    Waiting,
    /// What the next function reports.
    Failed(wasmtime::Error),
    Closed,
}

impl FileOutput {
    pub(super) fn new(
        file: Node,
        place: Place,
        integrity: Integrity,
        storage: Storage,
        debts: Debts,
    ) -> Self {
        Self { file, place, integrity, storage, debts, state: State::Ready }
    }

    /// Reports a failure once; the stream is closed after it.
    fn check(&mut self) -> StreamResult<()> {
        match self.state {
            State::Permitted | State::Ready | State::Waiting => Ok(()),
            State::Failed(_) | State::Closed => match std::mem::replace(&mut self.state, State::Closed) {
                State::Failed(error) => Err(StreamError::LastOperationFailed(error)),
                _ => Err(StreamError::Closed),
            },
        }
    }
}

#[async_trait]
impl Pollable for FileOutput {
    async fn ready(&mut self) {
        if matches!(self.state, State::Ready) && self.storage.filesystem.is_crowded() {
            self.state = State::Waiting;
        }
        if matches!(self.state, State::Waiting) {
            self.state = match self.storage.durability.commit().await {
                Ok(()) => State::Permitted,
                Err(unavailable) => State::Failed(unavailable.into()),
            };
        }
    }
}

#[async_trait]
impl OutputStream for FileOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if matches!(self.state, State::Waiting) || bytes.len() > WRITE_PERMIT {
            return Err(StreamError::trap("the guest wrote more than check-write allowed"));
        }
        self.debts.add(CHANGE_FUEL);
        match write_all(&self.file, self.place, &bytes) {
            Ok(place) => self.place = place,
            Err(error) => {
                self.state = State::Closed;
                return Err(failed(error));
            }
        }
        self.state = match self.integrity {
            Integrity::Lazy => State::Ready,
            Integrity::Synchronous => {
                self.debts.add(SYNC_FUEL);
                State::Waiting
            }
        };
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        if matches!(self.state, State::Ready) && self.storage.filesystem.is_crowded() {
            self.state = State::Waiting;
        }
        Ok(if matches!(self.state, State::Waiting) { 0 } else { WRITE_PERMIT })
    }
}

/// Up to `size` bytes, and no more than [`MAX_READ_BYTES`]; none at the end of the file.
pub(super) fn read(file: &Node, size: u64, offset: u64) -> Result<Vec<u8>, FsError> {
    let size = usize::try_from(size.min(MAX_READ_BYTES)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size];
    let read = file.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Returns where the next bytes go.
fn write_all(file: &Node, place: Place, mut bytes: &[u8]) -> Result<Place, FsError> {
    let mut place = place;
    while !bytes.is_empty() {
        let written = match &mut place {
            Place::At(offset) => {
                let written = file.write_at(*offset, bytes)?;
                *offset = offset.saturating_add(written as u64);
                written
            }
            Place::End => file.append(bytes)?,
        };
        bytes = &bytes[written.min(bytes.len())..];
    }
    Ok(place)
}

fn failed(error: FsError) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

/// Bytes that a guest may write at once.
const WRITE_PERMIT: usize = 64 << 10;
