//! What can go wrong with keys and values.

use std::sync::Arc;

use cloister_tee::RandomError;

use super::{MAX_BATCH, MAX_BATCH_BYTES, MAX_KEY, MAX_NAMESPACE, MAX_VALUE};
use crate::VolumeError;

/// An operation on keys and values failed, and changed nothing.
///
/// Where the volume fails at the end of a transaction and again when the database is opened anew, it may have happened
/// nevertheless.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KvError {
    /// A namespace cannot have this name.
    #[error("a namespace's name has 1 to {MAX_NAMESPACE} bytes and no slash: {name:?} does not do")]
    NamespaceName {
        /// As much of it as fits.
        name: String,
    },
    /// A key is empty or too long.
    #[error("a key has 1 to {MAX_KEY} bytes, not {length}")]
    KeyLength {
        /// Its bytes.
        length: usize,
    },
    /// A value is too long.
    #[error("a value has {MAX_VALUE} bytes at most, not {length}")]
    ValueLength {
        /// Its bytes.
        length: usize,
    },
    /// A batch names too many keys.
    #[error("a batch has {MAX_BATCH} keys at most, not {keys}")]
    BatchKeys {
        /// How many.
        keys: usize,
    },
    /// A batch moves too many bytes.
    #[error("a batch moves {MAX_BATCH_BYTES} bytes at most")]
    BatchBytes,
    /// The namespace has no room for it.
    #[error("the app's keys would take {wanted} bytes, and {allowed} are allowed")]
    QuotaExceeded {
        /// What they would take.
        wanted: u64,
        /// What they may.
        allowed: u64,
    },
    /// `increment` of a value that is not a number.
    #[error("the value is not a whole number in decimal digits, so it cannot be incremented")]
    NotANumber,
    /// `increment` beyond what 64 bits hold.
    #[error("the number would be more than {}", u64::MAX)]
    NumberTooLarge,
    /// The namespace was removed while a handle was held.
    #[error("the app's keys were removed")]
    Removed,
    /// A value does not open under the app's key.
    #[error("a value was not sealed under this app's key for this key")]
    Unsealed,
    /// The CPU gave no random number.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The volume below failed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Other operations failed again and again while this one was tried.
    #[error(
        "the store had to be opened again too often while this operation was tried: the volume below keeps failing"
    )]
    Interrupted,
    /// The database is not as it should be.
    #[error("the key-value database failed: {0}")]
    Database(Arc<redb::Error>),
}

impl KvError {
    /// Whether it is damage: the disk does not give back what was written.
    pub fn is_damage(&self) -> bool {
        match self {
            KvError::Volume(VolumeError::Damaged(_)) => true,
            KvError::Database(error) => matches!(**error, redb::Error::Corrupted(_)),
            _ => false,
        }
    }
}
