use crate::{Proxy, ProxyError};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Who can reach the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// Programs of this machine.
    #[default]
    Loopback,
    /// Whoever reaches the address; the user asked for it.
    Everybody,
}

/// The local port: HTTP/1.1, and HTTP/2 for clients that begin with its preface.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes a port; port 0 takes a free one.
    ///
    /// # Errors
    /// [`ProxyError::Exposed`] for an address that is not loopback, unless that was asked for; [`ProxyError::Listen`].
    pub async fn bind(address: SocketAddr, exposure: Exposure) -> Result<Self, ProxyError> {
        if exposure == Exposure::Loopback && !address.ip().is_loopback() {
            return Err(ProxyError::Exposed(address));
        }
        let failed = |source| ProxyError::Listen { address, source: Arc::new(source) };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for as long as the future is polled. Dropping it ends what is under way when the runtime ends.
    pub async fn serve(self, proxy: Proxy) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let Ok((stream, _)) = self.socket.accept().await else {
                // Too many open files, most likely.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let proxy = proxy.clone();
            tokio::spawn(async move {
                serve_connection(stream, proxy).await;
                drop(permit);
            });
        }
    }
}

async fn serve_connection(stream: TcpStream, proxy: Proxy) {
    // Where the option is refused, it costs time and nothing else.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(proxy.answer(request).await) }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(MAX_HEAD);
    server.http2().max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEAD as u32);
    // A connection that breaks off has nobody to tell.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Connections at once; further ones wait.
const MAX_CONNECTIONS: usize = 256;
/// Streams of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 64;
/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// For the head of a request over HTTP/1.1.
const HEAD_TIME: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
