//! Whose servers a request trusts.

use std::fmt;
use std::sync::Arc;

use graviola::hashing::sha2::Sha256Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    WantsVerifier,
};

use crate::Check;

/// Whose certificates an app's requests trust: those that one of these issued, and these themselves.
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

/// What a server has to prove before a request is sent to it. A clone costs reference counts.
///
/// TLS 1.3 or 1.2, HTTP/2 before HTTP/1.1, no client certificate. Dates are checked against the host's clock.
#[derive(Clone)]
pub struct Trust {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) id: TrustId,
    pub(crate) check: Option<Arc<dyn Check>>,
}

/// Connections are shared by requests that trust the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrustId {
    /// The roots that an app has for all of its requests.
    App,
    Roots([u8; 32]),
    Checked {
        check: [u8; 32],
        roots: Option<[u8; 32]>,
    },
}

impl Trust {
    /// These roots alone, for a request of its own. TLS sessions are not resumed.
    ///
    /// # Errors
    /// [`InvalidRoots`] where one of them is no certificate.
    pub fn roots(roots: Roots) -> Result<Self, InvalidRoots> {
        let id = TrustId::Roots(digest(&roots));
        let mut tls = by_roots(versions(&[&TLS13, &TLS12])?, roots)?;
        tls.resumption = Resumption::disabled();
        Ok(Self { tls: finished(tls), id, check: None })
    }

    /// A server with which TLS 1.3 was agreed on and that `check` accepts. Without roots the certificate may be any
    /// whatsoever: that the server holds its key is proven, all else is `check`'s to decide. `id` is the same for no two
    /// checks that could decide differently.
    ///
    /// # Errors
    /// [`InvalidRoots`] where one of them is no certificate.
    pub fn checked(check: Arc<dyn Check>, id: [u8; 32], roots: Option<Roots>) -> Result<Self, InvalidRoots> {
        let id = TrustId::Checked { check: id, roots: roots.as_ref().map(digest) };
        let builder = versions(&[&TLS13])?;
        let mut tls = match roots {
            Some(roots) => by_roots(builder, roots)?,
            None => {
                let provider = Arc::clone(builder.crypto_provider());
                let verifier = Arc::new(DeferToCheck { provider });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        // In every session the peer proves anew that it holds its certificate's key.
        tls.resumption = Resumption::disabled();
        Ok(Self { tls: finished(tls), id, check: Some(check) })
    }

    /// For all requests of an app.
    pub(crate) fn of_app(roots: Roots) -> Result<Self, InvalidRoots> {
        let mut tls = by_roots(versions(&[&TLS13, &TLS12])?, roots)?;
        tls.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { tls: finished(tls), id: TrustId::App, check: None })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("id", &self.id).finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    sha256(&[certificate])
}

fn versions(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, InvalidRoots> {
    let provider = Arc::new(rustls_graviola::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_protocol_versions(versions)?)
}

fn finished(mut tls: ClientConfig) -> Arc<ClientConfig> {
    tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Arc::new(tls)
}

/// A server that proves its name below these roots, or that has one of them itself.
fn by_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    roots: Roots,
) -> Result<ClientConfig, InvalidRoots> {
    let mut store = RootCertStore::empty();
    let given = match roots {
        Roots::Mozilla => {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            Vec::new()
        }
        Roots::These(certificates) => certificates,
    };
    for (index, certificate) in given.iter().enumerate() {
        store.add(certificate.clone()).map_err(|source| InvalidRoots::Certificate { index, source })?;
    }
    if given.is_empty() {
        return Ok(builder.with_root_certificates(store).with_no_client_auth());
    }
    let provider = Arc::clone(builder.crypto_provider());
    let below = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    let below = below.map_err(|error| rustls::Error::General(error.to_string()))?;
    let verifier = Arc::new(GivenRoots { below, given });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Another one for other roots, or for another order of them.
fn digest(roots: &Roots) -> [u8; 32] {
    match roots {
        Roots::Mozilla => [0; 32],
        Roots::These(certificates) => {
            let lengths: Vec<[u8; 8]> =
                certificates.iter().map(|certificate| (certificate.len() as u64).to_be_bytes()).collect();
            let parts: Vec<&[u8]> =
                lengths.iter().zip(certificates).flat_map(|(length, der)| [&length[..], der]).collect();
            sha256(&parts)
        }
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256Context::new();
    for part in parts {
        hash.update(part);
    }
    hash.finish()
}

/// Accepts a server's certificate that was issued below one of the roots, or that is one of them.
///
/// The second is what `openssl req -x509` makes: certificates that are marked as an authority's, of which RFC 5280, section
/// 4.2.1.9 does not forbid that a server shows them.
#[derive(Debug)]
struct GivenRoots {
    below: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for GivenRoots {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.below.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // That it is an authority's is found after its dates were found to be good, and nothing else.
            Err(rustls::Error::InvalidCertificate(error))
                if is_an_authoritys(&error) && self.given.contains(certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.below.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.below.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.below.supported_verify_schemes()
    }
}

/// Whether an authority's certificate stands where a server's should.
pub(crate) fn is_an_authoritys(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Verifies that the peer holds the private key of its certificate, and nothing about who that is.
#[derive(Debug)]
struct DeferToCheck {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for DeferToCheck {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// ALPN of HTTP/2: RFC 9113, section 3.2.
pub(crate) const H2: &[u8] = b"h2";
/// TLS sessions that are kept to be resumed.
const SESSIONS: usize = 64;
