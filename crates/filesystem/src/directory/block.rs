//! One 4 KiB block of a directory: a header and entries packed behind it.

use crate::{Kind, path};

/// Bytes of a block.
pub(crate) const SIZE: usize = 4096;

/// Bytes that an entry takes beside its name.
pub(crate) const ENTRY_OVERHEAD: usize = 18;

/// Bytes that entries can take in one block.
pub(crate) const ROOM: usize = SIZE - HEADER;

/// An entry as it stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'b> {
    /// Never 0.
    pub(crate) inode: u64,
    /// Its place in the iteration order of the directory. Never 0.
    pub(crate) cookie: u64,
    pub(crate) kind: Kind,
    pub(crate) name: &'b str,
}

/// A well-formed block.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Block(Box<[u8; SIZE]>);

impl Block {
    pub(crate) fn empty() -> Block {
        let mut block = Block(Box::new([0; SIZE]));
        block.0[..4].copy_from_slice(MAGIC);
        block.set_header(0, HEADER);
        block
    }

    /// # Errors
    ///
    /// What is wrong with it. Every byte is looked at: a block that parses is one that this module made.
    pub(crate) fn parse(bytes: Box<[u8; SIZE]>) -> Result<Block, &'static str> {
        let block = Block(bytes);
        if block.0[..4] != *MAGIC {
            return Err("a block of a directory does not begin as one");
        }
        if block.0[8..HEADER] != [0; 8] {
            return Err("a block of a directory has unknown fields");
        }
        let end = block.end();
        if !(HEADER..=SIZE).contains(&end) {
            return Err("a block of a directory ends outside itself");
        }
        let mut at = HEADER;
        let mut count = 0;
        while at < end {
            let (entry, next) =
                entry_at(&block.0[..end], at).ok_or("a block of a directory has a malformed entry")?;
            if entry.inode == 0 || entry.cookie == 0 || !path::is_entry_name(entry.name) {
                return Err("a block of a directory has an entry that no directory may have");
            }
            at = next;
            count += 1;
        }
        if count != block.count() {
            return Err("a block of a directory counts its entries wrongly");
        }
        if block.0[end..].iter().any(|&byte| byte != 0) {
            return Err("a block of a directory has bytes behind its end");
        }
        Ok(block)
    }

    pub(crate) fn bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    /// Bytes of entries in it.
    pub(crate) fn used(&self) -> usize {
        self.end() - HEADER
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let used = &self.0[..self.end()];
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let (entry, next) = entry_at(used, at)?;
            at = next;
            Some(entry)
        })
    }

    /// `false`: there is no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, entry: Entry<'_>) -> bool {
        let end = self.end();
        let new_end = end + size_of_entry(entry.name);
        if new_end > SIZE || !path::is_entry_name(entry.name) {
            return false;
        }
        let bytes = &mut self.0[end..new_end];
        bytes[..8].copy_from_slice(&entry.inode.to_le_bytes());
        bytes[8..16].copy_from_slice(&entry.cookie.to_le_bytes());
        bytes[16] = entry.kind.code();
        // `is_entry_name`: at most 255.
        bytes[17] = entry.name.len() as u8;
        bytes[ENTRY_OVERHEAD..].copy_from_slice(entry.name.as_bytes());
        self.set_header(self.count() + 1, new_end);
        true
    }

    /// `false`: it has no such entry.
    #[must_use]
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(at) = self.find(name) else { return false };
        let end = self.end();
        let length = size_of_entry(name);
        self.0.copy_within(at + length..end, at);
        self.0[end - length..end].fill(0);
        self.set_header(self.count() - 1, end - length);
        true
    }

    /// The entry names another inode from now on, and keeps its cookie. `false`: it has no such entry.
    #[must_use]
    pub(crate) fn replace(&mut self, name: &str, inode: u64, kind: Kind) -> bool {
        let Some(at) = self.find(name) else { return false };
        self.0[at..at + 8].copy_from_slice(&inode.to_le_bytes());
        self.0[at + 16] = kind.code();
        true
    }

    fn find(&self, name: &str) -> Option<usize> {
        let used = &self.0[..self.end()];
        let mut at = HEADER;
        while let Some((entry, next)) = entry_at(used, at) {
            if entry.name == name {
                return Some(at);
            }
            at = next;
        }
        None
    }

    fn count(&self) -> u16 {
        u16::from_le_bytes([self.0[4], self.0[5]])
    }

    fn end(&self) -> usize {
        usize::from(u16::from_le_bytes([self.0[6], self.0[7]]))
    }

    fn set_header(&mut self, count: u16, end: usize) {
        self.0[4..6].copy_from_slice(&count.to_le_bytes());
        // At most 4096.
        self.0[6..8].copy_from_slice(&(end as u16).to_le_bytes());
    }
}

/// Bytes that an entry of this name takes.
pub(crate) fn size_of_entry(name: &str) -> usize {
    ENTRY_OVERHEAD + name.len()
}

/// The entry that begins at `at`, and where the next begins.
fn entry_at(used: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let (head, rest) = used.get(at..)?.split_first_chunk::<ENTRY_OVERHEAD>()?;
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&head[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let length = usize::from(head[17]);
    let name = std::str::from_utf8(rest.get(..length)?).ok()?;
    let entry = Entry { inode: word(0), cookie: word(8), kind: Kind::of_code(head[16])?, name };
    Some((entry, at + ENTRY_OVERHEAD + length))
}

const MAGIC: &[u8; 4] = b"cdir";

const HEADER: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, inode: u64) -> Entry<'_> {
        Entry { inode, cookie: inode, kind: Kind::File, name }
    }

    fn reparse(block: &Block) -> Result<Block, &'static str> {
        Block::parse(Box::new(*block.bytes()))
    }

    #[test]
    fn layout_is_that_of_the_design_page() {
        let mut block = Block::empty();
        assert!(block.push(Entry { inode: 0x0102, cookie: 0x0304, kind: Kind::Symlink, name: "ab" }));
        let bytes = block.bytes();
        assert_eq!(bytes[..16], *b"cdir\x01\0\x24\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..36], *b"\x02\x01\0\0\0\0\0\0\x04\x03\0\0\0\0\0\0\x03\x02ab");
        assert!(bytes[36..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn entries_come_and_go() {
        let mut block = Block::empty();
        for (at, name) in ["a", "bb", "ccc"].into_iter().enumerate() {
            assert!(block.push(entry(name, at as u64 + 1)));
        }
        assert!(block.remove("bb"));
        assert!(!block.remove("bb"));
        assert!(block.replace("ccc", 9, Kind::Directory));
        assert!(!block.replace("bb", 9, Kind::File));
        let left: Vec<_> = block.entries().collect();
        let replaced = Entry { inode: 9, cookie: 3, kind: Kind::Directory, name: "ccc" };
        assert_eq!(left, [entry("a", 1), replaced]);
        assert_eq!(reparse(&block), Ok(block.clone()));
        assert!(block.remove("a") && block.remove("ccc"));
        assert_eq!(block, Block::empty());
    }

    #[test]
    fn full_block_takes_no_more() {
        let mut block = Block::empty();
        let names: Vec<String> = (0..20).map(|at| format!("{at:0>255}")).collect();
        let taken = names.iter().take_while(|name| block.push(entry(name, 1))).count();
        assert_eq!(taken, ROOM / 273);
        assert!(reparse(&block).is_ok());
    }

    #[test]
    fn malformed_blocks_are_refused() {
        let mut good = Block::empty();
        assert!(good.push(entry("name", 1)));
        let damage: [(usize, u8); 8] =
            [(0, b'x'), (4, 2), (6, 200), (7, 255), (9, 1), (16, 0), (32, 9), (34, b'/')];
        for (at, value) in damage {
            let mut bytes = Box::new(*good.bytes());
            bytes[at] = value;
            assert!(Block::parse(bytes).is_err(), "byte {at} = {value}");
        }
        let mut bytes = Box::new(*good.bytes());
        bytes[4095] = 1;
        assert!(Block::parse(bytes).is_err());
        assert!(Block::parse(Box::new([0; SIZE])).is_err());
    }

    impl std::fmt::Debug for Block {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_list().entries(self.entries()).finish()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_bytes_never_panic(end in 0_usize..SIZE, tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = Box::new(*Block::empty().bytes());
            let length = tail.len().min(SIZE - 4);
            bytes[4..4 + length].copy_from_slice(&tail[..length]);
            bytes[6..8].copy_from_slice(&(end as u16).to_le_bytes());
            let _ = Block::parse(bytes);
        }
    }
}
