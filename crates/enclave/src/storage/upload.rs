//! What comes with a component: files that the app's tree begins with, and assets. They are written as they come.

use super::assets::AssetsRecord;
use super::{Storage, StorageError};
use cloister_api::{AppName, Limits};
use cloister_attestation::{AssetsHash, ContentsHash};
use cloister_filesystem::{Filesystem, Follow, FsError, Node, OpenHow};

/// One deploy's part of the volume while it belongs to no app. Dropping it removes it, blocking, unless it was
/// installed.
pub(crate) struct Upload {
    storage: Storage,
    name: AppName,
    generation: String,
    limits: Limits,
    files: Option<Tree>,
    assets: Option<Tree>,
    assets_hash: AssetsHash,
    assets_bytes: u64,
    assets_files: u64,
    open: Option<Open>,
    is_installed: bool,
}

/// Which tree a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// The app's own, of an app that is new.
    Files,
    Assets,
}

/// A tree that is being written, and the directory that the last file went to.
struct Tree {
    filesystem: Filesystem,
    parent: String,
    directory: Node,
}

/// The file that is being written.
struct Open {
    destination: Destination,
    path: String,
    size: u64,
    node: Node,
    written: u64,
    contents: ContentsHash,
}

impl Storage {
    /// Nothing yet, of an app of this name.
    ///
    /// # Errors
    /// [`StorageError`] where there is no randomness.
    pub(crate) fn upload(&self, name: &AppName, limits: &Limits) -> Result<Upload, StorageError> {
        let mut generation = [0; 8];
        cloister_tee::random(&mut generation)?;
        Ok(Upload {
            storage: self.clone(),
            name: name.clone(),
            generation: hex::encode(generation),
            limits: limits.clone(),
            files: None,
            assets: None,
            assets_hash: AssetsHash::new(),
            assets_bytes: 0,
            assets_files: 0,
            open: None,
            is_installed: false,
        })
    }
}

impl Upload {
    /// Begins the next file, which gets `size` bytes. Those of one tree come in the order of their paths' bytes.
    ///
    /// # Errors
    /// [`StorageError`], also where the file before is not complete.
    pub(crate) fn file(
        &mut self,
        destination: Destination,
        path: &str,
        size: u64,
    ) -> Result<(), StorageError> {
        if self.open.is_some() {
            return Err(StorageError::IncompleteFile);
        }
        let node = self.tree(destination)?.create(path)?;
        let (path, contents) = (path.to_owned(), ContentsHash::new());
        self.open = Some(Open { destination, path, size, node, written: 0, contents });
        self.close_if_complete()
    }

    /// The next bytes of the file that was begun last.
    ///
    /// # Errors
    /// [`StorageError`], also where they are more than the file has.
    pub(crate) fn contents(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if self.storage.volume.is_crowded() {
            self.storage.commit_now()?;
        }
        let open = self.open.as_mut().ok_or(StorageError::IncompleteFile)?;
        if bytes.len() as u64 > open.size - open.written {
            return Err(StorageError::IncompleteFile);
        }
        super::files::write_all(&open.node, open.written, bytes)?;
        open.written += bytes.len() as u64;
        if open.destination == Destination::Assets {
            open.contents.update(bytes);
        }
        self.close_if_complete()
    }

    /// What a record says of the assets.
    pub(super) fn assets(&self) -> Option<AssetsRecord> {
        let hash = self.assets_hash.clone().finish()?;
        Some(AssetsRecord { hash: hex::encode(hash), bytes: self.assets_bytes, files: self.assets_files })
    }

    /// Whether any asset came.
    pub(crate) fn has_assets(&self) -> bool {
        self.assets.is_some()
    }

    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(super) fn name(&self) -> &AppName {
        &self.name
    }

    pub(super) fn generation(&self) -> &str {
        &self.generation
    }

    /// The tree of a new app, where it begins with files.
    pub(super) fn files_tree(&self) -> Option<Filesystem> {
        self.files.as_ref().map(|tree| tree.filesystem.clone())
    }

    pub(super) fn assets_tree(&self) -> Option<Filesystem> {
        self.assets.as_ref().map(|tree| tree.filesystem.clone())
    }

    /// It belongs to an app from now on.
    pub(super) fn mark_installed(&mut self) {
        self.is_installed = true;
    }

    fn tree(&mut self, destination: Destination) -> Result<&mut Tree, StorageError> {
        let Self { storage, name, generation, limits, files, assets, .. } = self;
        let (tree, make): (_, &dyn Fn() -> Result<Filesystem, StorageError>) = match destination {
            Destination::Files => (files, &|| storage.create_tree(name, limits)),
            Destination::Assets => (assets, &|| storage.create_assets(generation)),
        };
        if tree.is_none() {
            *tree = Some(Tree::new(make()?)?);
        }
        tree.as_mut().ok_or(StorageError::NoDataset)
    }

    fn close_if_complete(&mut self) -> Result<(), StorageError> {
        let Some(open) = self.open.take_if(|open| open.written == open.size) else { return Ok(()) };
        if open.destination == Destination::Assets {
            self.assets_hash.add(&open.path, open.size, &open.contents.finish())?;
            self.assets_bytes += open.size;
            self.assets_files += 1;
        }
        Ok(())
    }

    fn remove(&self) -> Result<(), StorageError> {
        self.storage.remove_component(&self.name, &self.generation)?;
        // Only where it is empty: it is, where the app was to be a new one.
        self.storage.remove_app_directory(&self.name)?;
        if self.files.is_some() {
            self.storage.clear_app(&self.name)?;
        }
        self.storage.remove_assets(&self.generation)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_installed {
            // What cannot be removed now is when the enclave starts.
            let _ = self.remove();
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Tree {
    fn new(filesystem: Filesystem) -> Result<Self, StorageError> {
        let directory = filesystem.root()?;
        Ok(Self { filesystem, parent: String::new(), directory })
    }

    /// Makes a file with the directories above it.
    fn create(&mut self, path: &str) -> Result<Node, StorageError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if parent != self.parent {
            let mut directory = self.filesystem.root()?;
            for step in parent.split('/').filter(|step| !step.is_empty()) {
                match directory.create_directory_at(step) {
                    Ok(()) | Err(FsError::Exists) => {}
                    Err(error) => return Err(error.into()),
                }
                let how = OpenHow { directory: true, ..OpenHow::default() };
                directory = directory.open_at(step, Follow::No, &how)?;
            }
            (self.parent, self.directory) = (parent.to_owned(), directory);
        }
        let how = OpenHow { create: true, exclusive: true, ..OpenHow::default() };
        Ok(self.directory.open_at(name, Follow::No, &how)?)
    }
}
