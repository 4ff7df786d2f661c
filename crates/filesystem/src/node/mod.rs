//! Handles to nodes.

mod data;
mod names;

use std::{
    fmt,
    sync::{Arc, RwLock},
    time::SystemTime,
};

use cloister_volume::{Object, ObjectId};

use crate::{
    Follow, FsError, Kind,
    attributes::{Inode, Time},
    filesystem::Shared,
};

/// An open file or directory. A clone is another handle to it.
///
/// A node without names lives as long as it has handles. The last handle's drop frees it, in an operation of its own:
/// whoever drops a node must not hold an `Operation` of the volume.
pub struct Node {
    shared: Arc<Shared>,
    id: ObjectId,
    kind: Kind,
    /// Readers of the content share it, writers have it alone: a read sees all of a write or nothing of it.
    content: Arc<RwLock<()>>,
}

impl Node {
    pub(crate) fn new(shared: Arc<Shared>, id: ObjectId, kind: Kind, content: Arc<RwLock<()>>) -> Node {
        Node { shared, id, kind, content }
    }

    /// What it is. An open node is never a symbolic link.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether both are handles to the same node.
    pub fn is_same(&self, other: &Node) -> bool {
        self.id == other.id && self.is_on_same_filesystem(other)
    }

    /// # Errors
    ///
    /// Those of the volume.
    pub fn metadata(&self) -> Result<Metadata, FsError> {
        let (object, inode) = self.shared.tree().inode(self.id)?;
        Ok(Metadata::new(self.id, &object, &inode))
    }

    /// # Errors
    ///
    /// Those of the path, or of the volume.
    pub fn metadata_at(&self, path: &str, follow: Follow) -> Result<Metadata, FsError> {
        let mut tree = self.shared.tree();
        let (id, _) = tree.locate(self.directory()?, path, follow)?.node()?;
        let (object, inode) = tree.inode(id)?;
        Ok(Metadata::new(id, &object, &inode))
    }

    /// # Errors
    ///
    /// Those of the volume.
    pub fn set_times(&self, accessed: SetTime, modified: SetTime) -> Result<(), FsError> {
        let op = self.shared.begin();
        self.shared.tree().change(&op, self.id, |inode| inode.set_times(accessed, modified))?;
        Ok(())
    }

    /// # Errors
    ///
    /// Those of the path, or of the volume.
    pub fn set_times_at(
        &self,
        path: &str,
        follow: Follow,
        accessed: SetTime,
        modified: SetTime,
    ) -> Result<(), FsError> {
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let (id, _) = tree.locate(self.directory()?, path, follow)?.node()?;
        tree.change(&op, id, |inode| inode.set_times(accessed, modified))?;
        Ok(())
    }

    /// 128 bits that are others when the node is another, or its content, size or time of modification is. Secret: they
    /// tell nothing else.
    ///
    /// # Errors
    ///
    /// Those of the volume.
    pub fn metadata_hash(&self) -> Result<[u64; 2], FsError> {
        self.shared.metadata_hash(&self.shared.tree(), self.id)
    }

    /// [`Node::metadata_hash`] of what the path leads to.
    ///
    /// # Errors
    ///
    /// Those of the path, or of the volume.
    pub fn metadata_hash_at(&self, path: &str, follow: Follow) -> Result<[u64; 2], FsError> {
        let mut tree = self.shared.tree();
        let (id, _) = tree.locate(self.directory()?, path, follow)?.node()?;
        self.shared.metadata_hash(&tree, id)
    }

    fn is_on_same_filesystem(&self, other: &Node) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Where paths start.
    fn directory(&self) -> Result<ObjectId, FsError> {
        match self.kind {
            Kind::Directory => Ok(self.id),
            Kind::File | Kind::Symlink => Err(FsError::NotDirectory),
        }
    }

    /// What has bytes.
    fn file(&self) -> Result<ObjectId, FsError> {
        match self.kind {
            Kind::File => Ok(self.id),
            Kind::Directory => Err(FsError::IsDirectory),
            Kind::Symlink => Err(FsError::Invalid),
        }
    }
}

impl Clone for Node {
    fn clone(&self) -> Node {
        self.shared.open(self.id, self.kind)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.close(self.id);
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is known of a node without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Its names; of a directory 2 and one for each subdirectory. 0: it has been unlinked.
    pub links: u64,
    /// Bytes of a file with its holes, of a symbolic link's target, of a directory's blocks.
    pub size: u64,
    /// When it was made, or what was set. Reading does not change it.
    pub accessed: SystemTime,
    /// When its content changed, or what was set.
    pub modified: SystemTime,
    /// When anything of it changed.
    pub changed: SystemTime,
    /// Its number in this filesystem.
    pub inode: u64,
    /// Counts the nodes that have had this number.
    pub generation: u64,
}

impl Metadata {
    fn new(id: ObjectId, object: &Object, inode: &Inode) -> Metadata {
        Metadata {
            kind: inode.kind,
            links: inode.links.into(),
            size: object.length,
            accessed: inode.accessed.into(),
            modified: inode.modified.into(),
            changed: inode.changed.into(),
            inode: id.0,
            generation: object.generation,
        }
    }
}

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// It stays.
    Keep,
    /// The host's clock says.
    Now,
    /// This, or the end of the range from 1677 to 2262.
    At(SystemTime),
}

impl Inode {
    fn set_times(&mut self, accessed: SetTime, modified: SetTime) {
        let now = Time::now();
        let set = |time: &mut Time, how| match how {
            SetTime::Keep => {}
            SetTime::Now => *time = now,
            SetTime::At(when) => *time = when.into(),
        };
        set(&mut self.accessed, accessed);
        set(&mut self.modified, modified);
        self.changed = now;
    }
}

/// How [`Node::open_at`] opens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// A file that is not there is made (`O_CREAT`).
    pub create: bool,
    /// With `create`: what is there already is an error, a symbolic link too (`O_EXCL`).
    pub exclusive: bool,
    /// A file is emptied (`O_TRUNC`).
    pub truncate: bool,
    /// What is no directory is an error (`O_DIRECTORY`).
    pub directory: bool,
}

/// A place in the iteration of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(u64);

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it names.
    pub kind: Kind,
    /// The number of what it names.
    pub inode: u64,
}
