//! One `GET`, bounded in size and time. Redirects are not followed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{CollateralError, Part};

/// Who asks whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch<'a> {
    /// For errors.
    pub(crate) server: &'a str,
    pub(crate) tls: &'a Arc<ClientConfig>,
    pub(crate) patience: Duration,
}

impl Fetch<'_> {
    /// A response of status 200, whole.
    pub(crate) async fn get(&self, url: &str, part: Part) -> Result<Response<Bytes>, CollateralError> {
        let server = || self.server.to_owned();
        let late = |_| CollateralError::TimedOut { server: server(), part, after: self.patience };
        let response = timeout(self.patience, self.exchange(url, part)).await.map_err(late)??;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(CollateralError::Status { server: server(), part, status: status.as_u16() }),
        }
    }

    async fn exchange(&self, url: &str, part: Part) -> Result<Response<Bytes>, CollateralError> {
        let wrong = |reason| CollateralError::Url { url: url.to_owned(), reason };
        let unreachable = |source| CollateralError::Unreachable { server: self.server.to_owned(), source };
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
        let request = Request::builder()
            .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, authority.as_str())
            .header(USER_AGENT, concat!("cloister/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "*/*")
            .body(Empty::<Bytes>::new())
            .map_err(|_| wrong("it is no URL"))?;
        if !secure {
            return self.over(tcp, request, part).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("its host has no name"))?;
        let connector = TlsConnector::from(Arc::clone(self.tls));
        let tls = connector.connect(name, tcp).await.map_err(unreachable)?;
        self.over(tls, request, part).await
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Empty<Bytes>>,
        part: Part,
    ) -> Result<Response<Bytes>, CollateralError> {
        let server = || self.server.to_owned();
        let broken = |_| CollateralError::BrokenOff { server: server(), part };
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(
                |error| CollateralError::Unreachable { server: server(), source: io::Error::other(error) },
            )?;
        let exchange = async {
            let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    CollateralError::TooLong { server: server(), part, limit: MAX_ANSWER }
                } else {
                    CollateralError::BrokenOff { server: server(), part }
                }
            })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The connection may end first, with the whole answer on its way.
            _ = connection => exchange.await,
        }
    }
}

/// Of one answer, in bytes: Intel's are at most some tens of KiB.
pub(crate) const MAX_ANSWER: usize = 1 << 20;
/// Of the head of one, which has a chain of certificates.
const MAX_HEAD: usize = 64 << 10;
