use crate::{AppDescription, CallerPolicy, Limits, NetworkPolicy, Problem, TokenIssuer, Upgrade};
use serde::{Deserialize, Serialize};

/// Header of a deploy or replace request: [`DeploySettings`] as JSON in ASCII.
pub const SETTINGS_HEADER: &str = "cloister-settings";

/// Longest value of [`SETTINGS_HEADER`], in bytes. The whole head of a request has 64 KiB.
pub const MAX_SETTINGS: usize = 48 << 10;

/// Most certificates in [`DeploySettings::quote_roots`].
pub const MAX_QUOTE_ROOTS: usize = 8;

/// Where a guest finds its assets if nothing else is said.
pub const DEFAULT_ASSETS_AT: &str = "/assets";

/// What a deployer decides about an app. Absent fields are defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeploySettings {
    pub limits: Limits,
    pub environment: Vec<EnvironmentVariable>,
    /// What the guest reads over wasi:config, by key. Values are secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<EnvironmentVariable>,
    /// Directories that are open when the guest starts; none: the whole of the app's tree as `/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<Directory>,
    /// What the guest may do on the network.
    #[serde(skip_serializing_if = "NetworkPolicy::is_empty")]
    pub network: NetworkPolicy,
    /// Certificates that vouch for the servers that the guest sends https requests to, DER in base64. None: Mozilla's;
    /// else these and no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// Root certificates that the quotes of other enclaves may end in beside Intel's, where the guest asks for such a quote
    /// in its https requests; DER in base64, at most [`MAX_QUOTE_ROOTS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quote_roots: Vec<String>,
    /// The export that configures the app, named as calls name it. Until the app says that its configuration is complete it
    /// answers nothing else, and this to its owner alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configure_with: Option<String>,
    /// Where the guest finds its assets; [`DEFAULT_ASSETS_AT`] if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assets_at: Option<String>,
    /// Who may ask the app for what: its owner alone, if nothing is said.
    #[serde(skip_serializing_if = "CallerPolicy::is_owner_alone")]
    pub callers: CallerPolicy,
    /// Whose tokens `callers` can name; at most [`MAX_ISSUERS`](crate::MAX_ISSUERS).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<TokenIssuer>,
    /// What may take the app's place and keep its data.
    #[serde(skip_serializing_if = "Upgrade::is_owner")]
    pub upgrade: Upgrade,
}

/// A directory that is open when the guest starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// In the app's own tree, absolute, without `.` and `..`; made where it is missing and may be written.
    pub path: String,
    /// The name that the guest knows it by: absolute, or relative such as `.`.
    pub guest: String,
    /// The guest can only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// One environment variable of the guest. Its value is a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentVariable {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for EnvironmentVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentVariable").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Progress of a deploy or replace, one line each; the last is [`Deployed`](Self::Deployed) or [`Failed`](Self::Failed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum DeployEvent {
    /// The whole component arrived.
    Received { bytes: u64, code_hash: String },
    /// Another component is being compiled; this one is behind it.
    Queued,
    /// Compiling goes on. `functions` counts the core functions of the component.
    Compiling { functions: u64, elapsed_ms: u64 },
    /// The app answers calls.
    Deployed { app: Box<AppDescription> },
    /// Nothing was changed.
    Failed { problem: Problem },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_json_and_leave_out_what_is_not_said() {
        let limits = serde_json::to_value(Limits::default()).unwrap();
        let empty = serde_json::json!({ "limits": limits, "environment": [] });
        assert_eq!(serde_json::to_value(DeploySettings::default()).unwrap(), empty);
        assert_eq!(serde_json::from_str::<DeploySettings>("{}").unwrap(), DeploySettings::default());
        assert_eq!(DeploySettings::default().callers.rules(), ["*=owner".parse().unwrap()]);
        let nobody = serde_json::from_str::<DeploySettings>(r#"{"callers":[]}"#).unwrap();
        assert_eq!(
            (nobody.callers.rules(), serde_json::to_value(&nobody).unwrap()["callers"].to_string()),
            (&[][..], "[]".to_owned())
        );
        let settings = DeploySettings {
            config: vec![EnvironmentVariable { name: "k".into(), value: "v".into() }],
            directories: vec![Directory { path: "/data".into(), guest: ".".into(), read_only: true }],
            network: NetworkPolicy::new(vec!["https://example.com".parse().unwrap()]).unwrap(),
            roots: vec!["MIIB".into()],
            quote_roots: vec!["MIIC".into()],
            configure_with: Some("configure".into()),
            assets_at: Some("/site".into()),
            callers: CallerPolicy::new(vec!["@web=public".parse().unwrap()]).unwrap(),
            issuers: vec![TokenIssuer {
                name: "staff".into(),
                issuer: "https://id.example.com".into(),
                audience: "app".into(),
                roles_claim: "roles".into(),
                jwks: None,
                roots: Vec::new(),
            }],
            upgrade: Upgrade::Frozen,
            ..DeploySettings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert!(text.contains(r#""network":["https://example.com"]"#), "{text}");
        assert_eq!(serde_json::from_str::<DeploySettings>(&text).unwrap(), settings);
        assert!(!format!("{settings:?}").contains("\"v\""));
    }

    #[test]
    fn bad_rules_are_refused_by_name() {
        let error = serde_json::from_str::<DeploySettings>(r#"{"network":["https://a/b"]}"#).unwrap_err();
        assert!(error.to_string().contains("'https://a/b' is not a network rule"), "{error}");
        let error = serde_json::from_str::<DeploySettings>(r#"{"callers":["*=all"]}"#).unwrap_err();
        assert!(error.to_string().contains("'*=all' is not a caller rule"), "{error}");
    }
}
