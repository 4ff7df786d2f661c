//! TLS as one would use it without an enclave: a server of hyper over rustls, and a client that trusts its certificate.

use anyhow::{Result, ensure};
use bytes::Bytes;
use cloister_tests::RawTls;
use cloister_tests::tls_servers::{Certificate, Identity, Versions};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A server on one thread of its own, until the process ends.
pub(crate) struct Native {
    pub(crate) address: SocketAddr,
    certificate: CertificateDer<'static>,
}

impl Native {
    /// Serves at a loopback port, with a certificate that has so many bytes more than it needs.
    pub(crate) fn start(padding: usize) -> Result<Self> {
        // Under a number of our own below 1.3.6.1.4.1.65230, which nobody reads.
        let extensions = [(&[1, 3, 6, 1, 4, 1, 65230, 99][..], vec![0; padding])];
        let extensions = if padding == 0 { &[][..] } else { &extensions[..] };
        let identity = Identity::self_signed(Certificate::of(["localhost"]).with_extensions(extensions));
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let certificate = identity.certificate();
        let acceptor = TlsAcceptor::from(Arc::new(server(&identity)));
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            executor.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, acceptor.clone()));
                }
            });
        });
        Ok(Self { address, certificate })
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let answer = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("{\"status\":\"ok\"}")))
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(server.serve_connection(TokioIo::new(stream), answer).await);
}

/// As the enclave's: TLS 1.3, a P-256 key, the same provider, nothing resumed.
fn server(identity: &Identity) -> ServerConfig {
    let mut configuration = identity.server_config(&["h2"], Versions::Tls13);
    configuration.send_tls13_tickets = 0;
    configuration
}

/// What a client trusts.
pub(crate) enum Trust<'a> {
    /// Whatever is shown, unseen.
    Nothing,
    /// What this certificate vouches for.
    Root(&'a CertificateDer<'static>),
}

/// Connects, asks once, and goes.
pub(crate) struct Plain {
    address: SocketAddr,
    /// `None`: nothing is verified.
    connector: Option<TlsConnector>,
    path: &'static str,
}

impl Plain {
    pub(crate) fn new(address: SocketAddr, trust: Trust<'_>, path: &'static str) -> Result<Self> {
        let connector = match trust {
            Trust::Nothing => None,
            Trust::Root(certificate) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate.clone())?;
                let mut configuration =
                    ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
                        .with_protocol_versions(&[&rustls::version::TLS13])?
                        .with_root_certificates(roots)
                        .with_no_client_auth();
                configuration.alpn_protocols = vec![b"h2".to_vec()];
                configuration.resumption = rustls::client::Resumption::disabled();
                Some(TlsConnector::from(Arc::new(configuration)))
            }
        };
        Ok(Self { address, connector, path })
    }

    pub(crate) async fn connect(&self) -> Result<()> {
        let stream = match &self.connector {
            None => RawTls::offering(self.address, "localhost", b"h2").await?.0,
            Some(connector) => {
                let tcp = TcpStream::connect(self.address).await?;
                tcp.set_nodelay(true)?;
                connector.connect(ServerName::try_from("localhost")?, tcp).await?
            }
        };
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await?;
        let connection = tokio::spawn(async { drop(connection.await) });
        let request = Request::get(format!("https://localhost{}", self.path)).body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        ensure!(response.status().is_success(), "{}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(body.windows(2).any(|pair| pair == b"ok"), "{}", String::from_utf8_lossy(&body));
        connection.abort();
        Ok(())
    }
}
