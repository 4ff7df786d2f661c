//! Standard input: nothing, bytes known beforehand, or what comes while the guest runs.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};

/// Standard input of a guest.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// It is at its end from the start.
    #[default]
    Empty,
    /// Each context made from a clone reads them from their start.
    Bytes(Bytes),
    /// Clones read from the same position.
    Stream(LiveInput),
}

impl Input {
    /// Input that comes while the guest runs.
    pub fn stream(source: impl InputSource) -> Self {
        Self::Stream(LiveInput(Arc::new(Mutex::new(State {
            source: Some(Box::new(source)),
            piece: Bytes::new(),
            failure: None,
        }))))
    }
}

impl<B: Into<Bytes>> From<B> for Input {
    fn from(bytes: B) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// Where standard input comes from. It is asked only when the guest reads or waits, and at most one piece is held, so
/// whoever sends feels back-pressure.
pub trait InputSource: Send + 'static {
    /// The next piece, or `None` at the end. Nothing is asked after the end or a failure. A source that answers
    /// `Pending` wakes the latest `context`; a `read` that does not wait asks with one that wakes nobody.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, InputFailed>>>;
}

/// Standard input broke off before its end. The guest gets it once as `last-operation-failed`, and `closed` after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("standard input broke off before its end")]
pub struct InputFailed;

/// What [`Input::stream`] makes.
#[derive(Clone)]
pub struct LiveInput(Arc<Mutex<State>>);

struct State {
    /// None after the end or a failure.
    source: Option<Box<dyn InputSource>>,
    /// Came and was not read yet.
    piece: Bytes,
    /// Not reported yet.
    failure: Option<InputFailed>,
}

impl State {
    /// Asks for the next piece unless there is something to report already.
    fn poll_filled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.piece.is_empty()
            && let Some(source) = &mut self.source
        {
            match source.poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => self.piece = piece,
                Poll::Ready(Some(Err(failure))) => {
                    self.failure = Some(failure);
                    self.source = None;
                }
                Poll::Ready(None) => self.source = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl LiveInput {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LiveInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveInput").finish_non_exhaustive()
    }
}

/// What `get-stdin` gives. Clones read from the same position.
#[derive(Clone, Debug)]
pub(crate) enum Stdin {
    Bytes(Arc<Mutex<Bytes>>),
    Live(LiveInput),
}

impl Stdin {
    pub(crate) fn new(input: Input) -> Self {
        match input {
            Input::Empty => Self::Bytes(Arc::default()),
            Input::Bytes(bytes) => Self::Bytes(Arc::new(Mutex::new(bytes))),
            Input::Stream(live) => Self::Live(live),
        }
    }
}

#[async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        if let Self::Live(live) = self {
            let filled = poll_fn(|context| live.state().poll_filled(context));
            // The executor's own budget would make input that is there look pending to `pollable.ready`.
            tokio::task::unconstrained(filled).await;
        }
    }
}

#[async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match self {
            Self::Bytes(rest) => {
                let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
                if rest.is_empty() {
                    return Err(StreamError::Closed);
                }
                let length = size.min(rest.len());
                Ok(rest.split_to(length))
            }
            Self::Live(live) => {
                let mut state = live.state();
                if state.poll_filled(&mut Context::from_waker(Waker::noop())).is_pending() {
                    return Ok(Bytes::new());
                }
                if let Some(failure) = state.failure.take() {
                    return Err(StreamError::LastOperationFailed(failure.into()));
                }
                if state.piece.is_empty() {
                    return Err(StreamError::Closed);
                }
                let length = size.min(state.piece.len());
                Ok(state.piece.split_to(length))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::mpsc;

    use super::*;

    struct Channel(mpsc::Receiver<Result<Bytes, InputFailed>>);

    impl InputSource for Channel {
        fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, InputFailed>>> {
            self.0.poll_recv(context)
        }
    }

    fn channel() -> (mpsc::Sender<Result<Bytes, InputFailed>>, Stdin) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Stdin::new(Input::stream(Channel(receiver))))
    }

    #[tokio::test]
    async fn live_input_comes_when_it_comes() {
        let (sender, mut stdin) = channel();
        assert_eq!(stdin.read(10).unwrap(), "", "nothing yet is not the end");
        let later = tokio::spawn(async move {
            tokio::task::yield_now().await;
            for piece in ["one", "", "two"] {
                sender.send(Ok(Bytes::from(piece))).await.unwrap();
            }
        });
        stdin.ready().await;
        assert_eq!(stdin.read(2).unwrap(), "on");
        assert_eq!(stdin.read(0).unwrap(), "");
        let mut other = stdin.clone();
        assert_eq!(other.read(9).unwrap(), "e", "one position for all");
        stdin.ready().await;
        assert_eq!(stdin.read(9).unwrap(), "two", "an empty piece is no piece");
        later.await.unwrap();
        for _ in 0..2 {
            stdin.ready().await;
            assert!(matches!(stdin.read(9), Err(StreamError::Closed)));
        }
    }

    #[tokio::test]
    async fn a_failure_is_reported_once_and_after_what_came_before_it() {
        let (sender, mut stdin) = channel();
        sender.send(Ok(Bytes::from("one"))).await.unwrap();
        stdin.ready().await;
        sender.send(Err(InputFailed)).await.unwrap();
        assert_eq!(stdin.read(9).unwrap(), "one");
        stdin.ready().await;
        let Err(StreamError::LastOperationFailed(failure)) = stdin.read(9) else { panic!("no failure") };
        assert!(failure.is::<InputFailed>());
        stdin.ready().await;
        assert!(matches!(stdin.read(9), Err(StreamError::Closed)));
    }

    #[test]
    fn the_source_is_asked_only_when_the_guest_wants_more() {
        struct Counting(VecDeque<&'static str>, Arc<AtomicUsize>);
        impl InputSource for Counting {
            fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, InputFailed>>> {
                self.1.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(self.0.pop_front().map(|piece| Ok(Bytes::from(piece))))
            }
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let source = Counting(["abc", "def"].into(), Arc::clone(&asked));
        let mut stdin = Stdin::new(Input::stream(source));
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        for expected in ["a", "b", "c"] {
            assert_eq!(stdin.read(1).unwrap(), expected);
            assert_eq!(asked.load(Ordering::Relaxed), 1);
        }
        assert_eq!(stdin.read(9).unwrap(), "def");
        assert!(stdin.read(9).is_err() && stdin.read(9).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 3, "not asked after its end");
    }
}
