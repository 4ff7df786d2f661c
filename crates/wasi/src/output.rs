//! Standard output and error: to a log that takes everything, or through a channel with back-pressure.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

use crate::log::{LogSink, Stdio};

/// A guest's standard output and error with back-pressure.
///
/// Of each of the two at most `capacity` bytes wait, 4 KiB at least, and a write of up to 64 KiB beyond them where a
/// guest writes through two handles at once. Each change from one stream to the other counts as 64 bytes. While a
/// stream is full its `check-write` is 0, and its pollable and whatever blocks wait for the receiver.
pub fn output_channel(capacity: usize) -> (OutputSender, OutputReceiver) {
    let channel = Arc::new(Channel {
        capacity: capacity.max(LEAST_CAPACITY),
        queue: Mutex::default(),
        room: Notify::new(),
    });
    let sender = OutputSender(Arc::new(SenderEnd(Arc::clone(&channel))));
    (sender, OutputReceiver(channel))
}

/// Where a guest writes, see [`output_channel`]. The receiver meets the end when the last clone is dropped; the guest's
/// store holds clones.
#[derive(Clone, Debug)]
pub struct OutputSender(Arc<SenderEnd>);

/// Takes what a guest wrote, see [`output_channel`]. Once it is dropped the guest's streams are closed.
#[derive(Debug)]
pub struct OutputReceiver(Arc<Channel>);

impl OutputReceiver {
    /// The next bytes in the order written, neighbours of one stream joined up to 16 KiB. None once every sender is gone
    /// and all was taken. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<(Stdio, Bytes)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// [`next`](Self::next) for what is polled itself.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(Stdio, Bytes)>> {
        let mut queue = self.0.queue();
        let Some(piece) = queue.pieces.pop_front() else {
            if queue.state != Ends::Both {
                return Poll::Ready(None);
            }
            queue.receiver = Some(context.waker().clone());
            return Poll::Pending;
        };
        let waiting = queue.waiting_mut(piece.stream);
        *waiting = waiting.saturating_sub(piece.bytes.len().saturating_add(PIECE_BYTES));
        drop(queue);
        self.0.room.notify_waiters();
        Poll::Ready(Some((piece.stream, piece.bytes.freeze())))
    }
}

impl Drop for OutputReceiver {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.state = Ends::NoReceiver;
        queue.pieces.clear();
        drop(queue);
        self.0.room.notify_waiters();
    }
}

struct SenderEnd(Arc<Channel>);

impl Drop for SenderEnd {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        if queue.state == Ends::Both {
            queue.state = Ends::NoSender;
        }
        queue.wake_receiver();
    }
}

impl fmt::Debug for SenderEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct Channel {
    capacity: usize,
    queue: Mutex<Queue>,
    /// Notified when there is more room than before, or the receiver is gone.
    room: Notify,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    /// Bytes that wait, of standard output and of standard error, [`PIECE_BYTES`] for each piece included.
    waiting: [usize; 2],
    state: Ends,
    receiver: Option<Waker>,
}

struct Piece {
    stream: Stdio,
    bytes: BytesMut,
}

/// Which ends of a channel live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    Both,
    NoReceiver,
    NoSender,
}

impl Channel {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, stream: Stdio) -> StreamResult<usize> {
        let mut queue = self.queue();
        if queue.state == Ends::NoReceiver {
            return Err(StreamError::Closed);
        }
        Ok(self.capacity.saturating_sub(*queue.waiting_mut(stream)).min(WRITE_PERMIT))
    }

    /// `permit` is what an earlier look at the room promised.
    fn write(&self, stream: Stdio, bytes: &[u8], permit: usize) -> StreamResult<()> {
        let mut queue = self.queue();
        if queue.state == Ends::NoReceiver {
            return Err(StreamError::Closed);
        }
        let waiting = *queue.waiting_mut(stream);
        let room = self.capacity.saturating_sub(waiting).min(WRITE_PERMIT);
        let is_permitted = bytes.len() <= room || (bytes.len() <= permit && waiting <= self.capacity);
        if !is_permitted {
            return Err(StreamError::trap(BEYOND_PERMIT));
        }
        queue.push(stream, bytes);
        Ok(())
    }

    async fn wait_for_room(&self, stream: Stdio) {
        loop {
            let mut changed = pin!(self.room.notified());
            changed.as_mut().enable();
            if !matches!(self.room(stream), Ok(0)) {
                return;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl Queue {
    fn waiting_mut(&mut self, stream: Stdio) -> &mut usize {
        match stream {
            Stdio::Stdout => &mut self.waiting[0],
            Stdio::Stderr => &mut self.waiting[1],
        }
    }

    fn push(&mut self, stream: Stdio, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let added = match self.pieces.back_mut() {
            Some(last) if last.stream == stream && last.bytes.len() < JOINED_BYTES => {
                last.bytes.extend_from_slice(bytes);
                bytes.len()
            }
            _ => {
                self.pieces.push_back(Piece { stream, bytes: BytesMut::from(bytes) });
                bytes.len().saturating_add(PIECE_BYTES)
            }
        };
        let waiting = self.waiting_mut(stream);
        *waiting = waiting.saturating_add(added);
        self.wake_receiver();
    }

    fn wake_receiver(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }
}

/// Where the standard streams of a context go.
#[derive(Clone)]
pub(crate) enum Output {
    Discarded,
    Log(Arc<dyn LogSink>),
    Channel(OutputSender),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

/// What `get-stdout` and `get-stderr` give.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    stream: Stdio,
    output: Output,
    /// What the latest `check-write` allowed and was not written since.
    permit: usize,
}

impl OutputPipe {
    pub(crate) fn new(stream: Stdio, output: Output) -> Self {
        Self { stream, output, permit: 0 }
    }
}

#[async_trait]
impl Pollable for OutputPipe {
    async fn ready(&mut self) {
        if let Output::Channel(sender) = &self.output {
            sender.0.0.wait_for_room(self.stream).await;
        }
    }
}

#[async_trait]
impl OutputStream for OutputPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match &self.output {
            _ if bytes.len() > WRITE_PERMIT => return Err(StreamError::trap(BEYOND_PERMIT)),
            Output::Discarded => {}
            Output::Log(log) => log.write(self.stream, &bytes),
            Output::Channel(sender) => sender.0.0.write(self.stream, &bytes, self.permit)?,
        }
        self.permit = self.permit.saturating_sub(bytes.len());
        Ok(())
    }

    /// What was written is with the log or the receiver already.
    fn flush(&mut self) -> StreamResult<()> {
        match &self.output {
            Output::Discarded | Output::Log(_) => Ok(()),
            Output::Channel(sender) => sender.0.0.room(self.stream).map(|_| ()),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.permit = match &self.output {
            Output::Discarded | Output::Log(_) => WRITE_PERMIT,
            Output::Channel(sender) => sender.0.0.room(self.stream)?,
        };
        Ok(self.permit)
    }
}

const BEYOND_PERMIT: &str = "the guest wrote more than check-write allowed";
/// Bytes that a guest may write at once.
const WRITE_PERMIT: usize = 64 << 10;
/// Bytes that the smallest channel holds of a stream: what one blocking write takes.
const LEAST_CAPACITY: usize = 4 << 10;
/// A piece is not lengthened beyond this and the write that goes over it.
const JOINED_BYTES: usize = 16 << 10;
/// What a piece takes beside its bytes.
const PIECE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pipes(capacity: usize) -> (OutputPipe, OutputPipe, OutputReceiver) {
        let (sender, receiver) = output_channel(capacity);
        let pipe = |stream| OutputPipe::new(stream, Output::Channel(sender.clone()));
        (pipe(Stdio::Stdout), pipe(Stdio::Stderr), receiver)
    }

    fn put(pipe: &mut OutputPipe, text: &'static str) {
        assert!(pipe.check_write().unwrap() >= text.len());
        pipe.write(Bytes::from(text)).unwrap();
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_and_then_the_end() {
        let (mut stdout, mut stderr, mut receiver) = pipes(10_000);
        put(&mut stdout, "a");
        put(&mut stdout, "b");
        put(&mut stderr, "");
        put(&mut stderr, "c");
        put(&mut stdout, "d");
        drop((stdout, stderr));
        let mut seen = Vec::new();
        while let Some((stream, bytes)) = receiver.next().await {
            seen.push((stream, String::from_utf8(bytes.into()).unwrap()));
        }
        let expected = [(Stdio::Stdout, "ab"), (Stdio::Stderr, "c"), (Stdio::Stdout, "d")];
        assert_eq!(seen, expected.map(|(stream, text)| (stream, text.to_owned())));
        assert!(receiver.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_stream_permits_nothing_until_the_receiver_took_some() {
        let (mut stdout, mut stderr, mut receiver) = pipes(10_000);
        stdout.write(Bytes::from(vec![1; 10_000])).unwrap();
        assert_eq!(stdout.check_write().unwrap(), 0);
        assert!(tokio::time::timeout(Duration::from_secs(60), stdout.ready()).await.is_err());
        assert!(matches!(stdout.write(Bytes::from("x")), Err(StreamError::Trap(_))));
        stderr.ready().await;
        assert_eq!(stderr.check_write().unwrap(), 10_000, "the other has room of its own");

        let guest = tokio::spawn(async move {
            stdout.ready().await;
            stdout.check_write().unwrap()
        });
        tokio::task::yield_now().await;
        let (stream, bytes) = receiver.next().await.unwrap();
        assert_eq!((stream, bytes.len()), (Stdio::Stdout, 10_000));
        assert_eq!(guest.await.unwrap(), 10_000);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_however_it_is_written() {
        let (mut stdout, mut stderr, receiver) = pipes(1 << 20);
        let mut written = [0, 0];
        'full: loop {
            for (index, pipe) in [&mut stdout, &mut stderr].into_iter().enumerate() {
                if pipe.check_write().unwrap() == 0 {
                    break 'full;
                }
                pipe.write(Bytes::from("x")).unwrap();
                written[index] += 1;
            }
        }
        assert!(written[0] <= (1 << 20) / PIECE_BYTES, "{written:?}");
        drop(receiver);
    }

    #[test]
    fn permits_of_two_handles_together_go_beyond_the_capacity_once() {
        let (sender, _receiver) = output_channel(10_000);
        let mut handles = [(); 3].map(|()| OutputPipe::new(Stdio::Stdout, Output::Channel(sender.clone())));
        assert_eq!(handles.each_mut().map(|pipe| pipe.check_write().unwrap()), [10_000; 3]);
        let written = handles.each_mut().map(|pipe| pipe.write(Bytes::from(vec![0; 9_000])).is_ok());
        assert_eq!(written, [true, true, false]);
    }

    #[tokio::test]
    async fn without_a_receiver_the_streams_are_closed() {
        let (mut stdout, mut stderr, receiver) = pipes(10_000);
        stdout.write(Bytes::from(vec![1; 10_000])).unwrap();
        let waiting = tokio::spawn(async move {
            stdout.ready().await;
            stdout.check_write()
        });
        tokio::task::yield_now().await;
        drop(receiver);
        assert!(matches!(waiting.await.unwrap(), Err(StreamError::Closed)));
        assert!(matches!(stderr.write(Bytes::from("x")), Err(StreamError::Closed)));
        assert!(matches!(stderr.flush(), Err(StreamError::Closed)));
    }

    #[tokio::test]
    async fn a_receiver_that_waits_is_woken_by_bytes_and_by_the_end() {
        let (mut stdout, stderr, mut receiver) = pipes(10_000);
        let taker = tokio::spawn(async move { (receiver.next().await, receiver.next().await) });
        tokio::task::yield_now().await;
        put(&mut stdout, "x");
        tokio::task::yield_now().await;
        drop((stdout, stderr));
        assert_eq!(taker.await.unwrap(), (Some((Stdio::Stdout, Bytes::from("x"))), None));
    }
}
