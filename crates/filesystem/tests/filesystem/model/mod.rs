//! What a filesystem should do, as simply as it can be said: everything in maps, nothing shared with the real one.

mod walk;

use std::collections::{BTreeMap, BTreeSet};

use cloister_volume::{Quota, Usage};

use crate::operations::{Action, Answer, How, SLOTS, Subject, Value};
use walk::{Way, check_name};

type Id = usize;

const ROOT: Id = 1;

#[derive(Debug, Clone)]
enum What {
    /// Bytes, and which blocks of 4096 are not a hole.
    File(Vec<u8>, BTreeSet<u64>),
    Directory(BTreeMap<String, Id>),
    Symlink(String),
}

#[derive(Debug, Clone)]
struct ModelNode {
    what: What,
    links: u64,
    modified: Option<u32>,
}

pub(crate) struct Model {
    nodes: BTreeMap<Id, ModelNode>,
    next: Id,
    handles: [Option<Id>; SLOTS],
    quota: Quota,
}

type Outcome<T> = Result<T, &'static str>;

impl Model {
    pub(crate) fn new(quota: Quota) -> Model {
        let root = ModelNode { what: What::Directory(BTreeMap::new()), links: 2, modified: None };
        Model { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, handles: [None; SLOTS], quota }
    }

    pub(crate) fn usage(&self) -> Usage {
        let blocks: usize = self
            .nodes
            .values()
            .map(|node| match &node.what {
                What::File(_, blocks) => blocks.len(),
                What::Directory(entries) => usize::from(!entries.is_empty()),
                What::Symlink(_) => 1,
            })
            .sum();
        Usage { bytes: blocks as u64 * 4096, objects: self.nodes.len() as u64 }
    }

    fn letter(&self, id: Id) -> char {
        match self.nodes[&id].what {
            What::File(..) => 'f',
            What::Directory(_) => 'd',
            What::Symlink(_) => 'l',
        }
    }

    fn entries(&mut self, directory: Id) -> Outcome<&mut BTreeMap<String, Id>> {
        match &mut self.nodes.get_mut(&directory).ok_or("NoEntry")?.what {
            What::Directory(entries) => Ok(entries),
            _ => Err("NotDirectory"),
        }
    }

    fn changed(&mut self, id: Id) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.modified = None;
        }
    }

    fn room_for(&self, blocks: u64) -> Outcome<()> {
        if blocks > 0 && self.usage().bytes + blocks * 4096 > self.quota.bytes {
            Err("Quota")
        } else {
            Ok(())
        }
    }

    fn create(&mut self, directory: Id, name: &str, what: What) -> Outcome<Id> {
        if self.nodes.len() as u64 >= self.quota.objects {
            return Err("Quota");
        }
        let first = u64::from(self.entries(directory)?.is_empty());
        self.room_for(first + u64::from(matches!(what, What::Symlink(_))))?;
        let id = self.next;
        self.next += 1;
        self.entries(directory)?.insert(name.to_owned(), id);
        let links = if matches!(what, What::Directory(_)) { 2 } else { 1 };
        self.nodes.insert(id, ModelNode { what, links, modified: None });
        self.changed(directory);
        if links == 2 {
            self.nodes.entry(directory).and_modify(|node| node.links += 1);
        }
        Ok(id)
    }

    fn lose_name(&mut self, id: Id) {
        let is_open = self.handles.contains(&Some(id));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.links = if matches!(node.what, What::Directory(_)) { 0 } else { node.links - 1 };
            if node.links == 0 && !is_open {
                self.nodes.remove(&id);
            }
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(id) = self.handles[slot].take()
            && !self.handles.contains(&Some(id))
            && self.nodes[&id].links == 0
        {
            self.nodes.remove(&id);
        }
    }

    fn file(&mut self, slot: usize) -> Outcome<(Id, &mut Vec<u8>, &mut BTreeSet<u64>)> {
        let id = self.handles[slot].ok_or("NoHandle")?;
        match &mut self.nodes.get_mut(&id).ok_or("lost")?.what {
            What::File(bytes, blocks) => Ok((id, bytes, blocks)),
            _ => Err("IsDirectory"),
        }
    }

    fn write(&mut self, slot: usize, offset: usize, bytes: &[u8]) -> Outcome<Value> {
        let (id, _, blocks) = self.file(slot)?;
        let touched: BTreeSet<u64> =
            (offset as u64 / 4096..(offset + bytes.len()).div_ceil(4096) as u64).collect();
        let new = touched.difference(blocks).count() as u64;
        self.room_for(new)?;
        let (_, content, blocks) = self.file(slot)?;
        blocks.extend(touched);
        let end = offset + bytes.len();
        content.resize(content.len().max(end), 0);
        content[offset..end].copy_from_slice(bytes);
        self.changed(id);
        Ok(Value::Count(bytes.len()))
    }

    fn open(&mut self, path: &str, how: How, follow: bool) -> Outcome<Id> {
        let (create, exclusive, truncate) = match how {
            How::Existing | How::Directory => (false, false, false),
            How::Create => (true, false, false),
            How::Exclusive => (true, true, false),
            How::Truncate => (false, false, true),
            How::CreateAndTruncate => (true, false, true),
        };
        let way = Way { follow: follow && !exclusive, makes_file: create };
        let at = self.walk(&mut vec![ROOT], path, way, &mut 0)?;
        let Some(name) = at.name else {
            return match how {
                How::Existing | How::Directory => Ok(at.directory),
                How::Exclusive => Err("Exists"),
                _ => Err("IsDirectory"),
            };
        };
        let Some(id) = at.node else {
            if !create {
                return Err("NoEntry");
            }
            return self.create(at.directory, &name, What::File(Vec::new(), BTreeSet::new()));
        };
        if exclusive {
            return Err("Exists");
        }
        let letter = self.letter(id);
        if (at.slash || matches!(how, How::Directory)) && letter != 'd' {
            return Err("NotDirectory");
        }
        match letter {
            'l' => return Err("Loop"),
            'd' if create || truncate => return Err("IsDirectory"),
            _ => {}
        }
        if truncate
            && let Some(ModelNode { what: What::File(bytes, blocks), modified, .. }) = self.nodes.get_mut(&id)
        {
            bytes.clear();
            blocks.clear();
            *modified = None;
        }
        Ok(id)
    }

    fn remove_directory(&mut self, path: &str) -> Outcome<()> {
        let at = self.parent_of_name(path)?;
        let Some(name) = at.name else {
            return Err(match at.node {
                None => "Invalid",
                Some(0) => "NotPermitted",
                Some(_) => "NotEmpty",
            });
        };
        let id = at.node.ok_or("NoEntry")?;
        if !self.entries(id)?.is_empty() {
            return Err("NotEmpty");
        }
        self.entries(at.directory)?.remove(&name);
        self.changed(at.directory);
        self.nodes.entry(at.directory).and_modify(|node| node.links -= 1);
        self.lose_name(id);
        Ok(())
    }

    fn unlink(&mut self, path: &str) -> Outcome<()> {
        let at = self.parent_of_name(path)?;
        let Some(name) = at.name else {
            return Err(if at.node == Some(0) { "NotPermitted" } else { "IsDirectory" });
        };
        let id = at.node.ok_or("NoEntry")?;
        if self.letter(id) == 'd' {
            return Err("IsDirectory");
        }
        if at.slash {
            return Err("NotDirectory");
        }
        self.entries(at.directory)?.remove(&name);
        self.changed(at.directory);
        self.lose_name(id);
        Ok(())
    }

    /// Whether `id` is `below` or in it.
    fn is_in(&self, id: Id, below: Id) -> bool {
        id == below
            || match &self.nodes[&below].what {
                What::Directory(entries) => entries.values().any(|&child| self.is_in(id, child)),
                _ => false,
            }
    }

    fn rename(&mut self, from: &str, to: &str) -> Outcome<()> {
        let from = self.parent(from)?;
        let to = self.parent(to)?;
        let (Some(old), Some(new)) = (from.name, to.name) else { return Err("Busy") };
        check_name(&old)?;
        let id = from.node.ok_or("NoEntry")?;
        check_name(&new)?;
        let moves_directory = self.letter(id) == 'd';
        if moves_directory && self.is_in(to.directory, id) {
            return Err("Invalid");
        }
        if !moves_directory && (from.slash || to.slash) {
            return Err("NotDirectory");
        }
        if let Some(replaced) = to.node {
            if self.letter(replaced) == 'd' && self.is_in(from.directory, replaced) {
                return Err("NotEmpty");
            }
            if replaced == id {
                return Ok(());
            }
            match (moves_directory, self.letter(replaced) == 'd') {
                (true, false) => return Err("NotDirectory"),
                (false, true) => return Err("IsDirectory"),
                (true, true) if !self.entries(replaced)?.is_empty() => return Err("NotEmpty"),
                _ => {}
            }
        }
        let first = u64::from(self.entries(to.directory)?.is_empty());
        self.room_for(first)?;
        self.entries(from.directory)?.remove(&old);
        self.entries(to.directory)?.insert(new, id);
        if moves_directory {
            self.nodes.entry(from.directory).and_modify(|node| node.links -= 1);
            if to.node.is_none() {
                self.nodes.entry(to.directory).and_modify(|node| node.links += 1);
            }
        }
        self.changed(from.directory);
        self.changed(to.directory);
        if let Some(replaced) = to.node {
            self.lose_name(replaced);
        }
        Ok(())
    }

    /// Where something new that is no directory gets its name.
    fn free_name(&mut self, path: &str) -> Outcome<(Id, String)> {
        let at = self.parent_of_name(path)?;
        match at.name {
            Some(name) if at.node.is_none() => {
                if at.slash {
                    Err("NoEntry")
                } else {
                    Ok((at.directory, name))
                }
            }
            _ => Err("Exists"),
        }
    }

    fn link(&mut self, from: &str, to: &str) -> Outcome<()> {
        let id = self.node(from, false)?;
        let (directory, name) = self.free_name(to)?;
        if self.letter(id) == 'd' {
            return Err("NotPermitted");
        }
        let first = u64::from(self.entries(directory)?.is_empty());
        self.room_for(first)?;
        self.entries(directory)?.insert(name, id);
        self.changed(directory);
        self.nodes.entry(id).and_modify(|node| node.links += 1);
        Ok(())
    }

    fn stat(&self, id: Id) -> Value {
        let node = &self.nodes[&id];
        let size = match &node.what {
            What::File(bytes, _) => bytes.len(),
            What::Directory(_) => 0,
            What::Symlink(target) => target.len(),
        };
        Value::Stat { kind: self.letter(id), links: node.links, size: size as u64, modified: node.modified }
    }

    fn answer(&mut self, action: &Action) -> Outcome<Value> {
        let done = |()| Value::Done;
        match action {
            Action::Open { slot, path, how, follow } => {
                let id = self.open(path, *how, *follow)?;
                // The new handle is there before the old one goes.
                let old = self.handles[*slot].replace(id);
                if let Some(old) = old
                    && !self.handles.contains(&Some(old))
                    && self.nodes[&old].links == 0
                {
                    self.nodes.remove(&old);
                }
                Ok(Value::Text(self.letter(id).to_string()))
            }
            Action::Close { slot } => {
                self.close(*slot);
                Ok(Value::Done)
            }
            Action::Write { slot, offset, length, byte } => {
                self.write(*slot, *offset as usize, &vec![*byte; *length])
            }
            Action::Append { slot, length, byte } => {
                let end = self.file(*slot)?.1.len();
                self.write(*slot, end, &vec![*byte; *length])
            }
            Action::Read { slot, offset, length } => {
                let bytes = self.file(*slot)?.1;
                let start = bytes.len().min(*offset as usize);
                let end = bytes.len().min(start + length);
                Ok(Value::Bytes(bytes[start..end].to_vec()))
            }
            Action::SetLength { slot, length } => {
                let (id, bytes, blocks) = self.file(*slot)?;
                bytes.resize(*length as usize, 0);
                blocks.retain(|block| block * 4096 < *length);
                self.changed(id);
                Ok(Value::Done)
            }
            Action::StatHandle { slot } => Ok(self.stat(self.handles[*slot].ok_or("NoHandle")?)),
            Action::Stat { path, follow } => self.node(path, *follow).map(|id| self.stat(id)),
            Action::MakeDirectory { path } => {
                let at = self.parent_of_name(path)?;
                match at.name {
                    Some(name) if at.node.is_none() => {
                        self.create(at.directory, &name, What::Directory(BTreeMap::new()))?;
                        Ok(Value::Done)
                    }
                    _ => Err("Exists"),
                }
            }
            Action::RemoveDirectory { path } => self.remove_directory(path).map(done),
            Action::Unlink { path } => self.unlink(path).map(done),
            Action::Rename { from, to } => self.rename(from, to).map(done),
            Action::Link { from, to } => self.link(from, to).map(done),
            Action::Symlink { target, path } => {
                if target.is_empty() {
                    return Err("NoEntry");
                }
                let (directory, name) = self.free_name(path)?;
                self.create(directory, &name, What::Symlink(target.clone()))?;
                Ok(Value::Done)
            }
            Action::ReadLink { path } => {
                let id = self.node(path, false)?;
                match &self.nodes[&id].what {
                    What::Symlink(target) => Ok(Value::Text(target.clone())),
                    _ => Err("Invalid"),
                }
            }
            Action::List { path } => {
                let id = self.node(path, true)?;
                let entries = self.entries(id)?.clone();
                Ok(Value::List(entries.into_iter().map(|(name, id)| (name, self.letter(id))).collect()))
            }
            Action::SetTimes { path, follow, seconds } => {
                let id = self.node(path, *follow)?;
                self.nodes.entry(id).and_modify(|node| node.modified = Some(*seconds));
                Ok(Value::Done)
            }
            Action::Commit => Ok(Value::Done),
            Action::Remount => {
                (0..SLOTS).for_each(|slot| self.close(slot));
                Ok(Value::Done)
            }
        }
    }
}

impl Subject for Model {
    fn act(&mut self, action: &Action) -> Answer {
        self.answer(action).map_err(str::to_owned)
    }
}
