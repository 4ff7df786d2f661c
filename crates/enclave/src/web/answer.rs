//! The body of a guest's answer on its way to the client.

use super::GuestEnd;
use crate::body::Broken;
use bytes::Bytes;
use cloister_runtime::GuestBody;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// What the guest writes. Where the guest used what the app keeps, the end of it is sent only after that is on the disk.
/// A client that goes before the end ends the guest.
pub(super) struct GuestAnswer {
    body: GuestBody,
    end: GuestEnd,
    state: State,
}

enum State {
    Streaming,
    /// What the guest wrote is being kept; then comes the last frame.
    Keeping(Pin<Box<dyn Future<Output = bool> + Send>>, Option<Frame<Bytes>>),
    Over,
}

impl GuestAnswer {
    pub(super) fn new(body: GuestBody, end: GuestEnd) -> Self {
        let mut answer = Self { body, end, state: State::Streaming };
        // Nobody asks it then.
        if is_over(&answer.body) {
            answer.over();
        }
        answer
    }

    /// Before the last frame, or the end without one.
    fn before_the_end(&mut self, last: Option<Frame<Bytes>>) {
        let keeper = self.end.keeper.clone();
        self.state = State::Keeping(Box::pin(keeper.keep()), last);
    }

    /// The client has everything. The guest may go on.
    fn over(&mut self) {
        self.state = State::Over;
        self.end.answered.store(true, Ordering::Release);
        self.end.guest = None;
    }
}

/// Whether nothing comes any more. A body of a length is over with its last byte: nobody asks it again then.
pub(super) fn is_over(body: &GuestBody) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

impl Body for GuestAnswer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Streaming => match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Err(_)) => {
                        this.state = State::Over;
                        return Poll::Ready(Some(Err(Broken)));
                    }
                    Some(Ok(frame)) => {
                        let is_last = frame.is_trailers() || is_over(&this.body);
                        if !is_last {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        if !this.end.keeper.is_needed() {
                            this.over();
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        this.before_the_end(Some(frame));
                    }
                    None if this.end.keeper.is_needed() => this.before_the_end(None),
                    None => {
                        this.over();
                        return Poll::Ready(None);
                    }
                },
                State::Keeping(keeping, last) => {
                    let is_kept = ready!(keeping.as_mut().poll(cx));
                    let last = last.take();
                    if !is_kept {
                        this.state = State::Over;
                        return Poll::Ready(Some(Err(Broken)));
                    }
                    this.over();
                    return Poll::Ready(last.map(Ok));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Streaming | State::Keeping(..) => false,
            State::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Streaming => self.body.size_hint(),
            // The last frame is not in the guest's body any more.
            State::Keeping(..) => SizeHint::default(),
            State::Over => SizeHint::with_exact(0),
        }
    }
}

impl Drop for GuestAnswer {
    fn drop(&mut self) {
        if let (State::Streaming | State::Keeping(..), Some(guest)) = (&self.state, &self.end.guest) {
            guest.abort();
        }
    }
}
