use crate::{AppName, CallerPolicy, Directory, NetworkPolicy, StorageUsage, TokenIssuer, Upgrade};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bounds of one call, and of what the app keeps; fixed when the app is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Fuel units that one call may burn.
    pub fuel: u64,
    /// Bytes of linear memory, all of a call's memories together.
    pub memory: u64,
    /// Table elements, all of a call's tables together.
    pub table_elements: u64,
    /// Core instances, memories and tables that one call may hold, each.
    pub instances: u32,
    /// Resource handles that one call may hold at once.
    pub handles: u32,
    /// Bytes of the encoded result.
    pub result: u64,
    /// Bytes of standard output and standard error kept of one call.
    pub log: u64,
    /// Milliseconds of wall time.
    pub wall_time_ms: u64,
    /// Bytes of files, and as many bytes of keys, that the app keeps across calls.
    pub storage: u64,
    /// Files, directories and symbolic links that the app keeps across calls.
    pub files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            memory: 64 << 20,
            table_elements: 100_000,
            instances: 64,
            handles: 10_000,
            result: 1 << 20,
            log: 64 << 10,
            wall_time_ms: 30_000,
            storage: 256 << 20,
            files: 10_000,
        }
    }
}

/// One app in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSummary {
    pub name: AppName,
    /// SHA-256 of the uploaded `.wasm`, lower-case hex.
    pub code_hash: String,
    /// Size of the uploaded `.wasm`, bytes.
    pub size: u64,
    /// SHA-256 of the owner's SubjectPublicKeyInfo, or [who a token is of](crate::token_principal), lower-case hex.
    pub owner: String,
}

/// The apps of one owner, by name; the operator's list has all apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppList {
    pub apps: Vec<AppSummary>,
}

/// What an app is, and what it did since it was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDescription {
    #[serde(flatten)]
    pub summary: AppSummary,
    /// The component's own WIT, as text.
    pub wit: String,
    pub limits: Limits,
    /// Names of the environment variables; values are secret.
    pub environment: Vec<String>,
    /// Keys of what the guest reads over wasi:config; values are secret.
    pub config: Vec<String>,
    /// Directories that are open when the guest starts; none: the whole of the app's tree as `/`.
    pub directories: Vec<Directory>,
    /// What the guest may do on the network.
    pub network: NetworkPolicy,
    /// Whether `network` lets anything through the host in plaintext.
    pub sends_plaintext: bool,
    /// SHA-256 of the list of root certificates for https, lower-case hex; absent where Mozilla's are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// SHA-256 of the list of root certificates that quotes of other enclaves may end in beside Intel's, lower-case hex;
    /// absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_roots: Option<String>,
    /// Who may ask it for what.
    #[serde(default)]
    pub callers: CallerPolicy,
    /// Whose tokens `callers` can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<TokenIssuer>,
    /// What may take its place and keep its data.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// Whether it has to be configured before it answers.
    #[serde(default, skip_serializing_if = "ConfigurationState::is_not_needed")]
    pub configuration: ConfigurationState,
    /// The export that configures it; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configure_with: Option<String>,
    /// What it shows in its certificates, by object identifier.
    pub extensions: Vec<ExtensionDescription>,
    /// Its keys, in memory and persisted, by name; also those that are gone and were used, as far as the enclave
    /// remembers them.
    pub keys: Vec<KeyDescription>,
    /// The read-only files that belong to the code; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<AssetsDescription>,
    /// Whether it is a web service: it exports `wasi:http/incoming-handler`.
    pub serves_http: bool,
    /// Whether it is a command: it exports `wasi:cli/run`.
    pub runs: bool,
    /// Imports, full WIT names.
    pub imports: Vec<String>,
    pub exports: Vec<ExportDescription>,
    /// Bytes of the executable pool that the app's native code holds.
    pub code_bytes: u64,
    /// Milliseconds that compiling took.
    pub compile_ms: u64,
    /// What the app keeps in the volume now.
    pub storage: StorageUsage,
    /// All functions together.
    pub total: FunctionCounters,
    /// By export name; functions that were never called are left out.
    pub functions: BTreeMap<String, FunctionCounters>,
}

/// Whether an app has to be configured before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationState {
    /// It was deployed without an export that configures it.
    #[default]
    NotNeeded,
    /// It answers nothing but that export, and this to its owner alone.
    Awaited,
    /// It said that its configuration is complete.
    Complete,
}

impl ConfigurationState {
    fn is_not_needed(&self) -> bool {
        *self == Self::NotNeeded
    }
}

/// A value that an app shows in its certificates, and whose hash is in the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionDescription {
    /// The object identifier in dotted decimals.
    pub oid: String,
    /// Length of the value.
    pub bytes: u64,
    /// SHA-256 of the value, lower-case hex.
    pub hash: String,
}

/// A key that an app has or had: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDescription {
    pub name: String,
    /// The algorithm, such as `aes-256-gcm`, `ecdsa-p256-sha256` or `hmac-sha256`; absent where the key is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Calls can use it.
    pub in_memory: bool,
    /// It is kept sealed in the volume.
    pub persisted: bool,
    /// How often it was used since the app was deployed, by operation, such as `encrypt` or `sign`; operations that never
    /// were are left out.
    pub uses: BTreeMap<String, u64>,
}

/// The read-only files that belong to an app's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetsDescription {
    /// Of paths, sizes and contents, lower-case hex; `docs/design/evidence.md` says of which bytes.
    pub hash: String,
    /// All contents together.
    pub bytes: u64,
    /// How many there are, directories not counted.
    pub files: u64,
    /// Where the guest finds them.
    pub at: String,
}

/// A function that can be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportDescription {
    /// `function`, or `namespace:package/interface@version#function`.
    pub name: String,
    pub parameters: Vec<ParameterDescription>,
    /// WIT text of the result type; `null` where the function returns nothing.
    pub result: Option<String>,
    /// Why calls cannot carry its types, where they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_callable: Option<String>,
}

/// One parameter of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterDescription {
    pub name: String,
    /// The type in WAVE notation, such as `list<u8>`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// What calls did, since the app was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCounters {
    pub calls: u64,
    pub errors: u64,
    pub fuel_min: u64,
    pub fuel_max: u64,
    pub fuel_total: u64,
    pub wall_us_min: u64,
    pub wall_us_max: u64,
    pub wall_us_total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_is_not_needed_is_left_out() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Part {
            #[serde(default, skip_serializing_if = "ConfigurationState::is_not_needed")]
            configuration: ConfigurationState,
        }
        for (configuration, text) in [
            (ConfigurationState::NotNeeded, "{}"),
            (ConfigurationState::Awaited, r#"{"configuration":"awaited"}"#),
            (ConfigurationState::Complete, r#"{"configuration":"complete"}"#),
        ] {
            let part = Part { configuration };
            assert_eq!(serde_json::to_string(&part).unwrap(), text);
            assert_eq!(serde_json::from_str::<Part>(text).unwrap(), part);
        }
        assert!(serde_json::from_str::<ConfigurationState>("\"done\"").is_err());
    }

    #[test]
    fn keys_that_are_gone_have_no_kind() {
        let key = KeyDescription {
            name: "old".into(),
            kind: None,
            in_memory: false,
            persisted: false,
            uses: BTreeMap::from([("sign".into(), 3)]),
        };
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(text, r#"{"name":"old","in_memory":false,"persisted":false,"uses":{"sign":3}}"#);
        assert_eq!(serde_json::from_str::<KeyDescription>(&text).unwrap(), key);
    }
}
