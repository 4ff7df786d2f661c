//! The body of a request on its way out.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::{EgressError, Exchange};

/// The body of a request.
pub enum Payload {
    /// All of it, which may be nothing. It can be sent again.
    Whole(Bytes),
    /// As the guest writes it.
    Stream(BoxBody<Bytes, BodyError>),
}

/// Why what a guest wrote is no whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It dropped the body, or its call ended.
    #[error("the guest did not finish the body")]
    Unfinished,
    /// Its `content-length` says otherwise.
    #[error("the guest declared a body of {declared} bytes and wrote {written}")]
    Length { declared: u64, written: u64 },
}

impl Payload {
    /// No body.
    pub const fn empty() -> Self {
        Self::Whole(Bytes::new())
    }

    /// A body that is still written.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = BodyError> + Send + Sync + 'static,
    {
        Self::Stream(body.boxed())
    }

    /// The same body, where there can be another one.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(&bytes.len()).finish(),
            Self::Stream(_) => f.debug_tuple("Stream").finish_non_exhaustive(),
        }
    }
}

/// How far a request has come on one connection.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    sent: AtomicU64,
    /// The connection would send more of the request, and the guest has not written it yet.
    awaits_guest: AtomicBool,
    /// The request is sent, or will never be.
    ended: AtomicBool,
    /// Why it never will: the server only sees that it breaks off.
    error: OnceLock<BodyError>,
}

impl Progress {
    /// Bytes of the body.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn error(&self) -> Option<EgressError> {
        self.error.get().copied().map(EgressError::Body)
    }

    /// Whether it is not the peer's fault that nothing came since `sent` bytes were sent.
    pub(crate) fn excuses_silence(&self, sent: u64) -> bool {
        self.awaits_guest.load(Ordering::Relaxed) || self.sent() != sent
    }

    fn add_sent(&self, bytes: usize) {
        self.awaits_guest.store(false, Ordering::Relaxed);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn end(&self) {
        self.awaits_guest.store(false, Ordering::Relaxed);
        self.ended.store(true, Ordering::Release);
    }
}

/// Takes the body of a request back: while it lives, the connection may go on sending.
pub(crate) type Leash = oneshot::Sender<Infallible>;

/// A body as a connection sends it.
#[derive(Debug)]
pub(crate) struct Upload {
    payload: Payload,
    progress: Arc<Progress>,
    exchange: Arc<Exchange>,
    /// None once it was pulled.
    leash: Option<oneshot::Receiver<Infallible>>,
}

impl Upload {
    pub(crate) fn new(payload: Payload, exchange: Arc<Exchange>) -> (Self, Arc<Progress>, Leash) {
        let progress: Arc<Progress> = Arc::default();
        let (leash, held) = oneshot::channel();
        let upload = Self { payload, progress: Arc::clone(&progress), exchange, leash: Some(held) };
        (upload, progress, leash)
    }

    /// What is left of the body.
    pub(crate) fn into_payload(mut self) -> Payload {
        std::mem::replace(&mut self.payload, Payload::empty())
    }

    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.payload {
            Payload::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Payload::Whole(bytes) => {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Payload::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let pulled = self.leash.as_mut().is_none_or(|leash| Pin::new(leash).poll(cx).is_ready());
        if pulled {
            self.leash = None;
            return Poll::Ready(Some(Err(UploadError::TakenBack)));
        }
        let frame = self.poll_payload(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.progress.add_sent(bytes);
                self.exchange.add_sent(bytes);
            }
            Poll::Ready(Some(Err(error))) => {
                // Only the first one counts.
                let _ = self.progress.error.set(*error);
                self.progress.end();
            }
            Poll::Ready(None) => self.progress.end(),
            Poll::Pending => self.progress.awaits_guest.store(true, Ordering::Relaxed),
        }
        frame.map_err(UploadError::Body)
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Whole(bytes) => bytes.is_empty(),
            Payload::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Stream(body) => body.size_hint(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.progress.end();
    }
}

/// Why a connection cannot send a body to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Body(BodyError),
    /// Nobody waits for the response any more.
    #[error("the request was given up")]
    TakenBack,
}

/// Of a whole body that goes out at once: how far it is shows whether the server still reads.
const PIECE_BYTES: usize = 64 << 10;
