use crate::{ClientError, Identity};
use cloister_attestation::key_fingerprint;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;

/// TLS 1.3 alone, without resumption: in every session the peer proves anew that it holds its certificate's key, which
/// has to be this one, where one is given.
pub(crate) fn configuration(
    identity: Option<&Identity>,
    peer: Option<[u8; 32]>,
) -> Result<Arc<ClientConfig>, ClientError> {
    let provider = Arc::new(rustls_graviola::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::Identity(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DeferToEvidence { provider, peer }));
    let mut configuration = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) =
                identity.for_tls().map_err(|error| ClientError::Identity(error.to_string()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| ClientError::Identity(error.to_string()))?
        }
    };
    configuration.resumption = Resumption::disabled();
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(configuration))
}

/// Verifies that the peer holds the private key of its certificate, and nothing about who that is: whether to trust
/// the key is decided by the evidence, before any request.
#[derive(Debug)]
struct DeferToEvidence {
    provider: Arc<CryptoProvider>,
    /// Fingerprint of the only key that is accepted. Any other ends the handshake before this end's certificate is sent (RFC
    /// 8446, section 2: the server is authenticated first).
    peer: Option<[u8; 32]>,
}

impl ServerCertVerifier for DeferToEvidence {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.peer {
            Some(peer) if key_fingerprint(certificate) != Ok(peer) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
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
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
