use super::reactor::Source;
use super::usercalls;
use crate::connection::Connection;
use crate::net::TcpSocket;
use crate::readiness::Direction;
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
        Source::new(fd).map(|source| Stream(Kind::Accepted(source)))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Accepted(Source),
    Lent(Connection),
}

impl Stream {
    pub(crate) fn of(socket: TcpSocket) -> Self {
        Self(Kind::Lent(Connection::new(socket)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let source = match &mut self.0 {
            Kind::Accepted(source) => source,
            Kind::Lent(connection) => return Pin::new(connection).poll_read(cx, buffer),
        };
        let unfilled = buffer.initialize_unfilled();
        match source.poll(Direction::Read, cx, || usercalls::read(source.fd(), unfilled)) {
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Accepted(source) => {
                source.poll(Direction::Write, cx, || usercalls::write(source.fd(), data))
            }
            Kind::Lent(connection) => Pin::new(connection).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            // TLS has said that it ends, and the whole connection is closed next.
            Kind::Accepted(_) => Poll::Ready(Ok(())),
            Kind::Lent(connection) => Pin::new(connection).poll_shutdown(cx),
        }
    }
}
