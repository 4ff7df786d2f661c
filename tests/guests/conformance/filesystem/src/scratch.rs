//! A directory for each case, and short words for what cases do in it.

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, DirectoryEntry, ErrorCode, OpenFlags, PathFlags,
};
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use conformance_suite::{Cases, Failure, Named, Outcome, same};
use std::ops::Deref;

/// A case in a directory of its own.
type InDirectory = fn(&Directory) -> Outcome;

/// Adds functions that each get an empty directory of their own.
pub(crate) fn add(cases: &mut Cases, area: &'static str, functions: &[Named<InDirectory>]) {
    for &(name, run) in functions {
        add_one(cases, area, name, run);
    }
}

/// Adds one.
pub(crate) fn add_one(
    cases: &mut Cases,
    area: &'static str,
    name: &str,
    run: impl Fn(&Directory) -> Outcome + 'static,
) {
    let directory = format!("{area}.{name}");
    cases.add(area, name, move || {
        let root = preopen("/")?;
        root.remove_all(&directory)?;
        let outcome = Directory::new_in(&root, &directory).and_then(|directory| run(&directory));
        root.remove_all(&directory)?;
        outcome
    });
}

/// The preopen of that name.
pub(crate) fn preopen(name: &str) -> Outcome<Directory> {
    let found = get_directories().into_iter().find(|(_, path)| path == name);
    found
        .map(|(descriptor, _)| Directory(descriptor))
        .ok_or_else(|| Failure::new(format!("no preopen {name}")))
}

/// An open directory.
pub(crate) struct Directory(pub(crate) Descriptor);

impl Deref for Directory {
    type Target = Descriptor;

    fn deref(&self) -> &Descriptor {
        &self.0
    }
}

impl Directory {
    /// Makes a directory and opens it.
    pub(crate) fn new_in(parent: &Directory, path: &str) -> Outcome<Self> {
        parent.create_directory_at(path)?;
        parent.directory(path)
    }

    /// Opens a directory.
    pub(crate) fn directory(&self, path: &str) -> Outcome<Self> {
        Ok(Self(self.open(path, OpenFlags::DIRECTORY, READ_DIRECTORY)?))
    }

    /// Opens without following a last symbolic link.
    pub(crate) fn open(
        &self,
        path: &str,
        how: OpenFlags,
        rights: DescriptorFlags,
    ) -> Result<Descriptor, ErrorCode> {
        self.open_at(NO_FOLLOW, path, how, rights)
    }

    /// Opens a file for reading and writing, and makes it where it is missing.
    pub(crate) fn file(&self, path: &str) -> Outcome<Descriptor> {
        Ok(self.open(path, OpenFlags::CREATE, READ_WRITE)?)
    }

    /// Makes a file of these bytes, and opens it for reading and writing.
    pub(crate) fn put(&self, path: &str, contents: &[u8]) -> Outcome<Descriptor> {
        let file = self.open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, READ_WRITE)?;
        let mut written = 0;
        while written < contents.len() {
            written += file.write(&contents[written..], written as u64)? as usize;
        }
        Ok(file)
    }

    /// What a file holds.
    pub(crate) fn contents(&self, path: &str) -> Outcome<Vec<u8>> {
        contents(&self.open_at(FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ)?)
    }

    /// Passes where a file holds these bytes.
    #[track_caller]
    pub(crate) fn holds(&self, path: &str, expected: &[u8]) -> Outcome {
        same(self.contents(path)?, expected)
    }

    /// What is at a path. Does not follow a last symbolic link.
    pub(crate) fn kind(&self, path: &str) -> Result<DescriptorType, ErrorCode> {
        Ok(self.stat_at(NO_FOLLOW, path)?.type_)
    }

    /// Passes where there is nothing at a path.
    #[track_caller]
    pub(crate) fn is_missing(&self, path: &str) -> Outcome {
        conformance_suite::fails(self.kind(path), ErrorCode::NoEntry)
    }

    /// Everything in the directory, ascending by name.
    pub(crate) fn entries(&self) -> Outcome<Vec<DirectoryEntry>> {
        let stream = self.read_directory()?;
        let mut entries = Vec::new();
        while let Some(entry) = stream.read_directory_entry()? {
            entries.push(entry);
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// The names of everything in the directory, ascending.
    pub(crate) fn names(&self) -> Outcome<Vec<String>> {
        Ok(self.entries()?.into_iter().map(|entry| entry.name).collect())
    }

    fn remove_all(&self, path: &str) -> Outcome {
        match self.kind(path) {
            Err(ErrorCode::NoEntry) => return Ok(()),
            Ok(DescriptorType::Directory) => {}
            Ok(_) => return Ok(self.unlink_file_at(path)?),
            Err(error) => return Err(error.into()),
        }
        let directory = self.directory(path)?;
        for name in directory.names()? {
            directory.remove_all(&name)?;
        }
        Ok(self.remove_directory_at(path)?)
    }
}

/// All bytes of a file.
pub(crate) fn contents(file: &Descriptor) -> Outcome<Vec<u8>> {
    let mut contents = Vec::new();
    loop {
        let (bytes, at_end) = file.read(1 << 16, contents.len() as u64)?;
        contents.extend(bytes);
        if at_end {
            return Ok(contents);
        }
    }
}

/// All that is left in a stream.
pub(crate) fn read_all(input: &InputStream) -> Outcome<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(1 << 16) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes everything and flushes.
pub(crate) fn write_all(output: &OutputStream, bytes: &[u8]) -> Outcome {
    bytes.chunks(4_096).try_for_each(|chunk| Ok(output.blocking_write_and_flush(chunk)?))
}

pub(crate) const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
pub(crate) const NO_FOLLOW: PathFlags = PathFlags::empty();
pub(crate) const READ_WRITE: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);
pub(crate) const READ_DIRECTORY: DescriptorFlags =
    DescriptorFlags::READ.union(DescriptorFlags::MUTATE_DIRECTORY);
