//! What an app's owner sees of its keys: names, kinds and uses, never the keys.

use crate::storage::{KeyUses, StorageError};
use cloister_api::KeyDescription;
use cloister_runtime::platform::{KeyUse, Keystore, persisted_keys};
use cloister_volume::kv::Namespace;
use std::collections::BTreeMap;

/// The keys in memory and in the vault, and those that are gone and were used. Where the vault is damaged, what is in memory
/// alone. Blocks.
///
/// # Errors
/// [`StorageError`] where the disk fails.
pub(crate) fn described(keys: &Keystore, vault: &Namespace) -> Result<Vec<KeyDescription>, StorageError> {
    let described = |(name, KeyUse { kind, operations }): (String, KeyUse)| {
        let uses = operations.into_iter().map(|(operation, count)| (operation.to_owned(), count)).collect();
        let kind = kind.map(|kind| kind.to_string());
        let description =
            KeyDescription { name: name.clone(), in_memory: kind.is_some(), kind, persisted: false, uses };
        (name, description)
    };
    let mut all: BTreeMap<String, KeyDescription> = keys.uses().into_iter().map(described).collect();
    let persisted = match persisted_keys(vault) {
        Err(error) if error.is_damage() => Vec::new(),
        persisted => persisted?,
    };
    for (name, kind) in persisted {
        let key = all.entry(name.clone()).or_insert_with(|| KeyDescription {
            name,
            kind: None,
            in_memory: false,
            persisted: true,
            uses: BTreeMap::new(),
        });
        key.persisted = true;
        key.kind.get_or_insert_with(|| kind.to_string());
    }
    Ok(all.into_values().collect())
}

/// How often each key was used, to be kept.
pub(crate) fn uses(keys: &Keystore) -> KeyUses {
    let named = |(operation, count): (&str, u64)| (operation.to_owned(), count);
    let used = keys.uses().into_iter().filter(|(_, used)| !used.operations.is_empty());
    used.map(|(name, used)| (name, used.operations.into_iter().map(named).collect())).collect()
}
