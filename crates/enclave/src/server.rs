//! Connections: accepted, bounded, secured, served, and ended in order.

use crate::BootError;
use crate::access::Caller;
use crate::activity::Activity;
use crate::body::Holding;
use crate::host_name::HostName;
use crate::routes::{self, Exporter, Peer};
use crate::state::Enclave;
use crate::tls::{self, Session, TlsOnly};
use crate::upkeep;
use cloister_boundary::{Listener, shutdown_requested};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;

/// Serves until the host asks for an end, then lets requests under way finish.
///
/// # Errors
/// [`BootError`] where the enclave cannot listen.
pub(crate) async fn serve(enclave: Arc<Enclave>) -> Result<(), BootError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls::configuration(&enclave)?));
    let listener = Listener::bind(&enclave.configuration.listen).await?;
    let connections = GracefulShutdown::new();
    let (stopping, stopped) = watch::channel(());
    let mut stop = std::pin::pin!(shutdown_requested());
    let kept = Arc::clone(&enclave);
    let upkeep = tokio::spawn(async move { upkeep::run(&kept).await });
    let mut refusals = Refusals::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok(stream) = accepted else {
            refusals.pause().await;
            continue;
        };
        refusals = Refusals::default();
        // Closed unanswered: an answer would cost the handshake that the bound is there to save.
        let Ok(permit) = Arc::clone(&enclave.connections).try_acquire_owned() else { continue };
        let connection = Connection {
            enclave: Arc::clone(&enclave),
            acceptor: acceptor.clone(),
            watcher: connections.watcher(),
            stopped: stopped.clone(),
            _permit: permit,
        };
        tokio::spawn(connection.serve(stream));
    }
    drop((listener, stopping));
    // Who follows a log owes nobody anything.
    enclave.state().apps.running.values().for_each(|app| app.log.close());
    let grace = Duration::from_millis(enclave.configuration.grace_ms);
    if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
        cloister_boundary::log("the time to finish is over; requests under way are ended");
    }
    upkeep.abort();
    Ok(())
}

/// Serves one connection that nothing but its own bounds ends.
#[cfg(test)]
pub(crate) async fn serve_alone<S>(enclave: Arc<Enclave>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(tls::configuration(&enclave).unwrap()));
    let permit = Arc::clone(&enclave.connections).try_acquire_owned().unwrap();
    let (_stopping, stopped) = watch::channel(());
    let connections = GracefulShutdown::new();
    let watcher = connections.watcher();
    Connection { enclave, acceptor, watcher, stopped, _permit: permit }.serve(stream).await;
    drop(connections);
}

struct Connection {
    enclave: Arc<Enclave>,
    acceptor: TlsAcceptor,
    watcher: Watcher,
    /// Ends when the enclave stops.
    stopped: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let configuration = &self.enclave.configuration;
        let patience = Duration::from_millis(configuration.header_timeout_ms);
        let handshake = self.acceptor.accept(TlsOnly::new(stream)).into_fallible();
        let stream = match tokio::time::timeout(patience, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((_, mut stream))) if stream.began_otherwise() => {
                let _ = tokio::time::timeout(patience, stream.write_all(NOT_TLS)).await;
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        };
        let tls = stream.get_ref().1;
        let caller = Caller::from_certificates(tls.peer_certificates());
        let server_name = tls.server_name().and_then(HostName::parse);
        let session = Session::new(stream);
        let peer = Arc::new(Peer { caller, session: Box::new(session.handle()), server_name });
        let enclave = Arc::clone(&self.enclave);
        let activity = Activity::default();
        let requests = activity.clone();
        let service = hyper::service::service_fn(move |request| {
            let (enclave, peer, under_way) = (Arc::clone(&enclave), Arc::clone(&peer), requests.begin());
            async move {
                let response = routes::serve(enclave, peer, request).await;
                Ok::<_, Infallible>(response.map(|body| Holding::new(body, under_way)))
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(patience)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEAD as u32)
            .max_pending_accept_reset_streams(Some(MAX_RESETS))
            .keep_alive_interval(Some(Duration::from_millis(configuration.idle_timeout_ms)))
            .keep_alive_timeout(patience);
        let connection = builder.serve_connection(TokioIo::new(session), service);
        // An error here is the client's: it broke off, stalled, or sent what is not HTTP. It was answered where HTTP
        // has an answer.
        tokio::select! {
            _ = self.watcher.watch(connection.into_owned()) => {}
            () = activity.idle(Duration::from_millis(configuration.idle_timeout_ms)) => {}
            // Over HTTP/2 an orderly end needs the client's answer. Nobody waits for a client that owes nothing.
            () = async {
                let _ = self.stopped.changed().await;
                activity.idle(LAST_MOMENT).await;
            } => {}
        }
    }
}

impl<S: Send> Exporter for Session<TlsOnly<S>> {
    fn exporter(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], rustls::Error> {
        Session::exporter(self, label, context)
    }
}

/// Slows down where the host refuses to accept again and again.
#[derive(Default)]
struct Refusals(u32);

impl Refusals {
    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(1 << self.0.min(10))).await;
        self.0 = self.0.saturating_add(1);
    }
}

const MAX_HEADERS: usize = 64;
/// Bytes of a request's head. hyper needs 8 KiB at least.
const MAX_HEAD: usize = 64 << 10;
const MAX_STREAMS: u32 = 64;
/// Bytes of one request's body, and of all of a connection's, that a client may send before somebody reads them.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of one answer that wait for the client beside its window.
const SEND_BUFFER: usize = 64 << 10;
/// How long a connection without requests stays when the enclave stops; twice that at most.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// Streams that a client may open and reset before it is cut off (CVE-2023-44487).
const MAX_RESETS: usize = 64;

const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 58\r\n\
    connection: close\r\n\r\n\
    This port speaks TLS 1.3 only. Use https:// or the client.";
