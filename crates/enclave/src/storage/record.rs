//! What is kept of an app beside its component.

use super::StorageError;
use super::assets::AssetsRecord;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_api::{DEFAULT_ASSETS_AT, Directory, FunctionCounters, KeyFingerprint, Limits, NetworkPolicy};
use cloister_attestation::{AssetsClaim, roots_hash};
use cloister_volume::kv::Incarnation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;
use zeroize::{Zeroize, Zeroizing};

/// What a deployer decided about an app. Environment and configuration are secret.
#[derive(Clone)]
pub(crate) struct AppSettings {
    pub(crate) limits: Limits,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) config: Vec<(String, String)>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) network: NetworkPolicy,
    /// Certificates, DER in base64, ascending by DER, none twice.
    pub(crate) roots: Vec<String>,
    pub(crate) assets_at: String,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            environment: Vec::new(),
            config: Vec::new(),
            directories: Vec::new(),
            network: NetworkPolicy::default(),
            roots: Vec::new(),
            assets_at: DEFAULT_ASSETS_AT.to_owned(),
        }
    }
}

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
    /// What the guest reads over wasi:config. Records of version 1 have none of this and what follows.
    #[serde(default)]
    pub(crate) config: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) directories: Vec<Directory>,
    #[serde(default)]
    pub(crate) network: NetworkPolicy,
    /// Certificates, DER in base64; none: Mozilla's are used.
    #[serde(default)]
    pub(crate) roots: Vec<String>,
    #[serde(default)]
    pub(crate) assets: Option<AssetsRecord>,
    /// Where the guest finds its assets, if there are any.
    #[serde(default)]
    pub(crate) assets_at: String,
    /// When it was deployed, in seconds since 1970, as the host told the time.
    pub(crate) deployed: u64,
}

impl Record {
    pub(crate) fn new(
        staged: &super::Staged,
        incarnation: Incarnation,
        owner: KeyFingerprint,
        settings: AppSettings,
    ) -> Self {
        let deployed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            version: VERSION,
            generation: staged.generation().to_owned(),
            incarnation,
            owner,
            code_hash: hex::encode(staged.code_hash()),
            size: staged.size(),
            limits: settings.limits,
            environment: settings.environment,
            config: settings.config,
            directories: settings.directories,
            network: settings.network,
            roots: settings.roots,
            assets: staged.assets(),
            assets_at: settings.assets_at,
            deployed: deployed.map_or(0, |since| since.as_secs()),
        }
    }

    /// The hash of its root certificates, as claims say it; `None` where Mozilla's are used.
    pub(crate) fn roots_hash(&self) -> Option<[u8; 32]> {
        let certificates: Vec<_> = self.roots.iter().filter_map(|root| BASE64.decode(root).ok()).collect();
        (!self.roots.is_empty()).then(|| roots_hash(certificates.iter().map(Vec::as_slice)))
    }

    /// Its assets, as claims say them.
    pub(crate) fn assets_claim(&self) -> Option<AssetsClaim> {
        let assets = self.assets.as_ref()?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&assets.hash, &mut hash).ok()?;
        Some(AssetsClaim { at: self.assets_at.clone(), hash })
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
        self.environment.iter_mut().chain(&mut self.config).for_each(|(_, value)| value.zeroize());
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
        OLDEST..=VERSION => Ok(()),
        found => Err(StorageError::RecordVersion { found }),
    }
}

/// Format of records.
const VERSION: u32 = 2;
/// The oldest format that is still read.
const OLDEST: u32 = 1;

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

    /// A record as the first format has it: an app without network, assets and directories of its own.
    #[test]
    fn a_record_of_version_1_has_defaults() {
        let text = format!(
            r#"{{"version":1,"generation":"0123456789abcdef","incarnation":{},"owner":"{}","code_hash":"{}","size":3,
                "limits":{{}},"environment":[["K","V"]],"deployed":7}}"#,
            serde_json::to_string(&Incarnation::default()).unwrap(),
            "a5".repeat(32),
            "c0".repeat(32)
        );
        let record = Record::decode(text.as_bytes()).unwrap();
        assert_eq!(record.environment, [("K".to_owned(), "V".to_owned())]);
        assert!(record.network.is_empty() && record.config.is_empty() && record.directories.is_empty());
        assert_eq!((record.roots_hash(), record.assets_claim()), (None, None));
        let counters = CountersRecord::decode(br#"{"version":1,"generation":"","functions":{}}"#).unwrap();
        assert!(counters.functions.is_empty());
    }
}
