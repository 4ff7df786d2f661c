//! Hashes and key derivation (TPM 2.0 Library, part 1, section 11.4), all with SHA-256.

use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Hash as _, HashContext as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of a SHA-256 digest.
pub(crate) const DIGEST: usize = 32;

/// SHA-256 of the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut context = Sha256::new();
    parts.iter().for_each(|part| context.update(part));
    digest(context.finish().as_ref())
}

/// HMAC-SHA256 of the parts, one after the other.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    digest(keyed(key, parts).finish().as_ref())
}

/// Whether `tag` is the HMAC-SHA256 of the parts, in constant time.
pub(crate) fn is_hmac(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    keyed(key, parts).verify(tag).is_ok()
}

/// KDFa: `length` bytes from a key.
pub(crate) fn kdfa(
    key: &[u8],
    label: &str,
    context_u: &[u8],
    context_v: &[u8],
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let bits = (length as u32 * 8).to_be_bytes();
    blocks(length, |counter| hmac(key, &[counter, label.as_bytes(), &[0], context_u, context_v, &bits]))
}

/// KDFe: `length` bytes from a Diffie-Hellman secret, for a use, between two parties.
pub(crate) fn kdfe(
    z: &[u8],
    usage: &str,
    party_u: &[u8],
    party_v: &[u8],
    length: usize,
) -> Zeroizing<Vec<u8>> {
    blocks(length, |counter| sha256(&[counter, z, usage.as_bytes(), &[0], party_u, party_v]))
}

/// Counts from 1 and takes as many digests as it needs.
fn blocks(length: usize, block: impl Fn(&[u8]) -> [u8; DIGEST]) -> Zeroizing<Vec<u8>> {
    let count = length.div_ceil(DIGEST) as u32;
    // All the room at once, so that no copy is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(count as usize * DIGEST));
    for counter in 1..=count {
        bytes.extend_from_slice(&*Zeroizing::new(block(&counter.to_be_bytes())));
    }
    bytes.truncate(length);
    bytes
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut hmac = Hmac::new(key);
    parts.iter().for_each(|part| hmac.update(part));
    hmac
}

fn digest(output: &[u8]) -> [u8; DIGEST] {
    output.try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, sections 4.2, 4.3 and 4.7.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        for (key, data, expected) in [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            let (start, end) = data.split_at(3);
            let tag = hmac(&key, &[start, end]);
            assert_eq!(hex::encode(tag), expected);
            assert!(is_hmac(&key, &[data], &tag));
            assert!(!is_hmac(&key, &[data], &tag[..31]));
            assert!(!is_hmac(&key, &[start], &tag));
        }
    }

    /// Vectors 35 and 38 of `kdfe.json` in the tpm-test-vectors project, which are checked against a TPM simulator.
    #[test]
    fn kdfe_is_that_of_published_vectors() {
        for (z, usage, u, v, expected) in [
            (
                "8995a6318a0217c7c7bf543f50da29016c4ff2a1ea5daf54ebcb00",
                "INTEGRITY",
                "8852f14d8e9b68",
                "74ff",
                "92343ef558feb95fd14838f9ca39c8618598a7eeb31af7fc276030b8c3ff326d4870f190e54abbec9da4",
            ),
            (
                "00",
                "OBFUSCATE",
                "ebcb3cd4a002941ed496ef1d32a70b0b7f6f05b8a51803d5a9ff9b",
                "a1f79a7ee2beee21e2bfaee67769874687bfe21b2468fc8e721b6e967e12ff",
                "dcd14d72e0d5d8ec15b5ea15ae060e02f0e042f3af7efbd73650bb4457d73b060ef8f78bdf8cea099fe98fad6359bcfe92c1c6be8a157c1064c85ada3ad2",
            ),
        ] {
            let [z, u, v] = [z, u, v].map(|text| hex::decode(text).unwrap());
            assert_eq!(hex::encode(&*kdfe(&z, usage, &u, &v, expected.len() / 2)), expected);
        }
    }

    #[test]
    fn kdfa_counts_and_names_everything_that_it_is_given() {
        let bits = 512_u32.to_be_bytes();
        let first = hmac(b"key", &[&[0, 0, 0, 1], b"ATH\0", b"u", b"v", &bits]);
        let second = hmac(b"key", &[&[0, 0, 0, 2], b"ATH\0", b"u", b"v", &bits]);
        assert_eq!(*kdfa(b"key", "ATH", b"u", b"v", 64), [first, second].concat());
        assert_ne!(kdfa(b"key", "ATH", b"u", b"v", 32)[..], first, "the length is in it");
    }
}
