//! Requests one after the other over a kept connection, by a guest in the image and by a client of this process, to one server.

use crate::guest::{Amounts, Guest};
use crate::table::Table;
use crate::{ROUNDS, median, microseconds, times};
use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloister_tests::Enclave;
use cloister_tests::tls_servers::{Authority, Behavior, Service, TlsServer};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Request, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

/// Prints the table.
pub(crate) async fn compare(enclave: &Enclave, servers: &Handle) -> Result<()> {
    let mut table = Table::new(
        "Requests over one kept connection, TLS 1.3 (median difference of two amounts of work, in turns)",
        [
            "",
            "bytes of the body",
            "image",
            "native",
            "image to native",
            "image, fetches/s",
            "native, fetches/s",
        ],
    );
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for (name, behavior) in [("HTTP/1.1", Behavior::Http1), ("HTTP/2", Behavior::Http2)] {
        let identity = identity.clone();
        let server = servers.spawn(async move { Service::that(behavior).start(&identity).await }).await?;
        let rule = format!("https://localhost:{}", server.port());
        let guest = Guest::deploy(enclave, &name.to_lowercase().replace(['/', '.'], "-"), &[&rule]).await?;
        let mut native = Native::connect(&server, &authority, behavior).await?;
        for (length, amounts) in SIZES {
            let path = format!("/bytes/{length}");
            let url = format!("{rule}{path}");
            let root = STANDARD.encode(authority.der());
            let (mut image, mut here) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let seconds = guest.seconds("fetch", amounts, |times| json!([url, root, length, times]));
                image.push(seconds.await?);
                here.push(native.seconds(&path, length, amounts).await?);
            }
            let (image, here) = (median(image), median(here));
            table.row([
                name.to_owned(),
                length.to_string(),
                microseconds(image),
                microseconds(here),
                times(image, here),
                format!("{:.0}", 1.0 / image),
                format!("{:.0}", 1.0 / here),
            ]);
        }
        ensure!(server.sessions() == 2, "connections were not kept: {}", server.sessions());
    }
    table.print();
    Ok(())
}

/// A client as one would write it: hyper over rustls.
struct Native {
    connection: Connection,
    authority: String,
}

enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Native {
    async fn connect(server: &TlsServer, authority: &Authority, behavior: Behavior) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der().to_vec()))?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let is_http2 = behavior == Behavior::Http2;
        tls.alpn_protocols = vec![if is_http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = TokioIo::new(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?);
        let connection = if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            // A connection that breaks off fails the request that is under way.
            tokio::spawn(async { drop(connection.await) });
            Connection::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(stream).await?;
            tokio::spawn(async { drop(connection.await) });
            Connection::Http1(sender)
        };
        Ok(Self { connection, authority: format!("localhost:{}", server.port()) })
    }

    async fn seconds(&mut self, path: &str, length: u32, amounts: Amounts) -> Result<f64> {
        let less = self.timed(path, length, amounts.less).await?;
        let more = self.timed(path, length, amounts.more).await?;
        Ok((more.as_secs_f64() - less.as_secs_f64()) / f64::from(amounts.more - amounts.less))
    }

    async fn timed(&mut self, path: &str, length: u32, times: u32) -> Result<Duration> {
        let began = Instant::now();
        for _ in 0..times {
            let response = match &mut self.connection {
                Connection::Http1(sender) => {
                    let request = Request::get(path).header(header::HOST, &self.authority);
                    sender.ready().await?;
                    sender.send_request(request.body(Empty::new())?).await?
                }
                Connection::Http2(sender) => {
                    let request = Request::get(format!("https://{}{path}", self.authority));
                    sender.ready().await?;
                    sender.send_request(request.body(Empty::new())?).await?
                }
            };
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            ensure!(
                status.is_success() && body.len() == length as usize,
                "{status} with {} bytes",
                body.len()
            );
        }
        Ok(began.elapsed())
    }
}

/// Bytes of the body, and how often.
const SIZES: [(u32, Amounts); 3] = [
    (64, Amounts { less: 100, more: 1_100 }),
    (4 << 10, Amounts { less: 100, more: 1_100 }),
    (1 << 20, Amounts { less: 5, more: 55 }),
];
