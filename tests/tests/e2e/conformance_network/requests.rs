//! Requests to a service, over each version of HTTP.

use super::servers::Protocol;
use super::service::{Peer, Transport};
use anyhow::Context as _;
use bytes::Bytes;
use cloister_tests::RawTls;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::http::request;
use hyper::{Request, Response, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A connection to a service.
pub(crate) enum Connection {
    Http1(http1::SendRequest<AnyBody>),
    Http2(http2::SendRequest<AnyBody>),
}

impl Peer {
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        // On the heap: dozens of checks hold the future of this.
        match &self.transport {
            Transport::Plain => Box::pin(self.handshake(TcpStream::connect(self.address).await?)).await,
            Transport::Tls { server_name } => {
                let tls =
                    Box::pin(RawTls::offering(self.address, server_name, self.protocol.alpn().as_bytes()))
                        .await?;
                Box::pin(self.handshake(tls.0)).await
            }
        }
    }

    async fn handshake<S>(&self, stream: S) -> anyhow::Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(stream);
        Ok(match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Connection::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Connection::Http2(sender)
            }
        })
    }

    /// A request for a path of this service.
    pub(crate) fn request(&self, method: &str, path: &str) -> request::Builder {
        let request = Request::builder().method(method);
        match self.protocol {
            Protocol::Http1 => request.uri(path).header(header::HOST, &self.host),
            Protocol::Http2 => request.uri(format!("https://{}{path}", self.host)),
        }
    }

    /// Sends it over a connection of its own.
    pub(crate) async fn send(&self, request: Request<AnyBody>) -> anyhow::Result<Response<Incoming>> {
        self.connect().await?.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Response<Incoming>> {
        self.send(self.request("GET", path).body(whole(""))?).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        bytes: impl Into<Bytes>,
    ) -> anyhow::Result<Response<Incoming>> {
        self.send(self.request("POST", path).body(whole(bytes))?).await
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, request: Request<AnyBody>) -> anyhow::Result<Response<Incoming>> {
        Ok(match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

/// All of a body, and what follows.
pub(crate) async fn read(response: Response<Incoming>) -> anyhow::Result<Collected<Bytes>> {
    response.into_body().collect().await.context("the body breaks off")
}

pub(crate) async fn text(response: Response<Incoming>) -> anyhow::Result<String> {
    Ok(String::from_utf8_lossy(&read(response).await?.to_bytes()).into_owned())
}
