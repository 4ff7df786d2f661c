//! One app's keys.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::engine::{Change, Failure};
use super::seal::Sealer;
use super::{KeyValue, KvError, MAX_BATCH, MAX_BATCH_BYTES, MAX_VALUE, Prefix};

/// A handle to the keys of one app. A clone is the same handle.
///
/// Each function is one transaction: it happens wholly or, where it fails, not at all. Keys have 1 to
/// [`MAX_KEY`](super::MAX_KEY) bytes, values up to [`MAX_VALUE`].
#[derive(Clone)]
pub struct Namespace(Arc<Shared>);

struct Shared {
    store: KeyValue,
    prefix: Prefix,
    sealer: Sealer,
    quota: u64,
    removed: Arc<AtomicBool>,
}

/// What a namespace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// How many keys there are.
    pub keys: u64,
    /// Bytes of keys and values, and [`KEY_COST`](super::KEY_COST) for each key.
    pub bytes: u64,
}

/// Some keys of a namespace, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// Whether there may be more after the last of them.
    pub more: bool,
}

/// What [`Namespace::compare_and_swap`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// What was expected; it was replaced.
    Swapped,
    /// This value, or none; nothing was changed.
    Found(Option<Vec<u8>>),
}

impl Namespace {
    pub(super) fn new(
        store: KeyValue,
        prefix: Prefix,
        key: Zeroizing<[u8; 32]>,
        quota: u64,
        removed: Arc<AtomicBool>,
    ) -> Namespace {
        Namespace(Arc::new(Shared { store, prefix, sealer: Sealer::new(key), quota, removed }))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// As all functions here: [`KvError`] where a limit is exceeded, or the volume below failed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let key = self.0.prefix.key(key)?;
        let sealed = self.read(|table| Ok(table.get(&key[..])?.map(|value| value.value().to_vec())))?;
        sealed.map(|sealed| self.0.sealer.open(&key, &sealed)).transpose()
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn exists(&self, key: &[u8]) -> Result<bool, KvError> {
        let key = self.0.prefix.key(key)?;
        self.read(|table| Ok(table.get(&key[..])?.is_some()))
    }

    /// Gives a key a value, its first or a new one.
    ///
    /// # Errors
    /// [`KvError::QuotaExceeded`], and as [`get`](Self::get).
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        self.set_many(&[(key, value)])
    }

    /// Deletes a key, and says whether it was there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn delete(&self, key: &[u8]) -> Result<bool, KvError> {
        Ok(self.delete_many(&[key])? > 0)
    }

    /// The first keys after `after`, or the very first; at most `limit`, and at most [`MAX_BATCH`].
    ///
    /// Listing on from the last key of each answer shows every key that is there throughout exactly once.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn list(&self, after: Option<&[u8]>, limit: usize) -> Result<Keys, KvError> {
        let Shared { prefix, .. } = &*self.0;
        let after = after.map_or_else(|| Ok(prefix.record().to_vec()), |after| prefix.key(after))?;
        let end = prefix.end();
        let limit = limit.min(MAX_BATCH);
        self.read(|table| {
            let range = (Bound::Excluded(&after[..]), Bound::Excluded(&end[..]));
            let mut entries = table.range::<&[u8]>(range)?;
            let keys = entries.by_ref().take(limit);
            let keys = keys.map(|entry| Ok(entry?.0.value()[prefix.record().len()..].to_vec()));
            let keys = keys.collect::<Result<Vec<_>, Failure>>()?;
            Ok(Keys { keys, more: entries.next().is_some() })
        })
    }

    /// Adds to the number that a key has, in decimal digits, and returns the sum. A key that is not there counts as 0.
    ///
    /// # Errors
    /// [`KvError::NotANumber`], [`KvError::NumberTooLarge`], and as [`set`](Self::set).
    pub fn increment(&self, key: &[u8], delta: u64) -> Result<u64, KvError> {
        let key = self.0.prefix.key(key)?;
        self.write(|change| {
            let number = self.open(change, &key)?.map_or(Ok(0), |value| number(&value))?;
            let sum = number.checked_add(delta).ok_or(KvError::NumberTooLarge)?;
            change.put(&key, &self.0.sealer.seal(&key, sum.to_string().as_bytes())?)?;
            Ok(sum)
        })
    }

    /// Where a key has the value `expected` (none: where it is not there), gives it the value `new` (none: deletes it).
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap, KvError> {
        let key = self.0.prefix.key(key)?;
        new.map_or(Ok(()), check_value)?;
        self.write(|change| {
            let found = self.open(change, &key)?;
            if found.as_deref() != expected {
                return Ok(Swap::Found(found));
            }
            match new {
                Some(new) => change.put(&key, &self.0.sealer.seal(&key, new)?)?,
                None => drop(change.remove(&key)?),
            }
            Ok(Swap::Swapped)
        })
    }

    /// The values of several keys at one moment, in their order.
    ///
    /// # Errors
    /// [`KvError::BatchKeys`], [`KvError::BatchBytes`], and as [`get`](Self::get).
    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Vec<u8>>>, KvError> {
        let keys = self.keys(keys)?;
        let sealed = self.read(|table| {
            let mut room = MAX_BATCH_BYTES;
            let get = |key: &Vec<u8>| {
                let value = table.get(&key[..])?.map(|value| value.value().to_vec());
                let length = value.as_ref().map_or(0, Vec::len);
                room = room.checked_sub(length).ok_or(KvError::BatchBytes)?;
                Ok::<_, Failure>(value)
            };
            keys.iter().map(get).collect::<Result<Vec<_>, _>>()
        })?;
        let open = |(key, sealed): (&Vec<u8>, Option<Vec<u8>>)| {
            sealed.map(|sealed| self.0.sealer.open(key, &sealed)).transpose()
        };
        keys.iter().zip(sealed).map(open).collect()
    }

    /// Gives several keys their values. Where one key is named twice, the later value stays.
    ///
    /// # Errors
    /// [`KvError::BatchKeys`], [`KvError::BatchBytes`], and as [`set`](Self::set).
    pub fn set_many(&self, pairs: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<(), KvError> {
        check_batch(pairs.len())?;
        let mut room = MAX_BATCH_BYTES;
        let mut sealed = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let (key, value) = (self.0.prefix.key(key.as_ref())?, value.as_ref());
            check_value(value)?;
            room = room.checked_sub(key.len() + value.len()).ok_or(KvError::BatchBytes)?;
            let value = self.0.sealer.seal(&key, value)?;
            sealed.push((key, value));
        }
        self.write(|change| sealed.iter().try_for_each(|(key, value)| change.put(key, value)))
    }

    /// Deletes several keys, and says how many were there.
    ///
    /// # Errors
    /// [`KvError::BatchKeys`], and as [`get`](Self::get).
    pub fn delete_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<u64, KvError> {
        let keys = self.keys(keys)?;
        self.write(|change| {
            let mut deleted = 0;
            for key in &keys {
                deleted += u64::from(change.remove(key)?);
            }
            Ok(deleted)
        })
    }

    /// What is there. Takes one look-up.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn usage(&self) -> Result<KeyUsage, KvError> {
        self.check_there()?;
        let record = self.0.store.engine().record(&self.0.prefix)?.unwrap_or_default();
        Ok(KeyUsage { keys: record.keys, bytes: record.bytes })
    }

    /// Whether so much waits for a commit of the volume that who writes on should commit first.
    pub fn is_crowded(&self) -> bool {
        self.0.store.engine().pages().is_crowded()
    }

    fn read<T>(&self, body: impl Fn(&super::engine::View) -> Result<T, Failure>) -> Result<T, KvError> {
        self.check_there()?;
        self.0.store.engine().read(body)
    }

    /// Changes keys, within the quota.
    fn write<T>(&self, body: impl Fn(&mut Change<'_>) -> Result<T, Failure>) -> Result<T, KvError> {
        self.0.store.engine().write(&self.0.prefix, |change| {
            self.check_there()?;
            let value = body(change)?;
            change.within(self.0.quota)?;
            Ok(value)
        })
    }

    fn open(&self, change: &Change<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let sealed = change.read(key)?;
        Ok(sealed.map(|sealed| self.0.sealer.open(key, &sealed)).transpose()?)
    }

    fn keys(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Vec<u8>>, KvError> {
        check_batch(keys.len())?;
        keys.iter().map(|key| self.0.prefix.key(key.as_ref())).collect()
    }

    fn check_there(&self) -> Result<(), KvError> {
        if self.0.removed.load(Ordering::Acquire) { Err(KvError::Removed) } else { Ok(()) }
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

fn check_value(value: &[u8]) -> Result<(), KvError> {
    match value.len() {
        0..=MAX_VALUE => Ok(()),
        length => Err(KvError::ValueLength { length }),
    }
}

fn check_batch(keys: usize) -> Result<(), KvError> {
    if keys > MAX_BATCH { Err(KvError::BatchKeys { keys }) } else { Ok(()) }
}

fn number(value: &[u8]) -> Result<u64, KvError> {
    let text = str::from_utf8(value).map_err(|_| KvError::NotANumber)?;
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(KvError::NotANumber);
    }
    text.parse().map_err(|_| KvError::NumberTooLarge)
}
