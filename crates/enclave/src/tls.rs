//! TLS 1.3 as the enclave speaks it.

use crate::host_name::HostName;
use crate::state::Enclave;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, PeerMisbehaved, ServerConfig, SignatureScheme};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// TLS 1.3 alone, HTTP/2 before HTTP/1.1, a certificate by server name, a client certificate welcome but not needed.
///
/// No session is resumed: each handshake shows the certificate, and with it the evidence, of that moment.
///
/// # Errors
/// As rustls says of the provider.
pub(crate) fn configuration(enclave: &Arc<Enclave>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls_graviola::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut configuration = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey { algorithms }))
        .with_cert_resolver(Arc::new(ByServerName(Arc::clone(enclave))));
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    configuration.session_storage = Arc::new(NoServerSessionStorage {});
    configuration.send_tls13_tickets = 0;
    Ok(configuration)
}

#[derive(Debug)]
struct ByServerName(Arc<Enclave>);

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let state = self.0.state();
        let host = hello.server_name().and_then(HostName::parse);
        self.0.attestor.certificate_for(&state.attested, host.as_ref()).ok()
    }
}

/// Accepts every client certificate of one of three kinds of keys that the client holds. Who may do what is decided by the key,
/// request by request, so neither names nor issuers nor dates count.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is off".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // RFC 8446, section 4.4.3: the client has to choose one of those that it was offered.
        if !CLIENT_KEYS.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        CLIENT_KEYS.to_vec()
    }
}

/// Keys of clients: on P-256, on P-384, Ed25519.
const CLIENT_KEYS: [SignatureScheme; 3] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
];

/// A connection that is TLS from its first byte, or an error before TLS answers anything.
#[derive(Debug)]
pub(crate) struct TlsOnly<S> {
    stream: S,
    first: First,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Awaited,
    Handshake,
    Other,
}

impl<S> TlsOnly<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, first: First::Awaited }
    }

    /// The connection began with something else than a TLS handshake.
    pub(crate) fn began_otherwise(&self) -> bool {
        self.first == First::Other
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TlsOnly<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.first == First::Awaited
            && let Some(&first) = buffer.filled().get(before)
        {
            // RFC 8446, section 5.1: ContentType handshake(22).
            self.first = if first == 22 { First::Handshake } else { First::Other };
        }
        if self.first == First::Other {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "not a TLS handshake")));
        }
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TlsOnly<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A TLS session that its HTTP connection reads and writes, and that its requests ask for exporter values.
#[derive(Debug)]
pub(crate) struct Session<S>(Arc<Mutex<tokio_rustls::server::TlsStream<S>>>);

impl<S> Session<S> {
    pub(crate) fn new(stream: tokio_rustls::server::TlsStream<S>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Another handle of the same session.
    pub(crate) fn handle(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// The exporter's value (RFC 8446, section 7.5).
    ///
    /// # Errors
    /// As rustls says.
    pub(crate) fn exporter(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], rustls::Error> {
        self.lock().get_ref().1.export_keying_material([0; 32], label, Some(context))
    }

    fn lock(&self) -> MutexGuard<'_, tokio_rustls::server::TlsStream<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Session<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Session<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}
