use cloister_api::{MAX_BUNDLE_FILES, is_bundle_path};
use cloister_attestation::{AssetsHash, ContentsHash};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files of a directory on this machine, as an upload takes them: in the order of their paths' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    pub(crate) files: Vec<TreeFile>,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeFile {
    /// In the tree, with `/` between the segments.
    pub(crate) path: String,
    /// On this machine.
    pub(crate) source: PathBuf,
    /// Bytes, when it was listed.
    pub(crate) size: u64,
}

impl Tree {
    /// Lists a directory and all below it. Directories without files do not count.
    ///
    /// # Errors
    /// [`TreeError`] where something cannot be read, is neither file nor directory (symbolic links are not followed), or
    /// has a name that an upload cannot carry.
    pub fn list(directory: &Path) -> Result<Self, TreeError> {
        let mut files = Vec::new();
        let mut pending = vec![(directory.to_owned(), String::new())];
        while let Some((directory, prefix)) = pending.pop() {
            let unreadable = |source| TreeError::Unreadable { path: directory.clone(), source };
            for entry in fs::read_dir(&directory).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let source = entry.path();
                let name = entry.file_name();
                let path = name.to_str().map(|name| format!("{prefix}{name}"));
                let Some(path) = path.filter(|path| is_bundle_path(path)) else {
                    return Err(TreeError::Name { path: source });
                };
                let metadata = fs::symlink_metadata(&source)
                    .map_err(|error| TreeError::Unreadable { path: source.clone(), source: error })?;
                if metadata.is_dir() {
                    pending.push((source, format!("{path}/")));
                } else if metadata.is_file() {
                    files.push(TreeFile { path, source, size: metadata.len() });
                } else {
                    return Err(TreeError::Kind { path: source });
                }
                if files.len() as u64 > MAX_BUNDLE_FILES {
                    return Err(TreeError::TooMany);
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all files, when they were listed.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The hash that evidence names when these are an app's assets; `None` where there is no file. Reads all of them.
    ///
    /// # Errors
    /// [`TreeError`] where a file cannot be read or changed since it was listed.
    pub fn assets_hash(&self) -> Result<Option<[u8; 32]>, TreeError> {
        let mut hash = AssetsHash::new();
        let mut piece = vec![0; PIECE];
        for file in &self.files {
            let mut reading = file.open()?;
            let mut contents = ContentsHash::new();
            loop {
                let read = reading.read(&mut piece)?;
                if read.is_empty() {
                    break;
                }
                contents.update(read);
            }
            file.add_to(&mut hash, contents)?;
        }
        Ok(hash.finish())
    }
}

impl TreeFile {
    pub(crate) fn open(&self) -> Result<Reading<'_>, TreeError> {
        let file = File::open(&self.source).map_err(|error| self.unreadable(error))?;
        Ok(Reading { file, listed: self, remaining: self.size })
    }

    /// Adds it to the hash of a tree, after all of its contents were read.
    pub(crate) fn add_to(&self, hash: &mut AssetsHash, contents: ContentsHash) -> Result<(), TreeError> {
        hash.add(&self.path, self.size, &contents.finish()).map_err(|_| self.changed())
    }

    fn unreadable(&self, source: io::Error) -> TreeError {
        TreeError::Unreadable { path: self.source.clone(), source }
    }

    fn changed(&self) -> TreeError {
        TreeError::Changed { path: self.source.clone() }
    }
}

/// A file that is read: exactly the bytes that it had when it was listed.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    file: File,
    listed: &'a TreeFile,
    remaining: u64,
}

impl Reading<'_> {
    /// The next bytes, in `piece`; none when all were read.
    pub(crate) fn read<'b>(&mut self, piece: &'b mut [u8]) -> Result<&'b [u8], TreeError> {
        loop {
            let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(piece.len());
            // At the end one byte is asked for, which must not be there.
            match self.file.read(&mut piece[..most.max(1)]) {
                Ok(0) if self.remaining == 0 => return Ok(&[]),
                Ok(read) if read > 0 && read <= most => {
                    self.remaining -= read as u64;
                    return Ok(&piece[..read]);
                }
                Ok(_) => return Err(self.listed.changed()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.listed.unreadable(error)),
            }
        }
    }
}

/// A directory cannot be uploaded.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It, or something in it, cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A symbolic link, a device, a socket.
    #[error("{} is neither a file nor a directory, and nothing else is uploaded (symbolic links are not followed)", path.display())]
    Kind { path: PathBuf },
    /// The name is no UTF-8, or the path too long.
    #[error("{} has a name that cannot be uploaded: paths are UTF-8 of at most 4096 bytes, names of 255", path.display())]
    Name { path: PathBuf },
    /// It changed while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed { path: PathBuf },
    /// More files than a bundle takes.
    #[error("there are more than {MAX_BUNDLE_FILES} files, the most that an upload takes")]
    TooMany,
}

/// Bytes that are read at once.
pub(crate) const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_attestation::sha256;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (path, contents) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        directory
    }

    #[test]
    fn files_are_listed_in_the_order_of_their_paths_bytes() {
        let directory = tree(&[("b", b"1"), ("a/c", b"22"), ("a-b", b""), ("a/b/d", b"333")]);
        fs::create_dir(directory.path().join("empty")).unwrap();
        let tree = Tree::list(directory.path()).unwrap();
        let paths: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a-b", "a/b/d", "a/c", "b"]);
        assert_eq!((tree.files(), tree.bytes()), (4, 6));
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        let directory = tree(&[("index.html", b"abc"), ("css/site.css", b"")]);
        let mut hash = AssetsHash::new();
        hash.add("css/site.css", 0, &sha256(b"")).unwrap();
        hash.add("index.html", 3, &sha256(b"abc")).unwrap();
        let tree = Tree::list(directory.path()).unwrap();
        assert_eq!(tree.assets_hash().unwrap(), hash.finish());
        assert_eq!(Tree { files: Vec::new() }.assets_hash().unwrap(), None);
    }

    #[test]
    fn a_file_that_changed_is_noticed() {
        let directory = tree(&[("a", b"12345")]);
        let tree = Tree::list(directory.path()).unwrap();
        for contents in [&b"1234"[..], b"123456", b""] {
            fs::write(directory.path().join("a"), contents).unwrap();
            assert!(matches!(tree.assets_hash(), Err(TreeError::Changed { .. })), "{contents:?}");
        }
        fs::remove_file(directory.path().join("a")).unwrap();
        assert!(matches!(tree.assets_hash(), Err(TreeError::Unreadable { .. })));
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tree(&[("a", b"")]);
        std::os::unix::fs::symlink("a", directory.path().join("link")).unwrap();
        assert!(matches!(Tree::list(directory.path()), Err(TreeError::Kind { .. })));
        assert!(matches!(Tree::list(&directory.path().join("absent")), Err(TreeError::Unreadable { .. })));
    }
}
