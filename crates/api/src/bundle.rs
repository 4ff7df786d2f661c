//! A bundle: a component with files and assets in one body.
//!
//! A sequence of entries, each a head of [`BUNDLE_ENTRY_HEAD`] bytes (kind u8, length of the path u16, size of the
//! contents u64, both little-endian), then the path and the contents. The component comes first and once, the end last.

/// Media type of a bundle.
pub const BUNDLE: &str = "application/vnd.cloister.bundle";

/// Bytes of an entry before its path.
pub const BUNDLE_ENTRY_HEAD: usize = 11;

/// Longest path in a bundle, in bytes.
pub const MAX_BUNDLE_PATH: usize = 4096;

/// Most files, and most assets, in a bundle.
pub const MAX_BUNDLE_FILES: u64 = 100_000;

/// Most bytes of assets in a bundle, all together.
pub const MAX_ASSETS: u64 = 8 << 30;

/// What an entry of a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// The component; its path is empty.
    Component = 1,
    /// A file that the app's directory tree begins with.
    File = 2,
    /// A file of the read-only assets, which belong to the code and are in the evidence.
    Asset = 3,
    /// The end of the bundle; path and contents are empty.
    End = 4,
}

impl EntryKind {
    /// The kind of this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Component, Self::File, Self::Asset, Self::End].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// The head of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    pub kind: EntryKind,
    /// Bytes of the path.
    pub path: u16,
    /// Bytes of the contents.
    pub size: u64,
}

impl EntryHead {
    /// The head on the wire.
    pub fn encode(&self) -> [u8; BUNDLE_ENTRY_HEAD] {
        let mut head = [0; BUNDLE_ENTRY_HEAD];
        head[0] = self.kind as u8;
        head[1..3].copy_from_slice(&self.path.to_le_bytes());
        head[3..].copy_from_slice(&self.size.to_le_bytes());
        head
    }

    /// The head that these bytes are; `None` where they are of no known kind, or where a component or an end has what
    /// only files have.
    pub fn decode(head: &[u8; BUNDLE_ENTRY_HEAD]) -> Option<Self> {
        let [kind, p0, p1, s0, s1, s2, s3, s4, s5, s6, s7] = *head;
        let entry = Self {
            kind: EntryKind::from_byte(kind)?,
            path: u16::from_le_bytes([p0, p1]),
            size: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        };
        match (entry.kind, entry.path, entry.size) {
            (EntryKind::Component, 0, _) | (EntryKind::End, 0, 0) => Some(entry),
            (EntryKind::File | EntryKind::Asset, 1.., _) => Some(entry),
            _ => None,
        }
    }
}

/// Whether a path may stand in a bundle: relative, of at most [`MAX_BUNDLE_PATH`] bytes, `/` between segments of which
/// none is empty, `.` or `..`, none longer than 255 bytes, and no NUL.
pub fn is_bundle_path(path: &str) -> bool {
    path.len() <= MAX_BUNDLE_PATH
        && !path.contains('\0')
        && path
            .split('/')
            .all(|segment| (1..=255).contains(&segment.len()) && segment != "." && segment != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_the_wire() {
        let head = EntryHead { kind: EntryKind::Asset, path: 0x0102, size: 0x0304_0506_0708_090a };
        assert_eq!(head.encode(), [3, 2, 1, 10, 9, 8, 7, 6, 5, 4, 3]);
        for head in [
            head,
            EntryHead { kind: EntryKind::Component, path: 0, size: 7 },
            EntryHead { kind: EntryKind::File, path: 1, size: 0 },
            EntryHead { kind: EntryKind::End, path: 0, size: 0 },
        ] {
            assert_eq!(EntryHead::decode(&head.encode()), Some(head));
        }
        for bad in [
            EntryHead { kind: EntryKind::Component, path: 1, size: 7 },
            EntryHead { kind: EntryKind::File, path: 0, size: 0 },
            EntryHead { kind: EntryKind::End, path: 0, size: 1 },
        ] {
            assert_eq!(EntryHead::decode(&bad.encode()), None);
        }
        assert_eq!(EntryHead::decode(&[0; BUNDLE_ENTRY_HEAD]), None);
        assert_eq!(EntryHead::decode(&[5; BUNDLE_ENTRY_HEAD]), None);
    }

    #[test]
    fn paths_lead_down_only() {
        for good in ["a", "a/b.txt", "..a", "ä/…", &"x/".repeat(2047).as_str()[..4093]] {
            assert!(is_bundle_path(good), "{good}");
        }
        let long = ["x"; 2049].join("/");
        for bad in
            ["", "/", "/a", "a/", "a//b", ".", "a/.", "..", "../a", "a/../b", "a\0b", &"x".repeat(256), &long]
        {
            assert!(!is_bundle_path(bad), "{bad}");
        }
    }
}
