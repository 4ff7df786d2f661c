use std::collections::VecDeque;
use std::fmt;

use cloister_filesystem::{Cursor, Entry, Node};
use wasmtime::component::Resource;

use super::LOOK_FUEL;
use super::convert::{Failure, descriptor_type};
use crate::WasiCtxView;
use crate::bindings::wasi::filesystem::types::{self, DirectoryEntry};

/// A walk through a directory's entries.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct DirectoryEntryStream {
    directory: Node,
    /// Read and not handed out yet: [`ENTRIES_AT_ONCE`] at most.
    read: VecDeque<Entry>,
    next: Next,
}

/// Where the walk goes on once all that was read is handed out.
enum Next {
    From(Option<Cursor>),
    End,
}

impl DirectoryEntryStream {
    pub(super) fn new(directory: Node) -> Self {
        Self { directory, read: VecDeque::new(), next: Next::From(None) }
    }

    /// Whether the next entry needs another look into the directory.
    fn must_look(&self) -> bool {
        self.read.is_empty() && matches!(self.next, Next::From(_))
    }

    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        while self.read.is_empty()
            && let Next::From(after) = &self.next
        {
            let (entries, more) = self.directory.entries(*after, ENTRIES_AT_ONCE)?;
            self.read = entries.into();
            self.next = more.map_or(Next::End, |cursor| Next::From(Some(cursor)));
        }
        Ok(self.read.pop_front())
    }
}

impl fmt::Debug for DirectoryEntryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectoryEntryStream").finish_non_exhaustive()
    }
}

impl types::HostDirectoryEntryStream for WasiCtxView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> Result<Option<DirectoryEntry>, Failure> {
        let price = if self.table.get(&stream)?.must_look() { LOOK_FUEL } else { 0 };
        self.pay_for_files(price).await?;
        let Some(entry) = self.table.get_mut(&stream)?.next()? else {
            return Ok(None);
        };
        self.pay_for_bytes(entry.name.len()).await?;
        Ok(Some(DirectoryEntry { type_: descriptor_type(entry.kind), name: entry.name }))
    }

    async fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

/// Entries that one look into a directory reads.
const ENTRIES_AT_ONCE: usize = 16;
