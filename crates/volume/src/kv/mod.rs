//! Keys and values on the volume.
//!
//! One `redb` database on an object of a dataset holds the keys of all apps. An app's keys lie under its namespace's
//! name and incarnation, its values are sealed under its own key, and a [`Namespace`] can name nothing else.
//!
//! Every change is one transaction, and is in the dataset when the function returns: the next [`Volume::commit`]
//! makes it durable. A commit of the volume may fall between any two writes of a transaction. Each write is atomic and
//! they stay in order, so what is found after a power cut is a prefix of them, and `redb` commits in two phases: the
//! pages, then one write that makes them the database. It also keeps its list of free pages with each commit, so that
//! opening after a power cut reads a handful of pages and never walks the tree.
//!
//! Readers see the last transaction that ended before they began, and wait for no writer. Where the volume cannot read
//! or write a page, that operation fails and changes nothing; the database is opened again from the dataset for the
//! others.
//!
//! [`Volume::commit`]: crate::Volume::commit

mod backend;
mod engine;
mod error;
mod namespace;
mod seal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::Dataset;
use backend::{ObjectPages, Pages};
use engine::{Engine, Side};

pub use error::KvError;
pub use namespace::{KeyUsage, Keys, Namespace, Swap};

/// The keys and values of all apps. A clone is the same store.
#[derive(Clone)]
pub struct KeyValue(Arc<Shared>);

struct Shared {
    engine: Engine,
    /// The namespaces that handles were made for. The flag goes up when the namespace is removed.
    namespaces: Mutex<HashMap<String, Arc<AtomicBool>>>,
}

impl KeyValue {
    /// Opens the store of a dataset that holds nothing else, and creates it where the dataset has no root object.
    ///
    /// One that damage keeps from being opened is opened as soon as an operation can; until then all of them fail.
    ///
    /// # Errors
    /// Where the disk fails, or what is there is no database.
    pub fn open(dataset: &Dataset) -> Result<KeyValue, KvError> {
        KeyValue::over(Arc::new(ObjectPages::of(dataset)?))
    }

    /// Whether operations can work now: not where damage or the disk keeps the database from being opened.
    pub fn is_open(&self) -> bool {
        self.engine().is_open()
    }

    fn over(pages: Arc<dyn Pages>) -> Result<KeyValue, KvError> {
        Ok(KeyValue(Arc::new(Shared { engine: Engine::open(pages)?, namespaces: Mutex::default() })))
    }

    /// An incarnation for keys under `name` that have none yet: drawn at random, and where its keys will lie the
    /// database is whole, if such a place is found.
    ///
    /// # Errors
    /// As [`namespace`](Self::namespace), and where the disk or the CPU fails. Damage is none.
    pub fn incarnation(&self, name: &str) -> Result<Incarnation, KvError> {
        let name = Name::new(name)?;
        let mut drawn = Incarnation::default();
        for _ in 0..DRAWS {
            cloister_tee::random(&mut drawn)?;
            match self.engine().record(&name.prefix(&drawn)) {
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(drawn)
    }

    /// A handle to the keys of one incarnation of `name`, whose values are sealed under `key`; it lets them take
    /// `quota_bytes`, counted as in [`KeyUsage::bytes`]. A handle draws a key of its own for sealing when it first
    /// writes: keep one and clone it.
    ///
    /// # Errors
    /// [`KvError::NamespaceName`] where the name is empty, longer than [`MAX_NAMESPACE`] bytes or has a slash.
    pub fn namespace(
        &self,
        name: &str,
        incarnation: &Incarnation,
        key: Zeroizing<[u8; 32]>,
        quota_bytes: u64,
    ) -> Result<Namespace, KvError> {
        let prefix = Name::new(name)?.prefix(incarnation);
        let removed = Arc::clone(self.namespaces().entry(name.to_owned()).or_default());
        Ok(Namespace::new(self.clone(), prefix, key, quota_bytes, removed))
    }

    /// Deletes all keys under `name`, of every incarnation. Handles to them answer [`KvError::Removed`] from now on.
    ///
    /// Keys that damage keeps from being deleted stay: [`Removal::is_complete`] tells. Another incarnation does not see
    /// them. A power cut in between leaves some of the keys too; removing again deletes them.
    ///
    /// # Errors
    /// As [`namespace`](Self::namespace), and where the disk fails.
    pub fn remove_namespace(&self, name: &str) -> Result<Removal, KvError> {
        let prefix = Name::new(name)?;
        if let Some(removed) = self.namespaces().remove(name) {
            removed.store(true, Ordering::Release);
        }
        let mut removal = Removal { keys: 0, is_complete: false };
        for side in [Side::First, Side::Last] {
            if self.remove_from(&prefix, side, &mut removal.keys)? {
                return Ok(Removal { is_complete: true, ..removal });
            }
        }
        Ok(removal)
    }

    /// Deletes the entries of a name from one side on, as far as damage lets it. Says whether all are gone.
    fn remove_from(&self, name: &Name, side: Side, keys: &mut u64) -> Result<bool, KvError> {
        let mut at_once = REMOVED_AT_ONCE;
        while at_once > 0 {
            match self.engine().remove_some(name, side, at_once) {
                Ok(step) => {
                    *keys += step.keys;
                    if step.is_last {
                        return Ok(true);
                    }
                }
                // What lies before the damage can go.
                Err(error) if error.is_damage() => at_once /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn namespaces(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<AtomicBool>>> {
        self.0.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue").finish_non_exhaustive()
    }
}

/// What tells the keys of one deployment from those of another under the same name.
pub type Incarnation = [u8; 8];

/// What [`KeyValue::remove_namespace`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Keys that were deleted.
    pub keys: u64,
    /// No key is left. Where it is not, the database is damaged there.
    pub is_complete: bool,
}

/// What the keys of all incarnations of a namespace begin with: its name and a slash, which no name has in it.
#[derive(Clone, Debug)]
struct Name(Box<[u8]>);

impl Name {
    fn new(name: &str) -> Result<Name, KvError> {
        if name.is_empty() || name.len() > MAX_NAMESPACE || name.contains('/') {
            return Err(KvError::NamespaceName { name: name.chars().take(MAX_NAMESPACE).collect() });
        }
        Ok(Name(format!("{name}/").into_bytes().into()))
    }

    fn prefix(&self, incarnation: &Incarnation) -> Prefix {
        Prefix([&*self.0, incarnation].concat().into())
    }

    /// The first key that could be the name's, and the first after all of them.
    fn range(&self) -> (&[u8], Vec<u8>) {
        (&self.0, successor(&self.0))
    }

    /// Whether an entry of the name's is a key, or the record of an incarnation.
    fn is_key(&self, entry: &[u8]) -> bool {
        entry.len() > self.0.len() + size_of::<Incarnation>()
    }
}

/// What all keys of one incarnation begin with.
///
/// The prefix itself is the key of the incarnation's record; a guest's key has one byte at least.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix(Box<[u8]>);

impl Prefix {
    fn record(&self) -> &[u8] {
        &self.0
    }

    fn key(&self, key: &[u8]) -> Result<Vec<u8>, KvError> {
        match key.len() {
            1..=MAX_KEY => Ok([&*self.0, key].concat()),
            length => Err(KvError::KeyLength { length }),
        }
    }

    /// The first key after all of the incarnation's.
    fn end(&self) -> Vec<u8> {
        successor(&self.0)
    }
}

/// The first bytes after all that begin with `prefix`; there is one, since a name's slash is not the last of all bytes.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// The longest key of a guest in bytes.
pub const MAX_KEY: usize = 1024;
/// The longest value in bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// The longest name of a namespace in bytes.
pub const MAX_NAMESPACE: usize = 80;
/// The most keys of one `get_many`, `set_many`, `delete_many` or `list`.
pub const MAX_BATCH: usize = 1_000;
/// The most bytes of keys and values that one batch moves.
pub const MAX_BATCH_BYTES: usize = 8 << 20;
/// What a key counts for beside its own bytes and its value's: the namespace's name, the seal, its place in the tree.
pub const KEY_COST: u64 = 64;
/// How often an incarnation is drawn until one lies where the database is whole.
const DRAWS: usize = 16;
/// Keys that one transaction of [`KeyValue::remove_namespace`] deletes.
const REMOVED_AT_ONCE: usize = 500;
