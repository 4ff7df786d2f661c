use crate::net::{Shutdown, SocketError, TcpSocket};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A lent socket that is connected, as a stream of bytes.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpSocket,
    /// Whether the write half was ended here.
    ended: bool,
}

impl Connection {
    pub(crate) fn new(socket: TcpSocket) -> Self {
        Self { socket, ended: false }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match self.socket.read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(SocketError::WouldBlock) => ready!(self.socket.poll_readable(cx)),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match self.socket.write(data) {
                Ok(length) => return Poll::Ready(Ok(length)),
                Err(SocketError::WouldBlock) => ready!(self.socket.poll_writable(cx)),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            self.ended = true;
            match self.socket.shutdown(Shutdown::Write) {
                // The peer was faster.
                Ok(()) | Err(SocketError::InvalidState) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(()))
    }
}
