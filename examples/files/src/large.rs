//! Files too large for memory, in pieces.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Writes the second half first: a hole until the first half is there.
pub fn write(path: &Path, bytes: u64, seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let half = bytes / 2 / PIECE * PIECE;
    for (from, to) in [(half, bytes), (0, half)] {
        file.seek(SeekFrom::Start(from))?;
        let mut at = from;
        while at < to {
            let piece = piece(at, to - at, seed);
            file.write_all(&piece)?;
            at += piece.len() as u64;
        }
    }
    file.sync_all()
}

pub fn check(path: &Path, bytes: u64, seed: u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != bytes {
        return Ok(false);
    }
    let mut at = 0;
    let mut read = vec![0; PIECE as usize];
    while at < bytes {
        let expected = piece(at, bytes - at, seed);
        let read = &mut read[..expected.len()];
        file.read_exact(read)?;
        if read != expected {
            return Ok(false);
        }
        at += expected.len() as u64;
    }
    Ok(file.read(&mut read)? == 0)
}

/// What lies from `at` on: [`PIECE`] bytes at most. `at` is a multiple of 8.
fn piece(at: u64, left: u64, seed: u64) -> Vec<u8> {
    let length = left.min(PIECE) as usize;
    let mut bytes = Vec::with_capacity(length + 8);
    let mut word = at / 8;
    while bytes.len() < length {
        bytes.extend_from_slice(&mixed(word ^ seed).to_le_bytes());
        word += 1;
    }
    bytes.truncate(length);
    bytes
}

/// Every word is another: a piece in the wrong place is found.
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^ (word >> 29)
}

const PIECE: u64 = 256 << 10;
