//! What is kept of an app beside its component.

use super::StorageError;
use cloister_api::{FunctionCounters, KeyFingerprint, Limits};
use cloister_volume::kv::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;
use zeroize::{Zeroize, Zeroizing};

/// One app as it was deployed. Its environment is secret, and with it the record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// Names the files of this component: 16 hex digits, new with each deploy.
    pub(crate) generation: String,
    /// Tells the app's keys from those of an app of the same name that was removed. A replacement keeps it.
    pub(crate) incarnation: Incarnation,
    pub(crate) owner: KeyFingerprint,
    /// SHA-256 of the component, hex.
    pub(crate) code_hash: String,
    /// Bytes of the component.
    pub(crate) size: u64,
    pub(crate) limits: Limits,
    pub(crate) environment: Vec<(String, String)>,
    /// When it was deployed, in seconds since 1970, as the host told the time.
    pub(crate) deployed: u64,
}

impl Record {
    pub(crate) fn new(
        staged: &super::Staged,
        incarnation: Incarnation,
        owner: KeyFingerprint,
        limits: Limits,
        environment: Vec<(String, String)>,
    ) -> Self {
        let deployed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            version: VERSION,
            generation: staged.generation().to_owned(),
            incarnation,
            owner,
            code_hash: hex::encode(staged.code_hash()),
            size: staged.size(),
            limits,
            environment,
            deployed: deployed.map_or(0, |since| since.as_secs()),
        }
    }

    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        Ok(Zeroizing::new(serde_json::to_vec(self)?))
    }

    pub(super) fn decode(text: &[u8]) -> Result<Self, StorageError> {
        check_version(text)?;
        Ok(serde_json::from_slice(text)?)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.environment.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What an app's calls did.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CountersRecord {
    version: u32,
    /// Of the component that was called: a replacement begins anew.
    pub(super) generation: String,
    pub(super) functions: BTreeMap<String, FunctionCounters>,
}

impl CountersRecord {
    pub(super) fn new(generation: &str, functions: BTreeMap<String, FunctionCounters>) -> Self {
        Self { version: VERSION, generation: generation.to_owned(), functions }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, StorageError> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn decode(text: &[u8]) -> Result<Self, StorageError> {
        check_version(text)?;
        Ok(serde_json::from_slice(text)?)
    }
}

fn check_version(text: &[u8]) -> Result<(), StorageError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match serde_json::from_slice::<Versioned>(text)?.version {
        VERSION => Ok(()),
        found => Err(StorageError::RecordVersion { found }),
    }
}

/// Format of records.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told() {
        let text = br#"{"version":7,"anything":true}"#;
        assert!(matches!(Record::decode(text), Err(StorageError::RecordVersion { found: 7 })));
        assert!(matches!(CountersRecord::decode(text), Err(StorageError::RecordVersion { found: 7 })));
        assert!(matches!(Record::decode(b"{"), Err(StorageError::Record(_))));
    }
}
