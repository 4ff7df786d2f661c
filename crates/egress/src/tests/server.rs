//! Servers on the loopback interface. Other crates' tests include this file.
#![allow(dead_code, reason = "not every crate uses all of it")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use cloister_egress::Roots;
use cloister_test_authority::Authority;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Whose certificates a test trusts.
pub(super) trait AsRoots {
    fn roots(&self) -> Roots;
}

impl AsRoots for Authority {
    fn roots(&self) -> Roots {
        Roots::These(vec![self.certificate()])
    }
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
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
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
