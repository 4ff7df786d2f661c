//! Values sealed under an app's key.
//!
//! A sealed value is `key id (12) ‖ counter (6, big-endian) ‖ tag (16) ‖ ciphertext`, AES-256-GCM with the stored key,
//! namespace included, as associated data: a value that is moved to another key does not open.
//!
//! The key id is drawn at random when a sealer first seals and again after [`SEALS_PER_KEY`] values; the key is
//! HKDF-SHA256 of the app's key with the id, and the nonce is the counter. A counter lives in memory and never repeats
//! under one id, so no nonce repeats whatever becomes of the disk.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use graviola::aead::AesGcm;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::KvError;

/// Seals and opens the values of one app.
pub(super) struct Sealer {
    app_key: Zeroizing<[u8; 32]>,
    writer: Mutex<Option<Writer>>,
    /// Keys that were derived for values, the latest last.
    derived: Mutex<VecDeque<(KeyId, Arc<AesGcm>)>>,
}

struct Writer {
    id: KeyId,
    key: Arc<AesGcm>,
    counter: u64,
}

type KeyId = [u8; 12];

impl Sealer {
    pub(super) fn new(app_key: Zeroizing<[u8; 32]>) -> Sealer {
        Sealer { app_key, writer: Mutex::default(), derived: Mutex::default() }
    }

    pub(super) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, KvError> {
        let (id, counter, cipher) = self.next()?;
        let mut sealed = Vec::with_capacity(SEAL + value.len());
        sealed.extend_from_slice(&id);
        sealed.extend_from_slice(&counter.to_be_bytes()[2..]);
        sealed.extend_from_slice(&[0; 16]);
        sealed.extend_from_slice(value);
        let mut tag = [0; 16];
        cipher.encrypt(&nonce(&sealed[12..18]), key, &mut sealed[SEAL..], &mut tag);
        sealed[18..SEAL].copy_from_slice(&tag);
        Ok(sealed)
    }

    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KvError> {
        let (head, ciphertext) = sealed.split_at_checked(SEAL).ok_or(KvError::Unsealed)?;
        let (id, rest) = head.split_first_chunk::<12>().ok_or(KvError::Unsealed)?;
        let (counter, tag) = rest.split_at(6);
        let mut value = ciphertext.to_vec();
        self.derived(id).decrypt(&nonce(counter), key, &mut value, tag).map_err(|_| KvError::Unsealed)?;
        Ok(value)
    }

    /// A key and a counter that were never used together.
    fn next(&self) -> Result<(KeyId, u64, Arc<AesGcm>), KvError> {
        let mut writer = lock(&self.writer);
        let fresh = match writer.take() {
            Some(writer) if writer.counter < SEALS_PER_KEY => writer,
            _ => {
                let mut id = KeyId::default();
                cloister_tee::random(&mut id)?;
                Writer { id, key: self.derived(&id), counter: 0 }
            }
        };
        let used = (fresh.id, fresh.counter, Arc::clone(&fresh.key));
        *writer = Some(Writer { counter: fresh.counter + 1, ..fresh });
        Ok(used)
    }

    fn derived(&self, id: &KeyId) -> Arc<AesGcm> {
        let mut derived = lock(&self.derived);
        if let Some(at) = derived.iter().position(|(known, _)| known == id)
            && let Some(found) = derived.remove(at)
        {
            let key = Arc::clone(&found.1);
            derived.push_back(found);
            return key;
        }
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.app_key[..])
            .expand_multi_info(&[LABEL, id], &mut key[..])
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        let key = Arc::new(AesGcm::new(&key[..]));
        if derived.len() == DERIVED_KEYS {
            derived.pop_front();
        }
        derived.push_back((*id, Arc::clone(&key)));
        key
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

fn nonce(counter: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[6..].copy_from_slice(counter);
    nonce
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes before the ciphertext.
pub(super) const SEAL: usize = 12 + 6 + 16;
/// Values under one key id. NIST SP 800-38D, section 8.3, allows 2^32 with a deterministic nonce and more.
const SEALS_PER_KEY: u64 = 1 << 32;
/// Derived keys that are kept: values are mostly read under the ids of the latest few runs.
const DERIVED_KEYS: usize = 32;
const LABEL: &[u8] = b"cloister key-value\0";

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_value_opens_under_its_app_and_its_key_alone() {
        let sealed = sealer(1).seal(b"app:a/k", b"value").unwrap();
        assert_eq!(sealer(1).open(b"app:a/k", &sealed).unwrap(), b"value");
        assert!(matches!(sealer(1).open(b"app:a/l", &sealed), Err(KvError::Unsealed)));
        assert!(matches!(sealer(2).open(b"app:a/k", &sealed), Err(KvError::Unsealed)));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_found() {
        let sealer = sealer(1);
        let sealed = sealer.seal(b"k", b"value").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(b"k", &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(sealer.open(b"k", &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn no_nonce_repeats_and_a_new_sealer_has_a_new_key() {
        let (a, b) = (sealer(1), sealer(1));
        let mut heads = std::collections::HashSet::new();
        for _ in 0..100 {
            for sealer in [&a, &b] {
                heads.insert(sealer.seal(b"k", b"").unwrap()[..18].to_vec());
            }
        }
        assert_eq!(heads.len(), 200);
        assert_eq!(heads.iter().map(|head| &head[..12]).collect::<std::collections::HashSet<_>>().len(), 2);
    }

    #[test]
    fn a_key_that_was_used_up_is_drawn_anew() {
        let sealer = sealer(1);
        let first = sealer.seal(b"k", b"v").unwrap();
        lock(&sealer.writer).as_mut().unwrap().counter = SEALS_PER_KEY;
        let second = sealer.seal(b"k", b"v").unwrap();
        assert_ne!(first[..12], second[..12]);
        assert_eq!(second[12..18], [0; 6]);
        assert_eq!(sealer.open(b"k", &first).unwrap(), sealer.open(b"k", &second).unwrap());
    }
}
