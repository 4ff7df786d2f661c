//! What can go wrong with a volume.

use std::fmt;
use std::io;

use crate::anchor::AnchorError;
use crate::sealing::SealingError;

/// An operation on a mounted volume failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// What the disk returned is not what was written.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The host's disk has no room and cannot grow. A commit may free blocks that are waiting for it.
    #[error("the volume is full: the disk has no free blocks and cannot grow")]
    Full,
    /// The dataset may hold no more.
    #[error(transparent)]
    QuotaExceeded(#[from] QuotaExceeded),
    /// No object has this number, or its number was reused.
    #[error("object {0} does not exist")]
    NoObject(u64),
    /// The dataset was removed while a handle was held.
    #[error("the dataset was removed")]
    Removed,
    /// An object cannot be this long; [`crate::MAX_LENGTH`] is the bound.
    #[error("{0} bytes are more than an object can have")]
    TooLarge(u64),
    /// A dataset of this name exists.
    #[error("a dataset named {0:?} exists already")]
    Exists(String),
    /// No dataset has this name.
    #[error("no dataset is named {0:?}")]
    NoDataset(String),
    /// Dataset names have 1 to [`crate::MAX_NAME`] bytes.
    #[error("a dataset's name has 1 to 80 bytes, not {0}")]
    BadName(usize),
    /// The catalog holds [`crate::MAX_DATASETS`] datasets already.
    #[error("the volume holds as many datasets as it can")]
    TooManyDatasets,
    /// The host's disk failed. Nothing is lost by it: the next commit writes the same bytes again.
    #[error("the disk failed while {doing}: {detail}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The error's text.
        detail: String,
    },
    /// The freshness anchor did not advance, so the commit is not acknowledged.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A panic interrupted a change of what is in memory, so nothing more is written. The last commit is intact.
    #[error("the volume's memory is in doubt since a panic; mount the volume again")]
    Interrupted,
    /// The CPU gave no randomness.
    #[error("the CPU gave no randomness for a new key")]
    Randomness,
}

impl VolumeError {
    pub(crate) fn disk(doing: &'static str, error: &io::Error) -> VolumeError {
        VolumeError::Disk { doing, kind: error.kind(), detail: error.to_string() }
    }
}

impl From<Damage> for VolumeError {
    fn from(damage: Damage) -> VolumeError {
        VolumeError::Damaged(Box::new(damage))
    }
}

impl From<cloister_tee::RandomError> for VolumeError {
    fn from(_: cloister_tee::RandomError) -> VolumeError {
        VolumeError::Randomness
    }
}

/// A write would take a dataset over its quota; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// The bytes of data blocks.
    #[error("the dataset would hold {wanted} bytes and may hold {allowed}")]
    Bytes {
        /// What it would hold.
        wanted: u64,
        /// What it may hold.
        allowed: u64,
    },
    /// The number of objects.
    #[error("the dataset holds {allowed} objects, which is all it may")]
    Objects {
        /// How many it may hold.
        allowed: u64,
    },
}

/// A block that is not what the tree above it names: changed, swapped, stale, torn, or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The dataset; empty for the volume's own structures.
    pub dataset: String,
    /// The object's number, where one object is affected.
    pub object: Option<u64>,
    /// What the block was.
    pub part: Part,
    /// The first byte of the object (or of the structure) that the block led to.
    pub offset: u64,
    /// How many bytes it led to; 4,096 for a data block.
    pub bytes: u64,
    /// The block on the disk.
    pub block: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { dataset, object, part, offset, bytes, block } = self;
        write!(f, "disk block {block} is damaged: the {part}")?;
        if let Some(object) = object {
            write!(f, " of object {object}")?;
        }
        if !dataset.is_empty() {
            write!(f, " in dataset {dataset:?}")?;
        }
        write!(f, ", {bytes} bytes from {offset} on, is not what was written")
    }
}

impl std::error::Error for Damage {}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An object's data.
    Data,
    /// A node of an object's tree.
    Node,
    /// A dataset's table of objects.
    Objects,
    /// The list of datasets.
    Catalog,
    /// The map of used blocks. Rebuilt from the tree when the volume is mounted.
    Bitmap,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Data => "data",
            Part::Node => "block index",
            Part::Objects => "object table",
            Part::Catalog => "catalog of datasets",
            Part::Bitmap => "map of used blocks",
        })
    }
}

/// A volume could not be created or mounted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// The disk holds no volume: its superblocks are zeros or absent.
    #[error("the disk holds no volume yet")]
    Blank,
    /// [`crate::Volume::create`] was called on a disk that is not blank.
    #[error("the disk is not blank, and a volume is never made over something else; empty it first")]
    NotBlank,
    /// Neither superblock can be read as one.
    #[error("neither of the volume's two superblocks is intact: {0}")]
    Damaged(&'static str),
    /// A later program wrote the volume.
    #[error("the volume has format version {0}; this program reads version 1")]
    Version(u32),
    /// The volume's key does not unwrap.
    #[error(
        "this enclave cannot open the volume: it was sealed by another enclave image or on another CPU, or both \
         superblocks' headers were changed"
    )]
    WrongKey,
    /// The sealed key that was given for a takeover does not open.
    #[error(
        "the sealed volume key that was given for a takeover was made by another enclave image, on another CPU, or was \
         changed; hand the volume over once more, to this image"
    )]
    AdoptionOfAnother,
    /// The sealed key that was given for a takeover is another volume's.
    #[error(
        "the sealed volume key that was given for a takeover is for the volume {}, and this is the volume {}",
        hex(.given), hex(.found)
    )]
    AdoptionElsewhere {
        /// The identifier of the volume that the key is for.
        given: [u8; 16],
        /// That of the volume on the disk.
        found: [u8; 16],
    },
    /// The volume names [`crate::MAX_LINEAGE`] images already.
    #[error(
        "the volume was in the hands of as many enclave images as it can name; start a new one, and move the apps' data"
    )]
    TooManyImages,
    /// The volume is older than its anchor says.
    #[error(
        "the volume is not the newest: its epoch {epoch} was written when the freshness anchor stood at {written}, and \
         the anchor stands at {anchor}. An old disk was put back, or the anchor was used elsewhere. To accept it, allow \
         epoch {epoch} in the configuration"
    )]
    RolledBack {
        /// The newest epoch on the disk.
        epoch: u64,
        /// The anchor's value in that epoch.
        written: u64,
        /// The anchor's value now.
        anchor: u64,
    },
    /// The volume has an anchor and the configuration has none, or the other way round.
    #[error(
        "the volume's epoch {epoch} was written {} a freshness anchor and the configuration says otherwise. To \
         change that, allow epoch {epoch} in the configuration",
        if *.anchored { "with" } else { "without" }
    )]
    AnchorMismatch {
        /// The newest epoch on the disk.
        epoch: u64,
        /// Whether the volume has an anchor.
        anchored: bool,
    },
    /// The sealing key could not be had.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The anchor could not be asked.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A disk error, damage above the datasets, or no randomness.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
