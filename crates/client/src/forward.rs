//! Requests of any kind over a verified session, for programs that stand between an enclave and those who cannot verify it.

use crate::transport::{Body, BodyError, Transport, Unsent};
use crate::{ClientError, Session};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

impl Session {
    /// Whether the connection has ended, so that every further request would fail.
    pub fn is_lost(&self) -> bool {
        self.transport().is_closed()
    }

    /// Sends a request as it is, and gives the head of the response with its body as it comes. The target is a path; the
    /// host is the server name of this session, whatever the request says. Both bodies go on at the other side's pace.
    /// Fields that are between neighbours only (RFC 9110, section 7.6.1) must have been removed.
    ///
    /// # Errors
    /// [`NotForwarded`], which has the request where no byte of it was sent: it may be sent in another session then.
    pub async fn forward(&self, request: Request<ForwardBody>) -> Result<Response<Incoming>, NotForwarded> {
        let transport: &Transport = self.transport();
        let after = transport.idle();
        let answer = timeout(after, transport.try_send(request.map(|body| body.0))).await;
        let doing = "waiting for the enclave's answer";
        let answer = answer.unwrap_or_else(|_| Err(ClientError::TimedOut { doing, after }.into()));
        answer.map_err(|Unsent { error, request }| {
            let unsent = request.map(|request| Box::new(request.map(ForwardBody)));
            NotForwarded { error: Box::new(error), unsent }
        })
    }
}

/// The body of a request that is forwarded.
#[derive(Debug)]
pub struct ForwardBody(Body);

impl ForwardBody {
    /// A body that comes from elsewhere. Where it fails, the enclave sees a request that broke off.
    pub fn new<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(body.map_err(Into::into).boxed_unsync())
    }
}

/// A request that was not answered.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotForwarded {
    pub error: Box<ClientError>,
    /// The request, where no byte of it was sent.
    pub unsent: Option<Box<Request<ForwardBody>>>,
}
