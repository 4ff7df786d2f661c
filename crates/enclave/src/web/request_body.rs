//! The body of a request on its way to a guest.

use bytes::Bytes;
use http::{Version, header, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a guest can read.
pub(crate) trait Readable:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> Readable for B
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
}

/// A request's body. Where the guest does not read it to its end, a little of the rest is read and thrown away, so that
/// the next request can follow on the same connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct RequestBody<B: Readable> {
    body: Option<B>,
    is_worth_finishing: bool,
}

impl<B: Readable> RequestBody<B> {
    pub(super) fn new(body: B, head: &request::Parts) -> Self {
        // A client that waits for "100 Continue" does not send what nobody wants. HTTP/2 has streams.
        let is_worth_finishing = head.version < Version::HTTP_2 && !head.headers.contains_key(header::EXPECT);
        Self { body: Some(body), is_worth_finishing }
    }
}

impl<B: Readable> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Readable> Drop for RequestBody<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        if self.is_worth_finishing
            && !body.is_end_stream()
            && body.size_hint().lower() <= WORTH_FINISHING
            && let Ok(executor) = tokio::runtime::Handle::try_current()
        {
            executor.spawn(tokio::time::timeout(PATIENCE, finish(body)));
        }
    }
}

async fn finish<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = WORTH_FINISHING;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > left {
            return;
        }
        left -= read;
    }
}

/// Bytes that are cheaper to read than a new connection with its handshake is to make.
const WORTH_FINISHING: u64 = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(2);
