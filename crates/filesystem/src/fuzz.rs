//! What a fuzzer drives: parsers of bytes that come back from the volume. None of them panics.
#![doc(hidden)]

use crate::{attributes::Inode, directory::Directory};

/// Parses bytes as those of a directory's object.
pub fn directory(bytes: &[u8]) {
    let _ = Directory::parse(bytes);
}

/// Parses bytes as an inode's attributes.
pub fn attributes(bytes: &[u8]) {
    if let Some(attributes) = bytes.first_chunk() {
        let _ = Inode::decode(attributes);
    }
}
