use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::CollateralError;

/// What tells that the service at the other end is the one that was named. What it gives is signed by someone else, so that
/// this keeps others from watching and from withholding, and no more.
#[derive(Clone, Default)]
pub enum ServerTrust {
    /// The authorities that Mozilla trusts.
    #[default]
    Mozilla,
    /// These certificates, DER: the service's own, as a PCCS makes it for itself, or those of authorities.
    Certificates(Vec<CertificateDer<'static>>),
    /// Nothing: whoever answers.
    Unverified,
}

impl ServerTrust {
    /// The certificates in a PEM file.
    ///
    /// # Errors
    /// [`CollateralError::Certificates`] where there are none, more than 64, or one of them cannot be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CollateralError> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem).take(MAX_CERTIFICATES + 1).collect();
        match certificates {
            Ok(certificates) if (1..=MAX_CERTIFICATES).contains(&certificates.len()) => {
                Ok(Self::Certificates(certificates))
            }
            _ => Err(CollateralError::Certificates),
        }
    }

    pub(crate) fn configuration(&self) -> Result<Arc<ClientConfig>, CollateralError> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let verifier = Verifier {
            below: self.below(&provider)?,
            pinned: match self {
                Self::Certificates(certificates) => certificates.clone(),
                Self::Mozilla | Self::Unverified => Vec::new(),
            },
            provider: Arc::clone(&provider),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| CollateralError::Certificates)?;
        let mut configuration =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(configuration))
    }

    fn below(&self, provider: &Arc<CryptoProvider>) -> Result<Below, CollateralError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::Unverified => return Ok(Below::Anything),
            Self::Mozilla => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            // One that cannot be an authority may still be the service's own.
            Self::Certificates(certificates) => {
                roots.add_parsable_certificates(certificates.iter().cloned());
            }
        }
        if roots.is_empty() {
            return Ok(Below::Nothing);
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        verifier.map(Below::Roots).map_err(|_| CollateralError::Certificates)
    }
}

impl fmt::Debug for ServerTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mozilla => f.write_str("Mozilla"),
            Self::Certificates(certificates) => write!(f, "Certificates({})", certificates.len()),
            Self::Unverified => f.write_str("Unverified"),
        }
    }
}

#[derive(Debug)]
struct Verifier {
    below: Below,
    /// Certificates that are the service's own.
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Below {
    Anything,
    Nothing,
    Roots(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.iter().any(|pinned| pinned == certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.below {
            Below::Anything => Ok(ServerCertVerified::assertion()),
            Below::Nothing => Err(CertificateError::UnknownIssuer.into()),
            Below::Roots(roots) => roots.verify_server_cert(certificate, intermediates, name, ocsp, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

const MAX_CERTIFICATES: usize = 64;
