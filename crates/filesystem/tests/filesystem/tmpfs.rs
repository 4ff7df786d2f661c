//! Linux's own answers: the same operations on a directory of tmpfs, where there is one.

use std::{
    collections::BTreeMap,
    fs::{self, File, FileTimes, FileType, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::{
    operations::{Action, Answer, How, SLOTS, Subject, Value},
    sealed::far,
};

/// A directory and files in it that are open.
pub(crate) struct Tmpfs {
    directory: TempDir,
    handles: [Option<File>; SLOTS],
}

impl Tmpfs {
    pub(crate) fn new() -> Tmpfs {
        let directory =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
        Tmpfs { directory, handles: Default::default() }
    }

    /// As text, since a `Path` forgets the slash at its end.
    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            return PathBuf::new();
        }
        PathBuf::from(format!("{}/{path}", self.directory.path().display()))
    }

    fn handle(&self, slot: usize) -> Result<&File, String> {
        let file = self.handles[slot].as_ref().ok_or("NoHandle")?;
        let is_directory = file.metadata().map_err(name_of)?.is_dir();
        if is_directory { Err("IsDirectory".to_owned()) } else { Ok(file) }
    }

    fn open(&self, path: &str, how: How, follow: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        match how {
            How::Existing => {}
            How::Create => _ = options.write(true).create(true),
            How::Exclusive => _ = options.write(true).create_new(true),
            How::Truncate => _ = options.write(true).truncate(true),
            How::CreateAndTruncate => _ = options.write(true).create(true).truncate(true),
            How::Directory => {}
        }
        let directory = if matches!(how, How::Directory) { O_DIRECTORY } else { 0 };
        options.custom_flags(directory | if follow { 0 } else { O_NOFOLLOW });
        let path = self.path(path);
        if !matches!(how, How::Existing) {
            return options.open(path);
        }
        match options.clone().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => options.open(path),
            answer => answer,
        }
    }
}

impl Subject for Tmpfs {
    fn act(&mut self, action: &Action) -> Answer {
        let done = |result: io::Result<()>| result.map(|()| Value::Done).map_err(name_of);
        match action {
            Action::Open { slot, path, how, follow } => {
                let file = self.open(path, *how, *follow).map_err(name_of)?;
                let kind = letter(file.metadata().map_err(name_of)?.file_type());
                self.handles[*slot] = Some(file);
                Ok(Value::Text(kind.to_string()))
            }
            Action::Close { slot } => {
                self.handles[*slot] = None;
                Ok(Value::Done)
            }
            Action::Write { slot, offset, length, byte } => {
                let written = self.handle(*slot)?.write_at(&vec![*byte; *length], *offset);
                written.map(Value::Count).map_err(name_of)
            }
            Action::Append { slot, length, byte } => {
                let file = self.handle(*slot)?;
                let end = file.metadata().map_err(name_of)?.len();
                file.write_at(&vec![*byte; *length], end).map(Value::Count).map_err(name_of)
            }
            Action::Read { slot, offset, length } => {
                let mut bytes = vec![0xee; *length];
                let read = self.handle(*slot)?.read_at(&mut bytes, *offset).map_err(name_of)?;
                bytes.truncate(read);
                Ok(Value::Bytes(bytes))
            }
            Action::SetLength { slot, length } => done(self.handle(*slot)?.set_len(*length)),
            Action::StatHandle { slot } => {
                let file = self.handles[*slot].as_ref().ok_or("NoHandle")?;
                file.metadata().map(|metadata| stat(&metadata)).map_err(name_of)
            }
            Action::Stat { path, follow } => {
                let path = self.path(path);
                let metadata = if *follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
                metadata.map(|metadata| stat(&metadata)).map_err(name_of)
            }
            Action::MakeDirectory { path } => done(fs::create_dir(self.path(path))),
            Action::RemoveDirectory { path } => done(fs::remove_dir(self.path(path))),
            Action::Unlink { path } => done(fs::remove_file(self.path(path))),
            Action::Rename { from, to } => done(fs::rename(self.path(from), self.path(to))),
            Action::Link { from, to } => done(fs::hard_link(self.path(from), self.path(to))),
            Action::Symlink { target, path } => done(symlink(target, self.path(path))),
            Action::ReadLink { path } => fs::read_link(self.path(path))
                .map(|target| Value::Text(target.to_string_lossy().into_owned()))
                .map_err(name_of),
            Action::List { path } => list(&self.path(path)).map(Value::List).map_err(name_of),
            Action::SetTimes { path, seconds, .. } => {
                let times =
                    FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs((*seconds).into()));
                done(File::open(self.path(path)).and_then(|file| file.set_times(times)))
            }
            Action::Commit => Ok(Value::Done),
            Action::Remount => {
                self.handles = Default::default();
                Ok(Value::Done)
            }
        }
    }
}

fn list(path: &Path) -> io::Result<BTreeMap<String, char>> {
    fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), letter(entry.file_type()?)))
        })
        .collect()
}

fn stat(metadata: &Metadata) -> Value {
    let size = if metadata.is_dir() { 0 } else { metadata.len() };
    Value::Stat {
        kind: letter(metadata.file_type()),
        links: metadata.nlink(),
        size,
        modified: metadata.modified().ok().and_then(far),
    }
}

fn letter(kind: FileType) -> char {
    match (kind.is_dir(), kind.is_symlink()) {
        (true, _) => 'd',
        (_, true) => 'l',
        _ => 'f',
    }
}

/// What `FsError` calls it.
fn name_of(error: io::Error) -> String {
    let name = match error.raw_os_error() {
        Some(1) => "NotPermitted",
        Some(2) => "NoEntry",
        Some(16) => "Busy",
        Some(17) => "Exists",
        Some(20) => "NotDirectory",
        Some(21) => "IsDirectory",
        Some(22) => "Invalid",
        Some(27) => "FileTooLarge",
        Some(31) => "TooManyLinks",
        Some(36) => "NameTooLong",
        Some(39) => "NotEmpty",
        Some(40) => "Loop",
        _ => return error.to_string(),
    };
    name.to_owned()
}

/// Linux on x86-64.
const O_DIRECTORY: i32 = 0o200_000;
const O_NOFOLLOW: i32 = 0o400_000;
