//! Whether a tree agrees with itself. Tests ask after every workload and power cut.

use std::collections::{HashMap, HashSet};

use cloister_volume::ObjectId;

use crate::{FsError, Kind, directory::Directory, tree::Tree};

/// What [`Filesystem::verify`](crate::Filesystem::verify) found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that have a name.
    pub files: u64,
    /// Directories, with the root.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Unlinked nodes that wait to be freed.
    pub orphans: u64,
    /// What does not agree.
    pub inconsistencies: Vec<Inconsistency>,
}

/// Something that is written down twice, differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistency {
    /// Which node.
    pub inode: u64,
    /// What is wrong with it.
    pub what: String,
}

pub(crate) fn verify(tree: &mut Tree) -> Result<Report, FsError> {
    let mut check = Check { report: Report::default(), names: HashMap::new() };
    let root = tree.root();
    let (_, inode) = tree.inode(root)?;
    check.report.directories = 1;
    check.expect(inode.kind == Kind::Directory, root, "the root is not a directory");
    check.expect(inode.parent == root.0, root, "the root has a parent");
    let mut seen = HashSet::from([root.0]);
    let mut to_visit = vec![root];
    while let Some(id) = to_visit.pop() {
        if let Err(error) = check.directory(tree, id, &mut seen, &mut to_visit) {
            check.note(id, error.to_string());
        }
    }
    check.links(tree);
    check.orphans(tree, inode.next_orphan);
    let known = check.report.directories + check.names.len() as u64 + check.report.orphans;
    let objects = tree.dataset().usage().objects;
    check.expect(known == objects, root, "the dataset has other objects than the tree");
    Ok(check.report)
}

struct Check {
    report: Report,
    /// Files and symbolic links by number, and how many names lead to them.
    names: HashMap<u64, (Kind, u32)>,
}

impl Check {
    fn note(&mut self, id: ObjectId, what: String) {
        self.report.inconsistencies.push(Inconsistency { inode: id.0, what });
    }

    fn expect(&mut self, holds: bool, id: ObjectId, what: &str) {
        if !holds {
            self.note(id, what.to_owned());
        }
    }

    fn directory(
        &mut self,
        tree: &mut Tree,
        id: ObjectId,
        seen: &mut HashSet<u64>,
        to_visit: &mut Vec<ObjectId>,
    ) -> Result<(), FsError> {
        let on_volume = Directory::load(tree.dataset(), id)?;
        let agrees = tree.directory(id, |in_memory, _| Ok(in_memory.agrees_with(&on_volume)))?;
        self.expect(agrees, id, "a directory in memory is not the one on the volume");
        let mut subdirectories = 0;
        for (name, slot) in on_volume.after(0) {
            let inode = match tree.inode(slot.inode) {
                Ok((_, inode)) => inode,
                Err(error) => {
                    self.note(slot.inode, format!("entry {name:?} of inode {}: {error}", id.0));
                    continue;
                }
            };
            self.expect(inode.kind == slot.kind, slot.inode, "an entry says another kind than its node");
            if slot.kind == Kind::Directory {
                subdirectories += 1;
                self.report.directories += 1;
                self.expect(inode.parent == id.0, slot.inode, "a directory names another parent");
                let is_new = seen.insert(slot.inode.0);
                self.expect(is_new, slot.inode, "a directory has two names");
                if is_new {
                    to_visit.push(slot.inode);
                }
            } else {
                self.names.entry(slot.inode.0).or_insert((slot.kind, 0)).1 += 1;
            }
        }
        let (_, inode) = tree.inode(id)?;
        self.expect(inode.links == 2 + subdirectories, id, "a directory counts its subdirectories wrongly");
        Ok(())
    }

    fn links(&mut self, tree: &Tree) {
        for (&number, &(kind, names)) in &self.names.clone() {
            let id = ObjectId(number);
            match kind {
                Kind::Symlink => self.report.symlinks += 1,
                Kind::File | Kind::Directory => self.report.files += 1,
            }
            let Ok((_, inode)) = tree.inode(id) else { continue };
            self.expect(inode.links == names, id, "a node counts its names wrongly");
            if kind == Kind::Symlink
                && let Err(error) = tree.read_link(id)
            {
                self.note(id, error.to_string());
            }
        }
    }

    fn orphans(&mut self, tree: &Tree, first: u64) {
        let (mut previous, mut at) = (0, first);
        while at != 0 {
            let id = ObjectId(at);
            let Ok((_, inode)) = tree.inode(id) else {
                return self.note(id, "the chain of unlinked nodes leads to nothing".to_owned());
            };
            self.report.orphans += 1;
            self.expect(inode.links == 0, id, "a node in the chain of unlinked nodes has links");
            self.expect(inode.previous_orphan == previous, id, "the chain of unlinked nodes is torn");
            self.expect(!self.names.contains_key(&at), id, "an unlinked node has a name");
            if self.report.orphans > tree.dataset().usage().objects {
                return self.note(id, "the chain of unlinked nodes is a ring".to_owned());
            }
            (previous, at) = (at, inode.next_orphan);
        }
    }
}
