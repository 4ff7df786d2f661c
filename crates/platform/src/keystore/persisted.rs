//! Keys in an app's vault, under `key:` and their names.
//!
//! A value is a byte for the version of this layout, a byte for the kind, and the key: its bytes, or for a key pair a
//! document of PKCS #8 (RFC 5958).

use cloister_volume::kv::{KvError, Namespace};
use zeroize::Zeroizing;

use super::key::{HmacKey, Key};
use super::nonces::Remembered;
use super::{KeyKind, KeyName, Keystore};
use crate::primitives::KeyPair;
use crate::vault::{self, Prefix};
use crate::{Error, HmacAlgorithm, SignAlgorithm};

/// The persisted keys of an app by name. Such that a newer image wrote are left out.
///
/// # Errors
/// Where the volume fails.
pub fn persisted_keys(vault: &Namespace) -> Result<Vec<(String, KeyKind)>, KvError> {
    let mut keys = Vec::new();
    vault::each(vault, PREFIX, |name, value| {
        let value = Zeroizing::new(value);
        let kind = split(&value).map(|(kind, _)| kind);
        keys.extend(kind.map(|kind| (name.to_owned(), kind)));
    })?;
    Ok(keys)
}

pub(super) fn write(vault: &Namespace, name: &KeyName, key: &Key) -> Result<(), Error> {
    let entry = PREFIX.key(name.as_str());
    if !vault.exists(&entry)? && vault::reaches(vault, PREFIX, MAX_PERSISTED_KEYS)? {
        return Err(Error::TooManyPersistedKeys);
    }
    let value = encode(key).ok_or_else(|| Error::UnreadableKey { name: name.to_string() })?;
    // Before it can be read again by another call.
    if let Key::Symmetric(key) = key {
        key.nonces().remember_always();
    }
    Ok(vault.set(&entry, &value)?)
}

/// What a persisted key is for.
pub(super) fn kind(vault: &Namespace, name: &KeyName) -> Result<KeyKind, Error> {
    let value = value(vault, name)?;
    split(&value).map(|(kind, _)| kind).ok_or_else(|| Error::UnreadableKey { name: name.to_string() })
}

pub(super) fn read(vault: &Namespace, name: &KeyName, keys: &Keystore) -> Result<Key, Error> {
    let value = value(vault, name)?;
    decode(&value, keys)?.ok_or_else(|| Error::UnreadableKey { name: name.to_string() })
}

/// Says whether there was one.
pub(super) fn delete(vault: &Namespace, name: &KeyName) -> Result<bool, Error> {
    Ok(vault.delete(&PREFIX.key(name.as_str()))?)
}

fn value(vault: &Namespace, name: &KeyName) -> Result<Zeroizing<Vec<u8>>, Error> {
    let value = vault.get(&PREFIX.key(name.as_str()))?.map(Zeroizing::new);
    value.ok_or_else(|| Error::NotPersisted { name: name.to_string() })
}

fn encode(key: &Key) -> Option<Zeroizing<Vec<u8>>> {
    let document;
    let bytes: &[u8] = match key {
        Key::Symmetric(key) => key.bytes(),
        Key::Signing(_, pair) => {
            document = pair.to_pkcs8()?;
            &document
        }
        Key::Hmac(key) => &key.bytes,
    };
    let mut value = Zeroizing::new(Vec::with_capacity(2 + bytes.len()));
    value.extend_from_slice(&[VERSION, code(key.kind())]);
    value.extend_from_slice(bytes);
    Some(value)
}

/// None where the value is no key.
fn decode(value: &[u8], keys: &Keystore) -> Result<Option<Key>, Error> {
    let Some((kind, bytes)) = split(value) else { return Ok(None) };
    let pair = |algorithm| KeyPair::from_pkcs8(algorithm, bytes).map(|pair| Key::Signing(algorithm, pair));
    let hmac = |algorithm| {
        let bytes = Zeroizing::new(bytes.to_vec());
        (bytes.len() == HmacKey::length(algorithm)).then_some(Key::Hmac(HmacKey { algorithm, bytes }))
    };
    Ok(match kind {
        KeyKind::Aes256Gcm => match <[u8; 32]>::try_from(bytes).map(Zeroizing::new) {
            Ok(bytes) => Some(keys.symmetric(bytes, Remembered::Always)?),
            Err(_) => None,
        },
        KeyKind::EcdsaP256Sha256 => pair(SignAlgorithm::EcdsaP256Sha256),
        KeyKind::EcdsaP384Sha384 => pair(SignAlgorithm::EcdsaP384Sha384),
        KeyKind::HmacSha256 => hmac(HmacAlgorithm::HmacSha256),
        KeyKind::HmacSha384 => hmac(HmacAlgorithm::HmacSha384),
        KeyKind::HmacSha512 => hmac(HmacAlgorithm::HmacSha512),
    })
}

fn split(value: &[u8]) -> Option<(KeyKind, &[u8])> {
    let [VERSION, kind, key @ ..] = value else { return None };
    KeyKind::ALL.into_iter().find(|known| code(*known) == *kind).map(|kind| (kind, key))
}

fn code(kind: KeyKind) -> u8 {
    match kind {
        KeyKind::Aes256Gcm => 1,
        KeyKind::EcdsaP256Sha256 => 2,
        KeyKind::EcdsaP384Sha384 => 3,
        KeyKind::HmacSha256 => 4,
        KeyKind::HmacSha384 => 5,
        KeyKind::HmacSha512 => 6,
    }
}

/// The most keys that an app has persisted.
pub const MAX_PERSISTED_KEYS: usize = 1_024;
const PREFIX: Prefix = Prefix("key:");
/// Of the layout of a value.
const VERSION: u8 = 1;
