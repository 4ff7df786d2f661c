//! The keys of an app: in memory under names, and persisted in its vault.

mod host;
mod key;
mod memory;
mod name;
mod nonces;
mod persisted;
mod uses;

pub use key::KeyKind;
use key::{Key, SymmetricKey};
pub(crate) use memory::Held;
pub use memory::{KeyUse, Keystore, MAX_KEYS};
pub(crate) use name::{KEY_NAME_BYTES, KeyName};
pub use persisted::{MAX_PERSISTED_KEYS, persisted_keys};
pub use uses::{OTHER_NAMES, Operation};
