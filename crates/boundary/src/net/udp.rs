use crate::net::{Datagram, SocketError};
use crate::platform::Socket;
use crate::readiness::Direction;
use cloister_frames::{Family, SocketOption, Transport};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

/// One UDP socket. All but `readable` and `writable` answer at once. Clones share it; the last one that is dropped closes
/// it.
#[derive(Clone, Debug)]
pub struct UdpSocket(Arc<Socket>);

impl UdpSocket {
    /// A new socket.
    ///
    /// # Errors
    /// [`SocketError::NewSocketLimit`], [`SocketError::NotSupported`] and others.
    pub fn new(family: Family) -> Result<Self, SocketError> {
        Socket::open(Transport::Udp, family).map(|socket| Self(Arc::new(socket)))
    }

    /// Binds to a local address.
    ///
    /// # Errors
    /// [`SocketError::AddressInUse`], [`SocketError::AddressNotBindable`] and others.
    pub fn bind(&self, local: SocketAddr) -> Result<(), SocketError> {
        self.0.bind(local)
    }

    /// Sets the only peer that datagrams come from, or none. What a peer answered by ICMP is told from then on.
    ///
    /// # Errors
    /// [`SocketError::RemoteUnreachable`] and others.
    pub fn connect(&self, peer: Option<SocketAddr>) -> Result<(), SocketError> {
        match peer {
            Some(peer) => self.0.start_connect(peer),
            None => self.0.disconnect(),
        }
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] where it is not bound.
    pub fn local_address(&self) -> Result<SocketAddr, SocketError> {
        self.0.local_address()
    }

    /// The only peer's address.
    ///
    /// # Errors
    /// [`SocketError::InvalidState`] where there is none.
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

    /// The datagrams that are there: at most `most`, and at most [`MAX_DATAGRAMS`](crate::net::MAX_DATAGRAMS).
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] until the socket is readable; what has become of a datagram that was sent, once.
    pub fn receive(&self, most: usize) -> Result<Vec<Datagram>, SocketError> {
        self.0.receive(most)
    }

    /// Sends datagrams in their order: how many went. An error is the first one's.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] until the socket is writable; [`SocketError::DatagramTooLarge`] and others.
    pub fn send(&self, datagrams: &[Datagram]) -> Result<usize, SocketError> {
        self.0.send(datagrams)
    }

    /// Ends when it is worth to receive again, or a little earlier. May be dropped at any time.
    pub async fn readable(&self) {
        poll_fn(|cx| self.0.poll_ready(Direction::Read, cx)).await;
    }

    /// Ends when it is worth to send again, or a little earlier. May be dropped at any time.
    pub async fn writable(&self) {
        poll_fn(|cx| self.0.poll_ready(Direction::Write, cx)).await;
    }
}
