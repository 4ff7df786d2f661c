//! A bundle as it comes: heads are parsed and checked, contents are handed on unread.

use bytes::{Buf, Bytes, BytesMut};
use cloister_api::{
    BUNDLE_ENTRY_HEAD, Code, EntryHead, EntryKind, MAX_ASSETS, MAX_BUNDLE_FILES, MAX_BUNDLE_PATH, Problem,
    is_bundle_path,
};

/// What stands next in a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The component begins; contents follow.
    Component { size: u64 },
    /// A file for the app's tree begins; contents follow.
    File { path: String, size: u64 },
    /// An asset begins; contents follow.
    Asset { path: String, size: u64 },
    /// Contents of what began last, never empty.
    Contents(Bytes),
}

/// What a bundle may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of the component.
    pub(super) component: u64,
    /// Bytes of all files; `None` where there must be no file.
    pub(super) files: Option<u64>,
}

/// Reads a bundle piece by piece. Memory holds one head and one path.
#[derive(Debug)]
pub(super) struct Reader {
    bounds: Bounds,
    /// A head or path that is not complete.
    begun: BytesMut,
    head: Option<EntryHead>,
    /// Contents still to come.
    remaining: u64,
    last: Option<(EntryKind, String)>,
    files: Tally,
    assets: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    count: u64,
    bytes: u64,
}

impl Reader {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            begun: BytesMut::new(),
            head: None,
            remaining: 0,
            last: None,
            files: Tally::default(),
            assets: Tally::default(),
        }
    }

    /// Takes the next bytes and adds what they complete to `parts`.
    ///
    /// # Errors
    /// [`Code::InvalidBundle`] or [`Code::ComponentTooLarge`]; the rest means nothing then.
    pub(super) fn push(&mut self, mut bytes: Bytes, parts: &mut Vec<Part>) -> Result<(), Problem> {
        while !bytes.is_empty() {
            if self.remaining > 0 {
                let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len());
                self.remaining -= length as u64;
                parts.push(Part::Contents(bytes.split_to(length)));
                continue;
            }
            if self.is_ended() {
                return Err(invalid("something comes after its end"));
            }
            let wanted = self.head.map_or(BUNDLE_ENTRY_HEAD, |head| head.path.into());
            let length = (wanted - self.begun.len()).min(bytes.len());
            self.begun.extend_from_slice(&bytes[..length]);
            bytes.advance(length);
            if self.begun.len() == wanted {
                self.complete(parts)?;
            }
        }
        Ok(())
    }

    /// Checks that the bundle is whole when nothing more comes.
    ///
    /// # Errors
    /// [`Code::InvalidBundle`].
    pub(super) fn finish(&self) -> Result<(), Problem> {
        if self.is_ended() { Ok(()) } else { Err(invalid("it has no end")) }
    }

    fn is_ended(&self) -> bool {
        self.last.as_ref().is_some_and(|(kind, _)| *kind == EntryKind::End)
    }

    /// A head or a path is there.
    fn complete(&mut self, parts: &mut Vec<Part>) -> Result<(), Problem> {
        let done = self.begun.split();
        match self.head.take() {
            None => {
                let head = <&[u8; BUNDLE_ENTRY_HEAD]>::try_from(&done[..])
                    .ok()
                    .and_then(EntryHead::decode)
                    .ok_or_else(|| invalid("an entry has a head of no known kind"))?;
                if usize::from(head.path) > MAX_BUNDLE_PATH {
                    return Err(invalid(format!("a path has at most {MAX_BUNDLE_PATH} bytes")));
                }
                if head.path > 0 {
                    self.head = Some(head);
                    return Ok(());
                }
                self.enter(head, String::new(), parts)
            }
            Some(head) => {
                let path =
                    std::str::from_utf8(&done).ok().filter(|path| is_bundle_path(path)).ok_or_else(|| {
                        invalid(format!(
                            "'{}' is not a path in it",
                            done[..done.len().min(SHOWN)].escape_ascii()
                        ))
                    })?;
                self.enter(head, path.to_owned(), parts)
            }
        }
    }

    fn enter(&mut self, head: EntryHead, path: String, parts: &mut Vec<Part>) -> Result<(), Problem> {
        let EntryHead { kind, size, .. } = head;
        match (&self.last, kind) {
            (None, EntryKind::Component) if size > self.bounds.component => {
                return Err(too_large(self.bounds.component));
            }
            (None, EntryKind::Component) => {}
            (None, _) => return Err(invalid("its first entry is not the component")),
            (Some(last), _) if (last.0 as u8, last.1.as_str()) >= (kind as u8, path.as_str()) => {
                return Err(invalid(format!(
                    "'{path}' does not come after the entry before: files come first, then assets, both in the order of \
                     their paths' bytes and each once"
                )));
            }
            (Some(_), _) => {}
        }
        match kind {
            EntryKind::File => {
                let most = self.bounds.files.ok_or_else(|| {
                    invalid("it has files, and a replacement keeps the files that the app has: leave them out, or remove the app first")
                })?;
                self.files.add(size, most, "files, as the app's limit 'storage' says")?;
            }
            EntryKind::Asset => self.assets.add(size, MAX_ASSETS, "assets")?,
            EntryKind::Component | EntryKind::End => {}
        }
        self.remaining = size;
        self.last = Some((kind, path.clone()));
        match kind {
            EntryKind::Component => parts.push(Part::Component { size }),
            EntryKind::File => parts.push(Part::File { path, size }),
            EntryKind::Asset => parts.push(Part::Asset { path, size }),
            EntryKind::End => {}
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, size: u64, most: u64, what: &str) -> Result<(), Problem> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.count > MAX_BUNDLE_FILES {
            return Err(invalid(format!("it has more than {MAX_BUNDLE_FILES} {what}")));
        }
        if self.bytes > most {
            return Err(invalid(format!("it has more than {most} bytes of {what}")));
        }
        Ok(())
    }
}

/// The problem of a component above `limit` bytes.
pub(super) fn too_large(limit: u64) -> Problem {
    Problem::new(
        Code::ComponentTooLarge,
        format!("this image takes components of at most {limit} bytes, and this one is larger"),
    )
}

fn invalid(why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidBundle, format!("the bundle cannot be used: {why}"))
}

/// Bytes of a bad path that its problem repeats.
const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { component: 10, files: Some(20) };

    fn entry(kind: EntryKind, path: &str, contents: &[u8]) -> Vec<u8> {
        let head = EntryHead { kind, path: path.len() as u16, size: contents.len() as u64 };
        [&head.encode()[..], path.as_bytes(), contents].concat()
    }

    fn bundle(entries: &[(EntryKind, &str, &[u8])]) -> Vec<u8> {
        entries.iter().flat_map(|(kind, path, contents)| entry(*kind, path, contents)).collect()
    }

    fn read(bytes: &[u8], step: usize, bounds: Bounds) -> Result<Vec<Part>, Problem> {
        let (mut reader, mut parts) = (Reader::new(bounds), Vec::new());
        for piece in bytes.chunks(step) {
            reader.push(Bytes::copy_from_slice(piece), &mut parts)?;
        }
        reader.finish()?;
        // Contents that came in pieces, joined.
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Part::Contents(before)), Part::Contents(more)) => {
                    *before = [&before[..], &more[..]].concat().into();
                }
                (_, part) => joined.push(part),
            }
        }
        Ok(joined)
    }

    #[test]
    fn a_bundle_is_read_in_pieces_of_any_size() {
        use EntryKind::{Asset, Component, End, File};
        let bytes = bundle(&[
            (Component, "", b"wasm"),
            (File, "a", b""),
            (File, "a/b", b"12345"),
            (Asset, "a", b"67"),
            (End, "", b""),
        ]);
        let contents = |bytes: &'static [u8]| Part::Contents(Bytes::from_static(bytes));
        let expected = [
            Part::Component { size: 4 },
            contents(b"wasm"),
            Part::File { path: "a".into(), size: 0 },
            Part::File { path: "a/b".into(), size: 5 },
            contents(b"12345"),
            Part::Asset { path: "a".into(), size: 2 },
            contents(b"67"),
        ];
        for step in 1..=bytes.len() {
            assert_eq!(read(&bytes, step, BOUNDS).unwrap(), expected, "{step}");
        }
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], 7, BOUNDS).unwrap_err().code, Code::InvalidBundle, "{length}");
        }
    }

    #[test]
    fn what_is_no_bundle_is_refused_with_the_reason() {
        use EntryKind::{Asset, Component, End, File};
        let refused = |entries: &[(EntryKind, &str, &[u8])], reason: &str| {
            let problem = read(&bundle(entries), 5, BOUNDS).unwrap_err();
            assert!(problem.detail.contains(reason), "{entries:?}: {}", problem.detail);
        };
        refused(&[(End, "", b"")], "first entry is not the component");
        refused(&[(File, "a", b"")], "first entry is not the component");
        refused(&[(Component, "", b"12345678901")], "at most 10 bytes");
        refused(&[(Component, "", b""), (Component, "", b"")], "does not come after");
        refused(&[(Component, "", b""), (File, "b", b""), (File, "a", b"")], "'a' does not come after");
        refused(&[(Component, "", b""), (File, "a", b""), (File, "a", b"")], "'a' does not come after");
        refused(&[(Component, "", b""), (Asset, "a", b""), (File, "b", b"")], "'b' does not come after");
        refused(&[(Component, "", b""), (End, "", b""), (End, "", b"")], "after its end");
        refused(
            &[(Component, "", b""), (File, "a", &[0; 15]), (File, "b", &[0; 6])],
            "more than 20 bytes of files",
        );
        for path in ["../a", "/a", "a//b", "a/./b", "a\0", "."] {
            refused(&[(Component, "", b""), (Asset, path, b"")], "is not a path");
        }
        let kind = [&entry(Component, "", b"")[..], &[9; 11]].concat();
        assert!(read(&kind, 64, BOUNDS).unwrap_err().detail.contains("no known kind"));
        let bad = [&entry(Component, "", b"")[..], &[2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]].concat();
        assert!(read(&bad, 64, BOUNDS).unwrap_err().detail.contains("is not a path"));
        let long = EntryHead { kind: Asset, path: 4097, size: 0 }.encode();
        let long = [&entry(Component, "", b"")[..], &long].concat();
        assert!(read(&long, 64, BOUNDS).unwrap_err().detail.contains("at most 4096"));
    }

    #[test]
    fn a_replacement_has_no_files() {
        use EntryKind::{Asset, Component, End, File};
        let bounds = Bounds { files: None, ..BOUNDS };
        let with = |kind| bundle(&[(Component, "", b""), (kind, "a", b""), (End, "", b"")]);
        assert!(read(&with(Asset), 64, bounds).is_ok());
        assert!(read(&with(File), 64, bounds).unwrap_err().detail.contains("a replacement keeps the files"));
    }

    #[test]
    fn assets_are_bounded_by_what_heads_say() {
        let head = EntryHead { kind: EntryKind::Asset, path: 1, size: MAX_ASSETS + 1 }.encode();
        let bytes = [&entry(EntryKind::Component, "", b"")[..], &head, b"a"].concat();
        assert!(read(&bytes, 64, BOUNDS).unwrap_err().detail.contains("bytes of assets"));
    }
}
