//! A tree that is in use: who has what open, and what is freed when.

use std::{
    collections::{HashMap, hash_map},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use cloister_volume::{Dataset, ObjectId, Operation, Usage};
use sha2::{Digest, Sha256};

use crate::{
    FsError, Kind, Node,
    attributes::Inode,
    tree::{Tree, Use},
    verify::{self, Report},
};

/// The tree in one dataset. A clone is the same tree.
///
/// Any number of threads use it together. A dataset must not be opened as a second `Filesystem` while the first or
/// one of its [`Node`]s lives. Changes are durable after the volume's next commit; each operation as a whole.
#[derive(Debug, Clone)]
pub struct Filesystem(Arc<Shared>);

impl Filesystem {
    /// Makes the root directory where the dataset is new, and frees what was unlinked while it was open when the
    /// volume was last in use. Takes an [`Operation`] of the volume: the caller must hold none.
    ///
    /// # Errors
    ///
    /// [`FsError::Malformed`] where the dataset's root is no directory, [`FsError::Quota`] where it may not even
    /// hold one node, or those of the volume.
    pub fn open(dataset: Dataset) -> Result<Filesystem, FsError> {
        let root = match dataset.root() {
            Some(root) => root,
            None => make_root(&dataset)?,
        };
        let metadata_key = Sha256::digest(&dataset.derive_key("filesystem metadata hash")[..]);
        let mut tree = Tree::new(dataset.clone(), root);
        let (_, inode) = tree.inode(root)?;
        if inode.kind != Kind::Directory {
            return Err(FsError::Malformed { inode: root.0, what: "the root is not a directory" });
        }
        loop {
            let op = dataset.volume().begin();
            let freed = (0..ORPHANS_AT_ONCE)
                .try_fold(true, |more, _| if more { tree.free_first_orphan(&op) } else { Ok(false) })?;
            if !freed {
                break;
            }
        }
        Ok(Filesystem(Arc::new(Shared {
            dataset,
            metadata_key: metadata_key.into(),
            tree: Mutex::new(tree),
            open: Mutex::default(),
        })))
    }

    /// The directory that holds all others.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn root(&self) -> Result<Node, FsError> {
        let root = self.0.tree().root();
        Ok(self.0.open(root, Kind::Directory))
    }

    /// Bytes of data blocks and number of nodes: files, directories (the root is one), symbolic links, and unlinked
    /// nodes that are still open.
    pub fn usage(&self) -> Usage {
        self.0.dataset.usage()
    }

    /// Whether so much waits for a commit that whoever wants to write more should commit first.
    pub fn is_crowded(&self) -> bool {
        self.0.dataset.volume().is_crowded()
    }

    /// Where the tree is kept.
    pub fn dataset(&self) -> &Dataset {
        &self.0.dataset
    }

    /// Reads the whole tree and compares everything that is written down twice. For tests; nobody may use the tree
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// Those of reading the root. What else is wrong is in the report.
    #[doc(hidden)]
    pub fn verify(&self) -> Result<Report, FsError> {
        verify::verify(&mut self.0.tree())
    }
}

/// What all handles to a tree share.
///
/// Locks are taken in this order: [`Operation`], a node's `content`, `tree`, `open`.
#[derive(Debug)]
pub(crate) struct Shared {
    dataset: Dataset,
    metadata_key: [u8; 32],
    tree: Mutex<Tree>,
    open: Mutex<HashMap<u64, Open>>,
}

/// An inode that has handles.
#[derive(Debug)]
struct Open {
    handles: usize,
    /// Has no name any more: the last handle frees it.
    is_unlinked: bool,
    content: Arc<RwLock<()>>,
}

impl Shared {
    pub(crate) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Before any lock of this crate, and never while another is held.
    pub(crate) fn begin(&self) -> Operation<'_> {
        self.dataset.volume().begin()
    }

    pub(crate) fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle to an inode that has a name, or has other handles. The caller has the tree locked, so that it stays so.
    pub(crate) fn open(self: &Arc<Shared>, id: ObjectId, kind: Kind) -> Node {
        let mut table = self.table();
        let open = table.entry(id.0).or_insert_with(|| Open {
            handles: 0,
            is_unlinked: false,
            content: Arc::default(),
        });
        open.handles += 1;
        Node::new(self.clone(), id, kind, open.content.clone())
    }

    /// Notes that an inode has lost its last name.
    pub(crate) fn unlinked(&self, id: ObjectId) -> Use {
        match self.table().get_mut(&id.0) {
            Some(open) => {
                open.is_unlinked = true;
                Use::Open
            }
            None => Use::Unused,
        }
    }

    /// One handle less.
    pub(crate) fn close(&self, id: ObjectId) {
        let last_of_unlinked = match self.table().entry(id.0) {
            hash_map::Entry::Occupied(mut open) if open.get().handles > 1 => {
                open.get_mut().handles -= 1;
                false
            }
            hash_map::Entry::Occupied(open) => open.remove().is_unlinked,
            hash_map::Entry::Vacant(_) => false,
        };
        if last_of_unlinked {
            let op = self.begin();
            // What cannot be freed now is freed when the tree is opened next.
            let _ = self.tree().free_orphan(&op, id);
        }
    }

    /// 128 bits that are others when the node or its content is another, and that tell nothing else.
    pub(crate) fn metadata_hash(&self, tree: &Tree, id: ObjectId) -> Result<[u64; 2], FsError> {
        let (object, inode) = tree.inode(id)?;
        let mut hash = Sha256::new_with_prefix(self.metadata_key);
        for word in [id.0, object.generation, object.length, inode.modified.0.cast_unsigned(), inode.changes]
        {
            hash.update(word.to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let word = |at: usize| digest[at..at + 8].iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        Ok([word(0), word(8)])
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_root(dataset: &Dataset) -> Result<ObjectId, FsError> {
    let op = dataset.volume().begin();
    let mut inode = Inode::new(Kind::Directory, 0);
    let root = dataset.create_object(&op, &inode.encode())?;
    inode.parent = root.0;
    dataset.set_attributes(&op, root, &inode.encode())?;
    dataset.set_root(&op, root)?;
    Ok(root)
}

/// Orphans freed in one operation when a tree is opened: a commit of others need not wait for all.
const ORPHANS_AT_ONCE: usize = 64;
