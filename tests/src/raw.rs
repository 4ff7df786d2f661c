//! Clients that do what ours never does.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// TLS 1.3 without any verification, carrying whatever bytes a test writes.
#[derive(Debug)]
pub struct RawTls(pub TlsStream<TcpStream>);

impl RawTls {
    /// Connects under a server name, offering HTTP/1.1.
    ///
    /// # Errors
    /// As the handshake says.
    pub async fn connect(address: SocketAddr, server_name: &str) -> io::Result<Self> {
        Self::offering(address, server_name, b"http/1.1").await
    }

    /// Connects under a server name, offering one protocol.
    ///
    /// # Errors
    /// As the handshake says.
    pub async fn offering(address: SocketAddr, server_name: &str, protocol: &[u8]) -> io::Result<Self> {
        let provider = Arc::new(rustls_graviola::default_provider());
        let mut configuration = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        configuration.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from(server_name.to_owned()).map_err(io::Error::other)?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(configuration)).connect(name, stream).await.map(Self)
    }

    /// The end-entity certificate in DER.
    pub fn certificate(&self) -> Vec<u8> {
        let certificates = self.0.get_ref().1.peer_certificates();
        certificates.and_then(|chain| chain.first()).map(|own| own.to_vec()).unwrap_or_default()
    }

    /// Writes `request`, then reads until the enclave closes or nothing comes for `patience`.
    pub async fn send(&mut self, request: &[u8], patience: Duration) -> String {
        // A peer that closed early is a result, too: what it said before that counts.
        let _ = self.0.write_all(request).await;
        let _ = self.0.flush().await;
        read_all(&mut self.0, patience).await
    }
}

/// Writes bytes to a plain TCP connection and reads what comes back.
///
/// # Errors
/// Where there is no connection.
pub async fn exchange(address: SocketAddr, bytes: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = timeout(patience, stream.read(&mut buffer)).await {
        all.extend_from_slice(&buffer[..length]);
    }
    Ok(all)
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin), patience: Duration) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(length @ 1..)) = timeout(patience, stream.read(&mut buffer)).await {
        all.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls_graviola::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
