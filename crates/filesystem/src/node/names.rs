//! Names: opening, making, linking, moving and removing nodes by path, and listing them.

use cloister_volume::ObjectId;

use super::{Cursor, Entry, Node, OpenHow};
use crate::{
    Follow, FsError, Kind,
    directory::Slot,
    path::{Path, Step},
    tree::{
        Name, New, Tree,
        resolve::{End, Target},
    },
};

impl Node {
    /// Opens a file or directory, or makes a file.
    ///
    /// # Errors
    ///
    /// - [`FsError::Loop`]: a symbolic link is there, and is not to be followed.
    /// - [`FsError::Exists`]: with `exclusive`.
    /// - [`FsError::IsDirectory`]: a directory, or a path that ends in `/`, with `create` or `truncate`.
    /// - [`FsError::NotDirectory`]: something else, with `directory`.
    /// - [`FsError::Invalid`]: `directory` together with one of the others.
    /// - Those of the path, [`FsError::Quota`], or those of the volume.
    pub fn open_at(&self, path: &str, follow: Follow, how: &OpenHow) -> Result<Node, FsError> {
        let creates = how.create || how.truncate;
        if how.directory && (creates || how.exclusive) {
            return Err(FsError::Invalid);
        }
        let start = self.directory()?;
        if !creates {
            let mut tree = self.shared.tree();
            let (id, kind) = tree.locate(start, path, follow)?.node()?;
            if how.directory && kind != Kind::Directory {
                return Err(FsError::NotDirectory);
            }
            return match kind {
                Kind::Symlink => Err(FsError::Loop),
                Kind::File | Kind::Directory => Ok(self.shared.open(id, kind)),
            };
        }
        let op = self.shared.begin();
        let opened = {
            let mut tree = self.shared.tree();
            let exclusive = how.create && how.exclusive;
            let follow = if exclusive { Follow::No } else { follow };
            let place = match how.create {
                true => tree.locate_file(start, path, follow)?,
                false => tree.locate(start, path, follow)?,
            };
            match &place.target {
                Target::Itself if exclusive => return Err(FsError::Exists),
                Target::Itself => return Err(FsError::IsDirectory),
                Target::Free(_) if !how.create => return Err(FsError::NoEntry),
                Target::Entry(_) if exclusive => return Err(FsError::Exists),
                Target::Entry(_) => match place.node()? {
                    (id, Kind::File) => self.shared.open(id, Kind::File),
                    (_, Kind::Directory) => return Err(FsError::IsDirectory),
                    (_, Kind::Symlink) => return Err(FsError::Loop),
                },
                Target::Free(name) => {
                    let id = tree.create(&op, place.directory, name, New::File)?;
                    return Ok(self.shared.open(id, Kind::File));
                }
            }
        };
        let emptied = if how.truncate { opened.set_len_in(&op, 0) } else { Ok(()) };
        // A drop of the node may begin an operation.
        drop(op);
        emptied.map(|()| opened)
    }

    /// # Errors
    ///
    /// [`FsError::Exists`], those of the path, [`FsError::Quota`], or those of the volume.
    pub fn create_directory_at(&self, path: &str) -> Result<(), FsError> {
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let end = tree.approach(self.directory()?, path)?;
        let name = free_name(&mut tree, &end)?;
        tree.create(&op, end.directory, name, New::Directory)?;
        Ok(())
    }

    /// # Errors
    ///
    /// [`FsError::NotEmpty`], [`FsError::NotDirectory`], [`FsError::Invalid`] where the path ends in `.`, those of the
    /// path, or those of the volume.
    pub fn remove_directory_at(&self, path: &str) -> Result<(), FsError> {
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let end = tree.approach(self.directory()?, path)?;
        let name = match end.last {
            Step::Here => return Err(FsError::Invalid),
            Step::Up if end.directory == self.id => return Err(FsError::NotPermitted),
            Step::Up => return Err(FsError::NotEmpty),
            Step::Name(name) => name,
        };
        let slot = tree.lookup(end.directory, name)?.ok_or(FsError::NoEntry)?;
        if slot.kind != Kind::Directory {
            return Err(FsError::NotDirectory);
        }
        if !tree.directory(slot.inode, |entries, _| Ok(entries.is_empty()))? {
            return Err(FsError::NotEmpty);
        }
        tree.unlink(&op, end.directory, name, slot, |id| self.shared.unlinked(id))
    }

    /// Takes a name of a file or symbolic link away.
    ///
    /// # Errors
    ///
    /// [`FsError::IsDirectory`], [`FsError::NotDirectory`] where the path ends in `/`, those of the path, or those of
    /// the volume.
    pub fn unlink_file_at(&self, path: &str) -> Result<(), FsError> {
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let end = tree.approach(self.directory()?, path)?;
        let name = match end.last {
            Step::Up if end.directory == self.id => return Err(FsError::NotPermitted),
            Step::Here | Step::Up => return Err(FsError::IsDirectory),
            Step::Name(name) => name,
        };
        let slot = tree.lookup(end.directory, name)?.ok_or(FsError::NoEntry)?;
        if slot.kind == Kind::Directory {
            return Err(FsError::IsDirectory);
        }
        if end.demands_directory {
            return Err(FsError::NotDirectory);
        }
        tree.unlink(&op, end.directory, name, slot, |id| self.shared.unlinked(id))
    }

    /// Moves a node, in the place of what has the new name: a file or link for a file or link, a directory for an empty
    /// directory. Two names of one node stay as they are.
    ///
    /// # Errors
    ///
    /// - [`FsError::CrossDevice`]: `to_directory` is of another filesystem.
    /// - [`FsError::Busy`]: a path ends in `.` or `..`.
    /// - [`FsError::Invalid`]: a directory into itself or below.
    /// - [`FsError::NotEmpty`], [`FsError::IsDirectory`], [`FsError::NotDirectory`]: what has the new name cannot be
    ///   replaced, or a path of something else ends in `/`.
    /// - Those of the paths, [`FsError::Quota`], or those of the volume.
    pub fn rename_at(&self, from: &str, to_directory: &Node, to: &str) -> Result<(), FsError> {
        if !self.is_on_same_filesystem(to_directory) {
            return Err(FsError::CrossDevice);
        }
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let from = tree.approach(self.directory()?, from)?;
        let to = tree.approach(to_directory.directory()?, to)?;
        let (Step::Name(old), Step::Name(new)) = (from.last, to.last) else {
            return Err(FsError::Busy);
        };
        let slot = tree.lookup(from.directory, old)?.ok_or(FsError::NoEntry)?;
        let replaced = tree.lookup(to.directory, new)?;
        if slot.kind == Kind::Directory {
            if tree.holds(slot.inode, to.directory)? {
                return Err(FsError::Invalid);
            }
        } else if from.demands_directory || to.demands_directory {
            return Err(FsError::NotDirectory);
        }
        if let Some(replaced) = replaced {
            if replaced.kind == Kind::Directory && tree.holds(replaced.inode, from.directory)? {
                return Err(FsError::NotEmpty);
            }
            if replaced.inode == slot.inode {
                return Ok(());
            }
            check_replaceable(&mut tree, slot, replaced)?;
        }
        let from = Name { directory: from.directory, name: old };
        let to = Name { directory: to.directory, name: new };
        tree.rename(&op, from, slot, to, replaced, |id| self.shared.unlinked(id))
    }

    /// Gives a file or symbolic link another name.
    ///
    /// # Errors
    ///
    /// [`FsError::NotPermitted`] for a directory, [`FsError::Exists`], [`FsError::TooManyLinks`],
    /// [`FsError::CrossDevice`], those of the paths, [`FsError::Quota`], or those of the volume.
    pub fn link_at(&self, from: &str, follow: Follow, to_directory: &Node, to: &str) -> Result<(), FsError> {
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let place = tree.locate(self.directory()?, from, follow)?;
        place.node()?;
        if !self.is_on_same_filesystem(to_directory) {
            return Err(FsError::CrossDevice);
        }
        let end = tree.approach(to_directory.directory()?, to)?;
        let name = free_name_of_file(&mut tree, &end)?;
        match place.target {
            Target::Entry(slot) if slot.kind != Kind::Directory => tree.link(&op, end.directory, name, slot),
            Target::Entry(_) | Target::Itself => Err(FsError::NotPermitted),
            Target::Free(_) => Err(FsError::NoEntry),
        }
    }

    /// Makes a symbolic link. Its target need not exist.
    ///
    /// # Errors
    ///
    /// [`FsError::NotPermitted`] for an absolute target, [`FsError::NoEntry`] for an empty one,
    /// [`FsError::NameTooLong`] above [`MAX_PATH`](crate::MAX_PATH) bytes, [`FsError::Invalid`] where it has a NUL, [`FsError::Exists`],
    /// those of the path, [`FsError::Quota`], or those of the volume.
    pub fn symlink_at(&self, target: &str, path: &str) -> Result<(), FsError> {
        Path::parse(target)?;
        let op = self.shared.begin();
        let mut tree = self.shared.tree();
        let end = tree.approach(self.directory()?, path)?;
        let name = free_name_of_file(&mut tree, &end)?;
        tree.create(&op, end.directory, name, New::Symlink(target))?;
        Ok(())
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    ///
    /// [`FsError::Invalid`] where it is something else, those of the path, or those of the volume.
    pub fn read_link_at(&self, path: &str) -> Result<String, FsError> {
        let mut tree = self.shared.tree();
        match tree.locate(self.directory()?, path, Follow::No)?.node()? {
            (id, Kind::Symlink) => tree.read_link(id),
            (_, Kind::File | Kind::Directory) => Err(FsError::Invalid),
        }
    }

    /// At most `limit` entries (at least one) behind a place, and the place behind those, which is `None` at the end.
    ///
    /// An entry that is there from the first call to the last is seen exactly once, whatever else is added, removed or
    /// renamed meanwhile. `.` and `..` are not entries.
    ///
    /// # Errors
    ///
    /// [`FsError::NotDirectory`], [`FsError::Malformed`], or those of the volume.
    pub fn entries(
        &self,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<Cursor>), FsError> {
        let Cursor(after) = after.unwrap_or(Cursor(0));
        let id = self.directory()?;
        self.shared.tree().directory(id, |directory, _| {
            let mut entries = directory.after(after);
            let mut last = None;
            let mut listed = Vec::new();
            for (name, slot) in entries.by_ref().take(limit.max(1)) {
                listed.push(Entry { name: name.to_owned(), kind: slot.kind, inode: slot.inode.0 });
                last = Some(Cursor(slot.cookie));
            }
            let more = entries.next().is_some();
            Ok((listed, last.filter(|_| more)))
        })
    }
}

/// The name at the end of a path, which nothing may have yet.
fn free_name<'p>(tree: &mut Tree, end: &End<'p>) -> Result<&'p str, FsError> {
    let Step::Name(name) = end.last else {
        return Err(FsError::Exists);
    };
    match tree.lookup(end.directory, name)? {
        None => Ok(name),
        Some(_) => Err(FsError::Exists),
    }
}

/// [`free_name`] of what will not be a directory.
fn free_name_of_file<'p>(tree: &mut Tree, end: &End<'p>) -> Result<&'p str, FsError> {
    let name = free_name(tree, end)?;
    if end.demands_directory { Err(FsError::NoEntry) } else { Ok(name) }
}

fn check_replaceable(tree: &mut Tree, slot: Slot, replaced: Slot) -> Result<(), FsError> {
    let is_empty = |tree: &mut Tree, id: ObjectId| tree.directory(id, |entries, _| Ok(entries.is_empty()));
    match (slot.kind, replaced.kind) {
        (Kind::Directory, Kind::Directory) if is_empty(tree, replaced.inode)? => Ok(()),
        (Kind::Directory, Kind::Directory) => Err(FsError::NotEmpty),
        (Kind::Directory, _) => Err(FsError::NotDirectory),
        (_, Kind::Directory) => Err(FsError::IsDirectory),
        _ => Ok(()),
    }
}
