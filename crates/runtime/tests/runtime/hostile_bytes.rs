//! A component's bytes come from outside: whatever they are, the answer is an error or a program, never a panic.

use crate::fixture::*;
use cloister_runtime::DeployError;

#[test]
fn every_truncation_is_refused() {
    let wasm = wat::parse_str(WRITER).unwrap();
    for length in 0..wasm.len() {
        match runtime().prepare(&wasm[..length], &()) {
            // A component may end after any of its sections.
            Ok(_) => {}
            Err(error) => assert_ne!(error, DeployError::Internal, "cut at {length}"),
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let wasm = wat::parse_str(WRITER).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    let mut accepted = 0;
    for round in 0..3000 {
        let mut bytes = wasm.clone();
        for _ in 0..1 + next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        match runtime().prepare(&bytes, &()) {
            Ok(_) => accepted += 1,
            Err(error) => assert_ne!(error, DeployError::Internal, "round {round}: {bytes:?}"),
        }
    }
    assert!(accepted < 3000);
}

#[test]
fn noise_behind_a_good_preamble_is_refused() {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend([0xff; 1000]);
    assert!(matches!(runtime().prepare(&bytes, &()), Err(DeployError::Invalid { .. })));
}
