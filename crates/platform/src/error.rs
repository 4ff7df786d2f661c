use cloister_tee::RandomError;
use cloister_volume::kv::KvError;

use crate::keystore::{KEY_NAME_BYTES, KeyKind, MAX_KEYS, MAX_PERSISTED_KEYS};
use crate::{MAX_EXTENSION_BYTES, Refusal, auth, crypto};

/// Why a function of the package did not do what the guest asked. The text is what the guest gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The arguments of one call are too long.
    #[error("what is passed in one call may have {} bytes together, not {bytes}", crypto::MAX_CALL_BYTES)]
    CallTooLong {
        /// How long they are.
        bytes: usize,
    },
    /// More random bytes than one call gives.
    #[error("one call gives {} random bytes at most, not {asked}", crypto::MAX_RANDOM_BYTES)]
    RandomTooLong {
        /// How many were asked for.
        asked: u32,
    },
    /// The CPU gave no random number.
    #[error("the CPU gave no random number")]
    NoRandomness,
    /// What cannot name a key.
    #[error("a key's name has 1 to {KEY_NAME_BYTES} bytes and no control characters")]
    KeyName,
    /// No key of this name is in memory.
    #[error("there is no key {name:?} in memory; load-key brings back one that was persisted")]
    NoKey {
        /// The name.
        name: String,
    },
    /// A key of this name is in memory already.
    #[error("there is a key {name:?} in memory already; delete-key forgets it")]
    KeyExists {
        /// The name.
        name: String,
    },
    /// The key is for something else.
    #[error("the key {name:?} is for {kind}, not for {wanted}")]
    WrongKey {
        /// The key's name.
        name: String,
        /// What it is for.
        kind: KeyKind,
        /// What it was used for.
        wanted: KeyKind,
    },
    /// The key has no public half.
    #[error("the key {name:?} is for {kind}, which has no public key")]
    NotPublic {
        /// The key's name.
        name: String,
        /// What it is for.
        kind: KeyKind,
    },
    /// A raw key of the wrong length.
    #[error("a key for aes-256-gcm has 32 bytes, not {bytes}")]
    KeyLength {
        /// Its length.
        bytes: usize,
    },
    /// There is no room for another key in memory.
    #[error("an app has {MAX_KEYS} keys in memory at most")]
    TooManyKeys,
    /// There is no room for another persisted key.
    #[error("an app has {MAX_PERSISTED_KEYS} persisted keys at most")]
    TooManyPersistedKeys,
    /// No key of this name was persisted.
    #[error("no key {name:?} was persisted")]
    NotPersisted {
        /// The name.
        name: String,
    },
    /// There is no key of this name in memory, and none was persisted.
    #[error("there is no key {name:?}, neither in memory nor persisted")]
    NothingToDelete {
        /// The name.
        name: String,
    },
    /// A persisted key is none that this enclave wrote.
    #[error("the persisted key {name:?} cannot be read")]
    UnreadableKey {
        /// The name.
        name: String,
    },
    /// An initialization vector of the wrong length.
    #[error("an iv has 12 bytes, not {bytes}")]
    IvLength {
        /// Its length.
        bytes: usize,
    },
    /// The key has encrypted with this initialization vector.
    #[error("this key has encrypted with this iv before; a second time would give both plaintexts away")]
    IvUsed,
    /// No more initialization vectors of this key can be remembered.
    #[error(
        "this key has encrypted with too many scattered ivs to remember another; use a new key, or ivs that count up by one"
    )]
    KeyExhausted,
    /// No more initialization vectors can be remembered, of any key.
    #[error(
        "too many scattered ivs are remembered for another; use ivs that count up by one, or keys that are generated and deleted"
    )]
    IvsExhausted,
    /// A ciphertext that was not made with this key, initialization vector and authenticated data.
    #[error("the ciphertext was not made with this key, iv and aad, or it was changed")]
    NotAuthentic,
    /// The app has nowhere to keep anything.
    #[error("this app has no storage, so nothing can be kept for it")]
    NoVault,
    /// The vault cannot be read or written at present.
    #[error("what the app keeps cannot be read or written at present")]
    VaultUnavailable,
    /// The vault's quota is used up.
    #[error("there is no more room for the app's persisted keys and roles")]
    VaultFull,
    /// The caller showed neither a key nor a token.
    #[error("the caller showed neither a key nor a token, so they have no id")]
    NoCaller,
    /// The caller is neither the owner nor an admin.
    #[error("the caller is neither the owner nor an admin")]
    NotAdmin,
    /// What cannot be a user's id.
    #[error(
        "a user's id is `key:` and the SHA-256 of their public key in 64 hex digits, or `token:`, the URL of an issuer, `#` \
         and a subject"
    )]
    UserId,
    /// What cannot be a role.
    #[error("a role has 1 to {} bytes and no control characters", auth::MAX_ROLE_BYTES)]
    Role,
    /// Too many roles for one user.
    #[error("a user has {} roles at most", auth::MAX_ROLES)]
    TooManyRoles,
    /// The owner's role.
    #[error("the role `owner` is of whoever deployed the app, and cannot be given")]
    OwnerRole,
    /// Too many users with roles.
    #[error("an app gives roles to {} users at most", auth::MAX_USERS)]
    TooManyUsers,
    /// The user has none of the roles that can be taken.
    #[error("this user was given no roles")]
    NoRoles,
    /// A user's roles are none that this enclave wrote.
    #[error("the user's roles cannot be read")]
    UnreadableRoles,
    /// An extension that is too long for a certificate.
    #[error("the value of an extension has {MAX_EXTENSION_BYTES} bytes at most, not {bytes}")]
    ExtensionTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A request has no response: why.
    #[error("{0}")]
    Fetch(Box<str>),
    /// The enclave refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<RandomError> for Error {
    fn from(_: RandomError) -> Self {
        Self::NoRandomness
    }
}

/// What the host did to the volume is not the guest's to know.
impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        match error {
            KvError::QuotaExceeded { .. } => Self::VaultFull,
            _ => Self::VaultUnavailable,
        }
    }
}

/// Why a host function gives no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest gets this error.
    Guest(Error),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Guest(error.into())
    }
}

/// As the generated traits want it.
pub(crate) fn answer<T>(result: Result<T, Failure>) -> wasmtime::Result<Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Failure::Guest(error)) => Ok(Err(error.to_string())),
        Err(Failure::Trap(trap)) => Err(trap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_did_is_not_told_to_the_guest() {
        let error = Error::from(KvError::Volume(cloister_volume::VolumeError::Full));
        assert_eq!(error.to_string(), "what the app keeps cannot be read or written at present");
    }
}
