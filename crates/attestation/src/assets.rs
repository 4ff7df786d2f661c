use crate::HASH_LEN;
use crate::codec::Writer;
use graviola::hashing::sha2::Sha256Context;

/// The hash of an app's assets, made file by file: SHA-256 over one entry each, ascending by the bytes of their paths,
/// none twice. `docs/design/evidence.md` has the bytes of an entry.
#[derive(Clone)]
pub struct AssetsHash {
    entries: Sha256Context,
    last: Option<String>,
}

impl AssetsHash {
    /// Of no file yet.
    pub fn new() -> Self {
        Self { entries: Sha256Context::new(), last: None }
    }

    /// Adds the next file: its path below the assets' directory with `/` between the segments, its size in bytes and the
    /// SHA-256 of its contents.
    ///
    /// # Errors
    /// [`AssetsOutOfOrder`] where the path does not come after the one before.
    pub fn add(&mut self, path: &str, size: u64, contents: &[u8; HASH_LEN]) -> Result<(), AssetsOutOfOrder> {
        if self.last.as_deref().is_some_and(|last| last >= path) {
            return Err(AssetsOutOfOrder(path.to_owned()));
        }
        let mut writer = Writer::default();
        writer.array(3);
        writer.text(path);
        writer.uint(size);
        writer.bytes(contents);
        self.entries.update(&writer.finish());
        self.last = Some(path.to_owned());
        Ok(())
    }

    /// The hash of all files; `None` where there was none.
    pub fn finish(self) -> Option<[u8; HASH_LEN]> {
        self.last.map(|_| self.entries.finish())
    }
}

impl Default for AssetsHash {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for AssetsHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssetsHash").field("last", &self.last).finish_non_exhaustive()
    }
}

/// The files were not given in the order of their paths, each once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "assets are hashed in the order of their paths' bytes, each once, and '{0}' does not come after the one before"
)]
pub struct AssetsOutOfOrder(pub String);

/// SHA-256 of contents that come in pieces.
#[derive(Clone)]
pub struct ContentsHash(Sha256Context);

impl ContentsHash {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(Sha256Context::new())
    }

    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> [u8; HASH_LEN] {
        self.0.finish()
    }
}

impl Default for ContentsHash {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ContentsHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContentsHash").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256;

    /// The annotated example of `docs/design/evidence.md`.
    #[test]
    fn the_documented_hash_is_what_is_made() {
        let mut hash = AssetsHash::new();
        hash.add("css/site.css", 0, &sha256(b"")).unwrap();
        hash.add("index.html", 3, &sha256(b"abc")).unwrap();
        let entries = [
            &[0x83, 0x6c][..],
            b"css/site.css",
            &[0x00, 0x58, 0x20],
            &sha256(b""),
            &[0x83, 0x6a],
            b"index.html",
            &[0x03, 0x58, 0x20],
            &sha256(b"abc"),
        ]
        .concat();
        let found = hash.finish().unwrap();
        assert_eq!(found, sha256(&entries));
        let page = include_str!("../../../docs/design/evidence.md");
        assert!(page.contains(&hex::encode(found)), "the page states {}", hex::encode(found));
    }

    #[test]
    fn order_is_that_of_bytes_and_nothing_comes_twice() {
        let mut hash = AssetsHash::new();
        for path in ["B", "a", "a-b", "a/b", "ä"] {
            hash.add(path, 0, &[0; HASH_LEN]).unwrap();
        }
        for path in ["a", "ä"] {
            assert_eq!(hash.add(path, 0, &[0; HASH_LEN]), Err(AssetsOutOfOrder(path.into())));
        }
    }

    #[test]
    fn no_files_have_no_hash() {
        assert_eq!(AssetsHash::new().finish(), None);
    }

    #[test]
    fn pieces_have_the_hash_of_the_whole() {
        let mut hash = ContentsHash::new();
        hash.update(b"a");
        hash.update(b"bc");
        assert_eq!(hash.finish(), sha256(b"abc"));
    }
}
