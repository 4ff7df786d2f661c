//! TLS of outgoing requests.

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// TLS for the outgoing requests of one app. A clone costs a reference count.
///
/// TLS 1.3 or 1.2, HTTP/2 before HTTP/1.1, no client certificate. Dates are checked against the host's clock.
#[derive(Clone)]
pub struct Client {
    pub(crate) tls: Arc<ClientConfig>,
}

impl Client {
    /// TLS that trusts these roots alone.
    ///
    /// # Errors
    /// [`InvalidRoots`] where one of them is no certificate.
    pub fn new(roots: Roots) -> Result<Self, InvalidRoots> {
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::These(certificates) => {
                for (index, certificate) in certificates.into_iter().enumerate() {
                    store.add(certificate).map_err(|source| InvalidRoots::Certificate { index, source })?;
                }
            }
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(store)
            .with_no_client_auth();
        tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { tls: Arc::new(tls) })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// Whose certificates an app's requests trust.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The roots that Mozilla's browser trusts, as of this crate's build.
    Mozilla,
    /// These certificates, in DER, and no others. None at all: every TLS request fails.
    These(Vec<CertificateDer<'static>>),
}

/// Roots that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRoots {
    /// One is no certificate that can be a root.
    #[error("root {index} is no X.509 certificate in DER: {source}")]
    Certificate {
        /// Counted from 0.
        index: usize,
        source: rustls::Error,
    },
    /// The TLS library does not take the settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// ALPN of HTTP/2: RFC 9113, section 3.2.
pub(crate) const H2: &[u8] = b"h2";
/// TLS sessions that are kept to be resumed.
const SESSIONS: usize = 64;
