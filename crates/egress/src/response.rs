//! The body of a response.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::kept::Lease;
use crate::slots::Lane;
use crate::upload::{Leash, Progress};
use crate::{EgressError, EgressOutcome, Exchange};

/// The body of a response, pulled from the connection only as it is asked for. It holds the request, and lets go of it at
/// its end; where it is dropped before, the request is given up.
#[derive(Debug)]
pub struct ResponseBody {
    incoming: Incoming,
    exchange: Arc<Exchange>,
    progress: Arc<Progress>,
    /// None once the request is over.
    holding: Option<Holding>,
    between_bytes: Duration,
    /// Runs while somebody waits for bytes.
    silence: Option<Silence>,
    /// There is no more to come.
    ended: bool,
}

/// What a request has while it is under way.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) lease: Lease,
    pub(crate) _lane: Lane,
    pub(crate) _leash: Leash,
}

#[derive(Debug)]
struct Silence {
    timer: Pin<Box<Sleep>>,
    /// Bytes of the request that were sent when it began.
    sent: u64,
}

impl ResponseBody {
    pub(crate) fn new(
        incoming: Incoming,
        exchange: Arc<Exchange>,
        progress: Arc<Progress>,
        between_bytes: Duration,
        holding: Holding,
    ) -> Self {
        let holding = Some(holding);
        let silence = None;
        let mut body = Self { incoming, exchange, progress, holding, between_bytes, silence, ended: false };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    /// Whether both request and response are over. A server may answer before it has read the whole request, and then the
    /// request goes on as long as this lives.
    pub fn is_over(&self) -> bool {
        self.holding.is_none()
    }

    fn finish(&mut self) {
        self.silence = None;
        self.ended = true;
        self.exchange.end_as_it_is();
        if self.progress.has_ended()
            && let Some(holding) = self.holding.take()
        {
            holding.lease.give_back();
        }
    }

    fn fail(&mut self, error: &EgressError) {
        self.silence = None;
        self.ended = true;
        self.exchange.end(EgressOutcome::Failed(error.name()));
        self.holding = None;
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let sent = self.progress.sent();
            let limit = self.between_bytes;
            let silence = self
                .silence
                .get_or_insert_with(|| Silence { timer: Box::pin(tokio::time::sleep(limit)), sent });
            std::task::ready!(silence.timer.as_mut().poll(cx));
            let began_at = silence.sent;
            self.silence = None;
            if !self.progress.excuses_silence(began_at) {
                return Poll::Ready(());
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let body = &mut *self;
        if body.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut body.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                body.silence = None;
                body.exchange.add_received(frame.data_ref().map_or(0, Bytes::len));
                if frame.is_trailers() || body.incoming.is_end_stream() {
                    body.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = body.progress.error().unwrap_or_else(|| EgressError::of_response_body(&error));
                body.fail(&error);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                body.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(body.poll_silence(cx));
                let error = EgressError::ReadTimeout;
                body.fail(&error);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
