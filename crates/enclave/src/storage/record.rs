//! What is kept of an app beside its component.

use super::StorageError;
use super::assets::AssetsRecord;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_api::{
    CallerPolicy, DEFAULT_ASSETS_AT, Directory, FunctionCounters, KeyFingerprint, Limits, NetworkPolicy,
    TokenIssuer, Upgrade,
};
use cloister_attestation::{AssetsClaim, ConfigurationClaim, roots_hash};
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
    /// As `roots`.
    pub(crate) quote_roots: Vec<String>,
    /// An export that calls take; once the program is known, its full name.
    pub(crate) configure_with: Option<String>,
    pub(crate) assets_at: String,
    /// Once the program is known, exports by their full names.
    pub(crate) callers: CallerPolicy,
    pub(crate) issuers: Vec<TokenIssuer>,
    pub(crate) upgrade: Upgrade,
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
            quote_roots: Vec::new(),
            configure_with: None,
            assets_at: DEFAULT_ASSETS_AT.to_owned(),
            callers: CallerPolicy::default(),
            issuers: Vec::new(),
            upgrade: Upgrade::default(),
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
    /// As `incarnation`, of the app's vault. Records before version 3 have none of this and what follows.
    #[serde(default)]
    pub(crate) vault: Incarnation,
    /// Certificates that quotes may end in beside Intel's, as `roots`.
    #[serde(default)]
    pub(crate) quote_roots: Vec<String>,
    /// The export that configures it, by its full name.
    #[serde(default)]
    pub(crate) configure_with: Option<String>,
    /// The app said that its configuration is complete.
    #[serde(default)]
    pub(crate) is_configured: bool,
    /// What the app shows in its certificates, by the number that ends the object identifier.
    #[serde(default, with = "values")]
    pub(crate) extensions: BTreeMap<u32, Vec<u8>>,
    /// Who may ask it for what. Records before version 4 have none of this and what follows.
    #[serde(default)]
    pub(crate) callers: CallerPolicy,
    #[serde(default)]
    pub(crate) issuers: Vec<TokenIssuer>,
    /// What may take its place and keep its data.
    #[serde(default)]
    pub(crate) upgrade: Upgrade,
    /// When it was deployed, in seconds since 1970, as the host told the time.
    pub(crate) deployed: u64,
}

impl Record {
    pub(crate) fn new(
        staged: &super::Staged,
        incarnations: Incarnations,
        owner: KeyFingerprint,
        settings: AppSettings,
    ) -> Self {
        let deployed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            version: VERSION,
            generation: staged.generation().to_owned(),
            incarnation: incarnations.keys,
            vault: incarnations.vault,
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
            quote_roots: settings.quote_roots,
            configure_with: settings.configure_with,
            is_configured: false,
            extensions: BTreeMap::new(),
            callers: settings.callers,
            issuers: settings.issuers,
            upgrade: settings.upgrade,
            deployed: deployed.map_or(0, |since| since.as_secs()),
        }
    }

    /// The hash of its root certificates, as claims say it; `None` where Mozilla's are used.
    pub(crate) fn roots_hash(&self) -> Option<[u8; 32]> {
        hash_of(&certificates(&self.roots))
    }

    /// The roots of quotes that it accepts beside Intel's, DER.
    pub(crate) fn quote_roots(&self) -> Vec<Vec<u8>> {
        certificates(&self.quote_roots)
    }

    /// The hash of those, as claims say it; `None` where there are none.
    pub(crate) fn quote_roots_hash(&self) -> Option<[u8; 32]> {
        hash_of(&self.quote_roots())
    }

    /// Whether the app is configured, as claims say it.
    pub(crate) fn configuration(&self) -> ConfigurationClaim {
        match (&self.configure_with, self.is_configured) {
            (None, _) => ConfigurationClaim::NotNeeded,
            (Some(_), false) => ConfigurationClaim::Awaited,
            (Some(_), true) => ConfigurationClaim::Complete,
        }
    }

    /// Which keys are its own.
    pub(crate) fn incarnations(&self) -> Incarnations {
        Incarnations { keys: self.incarnation, vault: self.vault }
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

/// What tells an app's entries in the key-value store from those of an app of the same name that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incarnations {
    /// Of what the guest keeps over wasi:keyvalue.
    pub(crate) keys: Incarnation,
    /// Of the vault, where the enclave keeps the app's cryptographic keys and its users' roles.
    pub(crate) vault: Incarnation,
}

/// What an app's calls did.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CountersRecord {
    version: u32,
    /// Of the component that was called: a replacement begins anew.
    pub(super) generation: String,
    pub(super) functions: BTreeMap<String, FunctionCounters>,
    /// Whose keys were used: a replacement goes on. Records before version 3 have none of this and what follows.
    #[serde(default)]
    pub(super) vault: Incarnation,
    #[serde(default)]
    pub(super) keys: KeyUses,
}

/// What of an app's counters outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeptCounters {
    pub(crate) functions: BTreeMap<String, FunctionCounters>,
    pub(crate) keys: KeyUses,
}

/// How often each key was used: by its name, by operation.
pub(crate) type KeyUses = BTreeMap<String, BTreeMap<String, u64>>;

impl CountersRecord {
    pub(super) fn new(record: &Record, kept: KeptCounters) -> Self {
        let KeptCounters { functions, keys } = kept;
        let generation = record.generation.clone();
        Self { version: VERSION, generation, functions, vault: record.vault, keys }
    }

    /// What of it is the app's that has this record.
    pub(super) fn of(self, record: &Record) -> KeptCounters {
        let mut kept = KeptCounters::default();
        if self.generation == record.generation {
            kept.functions = self.functions;
        }
        if self.vault == record.vault {
            kept.keys = self.keys;
        }
        kept
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, StorageError> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn decode(text: &[u8]) -> Result<Self, StorageError> {
        check_version(text)?;
        Ok(serde_json::from_slice(text)?)
    }
}

/// Each was valid when the app was deployed.
fn certificates(encoded: &[String]) -> Vec<Vec<u8>> {
    encoded.iter().filter_map(|certificate| BASE64.decode(certificate).ok()).collect()
}

fn hash_of(certificates: &[Vec<u8>]) -> Option<[u8; 32]> {
    (!certificates.is_empty()).then(|| roots_hash(certificates.iter().map(Vec::as_slice)))
}

/// Values of extensions: base64 in JSON.
mod values {
    use super::{BASE64, BTreeMap, Engine};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        values: &BTreeMap<u32, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(suffix, value)| (suffix, BASE64.encode(value))))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<BTreeMap<u32, Vec<u8>>, D::Error> {
        let encoded = BTreeMap::<u32, String>::deserialize(deserializer)?;
        let decode = |(suffix, value): (u32, String)| {
            BASE64.decode(value).map(|value| (suffix, value)).map_err(D::Error::custom)
        };
        encoded.into_iter().map(decode).collect()
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
const VERSION: u32 = 4;
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
        assert!(counters.functions.is_empty() && counters.keys.is_empty());
        assert_eq!(
            (record.quote_roots_hash(), record.configuration()),
            (None, ConfigurationClaim::NotNeeded)
        );
        assert!(record.extensions.is_empty());
        assert!(record.callers.is_owner_alone() && record.issuers.is_empty());
        assert_eq!(record.upgrade, Upgrade::Owner);
    }

    /// What a policy forbids must not come back with a restart, whatever else the record has.
    #[test]
    fn policies_survive_json() {
        let text = format!(
            r#"{{"version":4,"generation":"0123456789abcdef","incarnation":[0,0,0,0,0,0,0,0],"owner":"{0}",
                "code_hash":"{0}","size":3,"limits":{{}},"environment":[],"deployed":7,
                "callers":["*=owner","@web=public"],"upgrade":{{"endorsed":{{"threshold":1,"keys":["{0}"]}}}},
                "issuers":[{{"name":"idp","issuer":"https://id.example","audience":"app"}}]}}"#,
            "a5".repeat(32),
        );
        let record = Record::decode(text.as_bytes()).unwrap();
        assert_eq!(record.callers.rules().len(), 2);
        assert_eq!((record.issuers.len(), record.issuers[0].roles_claim.as_str()), (1, "roles"));
        assert!(matches!(&record.upgrade, Upgrade::Endorsed { threshold: 1, keys } if keys.len() == 1));
        assert!(Record::decode(&record.encode().unwrap()).unwrap() == record);
        // What cannot be read is an error, and never a weaker policy.
        for (sound, broken) in
            [("*=owner", "*=all"), ("\"threshold\":1", "\"threshold\":0"), ("https://", "http://")]
        {
            assert!(Record::decode(text.replace(sound, broken).as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn what_an_app_declared_survives_json() {
        let text = format!(
            r#"{{"version":3,"generation":"0123456789abcdef","incarnation":[0,0,0,0,0,0,0,0],"owner":"{}",
                "code_hash":"{}","size":3,"limits":{{}},"environment":[],"deployed":7,"configure_with":"setup",
                "extensions":{{"7":"AAH/","4294967295":"AA=="}}}}"#,
            "a5".repeat(32),
            "c0".repeat(32)
        );
        let mut record = Record::decode(text.as_bytes()).unwrap();
        assert_eq!(record.extensions, BTreeMap::from([(7, vec![0, 1, 255]), (u32::MAX, vec![0])]));
        assert_eq!(record.configuration(), ConfigurationClaim::Awaited);
        record.is_configured = true;
        let read = Record::decode(&record.encode().unwrap()).unwrap();
        assert_eq!((read.configuration(), read == record), (ConfigurationClaim::Complete, true));
    }
}
