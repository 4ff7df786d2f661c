use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use fortanix_sgx_abi::FD_STDERR;

use super::Stream;
use crate::abi::UsercallError;
use crate::readiness::Readiness;
use crate::sync::{read, write};

/// The open streams under their numbers, and the readiness of those that have any.
#[derive(Debug)]
pub(crate) struct Table {
    open: RwLock<HashMap<u64, Arc<Stream>>>,
    /// Numbers are not used twice, so a late event cannot mean another stream.
    next: AtomicU64,
    readiness: Arc<Readiness>,
}

impl Table {
    pub(crate) fn new(standard: impl IntoIterator<Item = (u64, Stream)>) -> io::Result<Self> {
        Ok(Self {
            open: RwLock::new(standard.into_iter().map(|(fd, stream)| (fd, Arc::new(stream))).collect()),
            next: AtomicU64::new(FD_STDERR + 1),
            readiness: Arc::new(Readiness::new()?),
        })
    }

    pub(crate) fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// The stream behind a number. An unknown number is a closed stream: `std` expects `BrokenPipe`.
    pub(crate) fn find(&self, fd: u64) -> Result<Arc<Stream>, UsercallError> {
        read(&self.open).get(&fd).cloned().ok_or(UsercallError::BrokenPipe)
    }

    pub(crate) fn close(&self, fd: u64) {
        let closed = write(&self.open).remove(&fd);
        drop(closed);
    }

    /// Opens a stream, given its number.
    pub(crate) fn add(
        &self,
        open: impl FnOnce(u64) -> Result<Stream, UsercallError>,
    ) -> Result<u64, UsercallError> {
        let fd = self.next.fetch_add(1, Ordering::Relaxed);
        let mut streams = write(&self.open);
        if streams.len() >= MAX_STREAMS {
            return Err(UsercallError::Other);
        }
        // Under the lock, so that an event for the number cannot reach the enclave before the number works.
        let stream = open(fd)?;
        streams.insert(fd, Arc::new(stream));
        Ok(fd)
    }
}

/// Most streams at a time.
const MAX_STREAMS: usize = 65_536;
