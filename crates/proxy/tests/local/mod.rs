//! A proxy before a stand-in for an enclave, and programs that use it.

use crate::diverter::Diverter;
use crate::enclave::FakeEnclave;
use bytes::Bytes;
use cloister_client::{Client, Endpoint};
use cloister_proxy::{Exposure, Listener, Proxy, Settings};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A proxy whose way to the enclave a test can divert.
pub struct Local {
    pub proxy: Proxy,
    pub address: SocketAddr,
    pub way: Diverter,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Local {
    /// Before this enclave, under the policy that expects it.
    pub async fn start(enclave: &FakeEnclave) -> Self {
        Self::with(enclave, enclave.client(), Settings::default()).await
    }

    pub async fn with(enclave: &FakeEnclave, client: Client, settings: Settings) -> Self {
        let way = Diverter::start(address_of(enclave).await).await;
        let endpoint = Endpoint { address: way.address.to_string(), server_name: "localhost".to_owned() };
        let proxy = Proxy::new(client, endpoint, settings);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Exposure::Loopback).await.unwrap();
        let address = listener.address();
        tokio::spawn(listener.serve(proxy.clone()));
        Self { proxy, address, way }
    }

    /// Asks over HTTP/1.1, as `localhost` unless the request has a host.
    pub async fn ask(&self, request: http::request::Builder, body: &str) -> Answer {
        let mut request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
        let host = format!("localhost:{}", self.address.port()).parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async { drop(connection.await) });
        Answer::of(sender.send_request(request).await.unwrap()).await
    }

    /// Asks over HTTP/2 without TLS.
    pub async fn ask_http2(&self, request: http::request::Builder, body: &str) -> Answer {
        let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async { drop(connection.await) });
        Answer::of(sender.send_request(request).await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path), "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(Request::post(path).header("content-type", "application/json"), body).await
    }
}

impl Answer {
    async fn of(response: http::Response<hyper::body::Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status, headers: head.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the problem that this is.
    pub fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// Where it serves.
pub async fn address_of(enclave: &FakeEnclave) -> SocketAddr {
    enclave.serve().await.address.parse().unwrap()
}
