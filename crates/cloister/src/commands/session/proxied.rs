//! What a proxy reaches the enclave with.

use super::policy::{endpoint, policy, policy_of_caller};
use super::{client, keys, unconnected};
use crate::failure::Failure;
use crate::settings::Settings;
use cloister_api::AppName;
use cloister_client::{Client, Endpoint, Session};

/// A client and an enclave that it accepted.
#[derive(Debug)]
pub(crate) struct Proxied {
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    /// The only apps that requests may go to; `None`: all.
    pub(crate) apps: Option<Vec<AppName>>,
    /// In which it was accepted.
    pub(crate) session: Session,
}

impl Proxied {
    /// Connects and verifies, once. Where no image is pinned, nothing is connected to.
    pub(crate) async fn open(settings: &Settings, app: Option<&AppName>) -> Result<Self, Failure> {
        if settings.accepts_nothing() {
            return Err(Failure::Unpinned { host: settings.host.to_string() });
        }
        let policy = match app {
            None => policy(settings),
            Some(app) => policy_of_caller(settings, app)?,
        };
        // A policy file says nothing of apps that it does not name.
        let apps = settings.policy.as_ref().map(|_| policy.apps.keys().cloned().collect());
        let identity = settings.key.as_deref().map(keys::identity).transpose()?;
        let client = client(settings, policy, identity)?;
        let endpoint = endpoint(&settings.host, None);
        let session = client.connect(&endpoint).await.map_err(|error| unconnected(error, settings))?;
        Ok(Self { client, endpoint, apps, session })
    }
}
