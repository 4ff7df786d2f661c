use crate::{AppDescription, Limits, Problem};
use serde::{Deserialize, Serialize};

/// Header of a deploy or replace request: [`DeploySettings`] as JSON in ASCII.
pub const SETTINGS_HEADER: &str = "cloister-settings";

/// What a deployer decides about an app. Absent fields are defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeploySettings {
    pub limits: Limits,
    pub environment: Vec<EnvironmentVariable>,
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
