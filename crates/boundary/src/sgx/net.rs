use super::reactor::{Direction, Source};
use super::usercalls;
use cloister_frames::LISTEN_PREFIX;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A listening socket.
#[derive(Debug)]
pub struct Listener(Source);

impl Listener {
    /// Listens at a socket address, such as `127.0.0.1:8443`.
    ///
    /// # Errors
    /// As the host says.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let fd = usercalls::bind(&format!("{LISTEN_PREFIX}{address}"))?;
        Source::new(fd).map(Self)
    }

    /// The next connection.
    ///
    /// # Errors
    /// As the host says.
    pub async fn accept(&self) -> io::Result<Stream> {
        let fd = poll_fn(|cx| self.0.poll(Direction::Read, cx, || usercalls::accept(self.0.fd()))).await?;
        Source::new(fd).map(Stream)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(Source);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let fd = self.0.fd();
        let unfilled = buffer.initialize_unfilled();
        match self.0.poll(Direction::Read, cx, || usercalls::read(fd, unfilled)) {
            Poll::Ready(Ok(length)) => {
                buffer.advance(length);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll(Direction::Write, cx, || usercalls::write(self.0.fd(), data))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
