//! The bytes of files.

use std::sync::PoisonError;

use cloister_volume::Operation;

use super::Node;
use crate::{FsError, MAX_FILE, MAX_WRITE, attributes::Inode};

impl Node {
    /// Reads as many bytes as there are from `offset` to the end, at most as many as `into` has. Holes are zeros.
    ///
    /// # Errors
    ///
    /// [`FsError::IsDirectory`], or those of the volume.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, FsError> {
        let id = self.file()?;
        let _content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        Ok(self.shared.dataset().read(id, offset, into)?)
    }

    /// Writes from `offset` on; what is between the present end and there becomes a hole. Returns the number of bytes
    /// written: all, or the first [`MAX_WRITE`].
    ///
    /// # Errors
    ///
    /// [`FsError::FileTooLarge`], [`FsError::Quota`] (nothing was written), [`FsError::IsDirectory`], or those of the
    /// volume.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, FsError> {
        let id = self.file()?;
        let bytes = &bytes[..bytes.len().min(MAX_WRITE)];
        check_size(offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let op = self.shared.begin();
        let _content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.dataset().write(&op, id, offset, bytes)?;
        self.content_changed(&op)?;
        Ok(bytes.len())
    }

    /// Writes at the end, wherever that is: the bytes of two appends are never mixed. Returns as
    /// [`write_at`](Node::write_at) does.
    ///
    /// # Errors
    ///
    /// Those of [`Node::write_at`].
    pub fn append(&self, bytes: &[u8]) -> Result<usize, FsError> {
        let id = self.file()?;
        let bytes = &bytes[..bytes.len().min(MAX_WRITE)];
        if bytes.is_empty() {
            return Ok(0);
        }
        let op = self.shared.begin();
        let _content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let end = self.shared.dataset().object(id)?.length;
        check_size(end, bytes.len())?;
        self.shared.dataset().write(&op, id, end, bytes)?;
        self.content_changed(&op)?;
        Ok(bytes.len())
    }

    /// Cuts the file off, or lengthens it by a hole.
    ///
    /// # Errors
    ///
    /// [`FsError::FileTooLarge`], [`FsError::IsDirectory`], or those of the volume.
    pub fn set_len(&self, length: u64) -> Result<(), FsError> {
        self.file()?;
        check_size(length, 0)?;
        let op = self.shared.begin();
        self.set_len_in(&op, length)
    }

    pub(super) fn set_len_in(&self, op: &Operation<'_>, length: u64) -> Result<(), FsError> {
        let _content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        self.shared.dataset().set_length(op, self.id, length)?;
        self.content_changed(op)
    }

    fn content_changed(&self, op: &Operation<'_>) -> Result<(), FsError> {
        self.shared.tree().change(op, self.id, Inode::content_changed)?;
        Ok(())
    }
}

fn check_size(offset: u64, length: usize) -> Result<(), FsError> {
    match offset.checked_add(length as u64) {
        Some(end) if end <= MAX_FILE => Ok(()),
        _ => Err(FsError::FileTooLarge),
    }
}
