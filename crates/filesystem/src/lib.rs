//! A POSIX-like tree in one dataset of the sealed volume.
//!
//! [`Filesystem::open`] gives the tree of a [`cloister_volume::Dataset`], and [`Filesystem::root`] its first [`Node`].
//! Everything else starts from a node and a relative path, which never leads out of that node's directory. An inode is
//! an object of the dataset: a file's bytes are the object's (sparse, of any size, never whole in memory), a directory
//! is an object of 4 KiB blocks of entries, a symbolic link one with its target.
//!
//! `docs/design/filesystem.md` has the layouts to the byte and the semantics where POSIX leaves a choice.
#![forbid(unsafe_code)]

mod attributes;
mod directory;
mod error;
mod filesystem;
pub mod fuzz;
mod node;
mod path;
mod tree;
mod verify;

pub use attributes::Kind;
pub use error::FsError;
pub use filesystem::Filesystem;
pub use node::{Cursor, Entry, Metadata, Node, OpenHow, SetTime};
pub use path::{MAX_NAME, MAX_PATH, MAX_STEPS, MAX_SYMLINKS};
pub use tree::resolve::Follow;
#[doc(hidden)]
pub use verify::{Inconsistency, Report};

/// The largest file in bytes, holes included: 1 TiB, as much as a volume holds.
pub const MAX_FILE: u64 = 1 << 40;

/// The most names that a file or symbolic link can have.
pub const MAX_LINKS: u32 = 65_535;

/// The most bytes that one write takes: 4 MiB. A longer one is a short write.
pub const MAX_WRITE: usize = 4 << 20;
