use crate::token::Token;
use crate::{ClientError, Timeouts};
use bytes::Bytes;
use cloister_api::Problem;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response, StatusCode, Uri, Version, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::de::DeserializeOwned;
use std::error::Error;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Body of a request. One that fails amid it ends the request, and the peer sees that it is not whole.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body has no end.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// HTTP over one TLS session, bounded in size and time. It knows nothing of trust: its owner decides what to send.
#[derive(Debug)]
pub(crate) struct Transport {
    sender: Sender,
    server_name: String,
    timeouts: Timeouts,
    connection: AbortHandle,
    /// Shown with every request.
    token: Option<Token>,
}

#[derive(Debug)]
enum Sender {
    Http1(Mutex<http1::SendRequest<Body>>),
    Http2(http2::SendRequest<Body>),
}

impl Transport {
    /// HTTP/2 where the handshake agreed on it, HTTP/1.1 otherwise.
    pub(crate) async fn new(
        stream: TlsStream<TcpStream>,
        server_name: &str,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = TokioIo::new(stream);
        let lost = |error: hyper::Error| ClientError::lost(&error);
        let (sender, connection) = if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(MAX_HEADERS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(stream)
                .await
                .map_err(lost)?;
            (Sender::Http2(sender), tokio::spawn(async { drop(connection.await) }))
        } else {
            let (sender, connection) = http1::Builder::new()
                .max_buf_size(MAX_HEADERS as usize)
                .handshake(stream)
                .await
                .map_err(lost)?;
            (Sender::Http1(Mutex::new(sender)), tokio::spawn(async { drop(connection.await) }))
        };
        let connection = connection.abort_handle();
        Ok(Self { sender, server_name: server_name.to_owned(), timeouts, connection, token: None })
    }

    /// Shows this token with every request from now on that has no `authorization` of its own.
    pub(crate) fn show(&mut self, token: Token) {
        self.token = Some(token);
    }

    /// Sends a request whose target is a path, and waits for the head of the response.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        self.within(request, "waiting for the enclave's answer", self.timeouts.idle).await
    }

    pub(crate) async fn within(
        &self,
        request: Request<Body>,
        doing: &'static str,
        limit: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let response = self.send_patiently(request);
        timeout(limit, response).await.map_err(|_| ClientError::TimedOut { doing, after: limit })?
    }

    /// As [`send`](Self::send), however long the answer takes.
    pub(crate) async fn send_patiently(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.try_send(request).await.map_err(|failed| failed.error)
    }

    /// As [`send_patiently`](Self::send_patiently), and gives the request back where no byte of it was sent.
    pub(crate) async fn try_send(&self, request: Request<Body>) -> Result<Response<Incoming>, Unsent> {
        let (mut head, body) = request.into_parts();
        if let Some(token) = self.token.as_ref().and_then(Token::header) {
            head.headers.entry(AUTHORIZATION).or_insert(token);
        }
        let failed = |mut error: TrySendError<Request<Body>>| Unsent {
            request: error.take_message().map(Box::new),
            error: ClientError::lost(error.error()),
        };
        match &self.sender {
            Sender::Http1(sender) => {
                self.add_host(&mut head)?;
                let request = Request::from_parts(head, body);
                // Held until the head of the response is there: HTTP/1.1 has one request at a time.
                let mut sender = sender.lock().await;
                if let Err(error) = sender.ready().await {
                    return Err(Unsent {
                        error: ClientError::lost(&error),
                        request: Some(Box::new(request)),
                    });
                }
                sender.try_send_request(request).await.map_err(failed)
            }
            Sender::Http2(sender) => {
                self.add_authority(&mut head)?;
                sender.clone().try_send_request(Request::from_parts(head, body)).await.map_err(failed)
            }
        }
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }

    /// Bound on waiting for the peer.
    pub(crate) fn idle(&self) -> Duration {
        self.timeouts.idle
    }

    /// The next piece of a response's body; `None` at its end.
    pub(crate) async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, ClientError> {
        let limit = self.timeouts.idle;
        timeout(limit, Self::next_patiently(body)).await.map_err(|_| ClientError::TimedOut {
            doing: "waiting for the rest of the answer",
            after: limit,
        })?
    }

    /// As [`next`](Self::next), however long it takes.
    pub(crate) async fn next_patiently(body: &mut Incoming) -> Result<Option<Bytes>, ClientError> {
        loop {
            match body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::lost(&error)),
                // Trailers say nothing that this protocol uses.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, if it is not longer than this.
    pub(crate) async fn body(&self, mut body: Incoming, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next(&mut body).await? {
            if piece.len() > limit - whole.len() {
                return Err(ClientError::ResponseTooLarge { limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// The body of a success as a JSON value.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        response: Response<Incoming>,
    ) -> Result<T, ClientError> {
        let body = self.success(response, MAX_RESPONSE).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::UnexpectedResponse(error.to_string()))
    }

    /// The body of a success. Any other response becomes the problem that it carries.
    pub(crate) async fn success(
        &self,
        response: Response<Incoming>,
        limit: usize,
    ) -> Result<Vec<u8>, ClientError> {
        match response.status() {
            status if status.is_success() => self.body(response.into_body(), limit).await,
            _ => Err(self.problem(response).await),
        }
    }

    /// The error that a response without success stands for.
    pub(crate) async fn problem(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        if !is_problem(&response) {
            return unexpected(status);
        }
        match self.body(response.into_body(), MAX_PROBLEM).await {
            Err(error) => error,
            Ok(body) => match serde_json::from_slice::<Problem>(&body) {
                Ok(problem) => ClientError::Problem(Box::new(problem)),
                Err(error) => {
                    ClientError::UnexpectedResponse(format!("status {status} with a problem: {error}"))
                }
            },
        }
    }

    fn add_host(&self, head: &mut request::Parts) -> Result<(), ClientError> {
        let host = self.server_name.parse().map_err(|_| ClientError::ServerName(self.server_name.clone()))?;
        head.headers.insert(HOST, host);
        Ok(())
    }

    fn add_authority(&self, head: &mut request::Parts) -> Result<(), ClientError> {
        let name = &self.server_name;
        let authority = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        head.uri = Uri::builder()
            .scheme("https")
            .authority(authority)
            .path_and_query(target)
            .build()
            .map_err(|_| ClientError::ServerName(name.clone()))?;
        head.version = Version::HTTP_2;
        Ok(())
    }
}

/// Ends the connection, also one that a peer keeps half open.
impl Drop for Transport {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A request that failed, and the request itself where no byte of it was sent.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: ClientError,
    pub(crate) request: Option<Box<Request<Body>>>,
}

impl From<ClientError> for Unsent {
    fn from(error: ClientError) -> Self {
        Self { error, request: None }
    }
}

/// A body that is there as a whole.
pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

fn is_problem<T>(response: &Response<T>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("application/problem+json"))
}

fn unexpected(status: StatusCode) -> ClientError {
    ClientError::UnexpectedResponse(format!("status {status} without problem details"))
}

/// Longest response body, in bytes: a result at the protocol's own bounds, with room for JSON's escapes.
const MAX_RESPONSE: usize = 64 << 20;
/// Longest problem, in bytes.
const MAX_PROBLEM: usize = 1 << 20;
/// Longest head of a response, in bytes.
const MAX_HEADERS: u32 = 32 << 10;
/// Bytes of one answer that wait for whoever reads it.
const STREAM_WINDOW: u32 = 1 << 20;
/// Of all answers of a session. An enclave has 64 requests of one session in work (`docs/design/protocol.md`): so many answers
/// that nobody reads fill their own windows, and leave no other answer without one.
const CONNECTION_WINDOW: u32 = 64 * STREAM_WINDOW;
