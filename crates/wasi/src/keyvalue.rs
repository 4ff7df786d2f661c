//! `wasi:keyvalue` over the app's own keys in the sealed volume.
//!
//! There is one bucket, which `""` and `"default"` open. Every function is one transaction, so what the interface allows
//! to be halfway or stale never is: a batch happens wholly or not at all, and reads see every write that returned before.
//! `increment` keeps numbers in decimal digits, as Wasmtime does.
//!
//! What lies in the volume's cache is answered at once; a read that has to wait for the disk blocks its thread of the
//! executor for that long.

use std::collections::VecDeque;

use cloister_volume::kv::{KvError, MAX_BATCH, Namespace};
use wasmtime::component::{Resource, ResourceTableError};

use crate::bindings::wasi::keyvalue::store::{self, KeyResponse};
use crate::bindings::wasi::keyvalue::{atomics, batch};
use crate::storage::Unavailable;
use crate::{CALL_FUEL, WasiCtxView};

/// An open bucket.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Bucket {
    keys: Namespace,
    listings: Listings,
}

/// Why a function of the interface did not succeed.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum Failure {
    /// The guest gets this error.
    Error(store::Error),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl store::Host for WasiCtxView<'_> {
    async fn open(&mut self, identifier: String) -> Answer<Resource<Bucket>> {
        self.pay(0).await?;
        let keys = match &self.ctx.storage {
            Some(storage) if BUCKETS.contains(&&*identifier) => storage.keys.clone(),
            _ => None,
        };
        let keys = keys.ok_or(Failure::Error(store::Error::NoSuchStore))?;
        Ok(self.table.push(Bucket { keys, listings: Listings::default() })?)
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<store::Error> {
        match failure {
            Failure::Error(error) => Ok(error),
            Failure::Trap(error) => Err(error),
        }
    }
}

impl store::HostBucket for WasiCtxView<'_> {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<Option<Vec<u8>>> {
        let value = self.look(&bucket, 1, key.len()).await?.get(key.as_bytes())?;
        self.pay_moved(value.as_ref().map_or(0, Vec::len)).await?;
        Ok(value)
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Answer<()> {
        let keys = self.change(&bucket, 1, key.len() + value.len()).await?;
        Ok(keys.set(key.as_bytes(), &value)?)
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<()> {
        self.change(&bucket, 1, key.len()).await?.delete(key.as_bytes())?;
        Ok(())
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Answer<bool> {
        Ok(self.look(&bucket, 1, key.len()).await?.exists(key.as_bytes())?)
    }

    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Answer<KeyResponse> {
        let keys = self.look(&bucket, 1, 0).await?;
        let after = match cursor {
            Some(cursor) => Some(self.table.get(&bucket)?.listings.after(cursor)?.to_vec()),
            None => None,
        };
        let listed = keys.list(after.as_deref(), MAX_BATCH)?;
        let cursor = match listed.keys.last() {
            Some(last) if listed.more => Some(self.table.get_mut(&bucket)?.listings.add(last.clone())),
            _ => None,
        };
        let bytes = listed.keys.iter().map(Vec::len).sum::<usize>();
        self.pay_moved(bytes.saturating_add(listed.keys.len().saturating_mul(LISTED_KEY_BYTES))).await?;
        let keys = listed.keys.into_iter().map(String::from_utf8).collect::<Result<_, _>>();
        Ok(KeyResponse { keys: keys.map_err(|_| other(NOT_TEXT))?, cursor })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for WasiCtxView<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Answer<u64> {
        Ok(self.change(&bucket, 1, key.len()).await?.increment(key.as_bytes(), delta)?)
    }
}

impl batch::Host for WasiCtxView<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Answer<Vec<Option<(String, Vec<u8>)>>> {
        let bytes = keys.iter().map(String::len).sum::<usize>();
        let values = self.look(&bucket, keys.len(), bytes).await?.get_many(&keys)?;
        let moved = values.iter().flatten().map(Vec::len).sum::<usize>();
        self.pay_moved(moved.saturating_add(bytes)).await?;
        Ok(keys.into_iter().zip(values).map(|(key, value)| Some((key, value?))).collect())
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Answer<()> {
        let bytes = pairs.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        Ok(self.change(&bucket, pairs.len(), bytes).await?.set_many(&pairs)?)
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Answer<()> {
        let bytes = keys.iter().map(String::len).sum::<usize>();
        self.change(&bucket, keys.len(), bytes).await?.delete_many(&keys)?;
        Ok(())
    }
}

impl WasiCtxView<'_> {
    /// Before anything that looks at keys: charges it and notes that storage was used.
    async fn look(&mut self, bucket: &Resource<Bucket>, keys: usize, bytes: usize) -> Answer<Namespace> {
        self.pay(price(LOOK_FUEL, keys, bytes)).await?;
        self.mark_keys_used();
        Ok(self.table.get(bucket)?.keys.clone())
    }

    /// Before anything that changes keys. What is not on disk yet is in the enclave's memory, so where that is much, a
    /// commit comes first.
    async fn change(&mut self, bucket: &Resource<Bucket>, keys: usize, bytes: usize) -> Answer<Namespace> {
        self.pay(price(KEY_CHANGE_FUEL, keys, bytes).saturating_add(CHANGE_FUEL)).await?;
        self.mark_keys_used();
        let keys = self.table.get(bucket)?.keys.clone();
        while keys.is_crowded()
            && let Some(storage) = &self.ctx.storage
        {
            storage.durability.commit().await?;
        }
        Ok(keys)
    }

    fn mark_keys_used(&self) {
        if let Some(storage) = &self.ctx.storage {
            storage.mark_used();
        }
    }

    async fn pay(&mut self, fuel: u64) -> Answer<()> {
        self.ctx.host_fuel.charge(CALL_FUEL.saturating_add(fuel)).await.map_err(Failure::Trap)
    }

    /// Charges bytes of which the number is known only after they moved.
    async fn pay_moved(&mut self, bytes: usize) -> Answer<()> {
        self.ctx.host_fuel.charge_bytes(bytes as u64).await.map_err(Failure::Trap)
    }
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Unsealed
            | KvError::Random(_)
            | KvError::Volume(_)
            | KvError::Interrupted
            | KvError::Database(_) => other(UNAVAILABLE),
            // What these say is about the guest's own keys.
            error => other(&error.to_string()),
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(error: Unavailable) -> Self {
        other(&error.to_string())
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

type Answer<T> = Result<T, Failure>;

/// Where the latest listings of a bucket stopped. The interface's cursors are numbers; these stand for keys, so that
/// keys that come and go meanwhile move nothing.
#[derive(Debug, Default)]
struct Listings {
    /// How many were given before the oldest that is still known.
    forgotten: u64,
    last_keys: VecDeque<Vec<u8>>,
}

impl Listings {
    fn add(&mut self, last_key: Vec<u8>) -> u64 {
        if self.last_keys.len() == MAX_LISTINGS {
            self.last_keys.pop_front();
            self.forgotten += 1;
        }
        self.last_keys.push_back(last_key);
        self.forgotten + self.last_keys.len() as u64
    }

    fn after(&self, cursor: u64) -> Answer<&[u8]> {
        let index = cursor.checked_sub(self.forgotten + 1).and_then(|index| usize::try_from(index).ok());
        let last_key = index.and_then(|index| self.last_keys.get(index));
        last_key.map(Vec::as_slice).ok_or_else(|| other(NO_CURSOR))
    }
}

fn price(each: u64, keys: usize, bytes: usize) -> u64 {
    (keys as u64).saturating_mul(each).saturating_add(bytes as u64)
}

fn other(text: &str) -> Failure {
    Failure::Error(store::Error::Other(text.to_owned()))
}

/// What `open` takes for the app's own bucket.
const BUCKETS: [&str; 2] = ["", "default"];
const UNAVAILABLE: &str = "the app's keys cannot be read or written at present";
const NO_CURSOR: &str = "the cursor is none that this bucket's latest list-keys gave";
const NOT_TEXT: &str = "a key is not UTF-8";
/// Cursors that a bucket remembers.
const MAX_LISTINGS: usize = 64;
/// Fuel of a look at one key, in units of about one wasm instruction: a page may have to be read and decrypted.
const LOOK_FUEL: u64 = 2_000;
/// Fuel of a change, however many keys it has: a transaction writes ten pages or so.
const CHANGE_FUEL: u64 = 20_000;
/// Fuel of each key of a change.
const KEY_CHANGE_FUEL: u64 = 3_000;
/// A listed key costs as much as moving this many bytes, beside its own.
const LISTED_KEY_BYTES: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_known_until_so_many_others_were_given() {
        let mut listings = Listings::default();
        let first = listings.add(b"0".to_vec());
        for n in 1..MAX_LISTINGS {
            let cursor = listings.add(n.to_string().into_bytes());
            assert_eq!(listings.after(cursor).unwrap(), n.to_string().as_bytes());
        }
        assert_eq!(listings.after(first).unwrap(), b"0");
        let latest = listings.add(b"latest".to_vec());
        assert!(listings.after(first).is_err());
        assert_eq!(listings.after(latest).unwrap(), b"latest");
        for unknown in [0, latest + 1, u64::MAX] {
            assert!(listings.after(unknown).is_err());
        }
    }

    #[test]
    fn what_the_host_did_is_not_told_to_the_guest() {
        let text = |error: KvError| match Failure::from(error) {
            Failure::Error(store::Error::Other(text)) => text,
            failure => panic!("{failure:?}"),
        };
        assert_eq!(text(KvError::Volume(cloister_volume::VolumeError::Full)), UNAVAILABLE);
        assert!(text(KvError::KeyLength { length: 0 }).contains("1 to 1024 bytes"));
    }
}
