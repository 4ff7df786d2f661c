//! Which freshness anchor the volume has, and how it is reached.

use super::StorageError;
use cloister_api::FreshnessSetting;
use cloister_boundary::{HostError, Tpm};
use cloister_tpm::{TpmAnchors, TpmError, Transport};
use cloister_volume::AnchorProvider;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The anchor that the configuration names.
///
/// # Errors
/// [`StorageError::Host`] where the host does not lend what it needs.
pub(super) fn provider(setting: FreshnessSetting) -> Result<Option<Arc<dyn AnchorProvider>>, StorageError> {
    match setting {
        FreshnessSetting::None => Ok(None),
        FreshnessSetting::Tpm => {
            let host = HostTpm(Mutex::new(Some(Tpm::open()?)));
            Ok(Some(Arc::new(TpmAnchors::new(Arc::new(host)))))
        }
    }
}

/// The host's TPM. After a failed exchange its stream is at an unknown place, so the next one opens it again.
#[derive(Debug)]
struct HostTpm(Mutex<Option<Tpm>>);

impl Transport for HostTpm {
    fn transact(&self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tpm = match stream.take() {
            Some(tpm) => tpm,
            None => Tpm::open().map_err(unreachable)?,
        };
        let response = tpm.transact(command).map_err(unreachable)?;
        *stream = Some(tpm);
        Ok(response)
    }
}

fn unreachable(error: HostError) -> TpmError {
    TpmError::Unreachable(match error {
        HostError::Io(error) => error.kind(),
        HostError::Tpm(_) => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::InvalidData,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_that_is_not_there_is_an_error_and_never_none() {
        assert!(provider(FreshnessSetting::None).unwrap().is_none());
        assert!(matches!(provider(FreshnessSetting::Tpm), Err(StorageError::Host(HostError::Tpm(_)))));
    }
}
