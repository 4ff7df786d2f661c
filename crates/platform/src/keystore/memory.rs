use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloister_volume::kv::Namespace;
use zeroize::Zeroizing;

use super::key::HmacKey;
use super::nonces::{Nonces, Remembered};
use super::uses::{Counts, Uses};
use super::{Key, KeyKind, KeyName, Operation, SymmetricKey, persisted};
use crate::primitives::{CIPHER_KEY_BYTES, KeyPair};
use crate::{Error, HmacAlgorithm, SignAlgorithm};

/// The keys of an app that are in memory, what they have encrypted with, and how often they were used. Clones share them.
#[derive(Clone, Default)]
pub struct Keystore {
    memory: Arc<Mutex<Memory>>,
    nonces: Arc<Nonces>,
    /// Held by whoever changes what is persisted, so that memory and vault change together.
    vault: Arc<Mutex<()>>,
}

/// How often a key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// What the key is for; none where no key of the name is in memory.
    pub kind: Option<KeyKind>,
    /// How often, by [`Operation::as_str`]. What never happened is not here.
    pub operations: BTreeMap<&'static str, u64>,
}

impl Keystore {
    /// For the owner: every key in memory, by name, and how often each was used; also names that are gone, up to a bound:
    /// after it, [`OTHER_NAMES`](super::OTHER_NAMES) has what is counted.
    pub fn uses(&self) -> BTreeMap<String, KeyUse> {
        let memory = self.memory();
        let unused =
            |name: &KeyName| (name.as_str().to_owned(), KeyUse { kind: None, operations: BTreeMap::new() });
        let mut uses: BTreeMap<_, _> = memory.keys.keys().map(unused).collect();
        for (name, operations) in memory.uses.by_name() {
            uses.insert(name.to_owned(), KeyUse { kind: None, operations });
        }
        for (name, held) in &memory.keys {
            uses.entry(name.as_str().to_owned()).and_modify(|used| used.kind = Some(held.key.kind()));
        }
        uses
    }

    /// Adds what was counted before a restart: operations by [`Operation::as_str`], for each name. Unknown ones are left out.
    pub fn restore_uses(&self, uses: &BTreeMap<String, BTreeMap<String, u64>>) {
        self.memory().uses.restore(uses);
    }

    /// For the app that replaces this one's: without keys, but what the keys encrypted with is remembered, in both from
    /// now on, and the counts go on.
    #[must_use]
    pub fn successor(&self) -> Self {
        let memory = Memory { keys: HashMap::new(), uses: self.memory().uses.clone() };
        Self {
            memory: Arc::new(Mutex::new(memory)),
            nonces: Arc::clone(&self.nonces),
            vault: Arc::clone(&self.vault),
        }
    }

    pub(crate) fn generate_symmetric(&self, name: KeyName) -> Result<(), Error> {
        let mut bytes = Zeroizing::new([0; CIPHER_KEY_BYTES]);
        cloister_tee::random(bytes.as_mut_slice())?;
        let key = self.symmetric(bytes, Remembered::WithKey)?;
        self.insert(name, key, Operation::Generate)
    }

    pub(crate) fn generate_signing(&self, name: KeyName, algorithm: SignAlgorithm) -> Result<(), Error> {
        let key = Key::Signing(algorithm, KeyPair::generate(algorithm)?);
        self.insert(name, key, Operation::Generate)
    }

    pub(crate) fn generate_hmac(&self, name: KeyName, algorithm: HmacAlgorithm) -> Result<(), Error> {
        let mut bytes = Zeroizing::new(vec![0; HmacKey::length(algorithm)]);
        cloister_tee::random(bytes.as_mut_slice())?;
        self.insert(name, Key::Hmac(HmacKey { algorithm, bytes }), Operation::Generate)
    }

    pub(crate) fn import_symmetric(&self, name: KeyName, bytes: Zeroizing<Vec<u8>>) -> Result<(), Error> {
        let mut key = Zeroizing::new([0; CIPHER_KEY_BYTES]);
        if bytes.len() != key.len() {
            return Err(Error::KeyLength { bytes: bytes.len() });
        }
        key.copy_from_slice(&bytes);
        let key = self.symmetric(key, Remembered::Always)?;
        self.insert(name, key, Operation::Import)
    }

    pub(super) fn symmetric(
        &self,
        bytes: Zeroizing<[u8; CIPHER_KEY_BYTES]>,
        remembered: Remembered,
    ) -> Result<Key, Error> {
        let nonces = self.nonces.of(&bytes, remembered)?;
        Ok(Key::Symmetric(Box::new(SymmetricKey::new(bytes, nonces))))
    }

    /// # Errors
    /// [`Error::NoKey`].
    pub(crate) fn find(&self, name: &KeyName) -> Result<Held, Error> {
        let held = self.memory().keys.get(name).cloned();
        held.ok_or_else(|| Error::NoKey { name: name.to_string() })
    }

    pub(crate) fn contains(&self, name: &KeyName) -> bool {
        self.memory().keys.contains_key(name)
    }

    /// # Errors
    /// [`Error::KeyExists`].
    pub(crate) fn check_is_free(&self, name: &KeyName) -> Result<(), Error> {
        if self.contains(name) { Err(Error::KeyExists { name: name.to_string() }) } else { Ok(()) }
    }

    /// Writes a key of the memory to the vault.
    pub(crate) fn persist(&self, vault: &Namespace, name: &KeyName) -> Result<(), Error> {
        let _change = self.changing_vault();
        let held = self.find(name)?;
        persisted::write(vault, name, &held.key)?;
        held.count(Operation::Persist);
        Ok(())
    }

    /// Reads a key of the vault into memory.
    pub(crate) fn load(&self, vault: &Namespace, name: KeyName) -> Result<(), Error> {
        let _change = self.changing_vault();
        let key = persisted::read(vault, &name, self)?;
        self.insert(name, key, Operation::Load)
    }

    /// Forgets a key, in memory and in the vault where there is one.
    pub(crate) fn delete(&self, vault: Option<&Namespace>, name: &KeyName) -> Result<(), Error> {
        let _change = self.changing_vault();
        let was_persisted = vault.map_or(Ok(false), |vault| persisted::delete(vault, name))?;
        let mut memory = self.memory();
        let held = memory.keys.remove(name);
        if held.is_none() && !was_persisted {
            return Err(Error::NothingToDelete { name: name.to_string() });
        }
        memory.uses.of(name).add(Operation::Delete);
        Ok(())
    }

    fn insert(&self, name: KeyName, key: Key, operation: Operation) -> Result<(), Error> {
        let mut memory = self.memory();
        if memory.keys.contains_key(&name) {
            return Err(Error::KeyExists { name: name.into() });
        }
        if memory.keys.len() >= MAX_KEYS {
            return Err(Error::TooManyKeys);
        }
        let held = Held { name: name.as_str().into(), key: Arc::new(key), counts: memory.uses.of(&name) };
        held.count(operation);
        memory.keys.insert(name, held);
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changing_vault(&self) -> MutexGuard<'_, ()> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").field("keys", &self.memory().keys.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Memory {
    keys: HashMap<KeyName, Held>,
    uses: Uses,
}

/// A key, and where its uses are counted. It can be used on where it is deleted meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    name: Arc<str>,
    key: Arc<Key>,
    counts: Arc<Counts>,
}

impl Held {
    /// # Errors
    /// [`Error::WrongKey`], as of the other functions that ask for one kind.
    pub(crate) fn symmetric(&self) -> Result<&SymmetricKey, Error> {
        match &*self.key {
            Key::Symmetric(key) => Ok(key),
            _ => Err(self.is_not_for(KeyKind::Aes256Gcm)),
        }
    }

    pub(crate) fn signing(&self, algorithm: SignAlgorithm) -> Result<&KeyPair, Error> {
        match &*self.key {
            Key::Signing(of, pair) if *of == algorithm => Ok(pair),
            _ => Err(self.is_not_for(algorithm.into())),
        }
    }

    pub(crate) fn hmac(&self, algorithm: HmacAlgorithm) -> Result<&[u8], Error> {
        match &*self.key {
            Key::Hmac(key) if key.algorithm == algorithm => Ok(&key.bytes),
            _ => Err(self.is_not_for(algorithm.into())),
        }
    }

    /// The public half, as DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`Error::NotPublic`].
    pub(crate) fn public(&self) -> Result<&[u8], Error> {
        match &*self.key {
            Key::Signing(_, pair) => Ok(pair.spki_der()),
            key => Err(Error::NotPublic { name: self.name.to_string(), kind: key.kind() }),
        }
    }

    fn is_not_for(&self, wanted: KeyKind) -> Error {
        Error::WrongKey { name: self.name.to_string(), kind: self.key.kind(), wanted }
    }

    pub(crate) fn count(&self, operation: Operation) {
        self.counts.add(operation);
    }
}

/// The most keys that an app has in memory.
pub const MAX_KEYS: usize = 1_024;
