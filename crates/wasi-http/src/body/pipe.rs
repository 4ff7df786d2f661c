//! Between a guest that writes a body and the connection that takes it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use cloister_egress::{BodyError, Payload};
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

/// The body of a request or response that a guest writes, for a connection to send.
///
/// At most [`BODY_BUFFER_BYTES`] wait in it. It ends in an error where the guest does not finish it; the connection then
/// cannot end the message as if it were whole. Once it is dropped, what the guest writes fails.
#[derive(Debug)]
pub struct GuestBody {
    /// None: the guest took no body, and there is nothing in it.
    pipe: Option<Arc<Pipe>>,
}

impl GuestBody {
    pub(crate) fn empty() -> Self {
        Self { pipe: None }
    }

    pub(super) fn of(pipe: Arc<Pipe>) -> Self {
        Self { pipe: Some(pipe) }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &self.pipe {
            Some(pipe) => pipe.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pipe.as_ref().is_none_or(|pipe| pipe.lock().is_done())
    }

    fn size_hint(&self) -> SizeHint {
        self.pipe.as_ref().map_or(SizeHint::with_exact(0), |pipe| pipe.lock().size_hint())
    }
}

impl From<GuestBody> for Payload {
    fn from(body: GuestBody) -> Self {
        if body.pipe.is_none() { Self::empty() } else { Self::stream(body) }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        if let Some(pipe) = &self.pipe {
            let mut state = pipe.lock();
            state.taker = Taker::Gone;
            state.queue = VecDeque::new();
            state.small = BytesMut::new();
            state.wake_writer();
        }
    }
}

/// A queue of bytes that is bounded, with a length to keep to and an end.
#[derive(Debug)]
pub(super) struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    queue: VecDeque<Bytes>,
    /// What comes after the queue: small writes, put together.
    small: BytesMut,
    /// Bytes in both.
    queued: usize,
    written: u64,
    declared: Option<u64>,
    end: Option<Result<Option<HeaderMap>, BodyError>>,
    taker: Taker,
    writer: Option<Waker>,
}

/// The connection.
#[derive(Debug)]
enum Taker {
    Busy,
    Waits(Waker),
    Gone,
}

/// Why a write does not go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nobody takes what is written, or the body has ended.
    Closed,
    /// More than [`Pipe::room`] said.
    NoRoom,
    /// More than was declared: this many bytes.
    TooLong(u64),
}

impl Pipe {
    pub(super) fn new(declared: Option<u64>) -> Self {
        Self(Mutex::new(State {
            queue: VecDeque::new(),
            small: BytesMut::new(),
            queued: 0,
            written: 0,
            declared,
            end: None,
            taker: Taker::Busy,
            writer: None,
        }))
    }

    /// How much may be written: nothing, or [`WORTH_WRITING`] bytes at least.
    pub(super) fn room(&self) -> Result<usize, Refused> {
        let state = self.lock();
        state.check_open()?;
        Ok(state.room())
    }

    /// Ends when there is room, or never will be.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.check_open().is_err() || state.room() > 0 {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn write(&self, bytes: Bytes) -> Result<(), Refused> {
        let mut state = self.lock();
        state.check_open()?;
        if bytes.len() > BODY_BUFFER_BYTES - state.queued {
            return Err(Refused::NoRoom);
        }
        state.written += bytes.len() as u64;
        if let Some(declared) = state.declared
            && state.written > declared
        {
            let written = state.written;
            state.finish(Err(BodyError::Length { declared, written }));
            return Err(Refused::TooLong(written));
        }
        state.add(bytes);
        state.wake_taker();
        Ok(())
    }

    /// The guest says that it is done. An error is how much it wrote, where that is not what it declared.
    pub(super) fn finish(&self, trailers: Option<HeaderMap>) -> Result<(), u64> {
        let mut state = self.lock();
        let written = state.written;
        match state.declared {
            Some(declared) if declared != written => {
                state.finish(Err(BodyError::Length { declared, written }));
                Err(written)
            }
            _ => {
                state.finish(Ok(trailers));
                Ok(())
            }
        }
    }

    /// The guest will say no more. Nothing happens where it has finished.
    pub(super) fn abandon(&self) {
        self.lock().finish(Err(BodyError::Unfinished));
    }

    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.lock();
        // Bytes as many as declared would look like a whole body.
        if let Some(Err(error @ BodyError::Length { .. })) = state.end {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(bytes) = state.take() {
            if state.room() > 0 {
                state.wake_writer();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut state.end {
            Some(Ok(trailers)) => Poll::Ready(trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            Some(Err(error)) => Poll::Ready(Some(Err(*error))),
            None => {
                state.taker = Taker::Waits(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_open(&self) -> Result<(), Refused> {
        let closed = self.end.is_some() || matches!(self.taker, Taker::Gone);
        if closed { Err(Refused::Closed) } else { Ok(()) }
    }

    fn room(&self) -> usize {
        let room = BODY_BUFFER_BYTES - self.queued;
        if room >= WORTH_WRITING { room } else { 0 }
    }

    /// Puts small writes together: each piece costs a frame on the wire, and memory beside its bytes.
    fn add(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
            if self.small.len() < SMALL {
                return;
            }
        }
        if !self.small.is_empty() {
            let small = std::mem::take(&mut self.small);
            self.queue.push_back(small.freeze());
        }
        if bytes.len() >= SMALL {
            self.queue.push_back(bytes);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let small = |small: &mut BytesMut| (!small.is_empty()).then(|| std::mem::take(small).freeze());
        let bytes = self.queue.pop_front().or_else(|| small(&mut self.small))?;
        self.queued -= bytes.len();
        Some(bytes)
    }

    fn finish(&mut self, end: Result<Option<HeaderMap>, BodyError>) {
        if self.end.is_none() {
            self.end = Some(end);
            self.wake_taker();
            self.wake_writer();
        }
    }

    fn is_done(&self) -> bool {
        self.queued == 0 && matches!(self.end, Some(Ok(None)))
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.end, self.declared) {
            (Some(Ok(None)), _) => SizeHint::with_exact(self.queued as u64),
            // Of a body that broke off nobody may think that it is complete.
            (Some(Err(_)), _) => SizeHint::default(),
            (_, Some(declared)) => {
                let taken = self.written - self.queued as u64;
                SizeHint::with_exact(declared.saturating_sub(taken))
            }
            _ => SizeHint::default(),
        }
    }

    fn wake_taker(&mut self) {
        if let Taker::Waits(_) = self.taker
            && let Taker::Waits(waker) = std::mem::replace(&mut self.taker, Taker::Busy)
        {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// Bytes that a guest has written of one body and the connection has not taken.
pub const BODY_BUFFER_BYTES: usize = 256 << 10;
/// A guest that waits for room is woken when there is this much, so that it neither wakes nor writes for less.
const WORTH_WRITING: usize = BODY_BUFFER_BYTES / 4;
/// Writes below this many bytes are put together.
const SMALL: usize = 8 << 10;
