//! One connection, of which tasks take care.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use cloister_boundary::{Stream, net};
use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::slots::Slot;
use crate::tasks::Tasks;
use crate::tls::{H2, fingerprint};
use crate::upload::Upload;
use crate::{EgressError, Protection, Target, TlsVersion, Trust};

/// A connection over which HTTP is spoken. It is closed when this is dropped, whatever is under way on it.
#[derive(Debug)]
pub(crate) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

/// One request at a time.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: http1::SendRequest<Upload>,
    link: Link,
}

/// Several requests at once.
#[derive(Debug)]
pub(crate) struct Http2 {
    sender: http2::SendRequest<Upload>,
    /// Requests that the server takes at once.
    streams: Arc<AtomicUsize>,
    link: Link,
}

/// What both have.
#[derive(Debug)]
struct Link {
    tls: Option<Tls>,
    born: Instant,
    received: Arc<Received>,
    _tasks: Tasks,
}

/// Bytes that came over a connection, TLS taken off.
#[derive(Debug)]
struct Received {
    bytes: AtomicU64,
    /// As many as may come before the connection is broken off.
    most: AtomicU64,
}

/// What was agreed on, and with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) version: TlsVersion,
    /// SHA-256 of the server's certificate.
    pub(crate) peer: Option<[u8; 32]>,
}

/// What a request comes back with: the request itself where none of it was sent.
pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

impl Connection {
    pub(crate) async fn over<S>(stream: Metered<S>, spoken: Spoken) -> Result<Self, EgressError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let tasks = Tasks::default();
        let spawner = tasks.spawner();
        let received = Arc::clone(&stream.received);
        let link = Link { tls: spoken.tls, born: Instant::now(), received, _tasks: tasks };
        let failed = |error: hyper::Error| EgressError::of_head(&error);
        if spoken.http2 {
            let mut settings = http2::Builder::new(spawner.clone());
            settings
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(MAX_STREAMS as u32 * WINDOW_BYTES)
                .max_frame_size(MAX_FRAME_BYTES)
                .max_header_list_size(2 * MAX_HEAD_BYTES as u32)
                .max_send_buf_size(WINDOW_BYTES as usize);
            let (sender, connection) = settings.handshake(TokioIo::new(stream)).await.map_err(failed)?;
            let streams = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
            let http2 = Http2 { sender, streams: Arc::clone(&streams), link };
            let mut connection = connection;
            // Whoever waits for a response learns of its errors.
            spawner.execute(poll_fn(move |cx| {
                let ended = Pin::new(&mut connection).poll(cx).map(drop);
                streams.store(connection.current_max_send_streams(), Ordering::Relaxed);
                ended
            }));
            return Ok(Self::Http2(http2));
        }
        let mut settings = http1::Builder::new();
        settings.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
        let (sender, connection) = settings.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        spawner.execute(async move { drop(connection.await) });
        Ok(Self::Http1(Http1 { sender, link }))
    }

    /// Waits until what went over it before is over, where that has to be.
    pub(crate) async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_ready().await,
            Self::Http2(connection) => connection.is_open(),
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Upload>, target: &Target) -> Sent {
        match self {
            Self::Http1(connection) => connection.send(request, target).await,
            Self::Http2(connection) => connection.send(request).await,
        }
    }
}

impl Http1 {
    pub(crate) async fn send(&mut self, mut request: Request<Upload>, target: &Target) -> Sent {
        // RFC 9112, section 3.2.1: the path alone, and the authority in Host.
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = Uri::from(path);
        }
        if let Ok(host) = HeaderValue::from_str(target.authority().as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        self.sender.try_send_request(request).await
    }

    /// Waits until what went over it before is over.
    pub(crate) async fn is_ready(&mut self) -> bool {
        tokio::time::timeout(READY_AFTER, self.sender.ready()).await.is_ok_and(|ready| ready.is_ok())
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) fn tls(&self) -> Option<Tls> {
        self.link.tls
    }

    pub(crate) fn born(&self) -> Instant {
        self.link.born
    }

    /// Bytes that came over it so far, TLS taken off.
    pub(crate) fn received(&self) -> u64 {
        self.link.received.bytes.load(Ordering::Acquire)
    }
}

impl Http2 {
    pub(crate) async fn send(&self, mut request: Request<Upload>) -> Sent {
        *request.version_mut() = Version::HTTP_2;
        self.sender.clone().try_send_request(request).await
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(crate) fn tls(&self) -> Option<Tls> {
        self.link.tls
    }

    pub(crate) fn born(&self) -> Instant {
        self.link.born
    }

    /// Nobody uses it from now on: the server has little to say, and whatever it sends costs time that nobody pays.
    pub(crate) fn rest(&self) {
        let received = &self.link.received;
        let most = received.bytes.load(Ordering::Acquire).saturating_add(MAX_RESTING_BYTES);
        received.most.store(most, Ordering::Release);
    }

    /// Somebody uses it from now on.
    pub(crate) fn wake(&self) {
        self.link.received.most.store(u64::MAX, Ordering::Release);
    }

    /// Requests that it takes at once.
    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed).min(MAX_STREAMS)
    }
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken {
    pub(crate) tls: Option<Tls>,
    http2: bool,
}

impl Spoken {
    pub(crate) const PLAINTEXT: Self = Self { tls: None, http2: false };

    pub(crate) fn by<S>(stream: &TlsStream<S>) -> Self {
        let session = stream.get_ref().1;
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Some(TlsVersion::Tls13),
            Some(ProtocolVersion::TLSv1_2) => Some(TlsVersion::Tls12),
            _ => None,
        };
        let certificate: Option<&CertificateDer<'_>> = session.peer_certificates().and_then(<[_]>::first);
        let tls = version.map(|version| Tls { version, peer: certificate.map(fingerprint) });
        Self { tls, http2: session.alpn_protocol() == Some(H2) }
    }
}

/// A stream to a server, before HTTP is spoken over it.
#[derive(Debug)]
pub(crate) enum Reached {
    Plaintext(Stream),
    Tls(Box<TlsStream<Stream>>),
}

/// Looks the server's name up, connects, and agrees on TLS where there has to be some.
pub(crate) async fn reach(target: &Target, trust: &Trust) -> Result<Reached, EgressError> {
    // The policy allows the host by its name, and whoever lends the connection says which addresses it has.
    let stream = net::connect(target.host(), target.port(), |_| true).await;
    let stream = stream.map_err(EgressError::of_connect)?;
    match target.protection() {
        Protection::None => Ok(Reached::Plaintext(stream)),
        Protection::Tls => {
            let connector = TlsConnector::from(Arc::clone(&trust.tls));
            let stream = connector.connect(target.name().clone(), stream).await;
            Ok(Reached::Tls(Box::new(stream.map_err(|error| EgressError::of_handshake(&error))?)))
        }
    }
}

/// A stream that counts what comes, and that holds what a connection takes.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    received: Arc<Received>,
    _slot: Slot,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, slot: Slot) -> Self {
        let received = Arc::new(Received { bytes: AtomicU64::new(0), most: AtomicU64::new(u64::MAX) });
        Self { stream, received, _slot: slot }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Received { bytes, most } = &*self.received;
        let more = (buffer.filled().len() - before) as u64;
        let received = bytes.fetch_add(more, Ordering::AcqRel) + more;
        if received > most.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Of a response's head. Twice as much may be read before it is found to be too much, and trailers may be as long as that.
pub(crate) const MAX_HEAD_BYTES: usize = 64 << 10;
/// Fields of a response's head.
pub(crate) const MAX_HEADERS: usize = 100;
/// Requests that share a connection of HTTP/2 at once.
pub(crate) const MAX_STREAMS: usize = 16;
/// What HTTP/2 receives of one response ahead of the guest, and what it holds of one request. The connection's own window
/// is as large as those of all its streams: a guest that does not read one response must not hold up another.
const WINDOW_BYTES: u32 = 256 << 10;
/// Of HTTP/2: fewer and larger pieces than the 16 KiB that a connection begins with.
const MAX_FRAME_BYTES: u32 = 64 << 10;
/// Bytes that a server may send while nobody uses the connection: pings, settings, and that it ends.
const MAX_RESTING_BYTES: u64 = 64 << 10;
/// A connection comes back when the last byte of its response is read, and its task may need a moment more.
const READY_AFTER: Duration = Duration::from_millis(100);
