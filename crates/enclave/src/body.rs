//! Request bodies with bounds, response bodies by kind.

use bytes::{Bytes, BytesMut};
use cloister_api::{Code, NDJSON, Problem};
use cloister_channel_body::Channel;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A response's body.
pub(crate) enum Body {
    Whole(Full<Bytes>),
    /// What comes through a channel, until it is closed.
    Channel(Channel<Bytes, Infallible>),
    /// What somebody makes while it is sent.
    Made(Pin<Box<dyn hyper::body::Body<Data = Bytes, Error = Broken> + Send>>),
}

/// A body that ends before it is complete. The client sees that: HTTP/1.1 has a last chunk or a length, HTTP/2 an end of
/// the stream (RFC 9112, section 8; RFC 9113, section 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct Broken;

impl Body {
    /// What `step` makes, piece by piece, until it answers `None`. Dropping the body drops the state.
    pub(crate) fn unfold<S, F, W>(state: S, step: F) -> Self
    where
        S: Send + 'static,
        F: FnMut(S) -> W + Send + 'static,
        W: Future<Output = Option<(Bytes, S)>> + Send + 'static,
    {
        Self::Made(Box::pin(Unfold { step, state: Some(state), waiting: None }))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Channel(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Made(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Channel(body) => body.is_end_stream(),
            Self::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Channel(body) => body.size_hint(),
            Self::Made(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

struct Unfold<S, F, W> {
    step: F,
    state: Option<S>,
    waiting: Option<Pin<Box<W>>>,
}

// Nothing in it is pinned but behind its own box.
impl<S, F, W> Unpin for Unfold<S, F, W> {}

impl<S, F, W> hyper::body::Body for Unfold<S, F, W>
where
    F: FnMut(S) -> W,
    W: Future<Output = Option<(Bytes, S)>>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if let Some(state) = this.state.take() {
            this.waiting = Some(Box::pin((this.step)(state)));
        }
        let Some(waiting) = &mut this.waiting else { return Poll::Ready(None) };
        let made = ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        Poll::Ready(made.map(|(bytes, state)| {
            this.state = Some(state);
            Ok(Frame::data(bytes))
        }))
    }
}

/// A body, and what has to live until its last byte is sent.
#[derive(Debug)]
pub(crate) struct Holding<H> {
    body: Body,
    _held: H,
}

impl<H> Holding<H> {
    pub(crate) fn new(body: Body, held: H) -> Self {
        Self { body, _held: held }
    }
}

impl<H: Unpin> hyper::body::Body for Holding<H> {
    type Data = Bytes;
    type Error = <Body as hyper::body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads a body of at most `limit` bytes whose parts come no further apart than `patience`.
///
/// # Errors
/// [`Code::BodyTooLarge`], [`Code::RequestTimeout`], or [`Code::BadRequest`] where the client breaks off.
pub(crate) async fn read<B>(mut body: B, limit: usize, patience: Duration) -> Result<Bytes, Problem>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let announced = body.size_hint().exact();
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut all = BytesMut::new();
    while let Some(data) = part(&mut body, patience, all.len() as u64).await? {
        if data.len() > limit - all.len() {
            return Err(too_large(limit));
        }
        if all.is_empty()
            && let Some(length) = announced
        {
            // Only once the client has sent something: an announcement alone must not cost memory.
            all.reserve(length.min(limit as u64) as usize);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// The next part of a body of which `received` bytes came so far, no later than after `patience`; `None` at its end.
///
/// # Errors
/// [`Code::RequestTimeout`], or [`Code::BadRequest`] where the client breaks off.
pub(crate) async fn part<B>(body: &mut B, patience: Duration, received: u64) -> Result<Option<Bytes>, Problem>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = next(body, patience).await.ok_or_else(|| {
            Problem::new(
                Code::RequestTimeout,
                format!("no part of the body came for {} ms after {received} bytes", patience.as_millis()),
            )
        })?;
        match frame {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(Err(_)) => {
                return Err(Problem::new(
                    Code::BadRequest,
                    format!("the body broke off after {received} bytes"),
                ));
            }
            None => return Ok(None),
        }
    }
}

/// The next frame; `None` where it takes longer than `patience`. What is there already costs no look at the clock,
/// which is a call out of the enclave.
async fn next<B>(body: &mut B, patience: Duration) -> Option<Option<Result<Frame<Bytes>, B::Error>>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let mut frame = pin!(body.frame());
    let there = poll_fn(|cx| {
        Poll::Ready(match frame.as_mut().poll(cx) {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        })
    });
    match there.await {
        Some(frame) => Some(frame),
        None => tokio::time::timeout(patience, frame).await.ok(),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body is larger than {limit} bytes"))
}

/// JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => whole(status, "application/json", text),
        Err(error) => {
            problem(&Problem::new(Code::Internal, format!("the answer cannot be written: {error}")))
        }
    }
}

/// RFC 9457 problem details.
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = whole(status, "application/problem+json", text);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, section 11.6.1, and RFC 6750, section 3. A client certificate is no scheme of HTTP's.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Nothing but a status.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Full::default()));
    *response.status_mut() = status;
    response
}

/// Text or bytes of a media type.
pub(crate) fn whole(status: StatusCode, media_type: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = empty(status);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    *response.body_mut() = Body::Whole(Full::new(text.into()));
    response
}

/// Whatever comes through the channel, until it is closed.
pub(crate) fn stream(channel: Channel<Bytes, Infallible>) -> Response<Body> {
    Response::new(Body::Channel(channel))
}

/// A stream of JSON texts, one a line.
pub(crate) fn lines(channel: Channel<Bytes, Infallible>) -> Response<Body> {
    let mut response = stream(channel);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

/// One JSON text and its line end.
pub(crate) fn line<T: Serialize>(value: &T) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_body_within_its_bound_is_read_whole() {
        let body = Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read(body, 5, PATIENCE).await.unwrap(), "12345");
    }

    #[tokio::test]
    async fn a_body_over_its_bound_is_refused() {
        let announced = Full::new(Bytes::from_static(b"123456"));
        assert_eq!(read(announced, 5, PATIENCE).await.unwrap_err().code, Code::BodyTooLarge);
        let (mut sender, unannounced) = Channel::<Bytes, Infallible>::new(2);
        for _ in 0..2 {
            sender.send_data(Bytes::from_static(b"123")).await.unwrap();
        }
        assert_eq!(read(unannounced, 5, PATIENCE).await.unwrap_err().code, Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_stalled_body_times_out() {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
        sender.send_data(Bytes::from_static(b"1")).await.unwrap();
        let problem = read(body, 5, PATIENCE).await.unwrap_err();
        assert_eq!(problem.code, Code::RequestTimeout);
        assert!(problem.detail.ends_with("after 1 bytes"), "{}", problem.detail);
    }

    #[tokio::test]
    async fn a_broken_body_is_a_bad_request() {
        let (sender, body) = Channel::<Bytes, std::io::Error>::new(2);
        sender.abort(std::io::ErrorKind::ConnectionReset.into()).await.unwrap();
        assert_eq!(read(body, 5, PATIENCE).await.unwrap_err().code, Code::BadRequest);
    }

    #[tokio::test]
    async fn an_unfolded_body_ends_when_its_maker_says_so() {
        let body = Body::unfold(0_u8, |count| async move {
            tokio::task::yield_now().await;
            (count < 3).then(|| (Bytes::from(vec![count]), count + 1))
        });
        assert_eq!(body.collect().await.unwrap().to_bytes()[..], [0, 1, 2]);
    }
}
