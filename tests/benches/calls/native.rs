//! A server as one would write it without an enclave and without Wasm: hyper over rustls, on two threads.

use anyhow::Result;
use bytes::Bytes;
use cloister_tests::tls_servers::{Identity, Versions};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// The server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Native {
    executor: Option<Runtime>,
    pub(crate) address: SocketAddr,
}

impl Native {
    /// Serves the sum of the two numbers in a request's body at a loopback port.
    pub(crate) fn start() -> Result<Self> {
        let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let acceptor = TlsAcceptor::from(Arc::new(configuration()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        executor.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(add));
                    drop(served.await);
                });
            }
        });
        Ok(Self { executor: Some(executor), address })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(executor) = self.executor.take() {
            // The benchmark's own executor may not block.
            executor.shutdown_background();
        }
    }
}

async fn add(request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let [a, b]: [u32; 2] = serde_json::from_slice(&body)?;
    let mut response = Response::new(Full::from(a.wrapping_add(b).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// As the enclave's: TLS 1.3, a P-256 key, the same provider, nothing resumed.
fn configuration() -> ServerConfig {
    let mut configuration = Identity::self_signed("localhost").server_config(&[], Versions::Tls13);
    configuration.send_tls13_tickets = 0;
    configuration
}
