//! A request that has its turn, until the head of its response.

use std::pin::pin;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::client::conn::TrySendError;
use tokio::time::timeout;

use crate::connection::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::error::was_not_processed;
use crate::kept::Lease;
use crate::response::{Holding, ResponseBody};
use crate::slots::Lane;
use crate::upload::{Progress, Upload};
use crate::{EgressError, Exchange, Payload, Target, Timeouts};

/// A request and all that it needs but a connection.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) head: http::request::Parts,
    pub(crate) payload: Payload,
    pub(crate) target: Target,
    pub(crate) timeouts: Timeouts,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) lane: Lane,
}

/// A request without a response.
#[derive(Debug)]
pub(crate) struct Unsent {
    pub(crate) error: EgressError,
    /// The request, where it may be sent over another connection.
    pub(crate) again: Option<Box<Sending>>,
}

impl Sending {
    pub(crate) async fn over(self, mut lease: Lease) -> Result<Response<ResponseBody>, Unsent> {
        let Self { head, payload, target, timeouts, exchange, lane } = self;
        exchange.set_tls(lease.tls());
        let received = lease.received();
        let copy = payload.again();
        let (upload, progress, leash) = Upload::new(payload, Arc::clone(&exchange));
        let request = Request::from_parts(head.clone(), upload);
        let answer = first_byte(lease.send(request, &target), &progress, timeouts).await;
        let failed = match answer {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                check_head(&head).map_err(|error| Unsent { error, again: None })?;
                // Before there is a body, for an empty one is over at once.
                exchange.set_status(head.status.as_u16());
                let holding = Holding { lease, _lane: lane, _leash: leash };
                let body = ResponseBody::new(incoming, exchange, progress, timeouts.between_bytes, holding);
                return Ok(Response::from_parts(head, body));
            }
            Err(failed) => failed,
        };
        let error = failed.error(&progress);
        let Failed::Sent(mut sent) = failed else { return Err(Unsent { error, again: None }) };
        let untouched = sent.take_message().map(|message| message.into_body().into_payload());
        // Over HTTP/1.1 a response of which something came has begun.
        let silent = received.is_none() || received == lease.received();
        let ended = error == EgressError::ConnectionTerminated && silent;
        let repeatable = was_not_processed(sent.error()) || (ended && is_idempotent(&head.method));
        let payload = untouched.or(copy.filter(|_| repeatable));
        let again = payload.map(|payload| Box::new(Self { head, payload, target, timeouts, exchange, lane }));
        Err(Unsent { error, again })
    }
}

/// Why there is no head of a response.
enum Failed {
    Silence,
    Sent(Box<TrySendError<Request<Upload>>>),
}

impl Failed {
    fn error(&self, progress: &Progress) -> EgressError {
        match self {
            Self::Silence => EgressError::ReadTimeout,
            Self::Sent(sent) => progress.error().unwrap_or_else(|| EgressError::of_head(sent.error())),
        }
    }
}

/// Waits for the head of a response. It is late when nothing of the request moved either, and not for want of the guest's
/// writing.
async fn first_byte<R>(
    sending: impl Future<Output = Result<R, TrySendError<Request<Upload>>>>,
    progress: &Progress,
    timeouts: Timeouts,
) -> Result<R, Failed> {
    let mut sending = pin!(sending);
    loop {
        let sent = progress.sent();
        match timeout(timeouts.first_byte, &mut sending).await {
            Ok(response) => return response.map_err(|error| Failed::Sent(Box::new(error))),
            Err(_) if progress.excuses_silence(sent) => {}
            Err(_) => return Err(Failed::Silence),
        }
    }
}

fn check_head(head: &http::response::Parts) -> Result<(), EgressError> {
    if head.headers.len() > MAX_HEADERS || size(&head.headers) > MAX_HEAD_BYTES {
        return Err(EgressError::ResponseHeadSize);
    }
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS => Err(EgressError::Upgrade),
        _ => Ok(()),
    }
}

/// As HTTP/1.1 writes them: with a colon, a space and the end of a line.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// RFC 9110, section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE].contains(method)
}
