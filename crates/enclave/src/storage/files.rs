//! The enclave's own files: written whole, read whole.

use super::StorageError;
use cloister_filesystem::{Filesystem, Follow, FsError, Kind, Node, OpenHow};

/// The filesystem of the system's dataset.
#[derive(Clone)]
pub(super) struct Files {
    filesystem: Filesystem,
}

impl Files {
    pub(super) fn new(filesystem: Filesystem) -> Self {
        Self { filesystem }
    }

    /// A file's contents, of at most `most` bytes.
    pub(super) fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, StorageError> {
        let node = self.filesystem.root()?.open_at(path, Follow::No, &OpenHow::default())?;
        let size = node.metadata()?.size;
        if size > most {
            return Err(StorageError::FileTooLarge { size, most });
        }
        let mut contents = vec![0; size as usize];
        let mut read = 0;
        while read < contents.len() {
            match node.read_at(read as u64, &mut contents[read..])? {
                0 => break,
                more => read += more,
            }
        }
        contents.truncate(read);
        Ok(contents)
    }

    /// A file of these parts. Not atomic: for files that nothing refers to before they are complete.
    pub(super) fn write(&self, path: &str, parts: &[&[u8]]) -> Result<(), StorageError> {
        let how = OpenHow { create: true, truncate: true, ..OpenHow::default() };
        let node = self.filesystem.root()?.open_at(path, Follow::No, &how)?;
        let mut at = 0;
        for piece in parts.iter().flat_map(|part| part.chunks(PIECE)) {
            if self.filesystem.is_crowded() {
                self.filesystem.dataset().volume().commit()?;
            }
            write_all(&node, at, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Replaces a file or makes it: whoever reads it sees all of the old or all of the new contents.
    pub(super) fn replace(&self, path: &str, parts: &[&[u8]]) -> Result<(), StorageError> {
        let next = format!("{path}.next");
        self.write(&next, parts)?;
        self.rename(&next, path)
    }

    /// Gives a file another name, whatever had it before.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let root = self.filesystem.root()?;
        Ok(root.rename_at(from, &root, to)?)
    }

    /// Removes a file. It may be gone already.
    pub(super) fn remove(&self, path: &str) -> Result<(), StorageError> {
        absent_is_fine(self.filesystem.root()?.unlink_file_at(path))
    }

    /// Makes a directory. It may be there already.
    pub(super) fn make_directory(&self, path: &str) -> Result<(), StorageError> {
        match self.filesystem.root()?.create_directory_at(path) {
            Err(FsError::Exists) => Ok(()),
            made => Ok(made?),
        }
    }

    /// Removes a directory and the files in it. It may be gone already.
    pub(super) fn remove_directory(&self, path: &str) -> Result<(), StorageError> {
        let names = match self.list(path) {
            Err(error) if error.is_absence() => return Ok(()),
            names => names?,
        };
        for name in names {
            self.remove(&format!("{path}/{name}"))?;
        }
        absent_is_fine(self.filesystem.root()?.remove_directory_at(path))
    }

    /// Removes a directory where it is empty. It may be gone already.
    pub(super) fn remove_empty_directory(&self, path: &str) -> Result<(), StorageError> {
        match self.filesystem.root()?.remove_directory_at(path) {
            Err(FsError::NotEmpty) => Ok(()),
            removed => absent_is_fine(removed),
        }
    }

    /// The names in a directory.
    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, StorageError> {
        let directory = self.filesystem.root()?.open_at(path, Follow::No, &OpenHow::default())?;
        if directory.kind() != Kind::Directory {
            return Err(FsError::NotDirectory.into());
        }
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let (entries, next) = directory.entries(after, ENTRIES)?;
            names.extend(entries.into_iter().map(|entry| entry.name));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(names),
            }
        }
    }
}

/// Writes all of the bytes at an offset.
pub(super) fn write_all(node: &Node, mut at: u64, mut bytes: &[u8]) -> Result<(), StorageError> {
    while !bytes.is_empty() {
        let written = node.write_at(at, bytes)?;
        if written == 0 {
            return Err(FsError::Full.into());
        }
        at += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}

fn absent_is_fine(done: Result<(), FsError>) -> Result<(), StorageError> {
    match done {
        Err(FsError::NoEntry) => Ok(()),
        done => Ok(done?),
    }
}

/// Bytes written between two looks at how much waits for a commit.
const PIECE: usize = 1 << 20;
/// Directory entries asked for at once.
const ENTRIES: usize = 256;
