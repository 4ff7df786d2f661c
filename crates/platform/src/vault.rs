//! What an app keeps of the platform: persisted keys and roles, in a namespace of their own.

use cloister_volume::kv::{KvError, MAX_BATCH, Namespace};

use crate::error::Failure;
use crate::{Error, PlatformCtxView};

/// What the entries of one kind begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix(pub(crate) &'static str);

impl Prefix {
    /// The entry of a name.
    pub(crate) fn key(self, name: &str) -> Vec<u8> {
        [self.0, name].concat().into_bytes()
    }
}

/// Shows every entry of a kind, by name and in the order of their bytes.
pub(crate) fn each(
    vault: &Namespace,
    prefix: Prefix,
    mut show: impl FnMut(&str, Vec<u8>),
) -> Result<(), KvError> {
    let mut after = prefix.0.as_bytes().to_vec();
    loop {
        let (keys, more) = some(vault, prefix, &after)?;
        let values = vault.get_many(&keys)?;
        for (key, value) in keys.iter().zip(values) {
            let name = key.get(prefix.0.len()..).and_then(|name| str::from_utf8(name).ok());
            if let (Some(name), Some(value)) = (name, value) {
                show(name, value);
            }
        }
        match keys.into_iter().next_back() {
            Some(last) if more => after = last,
            _ => return Ok(()),
        }
    }
}

/// Whether there are `limit` entries of a kind.
pub(crate) fn reaches(vault: &Namespace, prefix: Prefix, limit: usize) -> Result<bool, KvError> {
    // Entries of all kinds together are counted already.
    if vault.usage()?.keys < limit as u64 {
        return Ok(false);
    }
    let mut after = prefix.0.as_bytes().to_vec();
    let mut found = 0;
    loop {
        let (keys, more) = some(vault, prefix, &after)?;
        found += keys.len();
        match keys.into_iter().next_back() {
            Some(last) if more && found < limit => after = last,
            _ => return Ok(found >= limit),
        }
    }
}

impl PlatformCtxView<'_> {
    /// Before anything that looks at what is kept.
    pub(crate) fn look_at_vault(&self) -> Result<Namespace, Error> {
        let vault = self.ctx.settings.vault.clone().ok_or(Error::NoVault)?;
        self.ctx.storage.iter().for_each(|storage| storage.mark_used());
        Ok(vault)
    }

    /// Before anything that changes what is kept. What is not on disk yet is in the enclave's memory, so where that is much,
    /// a commit comes first.
    pub(crate) async fn change_vault(&mut self) -> Result<Namespace, Failure> {
        let vault = self.look_at_vault()?;
        while vault.is_crowded()
            && let Some(storage) = &self.ctx.storage
        {
            storage.durability.commit().await.map_err(|_| Error::VaultUnavailable)?;
        }
        Ok(vault)
    }

    /// Charges a host function that costs `fuel` beside the fixed price of all.
    pub(crate) async fn pay(&mut self, fuel: u64) -> Result<(), Failure> {
        self.fuel.charge(cloister_wasi::CALL_FUEL.saturating_add(fuel)).await.map_err(Failure::Trap)
    }
}

/// Some entries of a kind after one, and whether there may be more.
fn some(vault: &Namespace, prefix: Prefix, after: &[u8]) -> Result<(Vec<Vec<u8>>, bool), KvError> {
    let listed = vault.list(Some(after), MAX_BATCH)?;
    let listed_keys = listed.keys.len();
    let keys: Vec<_> =
        listed.keys.into_iter().take_while(|key| key.starts_with(prefix.0.as_bytes())).collect();
    let more = listed.more && keys.len() == listed_keys;
    Ok((keys, more))
}
