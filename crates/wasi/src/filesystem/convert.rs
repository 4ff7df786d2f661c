//! Between the filesystem's types and the interface's.

use std::time::{Duration, SystemTime};

use cloister_filesystem::{Follow, FsError, Kind, Metadata, SetTime};
use wasmtime::component::ResourceTableError;

use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::bindings::wasi::filesystem::types::{
    DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue, NewTimestamp, PathFlags,
};
use crate::storage::Unavailable;

/// Why a function of the interface did not succeed.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum Failure {
    /// The guest gets this code.
    Code(ErrorCode),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<FsError> for Failure {
    fn from(error: FsError) -> Self {
        Self::Code(code(&error))
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        Self::Code(ErrorCode::Io)
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

pub(super) fn code(error: &FsError) -> ErrorCode {
    match error {
        FsError::NoEntry => ErrorCode::NoEntry,
        FsError::Exists => ErrorCode::Exist,
        FsError::NotDirectory => ErrorCode::NotDirectory,
        FsError::IsDirectory => ErrorCode::IsDirectory,
        FsError::NotEmpty => ErrorCode::NotEmpty,
        FsError::Loop => ErrorCode::Loop,
        FsError::NameTooLong => ErrorCode::NameTooLong,
        FsError::NotPermitted => ErrorCode::NotPermitted,
        FsError::Invalid => ErrorCode::Invalid,
        FsError::Quota => ErrorCode::Quota,
        FsError::Full => ErrorCode::InsufficientSpace,
        FsError::FileTooLarge => ErrorCode::FileTooLarge,
        FsError::TooManyLinks => ErrorCode::TooManyLinks,
        FsError::CrossDevice => ErrorCode::CrossDevice,
        FsError::Busy => ErrorCode::Busy,
        FsError::Malformed { .. } | FsError::Io(_) => ErrorCode::Io,
    }
}

pub(super) fn descriptor_type(kind: Kind) -> DescriptorType {
    match kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Directory => DescriptorType::Directory,
        Kind::Symlink => DescriptorType::SymbolicLink,
    }
}

pub(super) fn stat(metadata: &Metadata) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(metadata.kind),
        link_count: metadata.links,
        size: metadata.size,
        data_access_timestamp: datetime(metadata.accessed),
        data_modification_timestamp: datetime(metadata.modified),
        status_change_timestamp: datetime(metadata.changed),
    }
}

pub(super) fn hash(hash: [u64; 2]) -> MetadataHashValue {
    MetadataHashValue { lower: hash[0], upper: hash[1] }
}

pub(super) fn follow(flags: PathFlags) -> Follow {
    if flags.contains(PathFlags::SYMLINK_FOLLOW) { Follow::Yes } else { Follow::No }
}

pub(super) fn set_time(time: NewTimestamp) -> Result<SetTime, ErrorCode> {
    match time {
        NewTimestamp::NoChange => Ok(SetTime::Keep),
        NewTimestamp::Now => Ok(SetTime::Now),
        NewTimestamp::Timestamp(Datetime { nanoseconds: 1_000_000_000.., .. }) => Err(ErrorCode::Invalid),
        NewTimestamp::Timestamp(Datetime { seconds, nanoseconds }) => {
            let since_epoch = Duration::new(seconds, nanoseconds);
            let time = SystemTime::UNIX_EPOCH.checked_add(since_epoch).ok_or(ErrorCode::Overflow)?;
            Ok(SetTime::At(time))
        }
    }
}

/// The interface has no dates before 1970.
fn datetime(time: SystemTime) -> Option<Datetime> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Datetime { seconds: since_epoch.as_secs(), nanoseconds: since_epoch.subsec_nanos() })
}
