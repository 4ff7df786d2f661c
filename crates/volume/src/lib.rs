//! The sealed volume.
//!
//! [`Volume`] keeps the datasets of many apps on one flat array of blocks that an untrusted host lends ([`Disk`]).
//! Every block but the two superblocks' headers is ciphertext, every block's tag is in the block above it, and the
//! uppermost tag is in the enclave's memory: what the host changes, swaps, withholds or brings back is detected when it
//! is read. A commit is atomic and survives a power cut at any write.
//!
//! [`kv`] keeps keys and values on it. `docs/design/volume.md` has the layout to the byte and the arguments.
#![forbid(unsafe_code)]

mod adoption;
mod anchor;
mod backup;
mod cache;
mod commit;
mod dataset;
mod datasets;
mod disk;
mod error;
mod fetch;
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod keys;
pub mod kv;
mod layout;
mod load;
mod mount;
mod prune;
mod read;
mod resident;
mod sealing;
mod snapshot;
mod space;
mod state;
mod tidy;
mod volume;
mod walk;
mod write;

pub use adoption::{Adoption, NotAnAdoption, VolumeKey};
pub use anchor::{Anchor, AnchorError, AnchorProvider, AnchorPurpose};
pub use backup::{Backup, CheckReport, Chunk};
pub use dataset::{Attributes, Dataset, DatasetSummary, Object, ObjectId, Quota, Usage};
pub use disk::*;
pub use error::{Damage, MountError, Part, QuotaExceeded, VolumeError};
pub use sealing::{CpuSealingKey, SealingError, SealingKey};
pub use volume::{Operation, Options, State, Statistics, Volume};

/// The longest object in bytes: 4 PiB. Unwritten parts take no space.
pub const MAX_LENGTH: u64 = 1 << 52;
/// The longest name of a dataset in bytes.
pub const MAX_NAME: usize = 80;
/// The most datasets that a volume holds.
pub const MAX_DATASETS: usize = 16_384;
/// The most blocks that a volume uses: 1 TiB.
pub const MAX_BLOCKS: u64 = 1 << 28;
/// The most enclave images that a volume names as those which held its key before.
pub const MAX_LINEAGE: usize = 64;

#[cfg(test)]
mod tests;
