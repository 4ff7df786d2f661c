use cloister_filesystem::{Filesystem, Follow, FsError, Node, OpenHow};
use wasmtime::component::Resource;

use super::descriptor::{Descriptor, Origin};
use super::path_price;
use crate::bindings::wasi::filesystem::preopens;
use crate::storage::Storage;
use crate::{Error, WasiCtxView};

/// A directory that is open when a guest starts. No path and no symbolic link leads the guest out of it.
#[derive(Clone, Debug)]
pub struct Preopen {
    /// What the guest sees it as.
    pub guest_path: String,
    /// The tree that it is in: that of the app's [`Storage`] or another.
    pub filesystem: Filesystem,
    /// Where it is in the tree, with or without `/` before and behind; `/` is the tree's root. Neither `..` nor a symbolic
    /// link may be on the way. In the app's own tree it
    /// is made if it is not there.
    pub path: String,
    /// Without [`Storage`] everything is read-only.
    pub access: Access,
}

/// What a guest may do with a directory and all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadWrite,
    /// Whatever would change something is answered with `read-only`.
    ReadOnly,
}

impl preopens::Host for WasiCtxView<'_> {
    /// Does not count as a use of storage: the libraries of most languages ask at their start, whatever the program does.
    async fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let preopens = self.ctx.preopens.clone();
        let price = preopens.iter().map(|preopen| path_price(&preopen.path)).sum();
        self.charge(price).await?;
        let storage = self.ctx.storage.as_ref();
        let mut handles = Vec::new();
        if preopens.is_empty()
            && let Some(storage) = storage
        {
            let root = storage.filesystem.root()?;
            let root = Descriptor::preopened(root, Origin::Storage, Access::ReadWrite);
            handles.push((self.table.push(root)?, ROOT.to_owned()));
        }
        for preopen in preopens.iter() {
            let guest_path = preopen.guest_path.clone();
            match preopen.open(storage, &preopens) {
                Ok(directory) => handles.push((self.table.push(directory)?, guest_path)),
                Err(source) => return Err(Error::Preopen { guest_path, source }.into()),
            }
        }
        Ok(handles)
    }
}

impl Preopen {
    /// `all` are those of the context.
    fn open(&self, storage: Option<&Storage>, all: &[Preopen]) -> Result<Descriptor, FsError> {
        let access = if storage.is_some() { self.access } else { Access::ReadOnly };
        let root = self.filesystem.root()?;
        let is_its = |filesystem: &Filesystem| filesystem.root().is_ok_and(|other| other.is_same(&root));
        let origin = match storage {
            Some(storage) if is_its(&storage.filesystem) => Origin::Storage,
            _ => Origin::Preopen(all.iter().take_while(|other| !is_its(&other.filesystem)).count()),
        };
        let mut names = self.path.split('/').filter(|name| !name.is_empty());
        let is_own = matches!(origin, Origin::Storage);
        let directory = names.try_fold(root, |above, name| match open(&above, name) {
            Err(FsError::NoEntry) if is_own => {
                storage.into_iter().for_each(Storage::mark_used);
                make(&above, name)
            }
            opened => opened,
        })?;
        Ok(Descriptor::preopened(directory, origin, access))
    }
}

/// A link would lead to where the settings do not.
fn open(above: &Node, name: &str) -> Result<Node, FsError> {
    above.open_at(name, Follow::No, &OpenHow { directory: true, ..OpenHow::default() })
}

fn make(above: &Node, name: &str) -> Result<Node, FsError> {
    match above.create_directory_at(name) {
        // Another call made it meanwhile.
        Ok(()) | Err(FsError::Exists) => open(above, name),
        Err(error) => Err(error),
    }
}

/// The path that the guest sees its storage under where nothing else is said.
const ROOT: &str = "/";
