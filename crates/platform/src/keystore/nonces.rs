//! Which initialization vectors an app's keys have encrypted with, since the enclave started.
//!
//! They are remembered for the key's value, not for its name: under a fingerprint that only this memory can make. Vectors
//! that follow one another as 96-bit numbers are one range, so those of a counter cost nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::primitives::{CIPHER_KEY_BYTES, IV_BYTES, hmac};
use crate::{Error, HmacAlgorithm};

/// The memory of one app.
#[derive(Debug)]
pub(crate) struct Nonces {
    used: Mutex<Used>,
    limits: Limits,
}

/// What is remembered of one key's value.
#[derive(Debug)]
pub(crate) struct KeyNonces {
    memory: Arc<Nonces>,
    key: Fingerprint,
    outlives_key: AtomicBool,
}

/// How long the vectors of a key are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    /// Until the enclave stops, since the key's value can come back: it was imported, or persisted.
    Always,
    /// As long as the key: nobody else ever had it.
    WithKey,
}

impl Nonces {
    /// What is remembered of this key, now and from now on.
    ///
    /// # Errors
    /// [`Error::NoRandomness`], of the first key.
    pub(crate) fn of(
        self: &Arc<Self>,
        key: &[u8; CIPHER_KEY_BYTES],
        remembered: Remembered,
    ) -> Result<KeyNonces, Error> {
        let key = self.used().fingerprint(key)?;
        let outlives_key = AtomicBool::new(remembered == Remembered::Always);
        Ok(KeyNonces { memory: Arc::clone(self), key, outlives_key })
    }

    fn with_limits(limits: Limits) -> Self {
        Self { used: Mutex::default(), limits }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_limits(Limits {
            of_key: MAX_RANGES_OF_KEY,
            of_app: MAX_RANGES_OF_APP,
            of_app_always: RANGES_OF_APP_ALWAYS,
            of_all: MAX_RANGES,
            all: &RANGES,
        })
    }
}

impl Drop for Nonces {
    fn drop(&mut self) {
        let ranges = self.used().ranges.len();
        self.limits.all.fetch_sub(ranges, Ordering::Relaxed);
    }
}

impl KeyNonces {
    /// Remembers an `iv` before it is used. Of calls at the same time with the same one, one succeeds.
    ///
    /// # Errors
    /// [`Error::IvUsed`], [`Error::KeyExhausted`] and [`Error::IvsExhausted`].
    pub(crate) fn spend(&self, iv: &Iv) -> Result<(), Error> {
        self.memory.used().spend(self.key, iv, &self.memory.limits)
    }

    /// From now on the vectors are remembered when the key is gone, too.
    pub(crate) fn remember_always(&self) {
        self.outlives_key.store(true, Ordering::Relaxed);
    }
}

impl Drop for KeyNonces {
    fn drop(&mut self) {
        if !*self.outlives_key.get_mut() {
            let forgotten = self.memory.used().forget(&self.key);
            self.memory.limits.all.fetch_sub(forgotten, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Used {
    /// Makes fingerprints. Drawn for the first key.
    secret: Option<Zeroizing<[u8; 32]>>,
    /// The first and the last of vectors that follow one another.
    ranges: BTreeMap<(Fingerprint, Iv), Iv>,
    /// How many ranges each key has.
    keys: HashMap<Fingerprint, usize>,
}

impl Used {
    fn fingerprint(&mut self, key: &[u8; CIPHER_KEY_BYTES]) -> Result<Fingerprint, Error> {
        let secret = match &mut self.secret {
            Some(secret) => secret,
            none => {
                let mut secret = Zeroizing::new([0; 32]);
                cloister_tee::random(secret.as_mut_slice())?;
                none.insert(secret)
            }
        };
        let code = hmac(HmacAlgorithm::HmacSha256, secret.as_slice(), key);
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(&code[..size_of::<Fingerprint>()]);
        Ok(fingerprint)
    }

    fn spend(&mut self, key: Fingerprint, iv: &Iv, limits: &Limits) -> Result<(), Error> {
        let before = self.ranges.range((key, FIRST_IV)..=(key, *iv)).next_back();
        let before = before.map(|(&(_, first), &last)| (first, last));
        if before.is_some_and(|(_, last)| *iv <= last) {
            return Err(Error::IvUsed);
        }
        let before = before.filter(|(_, last)| next(last) == Some(*iv));
        let after = next(iv).filter(|next| self.ranges.contains_key(&(key, *next)));
        if before.is_none() && after.is_none() {
            let of_key = self.keys.get(&key).copied().unwrap_or(0);
            limits.take(of_key, self.ranges.len())?;
        }
        let last = after.and_then(|after| self.ranges.remove(&(key, after)));
        let first = before.map_or(*iv, |(first, _)| first);
        self.ranges.insert((key, first), last.unwrap_or(*iv));
        match (before, last) {
            (None, None) => *self.keys.entry(key).or_default() += 1,
            (Some(_), Some(_)) => {
                limits.all.fetch_sub(1, Ordering::Relaxed);
                self.keys.entry(key).and_modify(|ranges| *ranges -= 1);
            }
            _ => {}
        }
        Ok(())
    }

    /// Says how many ranges were forgotten.
    fn forget(&mut self, key: &Fingerprint) -> usize {
        let ranges = self.keys.remove(key).unwrap_or(0);
        for _ in 0..ranges {
            let first = self.ranges.range((*key, FIRST_IV)..=(*key, LAST_IV)).next().map(|(first, _)| *first);
            first.map(|first| self.ranges.remove(&first));
        }
        ranges
    }
}

/// How many ranges are remembered.
#[derive(Clone, Copy, Debug)]
struct Limits {
    of_key: usize,
    of_app: usize,
    /// As many an app may have even where others use up `of_all`.
    of_app_always: usize,
    of_all: usize,
    /// How many all apps have.
    all: &'static AtomicUsize,
}

impl Limits {
    /// Takes one range more for a key that has `of_key`, of an app that has `of_app`.
    fn take(&self, of_key: usize, of_app: usize) -> Result<(), Error> {
        if of_key >= self.of_key {
            return Err(Error::KeyExhausted);
        }
        if of_app >= self.of_app {
            return Err(Error::IvsExhausted);
        }
        let all = self.all.fetch_add(1, Ordering::Relaxed);
        if of_app >= self.of_app_always && all >= self.of_all {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::IvsExhausted);
        }
        Ok(())
    }
}

/// The vector after this one, as a number.
fn next(iv: &Iv) -> Option<Iv> {
    let mut number = [0; 16];
    number[4..].copy_from_slice(iv);
    let number = u128::from_be_bytes(number) + 1;
    let mut next = LAST_IV;
    let bytes = number.to_be_bytes();
    next.copy_from_slice(&bytes[4..]);
    (bytes[3] == 0).then_some(next)
}

type Iv = [u8; IV_BYTES];
/// As much of an HMAC of the key as makes two keys of one fingerprint impossible to find.
type Fingerprint = [u8; 16];

const FIRST_IV: Iv = [0; IV_BYTES];
const LAST_IV: Iv = [u8::MAX; IV_BYTES];
/// Ranges of one key.
const MAX_RANGES_OF_KEY: usize = 65_536;
/// Ranges of one app: about 25 MB.
const MAX_RANGES_OF_APP: usize = 262_144;
/// Ranges that an app may have whatever others have.
const RANGES_OF_APP_ALWAYS: usize = 4_096;
/// Ranges of all apps, as long as each has no more than [`RANGES_OF_APP_ALWAYS`]: about 100 MB.
const MAX_RANGES: usize = 1_048_576;

static RANGES: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn an_iv_is_spent_once() {
        let key = key(&memory(limits()), 1, Remembered::Always);
        key.spend(&iv(7)).unwrap();
        assert_eq!(key.spend(&iv(7)), Err(Error::IvUsed));
        key.spend(&iv(8)).unwrap();
        key.spend(&iv(6)).unwrap();
        for used in 6..=8 {
            assert_eq!(key.spend(&iv(used)), Err(Error::IvUsed));
        }
    }

    #[test]
    fn counters_cost_one_range_in_either_direction() {
        let memory = memory(limits());
        let (up, down) = (key(&memory, 1, Remembered::Always), key(&memory, 2, Remembered::Always));
        for n in 0..1_000 {
            up.spend(&iv(n)).unwrap();
            down.spend(&iv(1_000 - n)).unwrap();
        }
        assert_eq!(memory.used().ranges.len(), 2);
        assert_eq!(limits_left(&memory), 2);
    }

    #[test]
    fn the_vector_between_two_ranges_joins_them() {
        let memory = memory(limits());
        let key = key(&memory, 1, Remembered::Always);
        key.spend(&iv(1)).unwrap();
        key.spend(&iv(3)).unwrap();
        assert_eq!(memory.used().ranges.len(), 2);
        key.spend(&iv(2)).unwrap();
        assert_eq!(memory.used().ranges.len(), 1);
        assert_eq!(memory.used().keys[&key.key], 1);
        assert_eq!(limits_left(&memory), 1);
    }

    #[test]
    fn the_ends_of_all_numbers_do_not_join() {
        let key = key(&memory(limits()), 1, Remembered::Always);
        for end in [FIRST_IV, LAST_IV] {
            key.spend(&end).unwrap();
            assert_eq!(key.spend(&end), Err(Error::IvUsed));
        }
        assert_eq!(next(&LAST_IV), None);
        assert_eq!(next(&iv(255)), Some(iv(256)));
    }

    #[test]
    fn it_is_as_a_set_in_any_order() {
        let key = key(&Arc::new(Nonces::default()), 1, Remembered::Always);
        let mut set = HashSet::new();
        let mut number = 1_u64;
        for _ in 0..5_000 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let n = u128::from(number >> 54);
            assert_eq!(key.spend(&iv(n)).is_ok(), set.insert(n), "{n}");
        }
    }

    #[test]
    fn the_value_counts_and_not_the_handle() {
        let memory = memory(limits());
        key(&memory, 1, Remembered::Always).spend(&iv(1)).unwrap();
        assert_eq!(key(&memory, 1, Remembered::WithKey).spend(&iv(1)), Err(Error::IvUsed));
        key(&memory, 2, Remembered::Always).spend(&iv(1)).unwrap();
    }

    #[test]
    fn what_is_gone_for_ever_is_forgotten() {
        let memory = memory(limits());
        let (gone, kept) = (key(&memory, 1, Remembered::WithKey), key(&memory, 2, Remembered::WithKey));
        for n in 0..4 {
            gone.spend(&iv(2 * n)).unwrap();
        }
        kept.spend(&iv(1)).unwrap();
        kept.remember_always();
        drop((gone, kept));
        assert_eq!(memory.used().ranges.len(), 1);
        assert_eq!(memory.used().keys.len(), 1);
        assert_eq!(limits_left(&memory), 1);
    }

    #[test]
    fn a_full_key_still_counts_on() {
        let memory = memory(limits());
        let full = key(&memory, 1, Remembered::Always);
        for n in 0..8 {
            full.spend(&iv(10 * n)).unwrap();
        }
        assert_eq!(full.spend(&iv(1_000)), Err(Error::KeyExhausted));
        full.spend(&iv(71)).unwrap();
        assert_eq!(full.spend(&iv(70)), Err(Error::IvUsed));
        key(&memory, 2, Remembered::Always).spend(&iv(1_000)).unwrap();
    }

    #[test]
    fn an_app_has_a_bound_of_its_own() {
        let memory = memory(Limits { of_all: 100, ..limits() });
        let keys = [1, 2, 3].map(|n| key(&memory, n, Remembered::Always));
        for n in 0..12 {
            keys[n / 5].spend(&iv(10 * n as u128)).unwrap();
        }
        assert_eq!(keys[2].spend(&iv(500)), Err(Error::IvsExhausted));
    }

    #[test]
    fn where_all_is_used_up_an_app_with_little_goes_on() {
        let limits = limits();
        let (greedy, modest) = (memory(limits), memory(limits));
        let greedy_keys = [1, 2].map(|n| key(&greedy, n, Remembered::Always));
        for n in 0..10 {
            greedy_keys[n / 5].spend(&iv(10 * n as u128)).unwrap();
        }
        assert_eq!(greedy_keys[1].spend(&iv(500)), Err(Error::IvsExhausted));
        let key = key(&modest, 1, Remembered::Always);
        key.spend(&iv(10)).unwrap();
        key.spend(&iv(20)).unwrap();
        assert_eq!(key.spend(&iv(30)), Err(Error::IvsExhausted));
        drop((greedy_keys, greedy));
        key.spend(&iv(30)).unwrap();
        assert_eq!(limits_left(&modest), 3);
    }

    #[test]
    fn of_two_threads_with_one_iv_one_succeeds() {
        let memory = Arc::new(Nonces::default());
        let key = key(&memory, 1, Remembered::Always);
        let spent = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..2_000 {
                        spent.fetch_add(usize::from(key.spend(&iv(n)).is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(spent.into_inner(), 2_000);
    }

    #[test]
    fn the_real_bound_of_a_key_is_refused() {
        let memory = Arc::new(Nonces::default());
        let key = key(&memory, 1, Remembered::Always);
        for n in 0..MAX_RANGES_OF_KEY as u128 {
            key.spend(&iv(2 * n)).unwrap();
        }
        assert_eq!(key.spend(&iv(1 << 40)), Err(Error::KeyExhausted));
    }

    fn limits() -> Limits {
        let all = Box::leak(Box::new(AtomicUsize::new(0)));
        Limits { of_key: 8, of_app: 12, of_app_always: 2, of_all: 10, all }
    }

    fn memory(limits: Limits) -> Arc<Nonces> {
        Arc::new(Nonces::with_limits(limits))
    }

    fn key(memory: &Arc<Nonces>, key: u8, remembered: Remembered) -> KeyNonces {
        memory.of(&[key; 32], remembered).unwrap()
    }

    fn iv(number: u128) -> Iv {
        number.to_be_bytes()[4..].try_into().unwrap()
    }

    fn limits_left(memory: &Arc<Nonces>) -> usize {
        memory.limits.all.load(Ordering::Relaxed)
    }
}
