use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use crate::Certificate;
use crate::key::Key;

/// What a server proves who it is with: a certificate and its key, on P-256.
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    /// PKCS #8 in DER.
    key: Vec<u8>,
}

/// The versions of TLS that a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 alone.
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
    /// Both.
    All,
}

impl Identity {
    /// A server that nobody but itself vouches for.
    pub fn self_signed(certificate: impl Into<Certificate>) -> Self {
        let key = Key::generate();
        let signed = certificate.into().into_parameters().self_signed(&key);
        Self::new(signed.expect("it can be signed").into(), &key)
    }

    pub(crate) fn new(certificate: CertificateDer<'static>, key: &Key) -> Self {
        Self { certificate, key: key.to_pkcs8() }
    }

    /// Its certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Its certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// Its key as a PKCS #8 document (RFC 5958), in DER.
    pub fn pkcs8(&self) -> &[u8] {
        &self.key
    }

    /// TLS of a server that is this one and asks clients for nothing. `alpn` is what it speaks inside, the best first; none:
    /// the client's wishes are not looked at.
    pub fn server_config(&self, alpn: &[&str], versions: Versions) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(self.key.clone()).into();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&versions.supported())
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate()], key)
            .expect("the key is the certificate's");
        tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        tls
    }

    /// As [`Identity::server_config`], for connections of tokio.
    pub fn acceptor(&self, alpn: &[&str], versions: Versions) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.server_config(alpn, versions)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Versions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS12],
            Self::Tls13 => vec![&TLS13],
            Self::All => vec![&TLS13, &TLS12],
        }
    }
}
