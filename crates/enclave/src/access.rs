//! Who sends a request: nobody in particular, or the holder of a key.

use cloister_api::{Code, Configuration, KeyFingerprint, Problem};
use cloister_attestation::key_fingerprint;
use cloister_runtime::platform::CallerKey;
use rustls::pki_types::CertificateDer;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    key: Option<KeyFingerprint>,
}

impl Caller {
    /// From the certificates that the client proved to hold the key of, its own first.
    pub(crate) fn from_certificates(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let key = certificates
            .and_then(|chain| chain.first())
            .and_then(|own| key_fingerprint(own).ok())
            .map(KeyFingerprint::from_hash);
        Self { key }
    }

    /// The holder of this key.
    #[cfg(test)]
    pub(crate) fn with_key(key: KeyFingerprint) -> Self {
        Self { key: Some(key) }
    }

    /// Nobody in particular.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self { key: None }
    }

    /// The key that the caller showed.
    pub(crate) fn key(self) -> Option<KeyFingerprint> {
        self.key
    }

    /// As guests are told.
    pub(crate) fn for_guest(self) -> Option<CallerKey> {
        self.key.map(|key| CallerKey(*key.as_bytes()))
    }

    /// The owner's key, where the caller is one.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] without a certificate, [`Code::Forbidden`] with another key's.
    pub(crate) fn owner(self, configuration: &Configuration) -> Result<KeyFingerprint, Problem> {
        match self.key {
            Some(key) if configuration.owners.contains(&key) => Ok(key),
            Some(key) => Err(Problem::new(
                Code::Forbidden,
                format!("the key {key} is not one of this enclave's owners; start it with --owner {key}"),
            )),
            None => Err(Problem::new(
                Code::Unauthenticated,
                "this request needs a TLS client certificate with the key of an owner of this enclave",
            )),
        }
    }
}
