use crate::Stream;
use crate::net::SocketError;
use crate::platform::Socket;
use crate::readiness::Direction;
use cloister_frames::{Family, Shutdown, SocketOption, Transport};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One TCP socket, in any state. All but `readable` and `writable` answer at once. Clones share it; the last one that is
/// dropped closes it.
#[derive(Clone, Debug)]
pub struct TcpSocket(Arc<Socket>);

impl TcpSocket {
    /// A new socket.
    ///
    /// # Errors
    /// [`SocketError::NewSocketLimit`], [`SocketError::NotSupported`] and others.
    pub fn new(family: Family) -> Result<Self, SocketError> {
        Socket::open(Transport::Tcp, family).map(|socket| Self(Arc::new(socket)))
    }

    /// Binds to a local address.
    ///
    /// # Errors
    /// [`SocketError::AddressInUse`], [`SocketError::AddressNotBindable`] and others.
    pub fn bind(&self, local: SocketAddr) -> Result<(), SocketError> {
        self.0.bind(local)
    }

    /// Begins to connect; [`Self::finish_connect`] tells how it ended.
    ///
    /// # Errors
    /// [`SocketError::ConcurrencyConflict`] while another attempt is under way, and others.
    pub fn start_connect(&self, remote: SocketAddr) -> Result<(), SocketError> {
        self.0.start_connect(remote)
    }

    /// How the attempt to connect ended.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] while it is under way (it is not when the socket is writable), or why it failed.
    pub fn finish_connect(&self) -> Result<(), SocketError> {
        self.0.finish_connect()
    }

    /// Waits for connections from now on.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] and others.
    pub fn listen(&self, backlog: u32) -> Result<(), SocketError> {
        self.0.listen(backlog)
    }

    /// The next connection, and whom it is from as the host says.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] until the socket is readable, and others.
    pub fn accept(&self) -> Result<(TcpSocket, SocketAddr), SocketError> {
        let (socket, peer) = self.0.accept()?;
        Ok((Self(Arc::new(socket)), peer))
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] where it is not bound.
    pub fn local_address(&self) -> Result<SocketAddr, SocketError> {
        self.0.local_address()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] where the socket is not connected.
    pub fn remote_address(&self) -> Result<SocketAddr, SocketError> {
        self.0.remote_address()
    }

    /// An option's value.
    ///
    /// # Errors
    /// [`SocketError::NotSupported`] where the socket does not have it.
    pub fn option(&self, option: SocketOption) -> Result<u64, SocketError> {
        self.0.option(option)
    }

    /// Changes an option. Values beyond what the operating system has are clamped.
    ///
    /// # Errors
    /// [`SocketError::InvalidArgument`] for zero where the option has none.
    pub fn set_option(&self, option: SocketOption, value: u64) -> Result<(), SocketError> {
        self.0.set_option(option, value)
    }

    /// Ends one or both halves of the connection.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] where there is none.
    pub fn shutdown(&self, direction: Shutdown) -> Result<(), SocketError> {
        self.0.shutdown(direction)
    }

    /// Reads from the connection: how many bytes, 0 where the peer has ended.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] until the socket is readable, and others.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, SocketError> {
        self.0.read(into)
    }

    /// Writes to the connection: how many bytes went.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] until the socket is writable, and others.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, SocketError> {
        self.0.write(bytes)
    }

    /// Ends when it is worth to read or accept again, or a little earlier. May be dropped at any time.
    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_readable(cx)).await;
    }

    /// Ends when it is worth to write, or to finish a connection, again, or a little earlier. May be dropped at any time.
    pub async fn writable(&self) {
        poll_fn(|cx| self.poll_writable(cx)).await;
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(Direction::Read, cx)
    }

    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_ready(Direction::Write, cx)
    }

    /// The connection as a stream of bytes.
    pub fn into_stream(self) -> Stream {
        Stream::of(self)
    }
}
