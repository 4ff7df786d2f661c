//! A policy from an enclave as it is.

use super::errors::unconnected;
use super::policy::{endpoint, policy};
use super::{Connection, client};
use crate::commands::keys;
use crate::failure::Failure;
use crate::settings::Settings;
use cloister_policy::{CollateralSource, PolicyFile};

impl Connection {
    /// The policy that accepts the enclave as it was found, once it was verified by what the settings accept.
    pub(crate) async fn found(settings: &Settings) -> Result<PolicyFile, Failure> {
        if settings.accepts_nothing() {
            return Err(Failure::Unpinned { host: settings.host.to_string() });
        }
        let identity = settings.key.as_deref().map(keys::identity).transpose()?;
        let session = client(settings, policy(settings), identity)?
            .connect(&endpoint(&settings.host, None))
            .await
            .map_err(|error| unconnected(error, settings))?;
        let found = PolicyFile::of_found(session.verified());
        let mut found = found.ok_or_else(|| Failure::Internal("accepted evidence has no root".to_owned()))?;
        found.collateral = match (&settings.policy, &settings.collateral) {
            (Some(named), _) => named.file.collateral.clone(),
            (None, Some(path)) => CollateralSource::File(path.clone()),
            (None, None) => CollateralSource::Enclave,
        };
        // The new file may be in another folder.
        match &mut found.collateral {
            CollateralSource::File(path) | CollateralSource::Server { roots: Some(path), .. } => {
                *path = std::path::absolute(&*path).map_err(|error| Failure::usage(error.to_string()))?;
            }
            CollateralSource::Enclave | CollateralSource::Server { roots: None, .. } => {}
        }
        Ok(found)
    }
}
