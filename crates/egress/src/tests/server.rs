//! Servers on the loopback interface, and their certificates. Other crates' tests include this file.
#![allow(dead_code, reason = "not every crate uses all of it")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cloister_egress::Roots;
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, SerialNumber};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A certificate authority.
pub(super) struct Authority {
    key: Key,
    parameters: CertificateParams,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = Key::generate();
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut parameters = parameters(&[], 2024, 4000);
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::SeqCst));
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = parameters.self_signed(&key).unwrap().into();
        Self { key, parameters, certificate }
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::These(vec![self.certificate.clone()])
    }

    /// A server's certificate, for these names, valid from the first to the second year.
    pub(super) fn issue(&self, names: &[&str], from: i32, until: i32) -> Identity {
        let key = Key::generate();
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let certificate = parameters(names, from, until).signed_by(&key, &issuer).unwrap();
        Identity { certificate: certificate.into(), key: key.pkcs8() }
    }

    /// One that clients accept.
    pub(super) fn good(&self) -> Identity {
        self.issue(&["localhost", "127.0.0.1", "::1"], 2024, 4000)
    }
}

pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// One that nobody issued.
    pub(super) fn self_signed(names: &[&str]) -> Self {
        Self::self_signed_with(parameters(names, 2024, 4000))
    }

    /// One that nobody issued and that is an authority's, as `openssl req -x509` makes them.
    pub(super) fn self_signed_authority(names: &[&str], from: i32, until: i32) -> Self {
        let mut parameters = parameters(names, from, until);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::self_signed_with(parameters)
    }

    fn self_signed_with(parameters: CertificateParams) -> Self {
        let key = Key::generate();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate: certificate.into(), key: key.pkcs8() }
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(super) fn acceptor(self, alpn: &[&str], versions: Versions) -> TlsAcceptor {
        let versions = match versions {
            Versions::All => [&TLS12, &TLS13].to_vec(),
            Versions::Tls12 => vec![&TLS12],
        };
        let key = PrivatePkcs8KeyDer::from(self.key).into();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate], key)
            .unwrap();
        tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(tls))
    }
}

#[derive(Clone, Copy)]
pub(super) enum Versions {
    All,
    Tls12,
}

pub(super) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body of whatever frames `next` gives.
pub(super) fn frames<F>(next: F) -> AnyBody
where
    F: FnMut() -> Option<Result<Frame<Bytes>, BoxError>> + Send + Unpin + 'static,
{
    Frames(next).boxed_unsync()
}

struct Frames<F>(F);

impl<F> Body for Frames<F>
where
    F: FnMut() -> Option<Result<Frame<Bytes>, BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready((self.0)())
    }
}

/// Serves over TLS, HTTP/2 where `alpn` has it.
pub(super) async fn serve<F, R>(acceptor: TlsAcceptor, answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    listen(move |stream| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            http(stream, h2, answer).await;
        }
    })
    .await
}

/// Connections of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    begun: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Connections {
    /// Those that there ever were.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Waits until this many are open.
    pub(super) async fn open(&self, expected: usize) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while self.open.load(Ordering::SeqCst) != expected {
            assert!(std::time::Instant::now() < deadline, "{self:?}, and not {expected}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    fn count(&self) -> Open {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(&self.open))
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// As [`serve`], and counts the connections.
pub(super) async fn serve_counted<F, R>(acceptor: TlsAcceptor, answer: F) -> (SocketAddr, Connections)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    listen_counted(acceptor, move |stream| {
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        http(stream, h2, answer.clone())
    })
    .await
}

/// Serves TLS with whatever `connection` does, and counts the connections.
pub(super) async fn listen_counted<F, R>(acceptor: TlsAcceptor, connection: F) -> (SocketAddr, Connections)
where
    F: Fn(TlsStream<TcpStream>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let connections = Connections::default();
    let counted = connections.clone();
    let address = listen(move |stream| {
        let (acceptor, connection, open) = (acceptor.clone(), connection.clone(), counted.count());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream).await;
            }
            drop(open);
        }
    })
    .await;
    (address, connections)
}

/// Serves in plaintext.
pub(super) async fn serve_plain<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    listen(move |stream| http(stream, false, answer.clone())).await
}

async fn http<S, F, R>(stream: S, h2: bool, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let stream = TokioIo::new(stream);
    if h2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(stream, service)
            .await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
    }
}

/// Serves connections with whatever `connection` does.
pub(super) async fn listen<F, R>(connection: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    listen_at("127.0.0.1:0", connection).await
}

/// As [`listen`], at this address.
pub(super) async fn listen_at<F, R>(address: &str, connection: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream));
        }
    });
    address
}

/// A port at which nobody listens.
pub(super) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Reads a body and throws it away, and says how long it was.
pub(super) async fn drain<B>(mut body: B) -> u64
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
    }
    length
}

fn parameters(names: &[&str], from: i32, until: i32) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    parameters.serial_number = Some(SerialNumber::from(vec![1]));
    parameters
}

struct Key {
    key: SigningKey<P256>,
    /// RFC 5480, section 2.2: an uncompressed point.
    point: [u8; 65],
}

impl Key {
    fn generate() -> Self {
        let key = SigningKey::generate().unwrap();
        let point = *key.to_spki_der(&mut [0; 128]).unwrap().last_chunk().unwrap();
        Self { key, point }
    }

    fn pkcs8(&self) -> Vec<u8> {
        self.key.to_pkcs8_der(&mut [0; 256]).unwrap().to_vec()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut signature = [0; 128];
        Ok(self.key.sign_asn1::<Sha256>(&[message], &mut signature).unwrap().to_vec())
    }
}
