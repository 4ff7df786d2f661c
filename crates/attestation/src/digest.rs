use crate::HASH_LEN;
use graviola::hashing::sha2::Sha256Context;

/// SHA-256 (FIPS 180-4, section 6.2).
pub fn sha256(message: &[u8]) -> [u8; HASH_LEN] {
    let mut context = Sha256Context::new();
    context.update(message);
    context.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_abc_is_that_of_fips_180_4() {
        assert_eq!(
            hex::encode(sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
