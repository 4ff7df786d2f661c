//! From a request to the head of its response, over a connection of its own.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cloister_boundary::net;
use http::header::{HOST, HeaderValue};
use http::uri::Authority;
use http::{Request, StatusCode, Uri, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bindings::wasi::http::types::ErrorCode;
use crate::body::GuestBody;
use crate::client::H2;
use crate::exchange::Exchange;
use crate::options::Timeouts;
use crate::response::Arrived;
use crate::tasks::Spawner;
use crate::{BodyError, EgressOutcome, TlsVersion, failure};

/// A request that may be sent.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request<GuestBody>,
    /// To connect to: a name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) authority: Authority,
    pub(crate) protection: Protection,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) timeouts: Timeouts,
    pub(crate) lanes: Arc<Semaphore>,
    pub(crate) exchange: Arc<Exchange>,
}

/// The turn of a request: few are under way at once, of its call and of the enclave.
#[derive(Debug)]
pub(crate) struct Lane {
    _of_the_call: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'static>,
}

impl Lane {
    async fn wait(lanes: &Arc<Semaphore>) -> Result<Self, ErrorCode> {
        static ALL: Semaphore = Semaphore::const_new(MAX_CONNECTIONS);
        let closed = |_| ErrorCode::InternalError(None);
        let of_the_call = Arc::clone(lanes).acquire_owned().await.map_err(closed)?;
        let of_all = ALL.acquire().await.map_err(closed)?;
        Ok(Self { _of_the_call: of_the_call, _of_all: of_all })
    }
}

/// What keeps others from reading along.
#[derive(Clone, Debug)]
pub(crate) enum Protection {
    /// TLS with a server that proves this name.
    Tls(ServerName<'static>),
    None,
}

impl Job {
    /// Waits for its turn, connects, sends, and waits for the head of the response. `spawner` gets what has to go on after
    /// that.
    pub(crate) async fn run(self, spawner: Spawner) -> Result<Arrived, ErrorCode> {
        let exchange = Arc::clone(&self.exchange);
        let arrived = self.exchange_heads(spawner).await;
        match &arrived {
            Ok(arrived) => exchange.set_status(arrived.head.status.as_u16()),
            Err(error) => exchange.end(EgressOutcome::Failed(failure::name(error))),
        }
        arrived
    }

    async fn exchange_heads(self, spawner: Spawner) -> Result<Arrived, ErrorCode> {
        let lane = Lane::wait(&self.lanes).await?;
        let connecting = timeout(self.timeouts.connect, self.connect(spawner));
        let connection = connecting.await.map_err(|_| ErrorCode::ConnectionTimeout)??;
        let Self { request, authority, timeouts, exchange, .. } = self;
        let request = request.map(|body| Upload { body, exchange: Arc::clone(&exchange) });
        let sending = connection.send(request, &authority);
        let response = first_byte(sending, &exchange, timeouts).await?;
        let (head, body) = response.into_parts();
        let size: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if head.headers.len() > MAX_HEADERS || size > MAX_HEAD_BYTES {
            return Err(ErrorCode::HttpResponseHeaderSectionSize(None));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(ErrorCode::HttpUpgradeFailed);
        }
        Ok(Arrived { head, body, between_bytes: timeouts.between_bytes, lane })
    }

    async fn connect(&self, spawner: Spawner) -> Result<Connection, ErrorCode> {
        // The policy allows the host by its name, and whoever lends the connection says which addresses it has.
        let stream = net::connect(&self.host, self.port, |_| true).await.map_err(failure::of_connect)?;
        let Protection::Tls(name) = &self.protection else {
            return Connection::http1(stream, spawner).await;
        };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name.clone(), stream).await;
        let stream = stream.map_err(|error| failure::of_handshake(&error))?;
        self.exchange.set_tls(version(&stream));
        if stream.get_ref().1.alpn_protocol() == Some(H2) {
            Connection::http2(stream, spawner).await
        } else {
            Connection::http1(stream, spawner).await
        }
    }
}

fn version<S>(stream: &TlsStream<S>) -> Option<TlsVersion> {
    match stream.get_ref().1.protocol_version()? {
        ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
        ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
        _ => None,
    }
}

/// A connection of which a task takes care.
enum Connection {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

impl Connection {
    async fn http1<S>(stream: S, spawner: Spawner) -> Result<Self, ErrorCode>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut settings = http1::Builder::new();
        settings.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
        let (sender, connection) =
            settings.handshake(TokioIo::new(stream)).await.map_err(|error| failure::of_head(&error))?;
        // Whoever waits for the response learns of its errors.
        spawner.execute(async move { drop(connection.await) });
        Ok(Self::Http1(sender))
    }

    async fn http2<S>(stream: S, spawner: Spawner) -> Result<Self, ErrorCode>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut settings = http2::Builder::new(spawner.clone());
        settings
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(2 * MAX_HEAD_BYTES as u32)
            .max_send_buf_size(WINDOW_BYTES as usize);
        let (sender, connection) =
            settings.handshake(TokioIo::new(stream)).await.map_err(|error| failure::of_head(&error))?;
        spawner.execute(async move { drop(connection.await) });
        Ok(Self::Http2(sender))
    }

    async fn send(
        self,
        mut request: Request<Upload>,
        authority: &Authority,
    ) -> hyper::Result<http::Response<Incoming>> {
        match self {
            Self::Http1(mut sender) => {
                // RFC 9112, section 3.2.1: the path alone, and the authority in Host.
                if let Some(path) = request.uri().path_and_query().cloned() {
                    *request.uri_mut() = Uri::from(path);
                }
                if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
                    request.headers_mut().insert(HOST, host);
                }
                sender.send_request(request).await
            }
            Self::Http2(mut sender) => {
                *request.version_mut() = Version::HTTP_2;
                sender.send_request(request).await
            }
        }
    }
}

/// Waits for the head of a response. It is late when nothing of the request moved either, and not for want of the guest's
/// writing.
async fn first_byte<R>(
    sending: impl Future<Output = hyper::Result<R>>,
    exchange: &Exchange,
    timeouts: Timeouts,
) -> Result<R, ErrorCode> {
    let mut sending = pin!(sending);
    loop {
        let sent = exchange.sent();
        match timeout(timeouts.first_byte, &mut sending).await {
            Ok(response) => {
                let upload = || exchange.upload_error().map(failure::of_upload);
                return response.map_err(|error| upload().unwrap_or_else(|| failure::of_head(&error)));
            }
            Err(_) if exchange.excuses_silence(sent) => {}
            Err(_) => return Err(ErrorCode::ConnectionReadTimeout),
        }
    }
}

/// The body of a request on its way out.
#[derive(Debug)]
struct Upload {
    body: GuestBody,
    exchange: Arc<Exchange>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.add_sent(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(Some(Err(error))) => self.exchange.fail_upload(*error),
            Poll::Ready(None) => self.exchange.end_upload(),
            Poll::Pending => self.exchange.set_awaits_guest(),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.exchange.end_upload();
    }
}

/// Of a response's head. Twice as much may be read before it is found to be too much, and trailers may be as long as that.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Fields of a response's head.
const MAX_HEADERS: usize = 100;
/// What HTTP/2 receives ahead of the guest, and what it holds of the request.
const WINDOW_BYTES: u32 = 256 << 10;
/// Of HTTP/2: fewer and larger pieces than the 16 KiB that a connection begins with.
const MAX_FRAME_BYTES: u32 = 64 << 10;
/// Connections of all apps at once: TLS and HTTP/2 hold up to half a mebibyte for each.
const MAX_CONNECTIONS: usize = 128;
