//! What `redb` reads and writes: an object of a dataset.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::StorageBackend;

use super::KvError;
use crate::{Attributes, Dataset, ObjectId, Volume, VolumeError};

/// Bytes that grow and shrink, each change of which is atomic.
pub(super) trait Pages: fmt::Debug + Send + Sync + 'static {
    fn length(&self) -> Result<u64, VolumeError>;
    /// Short at the end.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError>;
    fn set_length(&self, length: u64) -> Result<(), VolumeError>;
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError>;
    /// Whether so much waits for a commit of the volume that writers should ask for one.
    fn is_crowded(&self) -> bool;
}

/// The root object of a dataset.
#[derive(Debug)]
pub(super) struct ObjectPages {
    dataset: Dataset,
    object: ObjectId,
}

impl ObjectPages {
    /// Makes the object where the dataset has none.
    pub(super) fn of(dataset: &Dataset) -> Result<ObjectPages, KvError> {
        let object = match dataset.root() {
            Some(object) => object,
            None => {
                let operation = dataset.volume().begin();
                let object = dataset.create_object(&operation, &NO_ATTRIBUTES)?;
                dataset.set_root(&operation, object)?;
                object
            }
        };
        Ok(ObjectPages { dataset: dataset.clone(), object })
    }

    fn volume(&self) -> &Volume {
        self.dataset.volume()
    }
}

impl Pages for ObjectPages {
    fn length(&self) -> Result<u64, VolumeError> {
        Ok(self.dataset.object(self.object)?.length)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError> {
        self.dataset.read(self.object, offset, into)
    }

    fn set_length(&self, length: u64) -> Result<(), VolumeError> {
        self.dataset.set_length(&self.volume().begin(), self.object, length)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        self.dataset.write(&self.volume().begin(), self.object, offset, bytes)
    }

    fn is_crowded(&self) -> bool {
        self.volume().is_crowded()
    }
}

/// [`Pages`] as one opening of the database uses them: once its [`Fence`] is up, it reaches them no more.
#[derive(Debug)]
pub(super) struct Backend {
    pages: Arc<dyn Pages>,
    fence: Fence,
}

impl Backend {
    pub(super) fn new(pages: Arc<dyn Pages>, fence: Fence) -> Backend {
        Backend { pages, fence }
    }

    fn pages(&self) -> io::Result<Access<'_>> {
        let raised = self.fence.0.read().unwrap_or_else(PoisonError::into_inner);
        if *raised {
            return Err(io::Error::other(Fenced));
        }
        Ok(Access { pages: &*self.pages, _raised: raised })
    }
}

/// Keeps the fence from going up while pages are used.
struct Access<'a> {
    pages: &'a dyn Pages,
    _raised: RwLockReadGuard<'a, bool>,
}

/// The database was opened again meanwhile.
#[derive(Debug, thiserror::Error)]
#[error("the database was opened again meanwhile")]
pub(super) struct Fenced;

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.pages()?.pages.length().map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.pages()?.pages.read(offset, out).map_err(io::Error::other)?;
        if read < out.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pages()?.pages.set_length(len).map_err(io::Error::other)
    }

    /// Order and atomicity are all that `redb` needs: the volume's commit is what makes writes durable.
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pages()?.pages.write(offset, data).map_err(io::Error::other)
    }
}

/// Ends a [`Backend`]'s access. A clone is the same fence.
#[derive(Clone, Debug, Default)]
pub(super) struct Fence(Arc<RwLock<bool>>);

impl Fence {
    /// Returns when no access is in progress and none can begin.
    pub(super) fn raise(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

const NO_ATTRIBUTES: Attributes = [0; 64];
