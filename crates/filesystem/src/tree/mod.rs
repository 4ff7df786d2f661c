//! The tree without handles: inodes, directories, and the steps that operations are made of.
//!
//! Steps are ordered so that an error between two of them leaves at worst a node without a name, never a name without a
//! node: nodes are made before their entries, entries go before their nodes.

pub(crate) mod resolve;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, LazyLock};

use cloister_volume::{Dataset, Object, ObjectId, Operation, VolumeError};

use crate::{
    FsError, Kind, MAX_LINKS,
    attributes::{Inode, Time},
    directory::{Directory, Slot, cache::Cache},
    path,
};

/// A dataset as a tree. One thread at a time has it.
#[derive(Debug)]
pub(crate) struct Tree {
    dataset: Dataset,
    root: ObjectId,
    cache: Cache,
}

/// Whether somebody has an unlinked inode open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Open,
    Unused,
}

impl Tree {
    pub(crate) fn new(dataset: Dataset, root: ObjectId) -> Tree {
        Tree { dataset, root, cache: Cache::new(Arc::clone(&DIRECTORY_BYTES)) }
    }

    pub(crate) fn root(&self) -> ObjectId {
        self.root
    }

    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// # Errors
    ///
    /// [`FsError::Malformed`] where the object is no inode, or those of the volume.
    pub(crate) fn inode(&self, id: ObjectId) -> Result<(Object, Inode), FsError> {
        let object = self.dataset.object(id)?;
        let inode =
            Inode::decode(&object.attributes).map_err(|what| FsError::Malformed { inode: id.0, what })?;
        Ok((object, inode))
    }

    pub(crate) fn change(
        &self,
        op: &Operation<'_>,
        id: ObjectId,
        change: impl FnOnce(&mut Inode),
    ) -> Result<Inode, FsError> {
        let (_, mut inode) = self.inode(id)?;
        change(&mut inode);
        self.dataset.set_attributes(op, id, &inode.encode())?;
        Ok(inode)
    }

    /// Works on a directory's entries, which are read where they are not in memory.
    pub(crate) fn directory<R>(
        &mut self,
        id: ObjectId,
        work: impl FnOnce(&mut Directory, &Dataset) -> Result<R, FsError>,
    ) -> Result<R, FsError> {
        let mut directory = match self.cache.take(id.0) {
            Some(directory) => directory,
            None => Directory::load(&self.dataset, id)?,
        };
        let result = work(&mut directory, &self.dataset);
        // After an error of the disk the next use reads what is there.
        if !matches!(result, Err(FsError::Io(_) | FsError::Malformed { .. })) {
            self.cache.put(id.0, directory);
        }
        result
    }

    pub(crate) fn lookup(&mut self, directory: ObjectId, name: &str) -> Result<Option<Slot>, FsError> {
        if name.len() > path::MAX_NAME {
            return Err(FsError::NameTooLong);
        }
        self.directory(directory, |entries, _| Ok(entries.slot(name)))
    }

    pub(crate) fn read_link(&self, id: ObjectId) -> Result<String, FsError> {
        let length = self.dataset.object(id)?.length;
        let malformed = |what| FsError::Malformed { inode: id.0, what };
        if length == 0 || length > path::MAX_PATH as u64 {
            return Err(malformed("a symbolic link has an impossible length"));
        }
        let mut target = vec![0; length as usize];
        let read = self.dataset.read(id, 0, &mut target)?;
        target.truncate(read);
        String::from_utf8(target).map_err(|_| malformed("a symbolic link is not UTF-8"))
    }

    /// Makes a node and its entry, whose name must be free.
    pub(crate) fn create(
        &mut self,
        op: &Operation<'_>,
        directory: ObjectId,
        name: &str,
        new: New<'_>,
    ) -> Result<ObjectId, FsError> {
        let (_, holder) = self.inode(directory)?;
        if holder.links == 0 {
            return Err(FsError::NoEntry);
        }
        let kind = new.kind();
        if kind == Kind::Directory && holder.links == u32::MAX {
            return Err(FsError::TooManyLinks);
        }
        let id = self.dataset.create_object(op, &Inode::new(kind, directory.0).encode())?;
        let made = match new {
            New::Symlink(target) => self.dataset.write(op, id, 0, target.as_bytes()).map_err(FsError::from),
            New::File | New::Directory => Ok(()),
        };
        let made = made
            .and_then(|()| self.directory(directory, |entries, on| entries.insert(on, op, name, id, kind)));
        if let Err(error) = made {
            self.free(op, id)?;
            return Err(error);
        }
        self.change(op, directory, |holder| {
            holder.content_changed();
            if kind == Kind::Directory {
                holder.links += 1;
            }
        })?;
        Ok(id)
    }

    /// Gives a node another name, which must be free.
    pub(crate) fn link(
        &mut self,
        op: &Operation<'_>,
        directory: ObjectId,
        name: &str,
        target: Slot,
    ) -> Result<(), FsError> {
        let (_, holder) = self.inode(directory)?;
        if holder.links == 0 {
            return Err(FsError::NoEntry);
        }
        let (_, inode) = self.inode(target.inode)?;
        if inode.links >= MAX_LINKS {
            return Err(FsError::TooManyLinks);
        }
        self.directory(directory, |entries, on| entries.insert(on, op, name, target.inode, target.kind))?;
        self.change(op, target.inode, |inode| {
            inode.links += 1;
            inode.changed = Time::now();
        })?;
        self.change(op, directory, Inode::content_changed)?;
        Ok(())
    }

    /// Takes a name away, and its node where that was the last. A directory must be empty.
    pub(crate) fn unlink(
        &mut self,
        op: &Operation<'_>,
        directory: ObjectId,
        name: &str,
        slot: Slot,
        is_open: impl FnOnce(ObjectId) -> Use,
    ) -> Result<(), FsError> {
        self.inode(slot.inode)?;
        self.directory(directory, |entries, on| entries.remove(on, op, name))?;
        self.change(op, directory, |holder| {
            holder.content_changed();
            if slot.kind == Kind::Directory {
                holder.links = holder.links.saturating_sub(1);
            }
        })?;
        self.drop_name(op, slot, is_open)
    }

    /// Moves an entry; `replaced` is what the new name stood for. Both names are checked already.
    pub(crate) fn rename(
        &mut self,
        op: &Operation<'_>,
        from: Name<'_>,
        slot: Slot,
        to: Name<'_>,
        replaced: Option<Slot>,
        is_open: impl FnOnce(ObjectId) -> Use,
    ) -> Result<(), FsError> {
        let (_, holder) = self.inode(to.directory)?;
        self.inode(from.directory)?;
        self.inode(slot.inode)?;
        if holder.links == 0 {
            return Err(FsError::NoEntry);
        }
        if slot.kind == Kind::Directory && replaced.is_none() && holder.links == u32::MAX {
            return Err(FsError::TooManyLinks);
        }
        if let Some(replaced) = replaced {
            self.inode(replaced.inode)?;
        }
        self.directory(to.directory, |entries, on| match replaced {
            Some(_) => entries.replace(on, op, to.name, slot.inode, slot.kind),
            None => entries.insert(on, op, to.name, slot.inode, slot.kind),
        })?;
        let removed = self.directory(from.directory, |entries, on| entries.remove(on, op, from.name));
        if let Err(error) = removed {
            // The first half is taken back, so that the node does not have a name too many.
            self.directory(to.directory, |entries, on| match replaced {
                Some(replaced) => entries.replace(on, op, to.name, replaced.inode, replaced.kind),
                None => entries.remove(on, op, to.name),
            })?;
            return Err(error);
        }
        let is_directory = slot.kind == Kind::Directory;
        self.change(op, from.directory, |holder| {
            holder.content_changed();
            if is_directory {
                holder.links = holder.links.saturating_sub(1);
            }
        })?;
        self.change(op, to.directory, |holder| {
            holder.content_changed();
            if is_directory && replaced.is_none() {
                holder.links = holder.links.saturating_add(1);
            }
        })?;
        self.change(op, slot.inode, |inode| {
            inode.changed = Time::now();
            if is_directory {
                inode.parent = to.directory.0;
            }
        })?;
        match replaced {
            Some(replaced) => self.drop_name(op, replaced, is_open),
            None => Ok(()),
        }
    }

    /// Whether `ancestor` is `directory` or holds it.
    ///
    /// # Errors
    ///
    /// [`FsError::Malformed`] where parents form a ring, or those of the volume.
    pub(crate) fn holds(&self, ancestor: ObjectId, directory: ObjectId) -> Result<bool, FsError> {
        let mut at = directory;
        for _ in 0..=self.dataset.usage().objects {
            if at == ancestor {
                return Ok(true);
            }
            let (_, inode) = self.inode(at)?;
            if at == self.root || inode.links == 0 {
                return Ok(false);
            }
            at = ObjectId(inode.parent);
        }
        Err(FsError::Malformed { inode: directory.0, what: "directories are each other's parents" })
    }

    /// Frees the first inode that was unlinked while it was open. `false`: there is none.
    ///
    /// One that cannot be freed is left aside, and so are those behind it where it cannot be read.
    pub(crate) fn free_first_orphan(&mut self, op: &Operation<'_>) -> Result<bool, FsError> {
        let (_, root) = self.inode(self.root)?;
        if root.next_orphan == 0 {
            return Ok(false);
        }
        let id = ObjectId(root.next_orphan);
        let next = match self.inode(id) {
            Ok((_, inode)) if inode.links == 0 && id != self.root => {
                match self.dataset.remove_object(op, id) {
                    Ok(()) | Err(VolumeError::Damaged(_) | VolumeError::NoObject(_)) => inode.next_orphan,
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(_)
            | Err(
                FsError::Malformed { .. } | FsError::Io(VolumeError::Damaged(_) | VolumeError::NoObject(_)),
            ) => 0,
            Err(error) => return Err(error),
        };
        self.change(op, self.root, |root| root.next_orphan = next)?;
        if next != 0 {
            // A chain that is cut off is found again here.
            let _ = self.change(op, ObjectId(next), |inode| inode.previous_orphan = 0);
        }
        Ok(true)
    }

    /// Frees an inode that was unlinked while it was open.
    pub(crate) fn free_orphan(&mut self, op: &Operation<'_>, id: ObjectId) -> Result<(), FsError> {
        let (_, inode) = self.inode(id)?;
        let previous = if inode.previous_orphan == 0 { self.root } else { ObjectId(inode.previous_orphan) };
        self.dataset.remove_object(op, id)?;
        self.cache.take(id.0);
        self.change(op, previous, |before| before.next_orphan = inode.next_orphan)?;
        if inode.next_orphan != 0 {
            self.change(op, ObjectId(inode.next_orphan), |after| {
                after.previous_orphan = inode.previous_orphan;
            })?;
        }
        Ok(())
    }

    /// One name of this node is gone.
    fn drop_name(
        &mut self,
        op: &Operation<'_>,
        slot: Slot,
        is_open: impl FnOnce(ObjectId) -> Use,
    ) -> Result<(), FsError> {
        let id = slot.inode;
        let inode = self.change(op, id, |inode| {
            inode.changed = Time::now();
            inode.links = match slot.kind {
                Kind::Directory => 0,
                Kind::File | Kind::Symlink => inode.links.saturating_sub(1),
            };
        })?;
        if inode.links > 0 {
            return Ok(());
        }
        match is_open(id) {
            Use::Open => self.make_orphan(op, id),
            Use::Unused => self.free(op, id),
        }
    }

    /// Frees a node that has no name. One whose blocks cannot be told is kept among the orphans.
    fn free(&mut self, op: &Operation<'_>, id: ObjectId) -> Result<(), FsError> {
        self.cache.take(id.0);
        match self.dataset.remove_object(op, id) {
            Ok(()) => Ok(()),
            Err(VolumeError::Damaged(_)) => self.make_orphan(op, id),
            Err(error) => Err(error.into()),
        }
    }

    fn make_orphan(&mut self, op: &Operation<'_>, id: ObjectId) -> Result<(), FsError> {
        let (_, root) = self.inode(self.root)?;
        self.change(op, id, |inode| {
            inode.links = 0;
            inode.next_orphan = root.next_orphan;
            inode.previous_orphan = 0;
        })?;
        if root.next_orphan != 0 {
            self.change(op, ObjectId(root.next_orphan), |after| after.previous_orphan = id.0)?;
        }
        self.change(op, self.root, |root| root.next_orphan = id.0)?;
        Ok(())
    }
}

/// A node to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum New<'t> {
    File,
    Directory,
    /// With its target.
    Symlink(&'t str),
}

impl New<'_> {
    fn kind(self) -> Kind {
        match self {
            New::File => Kind::File,
            New::Directory => Kind::Directory,
            New::Symlink(_) => Kind::Symlink,
        }
    }
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'n> {
    pub(crate) directory: ObjectId,
    pub(crate) name: &'n str,
}

/// Enclave memory that the idle directories of all filesystems take.
static DIRECTORY_BYTES: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);
