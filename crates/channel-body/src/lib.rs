//! An HTTP body whose frames come through a channel.
//!
//! `http_body_util::channel::Channel` 0.1.5 is not used: it has one channel for frames and another for the end, and looks at them
//! one after the other. Where the last frame is sent and the sender dropped between the two looks, the body ends without that
//! frame. Here frames, error and end come through one channel, in their order.
#![forbid(unsafe_code)]

use http::HeaderMap;
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A body that is made elsewhere while it is read. It ends when its [`Sender`] is dropped.
#[derive(Debug)]
pub struct Channel<D, E = Infallible>(mpsc::Receiver<Result<Frame<D>, E>>);

/// Makes a [`Channel`]'s frames.
#[derive(Debug)]
pub struct Sender<D, E = Infallible>(mpsc::Sender<Result<Frame<D>, E>>);

/// Nobody reads the body any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the body any more")]
pub struct Unread;

impl<D, E> Channel<D, E> {
    /// A body, and what makes it: `capacity` frames ahead of its reader, one at least.
    pub fn new(capacity: usize) -> (Sender<D, E>, Self) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        (Sender(sender), Self(receiver))
    }
}

impl<D, E> Sender<D, E> {
    /// Sends the next frame, and waits while there is no room for it.
    ///
    /// # Errors
    /// [`Unread`]
    pub async fn send(&mut self, frame: Frame<D>) -> Result<(), Unread> {
        self.put(Ok(frame)).await
    }

    /// Sends the next piece, and waits while there is no room for it.
    ///
    /// # Errors
    /// [`Unread`]
    pub async fn send_data(&mut self, data: D) -> Result<(), Unread> {
        self.send(Frame::data(data)).await
    }

    /// Sends trailers, as the last frame.
    ///
    /// # Errors
    /// [`Unread`]
    pub async fn send_trailers(mut self, trailers: HeaderMap) -> Result<(), Unread> {
        self.send(Frame::trailers(trailers)).await
    }

    /// Ends the body with an error, so that it does not look whole.
    ///
    /// # Errors
    /// [`Unread`]
    pub async fn abort(mut self, error: E) -> Result<(), Unread> {
        self.put(Err(error)).await
    }

    async fn put(&mut self, frame: Result<Frame<D>, E>) -> Result<(), Unread> {
        self.0.send(frame).await.map_err(|_| Unread)
    }
}

impl<D: bytes::Buf, E> Body for Channel<D, E> {
    type Data = D;
    type Error = E;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<D>, E>>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use std::pin::pin;
    use std::task::Waker;

    #[tokio::test]
    async fn frames_come_in_their_order_and_trailers_last() {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        tokio::spawn(async move {
            for piece in ["a", "b", "c"] {
                sender.send_data(piece.into()).await.unwrap();
            }
            let trailers = HeaderMap::from_iter([(http::header::ETAG, "x".parse().unwrap())]);
            sender.send_trailers(trailers).await.unwrap();
        });
        let whole = body.collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["etag"], "x");
        assert_eq!(whole.to_bytes(), "abc");
    }

    /// The reader looks, and looks again, while another thread sends the last piece and goes.
    #[test]
    fn the_last_piece_is_not_lost() {
        let (give, take) = std::sync::mpsc::channel::<Sender<Bytes>>();
        let sending = std::thread::spawn(move || {
            for mut sender in take {
                let sent = pin!(sender.send_data(Bytes::from_static(b"last")));
                assert_eq!(sent.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())));
            }
        });
        for round in 0..50_000 {
            let (sender, mut body) = Channel::new(1);
            give.send(sender).unwrap();
            let frame = loop {
                match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(frame) => break frame,
                    Poll::Pending => std::hint::spin_loop(),
                }
            };
            assert_eq!(
                frame.map(|frame| frame.unwrap().into_data().unwrap()),
                Some("last".into()),
                "{round}"
            );
        }
        drop(give);
        sending.join().unwrap();
    }

    #[tokio::test]
    async fn an_error_comes_after_what_was_sent() {
        let (mut sender, mut body) = Channel::<Bytes, &str>::new(1);
        let sending = tokio::spawn(async move {
            sender.send_data(Bytes::from_static(b"half")).await.unwrap();
            sender.abort("broken").await
        });
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
        assert_eq!(sending.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn who_sends_learns_that_nobody_reads() {
        let (mut sender, body) = Channel::<Bytes>::new(1);
        drop(body);
        assert_eq!(sender.send_data(Bytes::new()).await, Err(Unread));
    }
}
