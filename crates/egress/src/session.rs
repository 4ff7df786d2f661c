//! What looks at a session before the first request goes over it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use cloister_boundary::Stream;
use http::header::HOST;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use rustls::pki_types::CertificateDer;
use tokio_rustls::client::TlsStream;

use crate::connection::{Connection, Metered, Spoken};
use crate::upload::{Payload, Upload};
use crate::{Asked, EgressError, EgressLog, EgressRequest, Exchange, Target};

/// Decides whether an app's requests may go over a session, before any of them does.
pub trait Check: Send + Sync {
    /// Looks at the session, and asks the server what it wants to know.
    ///
    /// # Errors
    /// Any: nothing is sent then. [`EgressError::Unverified`] says why the server is not accepted.
    fn check<'a>(
        &'a self,
        session: &'a mut dyn Session,
    ) -> Pin<Box<dyn Future<Output = Result<(), EgressError>> + Send + 'a>>;
}

/// A TLS session between its handshake and the first request of an app.
pub trait Session: Send {
    /// Keying material of this session: RFC 8446, section 7.5.
    ///
    /// # Errors
    /// [`EgressError::Internal`] once something was [sent](Self::send).
    fn export(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], EgressError>;

    /// The server's certificates as they came, the end entity's first.
    fn certificates(&self) -> &[CertificateDer<'static>];

    /// Sends a request of the check's own over this connection, and receives the whole response, of which the body has at
    /// most [`MAX_CHECK_RESPONSE`] bytes. The request's URI is a path.
    ///
    /// # Errors
    /// Where there is no whole response.
    fn send<'a>(
        &'a mut self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, EgressError>> + Send + 'a>>;
}

/// A session of which HTTP begins with the first request.
pub(crate) struct Fresh<'a> {
    target: &'a Target,
    certificates: Vec<CertificateDer<'static>>,
    state: State,
}

enum State {
    Handshaken(Box<Metered<TlsStream<Stream>>>),
    Speaks(Connection),
    Failed,
}

impl<'a> Fresh<'a> {
    pub(crate) fn new(stream: Metered<TlsStream<Stream>>, target: &'a Target) -> Self {
        let certificates = stream.stream().get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Self { target, certificates, state: State::Handshaken(Box::new(stream)) }
    }

    pub(crate) async fn into_connection(mut self) -> Result<Connection, EgressError> {
        let ready = self.speak().await?.is_ready().await;
        match self.state {
            State::Speaks(connection) if ready => Ok(connection),
            _ => Err(EgressError::ConnectionTerminated),
        }
    }

    async fn speak(&mut self) -> Result<&mut Connection, EgressError> {
        if let State::Handshaken(_) = self.state
            && let State::Handshaken(stream) = std::mem::replace(&mut self.state, State::Failed)
        {
            let spoken = Spoken::by(stream.stream());
            self.state = State::Speaks(Connection::over(*stream, spoken).await?);
        }
        match &mut self.state {
            State::Speaks(connection) => Ok(connection),
            _ => Err(EgressError::ConnectionTerminated),
        }
    }

    async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, EgressError> {
        let target = self.target;
        let (mut head, body) = request.into_parts();
        head.headers.remove(HOST);
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(http::uri::Scheme::HTTPS);
        uri.authority = Some(target.authority().clone());
        head.uri = Uri::from_parts(uri).map_err(|_| EgressError::InvalidUri)?;
        // It belongs to the request for which the session is.
        let asked = Asked { method: "other", scheme: "https", host: String::new(), port: 0 };
        let exchange = Exchange::begin(Arc::new(Nobody), asked);
        let (upload, _progress, _leash) = Upload::new(Payload::Whole(body), exchange.into());
        let connection = self.speak().await?;
        if !connection.is_ready().await {
            return Err(EgressError::ConnectionTerminated);
        }
        let sent = connection.send(Request::from_parts(head, upload), target).await;
        let response = sent.map_err(|error| EgressError::of_head(error.error()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_CHECK_RESPONSE).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => EgressError::of_response_body(&error),
            Err(_) => EgressError::ResponseBodySize { most: MAX_CHECK_RESPONSE },
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl Session for Fresh<'_> {
    fn export(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], EgressError> {
        let State::Handshaken(stream) = &self.state else { return Err(EgressError::Internal) };
        let session = stream.stream().get_ref().1;
        session.export_keying_material([0; 32], label, Some(context)).map_err(|_| EgressError::Tls)
    }

    fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    fn send<'a>(
        &'a mut self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, EgressError>> + Send + 'a>> {
        Box::pin(self.ask(request))
    }
}

impl fmt::Debug for Fresh<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").field("target", self.target).finish_non_exhaustive()
    }
}

struct Nobody;

impl EgressLog for Nobody {
    fn record(&self, _: EgressRequest) {}
}

/// Bytes of the body of a response that a check asks for.
pub const MAX_CHECK_RESPONSE: usize = 1 << 20;
