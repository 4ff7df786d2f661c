//! The filesystem as a subject of random operations.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cloister_filesystem::{Filesystem, Follow, Kind, Metadata, Node, OpenHow, SetTime};
use cloister_volume::{Disk, Quota};

use crate::{
    fixture,
    operations::{Action, Answer, FAR, How, SLOTS, Subject, Value},
};

pub(crate) struct Sealed {
    disk: Arc<dyn Disk>,
    filesystem: Option<Filesystem>,
    handles: [Option<Node>; SLOTS],
}

impl Sealed {
    pub(crate) fn new(disk: Arc<dyn Disk>, quota: Quota) -> Sealed {
        let filesystem = fixture::create_on(disk.clone(), quota);
        Sealed { disk, filesystem: Some(filesystem), handles: Default::default() }
    }

    /// A subject that is never remounted.
    pub(crate) fn over(filesystem: Filesystem) -> Sealed {
        Sealed { disk: fixture::memory(), filesystem: Some(filesystem), handles: Default::default() }
    }

    pub(crate) fn into_filesystem(self) -> Filesystem {
        self.filesystem.expect("a mounted filesystem")
    }

    pub(crate) fn filesystem(&self) -> &Filesystem {
        self.filesystem.as_ref().expect("a mounted filesystem")
    }

    fn root(&self) -> Node {
        self.filesystem().root().expect("a root")
    }

    fn handle(&self, slot: usize) -> Result<&Node, String> {
        let node = self.handles[slot].as_ref().ok_or("NoHandle")?;
        if node.kind() == Kind::Directory { Err("IsDirectory".to_owned()) } else { Ok(node) }
    }

    fn remount(&mut self) {
        self.handles = Default::default();
        fixture::commit(self.filesystem());
        self.filesystem = None;
        self.filesystem = Some(fixture::mounted(self.disk.clone()));
    }
}

impl Subject for Sealed {
    fn act(&mut self, action: &Action) -> Answer {
        let root = self.root();
        let done =
            |result: Result<(), _>| result.map(|()| Value::Done).map_err(|error| fixture::name_of(&error));
        let failed = |error| fixture::name_of(&error);
        match action {
            Action::Open { slot, path, how, follow } => {
                let node = root.open_at(path, self::follow(*follow), &open_how(*how)).map_err(failed)?;
                let kind = letter(node.kind());
                self.handles[*slot] = Some(node);
                Ok(Value::Text(kind.to_string()))
            }
            Action::Close { slot } => {
                self.handles[*slot] = None;
                Ok(Value::Done)
            }
            Action::Write { slot, offset, length, byte } => {
                let written = self.handle(*slot)?.write_at(*offset, &vec![*byte; *length]);
                written.map(Value::Count).map_err(failed)
            }
            Action::Append { slot, length, byte } => {
                let written = self.handle(*slot)?.append(&vec![*byte; *length]);
                written.map(Value::Count).map_err(failed)
            }
            Action::Read { slot, offset, length } => {
                let mut bytes = vec![0xee; *length];
                let read = self.handle(*slot)?.read_at(*offset, &mut bytes).map_err(failed)?;
                bytes.truncate(read);
                Ok(Value::Bytes(bytes))
            }
            Action::SetLength { slot, length } => done(self.handle(*slot)?.set_len(*length)),
            Action::StatHandle { slot } => {
                let node = self.handles[*slot].as_ref().ok_or("NoHandle")?;
                node.metadata().map(stat).map_err(failed)
            }
            Action::Stat { path, follow } => {
                root.metadata_at(path, self::follow(*follow)).map(stat).map_err(failed)
            }
            Action::MakeDirectory { path } => done(root.create_directory_at(path)),
            Action::RemoveDirectory { path } => done(root.remove_directory_at(path)),
            Action::Unlink { path } => done(root.unlink_file_at(path)),
            Action::Rename { from, to } => done(root.rename_at(from, &root, to)),
            Action::Link { from, to } => done(root.link_at(from, Follow::No, &root, to)),
            Action::Symlink { target, path } => done(root.symlink_at(target, path)),
            Action::ReadLink { path } => root.read_link_at(path).map(Value::Text).map_err(failed),
            Action::List { path } => {
                let how = OpenHow { directory: true, ..OpenHow::default() };
                let node = root.open_at(path, Follow::Yes, &how).map_err(failed)?;
                let mut listed = std::collections::BTreeMap::new();
                let mut after = None;
                loop {
                    let (entries, next) = node.entries(after, 2).map_err(failed)?;
                    for entry in entries {
                        assert_eq!(listed.insert(entry.name, letter(entry.kind)), None);
                    }
                    after = next;
                    if after.is_none() {
                        return Ok(Value::List(listed));
                    }
                }
            }
            Action::SetTimes { path, follow, seconds } => {
                let time = UNIX_EPOCH + Duration::from_secs((*seconds).into());
                let modified = SetTime::At(time);
                done(root.set_times_at(path, self::follow(*follow), SetTime::Keep, modified))
            }
            Action::Commit => {
                fixture::commit(self.filesystem());
                Ok(Value::Done)
            }
            Action::Remount => {
                drop(root);
                self.remount();
                Ok(Value::Done)
            }
        }
    }
}

fn stat(metadata: Metadata) -> Value {
    let size = if metadata.kind == Kind::Directory { 0 } else { metadata.size };
    Value::Stat { kind: letter(metadata.kind), links: metadata.links, size, modified: far(metadata.modified) }
}

/// Seconds of a time that was set.
pub(crate) fn far(time: SystemTime) -> Option<u32> {
    let seconds = u32::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?;
    (seconds >= FAR).then_some(seconds)
}

fn letter(kind: Kind) -> char {
    match kind {
        Kind::File => 'f',
        Kind::Directory => 'd',
        Kind::Symlink => 'l',
    }
}

fn follow(follow: bool) -> Follow {
    if follow { Follow::Yes } else { Follow::No }
}

fn open_how(how: How) -> OpenHow {
    let (create, exclusive, truncate, directory) = match how {
        How::Existing => (false, false, false, false),
        How::Create => (true, false, false, false),
        How::Exclusive => (true, true, false, false),
        How::Truncate => (false, false, true, false),
        How::CreateAndTruncate => (true, false, true, false),
        How::Directory => (false, false, false, true),
    };
    OpenHow { create, exclusive, truncate, directory }
}
