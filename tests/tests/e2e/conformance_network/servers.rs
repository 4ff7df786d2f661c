//! The servers that the guest's requests go to, over TLS and in plaintext, and their certificates.

use super::raw_server;
use crate::probe::free_port;
use bytes::Bytes;
use cloister_channel_body::{Channel, Sender};
use cloister_tests::tls_servers::{Authority, Versions};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }

    /// Its name in the handshake of TLS.
    pub(crate) fn alpn(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// Servers of this process, for as long as its runtime lives.
pub(crate) struct Servers {
    scheme: &'static str,
    root: CertificateDer<'static>,
    /// The guest's variables and the authorities that they name.
    authorities: Vec<(&'static str, String)>,
}

impl Servers {
    /// In plaintext.
    pub(crate) async fn plain() -> Self {
        let main = serve(|stream| answer_requests(stream, Protocol::Http1)).await;
        let raw = serve(raw_server::answer).await;
        let authorities = vec![
            ("HTTP_AUTHORITY", local(main)),
            ("HTTP_RAW", local(raw)),
            ("HTTP_REFUSED", local(free_port())),
            ("HTTP_UNKNOWN", UNKNOWN.to_owned()),
        ];
        Self { scheme: "http", root: Authority::new().certificate(), authorities }
    }

    /// Over TLS, of which the first speaks this version of HTTP.
    pub(crate) async fn over_tls(protocol: Protocol) -> Self {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let main = serve_tls(acceptor(&authority, "localhost", protocol), move |stream| {
            answer_requests(stream, protocol)
        });
        let http1 = Protocol::Http1;
        let raw = serve_tls(acceptor(&authority, "localhost", http1), raw_server::answer);
        let untrusted =
            serve_tls(acceptor(&stranger, "localhost", http1), move |stream| answer_requests(stream, http1));
        let misnamed = serve_tls(acceptor(&authority, "other.example", http1), move |stream| {
            answer_requests(stream, http1)
        });
        let plain = serve(move |stream| answer_requests(stream, http1));
        let authorities = vec![
            ("HTTP_AUTHORITY", local(main.await)),
            ("HTTP_RAW", local(raw.await)),
            ("HTTP_UNTRUSTED", local(untrusted.await)),
            ("HTTP_MISNAMED", local(misnamed.await)),
            ("HTTP_PLAIN", local(plain.await)),
            ("HTTP_REFUSED", local(free_port())),
            ("HTTP_UNKNOWN", UNKNOWN.to_owned()),
            ("HTTP_DENIED", "denied.example:443".to_owned()),
        ];
        Self { scheme: "https", root: authority.certificate(), authorities }
    }

    /// The certificate that vouches for those that are to be trusted.
    pub(crate) fn root(&self) -> &[u8] {
        &self.root
    }

    /// What the guest's environment is.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let scheme = [("HTTP_SCHEME".to_owned(), self.scheme.to_owned())];
        let authorities = self.authorities.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        scheme.into_iter().chain(authorities).collect()
    }

    /// What the guest's policy has to allow.
    pub(crate) fn rules(&self) -> Vec<String> {
        let allowed = self.authorities.iter().filter(|(name, _)| *name != "HTTP_DENIED");
        allowed.map(|(_, authority)| format!("{}://{authority}", self.scheme)).collect()
    }
}

fn local(port: u16) -> String {
    format!("localhost:{port}")
}

/// Serves connections at a port of its own.
async fn serve<F, R>(connection: F) -> u16
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(stream));
        }
    });
    port
}

async fn serve_tls<F, R>(acceptor: TlsAcceptor, connection: F) -> u16
where
    F: Fn(tokio_rustls::server::TlsStream<TcpStream>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    serve(move |stream| {
        let (acceptor, connection) = (acceptor.clone(), connection.clone());
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                connection(stream).await;
            }
        }
    })
    .await
}

async fn answer_requests<S>(stream: S, protocol: Protocol)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, service) = (TokioIo::new(stream), service_fn(answer));
    // A client that breaks off is a result of its own.
    let _ended = match protocol {
        Protocol::Http1 => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
        Protocol::Http2 => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service)
                .await
        }
    };
}

type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

/// What the path names. The cases of `http-client` say what they expect.
async fn answer(request: Request<Incoming>) -> Result<Response<AnyBody>, io::Error> {
    let path = request.uri().path().to_owned();
    let is_head = request.method() == Method::HEAD;
    let (name, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let number = argument.parse().unwrap_or(0);
    let mut response = Response::new(empty());
    match name {
        "" | "request" => *response.body_mut() = whole(report(&request)),
        "echo" => {
            if let Some(trailer) = request.headers().get("trailer") {
                response.headers_mut().insert("trailer", trailer.clone());
            }
            *response.body_mut() = written(|body| echo(request, body));
        }
        "count" => match count(request).await {
            Ok(count) => *response.body_mut() = whole(count.to_string()),
            Err(_) => *response.status_mut() = hyper::StatusCode::BAD_REQUEST,
        },
        "early" => {
            // Read all the same: a connection that is closed before may lose the answer.
            tokio::spawn(count(request));
            *response.body_mut() = whole("early");
        }
        "status" => {
            *response.status_mut() = hyper::StatusCode::from_u16(number as u16).map_err(io::Error::other)?
        }
        "bytes" => {
            if request.uri().query() == Some("length") {
                response.headers_mut().insert("content-length", number.into());
            }
            *response.body_mut() = written(move |body| write_pattern(body, number));
        }
        "headers" => add_headers(&mut response),
        "redirect" => {
            *response.status_mut() = hyper::StatusCode::FOUND;
            response.headers_mut().insert("location", HeaderValue::from_static("/request"));
        }
        "trailers" => {
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            *response.body_mut() = written(write_trailers);
        }
        "truncated" => {
            if request.uri().query() == Some("length") {
                response.headers_mut().insert("content-length", 1_000.into());
            }
            *response.body_mut() = written(truncate);
        }
        "slow-head" => tokio::time::sleep(Duration::from_millis(number)).await,
        "slow-body" => *response.body_mut() = written(move |body| write_slowly(body, number)),
        "never" => std::future::pending().await,
        "closes" => return Err(io::ErrorKind::ConnectionReset.into()),
        _ => *response.status_mut() = hyper::StatusCode::NOT_FOUND,
    }
    if is_head {
        *response.body_mut() = empty();
    }
    Ok(response)
}

fn empty() -> AnyBody {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn whole(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

type Written = Sender<Bytes, io::Error>;

/// A body that a task writes.
fn written<R: Future<Output = ()> + Send + 'static>(write: impl FnOnce(Written) -> R) -> AnyBody {
    let (sender, body) = Channel::new(4);
    tokio::spawn(write(sender));
    body.boxed_unsync()
}

/// The request line and the headers. HTTP/2 has its host in the target.
fn report(request: &Request<Incoming>) -> String {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut report = format!("{} {target}\n", request.method());
    if let Some(authority) = request.uri().authority() {
        let _ = writeln!(report, "host: {authority}");
    }
    for (name, value) in request.headers() {
        let _ = writeln!(report, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    report
}

async fn echo(request: Request<Incoming>, mut body: Written) {
    let mut incoming = request.into_body();
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => {
                if body.send(frame).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let _gone = body.abort(io::Error::other(error)).await;
                return;
            }
        }
    }
}

async fn count(request: Request<Incoming>) -> Result<usize, hyper::Error> {
    let (mut incoming, mut count) = (request.into_body(), 0);
    while let Some(frame) = incoming.frame().await {
        count += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(count)
}

/// Bytes by which a piece that is lost or twice there is noticed: each is its position, modulo 251.
async fn write_pattern(mut body: Written, count: u64) {
    let mut position = 0;
    while position < count {
        let end = count.min(position + (64 << 10));
        let piece: Vec<u8> = (position..end).map(|position| (position % 251) as u8).collect();
        if body.send_data(piece.into()).await.is_err() {
            return;
        }
        position = end;
    }
}

async fn write_trailers(mut body: Written) {
    let trailers = [(HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))].into_iter().collect();
    if body.send_data(Bytes::from_static(b"body")).await.is_ok() {
        let _gone = body.send_trailers(trailers).await;
    }
}

async fn truncate(mut body: Written) {
    if body.send_data(Bytes::from_static(b"0123456789")).await.is_ok() {
        // So that what was sent is on its way before the connection ends.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _gone = body.abort(io::ErrorKind::ConnectionReset.into()).await;
    }
}

async fn write_slowly(mut body: Written, milliseconds: u64) {
    if body.send_data(Bytes::from_static(b"a")).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        let _gone = body.send_data(Bytes::from_static(b"b")).await;
    }
}

fn add_headers(response: &mut Response<AnyBody>) {
    let headers = response.headers_mut();
    for (name, value) in [("x-one", "1"), ("set-cookie", "b=1"), ("set-cookie", "a=2"), ("x-empty", "")] {
        headers.append(name, HeaderValue::from_static(value));
    }
    headers.insert("x-bytes", HeaderValue::from_bytes(&[0xff, 0xc3, 0xa4]).expect("they are no controls"));
    headers.insert("proxy-authenticate", HeaderValue::from_static("Basic"));
}

/// TLS 1.3 of a server that this authority knows by `name`.
fn acceptor(authority: &Authority, name: &str, protocol: Protocol) -> TlsAcceptor {
    authority.issue(name).acceptor(&[protocol.alpn()], Versions::Tls13)
}

/// RFC 6761, section 6.4.
const UNKNOWN: &str = "nobody.invalid:443";
