//! A bundle of a deploy, in pieces as they come: where it is cut changes nothing.
#![no_main]

use bytes::Bytes;

use bundle::{Bounds, Part, Reader};

#[allow(dead_code, reason = "the enclave uses all of it")]
#[path = "../../crates/enclave/src/deploy/bundle.rs"]
mod bundle;

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    let whole = read(&bytes, bytes.len().max(1));
    let cut = read(&bytes, usize::from(piece).max(1));
    assert_eq!(whole, cut);
    if let Ok(parts) = whole {
        assert!(matches!(parts.first(), Some(Part::Component { .. })));
        let said: u64 = parts
            .iter()
            .map(|part| match part {
                Part::Component { size } | Part::File { size, .. } | Part::Asset { size, .. } => *size,
                Part::Contents(_) => 0,
            })
            .sum();
        let came: usize =
            parts.iter().map(|part| if let Part::Contents(bytes) = part { bytes.len() } else { 0 }).sum();
        assert_eq!(said, came as u64);
    }
});

/// What a bundle holds, contents put together; or why it is none.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Part>, String> {
    let mut reader = Reader::new(Bounds { component: 1 << 20, files: Some(1 << 20) });
    let mut parts = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece), &mut parts).map_err(|problem| problem.to_string())?;
    }
    reader.finish().map_err(|problem| problem.to_string())?;
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        match (joined.last_mut(), part) {
            (Some(Part::Contents(before)), Part::Contents(more)) => {
                *before = [&before[..], &more].concat().into()
            }
            (_, part) => joined.push(part),
        }
    }
    Ok(joined)
}
