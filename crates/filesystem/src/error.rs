use cloister_volume::VolumeError;

/// Why an operation of the filesystem failed. Names and meanings are those of POSIX and `wasi:filesystem`.
///
/// After an error nothing has changed, apart from [`FsError::Io`] and [`FsError::Malformed`], after which the
/// times and the link count of the nodes concerned may have.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FsError {
    /// There is nothing under this name, or the directory has been removed (`ENOENT`).
    #[error("no such file or directory")]
    NoEntry,
    /// The name is taken (`EEXIST`).
    #[error("the name exists already")]
    Exists,
    /// A step of the path that must be a directory is none (`ENOTDIR`).
    #[error("not a directory")]
    NotDirectory,
    /// The operation is for files, and this is a directory (`EISDIR`).
    #[error("is a directory")]
    IsDirectory,
    /// The directory has entries (`ENOTEMPTY`).
    #[error("the directory is not empty")]
    NotEmpty,
    /// More than [`MAX_SYMLINKS`](crate::MAX_SYMLINKS) symbolic links or [`MAX_STEPS`](crate::MAX_STEPS) steps, or a
    /// link where none may be followed (`ELOOP`).
    #[error("too many symbolic links")]
    Loop,
    /// A name above [`MAX_NAME`](crate::MAX_NAME) or a path above [`MAX_PATH`](crate::MAX_PATH) bytes
    /// (`ENAMETOOLONG`).
    #[error("the name is too long")]
    NameTooLong,
    /// The path leaves the directory that it starts from, is absolute, or would be a second name for a directory
    /// (`EPERM`).
    #[error("not permitted: the path leads out of its directory, or names a directory a second time")]
    NotPermitted,
    /// The operation makes no sense for this node or path (`EINVAL`).
    #[error("invalid argument")]
    Invalid,
    /// The tree has as many bytes or nodes as it may have (`EDQUOT`).
    #[error("the storage that this app may have is used up")]
    Quota,
    /// The volume has no room, or the directory takes no more entries (`ENOSPC`).
    #[error("no space left on the volume")]
    Full,
    /// Above [`MAX_FILE`](crate::MAX_FILE) bytes (`EFBIG`).
    #[error("the file would be too large")]
    FileTooLarge,
    /// The node has [`MAX_LINKS`](crate::MAX_LINKS) names (`EMLINK`).
    #[error("too many links")]
    TooManyLinks,
    /// The nodes are of different filesystems (`EXDEV`).
    #[error("not on the same filesystem")]
    CrossDevice,
    /// The path ends in `.` or `..`, which cannot be renamed (`EBUSY`).
    #[error("the directory is in use")]
    Busy,
    /// The bytes of a node are authentic and yet not what this crate writes (`EIO`). Other nodes stay usable.
    #[error("inode {inode} is malformed: {what}")]
    Malformed {
        /// Which node.
        inode: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The volume failed or refused what the disk gave back (`EIO`).
    #[error(transparent)]
    Io(VolumeError),
}

impl From<VolumeError> for FsError {
    fn from(error: VolumeError) -> FsError {
        match error {
            VolumeError::QuotaExceeded(..) => FsError::Quota,
            VolumeError::Full => FsError::Full,
            VolumeError::TooLarge(_) => FsError::FileTooLarge,
            other => FsError::Io(other),
        }
    }
}
