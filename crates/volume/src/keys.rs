//! Keys: the hierarchy from the volume key down, and nonces that never repeat.
//!
//! ```text
//! sealing key (EGETKEY) ── wraps ──▶ volume key, random
//!                                     ├─▶ superblock key ─┐
//!                                     ├─▶ structure key ──┼─▶ block keys, one a key id
//!                                     └─▶ anchor secret   │
//! dataset key, random, in the catalog ────────────────────┘
//! ```
//!
//! Whoever writes draws a key id of its own from the CPU and counts its blocks in memory. No key id is ever taken from
//! the disk to write with, so no state that the host could bring back decides a nonce.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cloister_tee::{RandomError, random};
use graviola::aead::AesGcm;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::layout::KeyId;

/// 256 bits of key.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Blocks that are written under one key id before another is drawn.
const BLOCKS_PER_KEY: u64 = 1 << 32;

/// Block keys that a ring remembers.
const REMEMBERED: usize = 1024;

/// A fresh random key.
pub(crate) fn draw() -> Result<Key, RandomError> {
    let mut key = Key::default();
    random(&mut *key)?;
    Ok(key)
}

/// The key for `purpose` below `key`.
pub(crate) fn derive(key: &[u8; 32], purpose: &[&[u8]]) -> Key {
    let mut derived = Key::default();
    let extracted = Hkdf::<Sha256>::new(None, key);
    // HKDF refuses only outputs of more than 8,160 bytes.
    if extracted.expand_multi_info(purpose, &mut *derived).is_err() {
        unreachable!("32 bytes are a valid length for HKDF-SHA256");
    }
    derived
}

/// AES-256-GCM under one block key.
pub(crate) struct Cipher(AesGcm);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// The bytes are not what was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

impl Cipher {
    /// `key` has 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Cipher {
        Cipher(AesGcm::new(key))
    }

    pub(crate) fn seal(&self, counter: u64, aad: &[u8], bytes: &mut [u8]) -> [u8; 16] {
        self.seal_with(&nonce(counter), aad, bytes)
    }

    pub(crate) fn seal_with(&self, nonce: &[u8; 12], aad: &[u8], bytes: &mut [u8]) -> [u8; 16] {
        let mut tag = [0; 16];
        self.0.encrypt(nonce, aad, bytes, &mut tag);
        tag
    }

    pub(crate) fn open(
        &self,
        counter: u64,
        aad: &[u8],
        bytes: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), NotAuthentic> {
        self.open_with(&nonce(counter), aad, bytes, tag)
    }

    pub(crate) fn open_with(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        bytes: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), NotAuthentic> {
        self.0.decrypt(nonce, aad, bytes, tag).map_err(|_| NotAuthentic)
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// The block keys below one key.
pub(crate) struct KeyRing {
    key: Key,
    ciphers: HashMap<KeyId, Arc<Cipher>>,
    writer: Option<Writer>,
}

/// A key id that this mount drew, and how many blocks were written under it.
struct Writer {
    id: KeyId,
    cipher: Arc<Cipher>,
    counter: u64,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing")
    }
}

impl KeyRing {
    pub(crate) fn new(key: Key) -> KeyRing {
        KeyRing { key, ciphers: HashMap::new(), writer: None }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The cipher for a block that was written under `id`.
    pub(crate) fn cipher(&mut self, id: &KeyId) -> Arc<Cipher> {
        if let Some(cipher) = self.ciphers.get(id) {
            return Arc::clone(cipher);
        }
        let cipher = Arc::new(self.derive_block_key(id));
        if self.ciphers.len() >= REMEMBERED {
            self.ciphers.clear();
        }
        self.ciphers.insert(*id, Arc::clone(&cipher));
        cipher
    }

    /// Makes sure that [`KeyRing::next`] can be called `blocks` times.
    pub(crate) fn prepare(&mut self, blocks: u64) -> Result<(), RandomError> {
        if self.writer.as_ref().is_some_and(|writer| writer.counter + blocks <= BLOCKS_PER_KEY) {
            return Ok(());
        }
        let mut id = KeyId::default();
        random(&mut id)?;
        self.writer = Some(Writer { cipher: self.cipher(&id), id, counter: 0 });
        Ok(())
    }

    /// The key and nonce for one block, never given again; none where [`KeyRing::prepare`] did not provide for it.
    pub(crate) fn next(&mut self) -> Option<(KeyId, u64, Arc<Cipher>)> {
        let writer = self.writer.as_mut().filter(|writer| writer.counter < BLOCKS_PER_KEY)?;
        let counter = writer.counter;
        writer.counter += 1;
        Some((writer.id, counter, Arc::clone(&writer.cipher)))
    }

    fn derive_block_key(&self, id: &KeyId) -> Cipher {
        Cipher::new(&*derive(&self.key, &[b"cloister volume 1 block key", id]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nonces_never_repeat_across_mounts_of_one_key() {
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let mut ring = KeyRing::new(Key::new([7; 32]));
            assert!(ring.next().is_none(), "a writer without a key of its own");
            ring.prepare(50).unwrap();
            for _ in 0..50 {
                let (id, counter, _) = ring.next().unwrap();
                assert!(seen.insert((id, counter)));
            }
        }
    }

    #[test]
    fn a_spent_key_is_replaced() {
        let mut ring = KeyRing::new(Key::new([7; 32]));
        ring.prepare(1).unwrap();
        ring.writer.as_mut().unwrap().counter = BLOCKS_PER_KEY - 1;
        let (first, counter, _) = ring.next().unwrap();
        assert_eq!(counter, BLOCKS_PER_KEY - 1);
        assert!(ring.next().is_none());
        ring.prepare(1).unwrap();
        let (second, counter, _) = ring.next().unwrap();
        assert_ne!(first, second);
        assert_eq!(counter, 0);
    }

    #[test]
    fn a_block_opens_only_at_its_own_place() {
        let mut ring = KeyRing::new(Key::new([1; 32]));
        let cipher = ring.cipher(&[2; 12]);
        let mut bytes = *b"sixteen bytes...";
        let tag = cipher.seal(3, b"here", &mut bytes);
        let sealed = bytes;
        assert_eq!(cipher.open(3, b"there", &mut bytes.clone(), &tag), Err(NotAuthentic));
        assert_eq!(cipher.open(4, b"here", &mut bytes.clone(), &tag), Err(NotAuthentic));
        assert_eq!(ring.cipher(&[3; 12]).open(3, b"here", &mut bytes.clone(), &tag), Err(NotAuthentic));
        cipher.open(3, b"here", &mut bytes, &tag).unwrap();
        assert_eq!(&bytes, b"sixteen bytes...");
        assert_ne!(sealed, bytes);
    }

    #[test]
    fn many_old_keys_stay_within_bounds() {
        let mut ring = KeyRing::new(Key::new([1; 32]));
        for number in 0..3000_u32 {
            let mut id = KeyId::default();
            id[..4].copy_from_slice(&number.to_le_bytes());
            ring.cipher(&id);
        }
        assert!(ring.ciphers.len() <= REMEMBERED);
    }
}
