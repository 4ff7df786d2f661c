//! Sockets and name lookup that the host lends, for guests and for the enclave's own requests.
//!
//! Whatever is sent and received here is the host's to read and to change: TLS inside the enclave protects contents, and
//! nothing protects who the peer is, what a name's addresses are, and that bytes arrive.

mod tcp;
mod udp;

pub use cloister_frames::{Family, MAX_ADDRESSES, MAX_DATAGRAM, MAX_DATAGRAMS, Shutdown, SocketOption};
pub use tcp::TcpSocket;
pub use udp::UdpSocket;

use crate::{Stream, platform};
use bytes::Bytes;
use cloister_frames::SocketFailure;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::Poll;

/// A datagram of UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Whom it came from, or goes to.
    pub peer: SocketAddr,
    /// At most [`MAX_DATAGRAM`] bytes.
    pub bytes: Bytes,
}

/// Why an operation of a socket failed; named as the error codes of `wasi:sockets/network@0.2.12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SocketError {
    /// access is denied
    #[error("access is denied")]
    AccessDenied,
    /// the operation is not supported
    #[error("the operation is not supported")]
    NotSupported,
    /// an argument is invalid
    #[error("an argument is invalid")]
    InvalidArgument,
    /// the host is out of memory
    #[error("the host is out of memory")]
    OutOfMemory,
    /// the operation timed out
    #[error("the operation timed out")]
    Timeout,
    /// the operation would block: wait until the socket is ready, and try again
    #[error("the operation would block")]
    WouldBlock,
    /// the socket is in the wrong state for the operation
    #[error("the socket is in the wrong state for the operation")]
    InvalidState,
    /// there are too many sockets
    #[error("there are too many sockets")]
    NewSocketLimit,
    /// the host does not have the address
    #[error("the host does not have the address")]
    AddressNotBindable,
    /// the address is in use
    #[error("the address is in use")]
    AddressInUse,
    /// the remote address cannot be reached
    #[error("the remote address cannot be reached")]
    RemoteUnreachable,
    /// the connection was refused
    #[error("the connection was refused")]
    ConnectionRefused,
    /// the connection was reset, or its other end is gone
    #[error("the connection was reset")]
    ConnectionReset,
    /// the connection was aborted
    #[error("the connection was aborted")]
    ConnectionAborted,
    /// the datagram is too large
    #[error("the datagram is too large")]
    DatagramTooLarge,
    /// the name has no address
    #[error("the name has no address")]
    NameUnresolvable,
    /// the name cannot be looked up for now
    #[error("the name cannot be looked up for now")]
    TemporaryResolverFailure,
    /// the name cannot be looked up
    #[error("the name cannot be looked up")]
    PermanentResolverFailure,
    /// another operation of the socket is under way
    #[error("another operation of the socket is under way")]
    ConcurrencyConflict,
    /// the operation failed for an unknown reason
    #[error("the operation failed for an unknown reason")]
    Unknown,
    /// the host's answer is no answer
    #[error("the host's answer is no answer to what it was asked for")]
    Host,
}

impl From<SocketFailure> for SocketError {
    fn from(failure: SocketFailure) -> Self {
        match failure {
            SocketFailure::AccessDenied => Self::AccessDenied,
            SocketFailure::NotSupported => Self::NotSupported,
            SocketFailure::InvalidArgument => Self::InvalidArgument,
            SocketFailure::OutOfMemory => Self::OutOfMemory,
            SocketFailure::Timeout => Self::Timeout,
            SocketFailure::WouldBlock => Self::WouldBlock,
            SocketFailure::InvalidState => Self::InvalidState,
            SocketFailure::NewSocketLimit => Self::NewSocketLimit,
            SocketFailure::AddressNotBindable => Self::AddressNotBindable,
            SocketFailure::AddressInUse => Self::AddressInUse,
            SocketFailure::RemoteUnreachable => Self::RemoteUnreachable,
            SocketFailure::ConnectionRefused => Self::ConnectionRefused,
            SocketFailure::ConnectionReset => Self::ConnectionReset,
            SocketFailure::ConnectionAborted => Self::ConnectionAborted,
            SocketFailure::DatagramTooLarge => Self::DatagramTooLarge,
            SocketFailure::NameUnresolvable => Self::NameUnresolvable,
            SocketFailure::TemporaryResolverFailure => Self::TemporaryResolverFailure,
            SocketFailure::PermanentResolverFailure => Self::PermanentResolverFailure,
            SocketFailure::ConcurrencyConflict => Self::ConcurrencyConflict,
            SocketFailure::Unknown => Self::Unknown,
        }
    }
}

impl From<SocketError> for io::Error {
    fn from(error: SocketError) -> Self {
        let kind = match error {
            SocketError::AccessDenied => io::ErrorKind::PermissionDenied,
            SocketError::NotSupported => io::ErrorKind::Unsupported,
            SocketError::InvalidArgument | SocketError::DatagramTooLarge => io::ErrorKind::InvalidInput,
            SocketError::OutOfMemory => io::ErrorKind::OutOfMemory,
            SocketError::Timeout => io::ErrorKind::TimedOut,
            SocketError::WouldBlock => io::ErrorKind::WouldBlock,
            SocketError::InvalidState => io::ErrorKind::NotConnected,
            SocketError::AddressNotBindable => io::ErrorKind::AddrNotAvailable,
            SocketError::AddressInUse => io::ErrorKind::AddrInUse,
            SocketError::RemoteUnreachable => io::ErrorKind::HostUnreachable,
            SocketError::ConnectionRefused => io::ErrorKind::ConnectionRefused,
            SocketError::ConnectionReset => io::ErrorKind::ConnectionReset,
            SocketError::ConnectionAborted => io::ErrorKind::ConnectionAborted,
            SocketError::NameUnresolvable => io::ErrorKind::NotFound,
            SocketError::ConcurrencyConflict => io::ErrorKind::ResourceBusy,
            SocketError::Host => io::ErrorKind::InvalidData,
            SocketError::NewSocketLimit
            | SocketError::TemporaryResolverFailure
            | SocketError::PermanentResolverFailure
            | SocketError::Unknown => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The addresses of a name, at most [`MAX_ADDRESSES`], or the one that it is the text of. May be dropped at any time, and
/// waits as long as the host likes.
///
/// # Errors
/// [`SocketError::NameUnresolvable`], [`SocketError::TemporaryResolverFailure`] and others.
pub async fn resolve(name: &str) -> Result<Vec<IpAddr>, SocketError> {
    match name.parse() {
        Ok(address) => Ok(vec![address]),
        Err(_) => platform::look_up(name).await,
    }
}

/// Looks a name up, or takes an address as it is (IPv6 with or without brackets), and connects to the first of its
/// allowed addresses that answers. For clients whose TLS proves who is there. Waits without end where nothing answers:
/// the caller has the patience.
///
/// # Errors
/// [`SocketError::AccessDenied`] where `allowed` has none of the addresses, else what the last of them failed with.
pub async fn connect(
    host: &str,
    port: u16,
    allowed: impl Fn(SocketAddr) -> bool,
) -> Result<Stream, SocketError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let addresses = resolve(bare).await?;
    let candidates: Vec<SocketAddr> = alternate(&addresses)
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .filter(|address| allowed(*address))
        .collect();
    let mut failure = SocketError::AccessDenied;
    for pair in candidates.chunks(AT_ONCE) {
        match first_of(pair).await {
            Ok(socket) => return Ok(socket.into_stream()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The addresses in their order, but the families in turns: one that leads nowhere must not hold up the other.
fn alternate(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let (mut now, mut then): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut turns = Vec::with_capacity(addresses.len());
    while let Some(address) = now.pop_front() {
        turns.push(address);
        if !then.is_empty() {
            std::mem::swap(&mut now, &mut then);
        }
    }
    turns
}

/// Connects to all of these at once, and keeps the connection that is there first.
async fn first_of(addresses: &[SocketAddr]) -> Result<TcpSocket, SocketError> {
    let mut attempts: Vec<Pin<Box<_>>> =
        addresses.iter().map(|address| Box::pin(attempt(*address))).collect();
    let mut failure = SocketError::AccessDenied;
    let first = poll_fn(|cx| {
        let mut index = 0;
        while let Some(attempt) = attempts.get_mut(index) {
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(socket)) => return Poll::Ready(Ok(socket)),
                Poll::Ready(Err(error)) => {
                    failure = error;
                    drop(attempts.remove(index));
                }
                Poll::Pending => index += 1,
            }
        }
        if attempts.is_empty() { Poll::Ready(Err(failure)) } else { Poll::Pending }
    });
    pin!(first).await
}

async fn attempt(address: SocketAddr) -> Result<TcpSocket, SocketError> {
    let socket = TcpSocket::new(if address.is_ipv4() { Family::V4 } else { Family::V6 })?;
    socket.start_connect(address)?;
    loop {
        match socket.finish_connect() {
            Err(SocketError::WouldBlock) => socket.writable().await,
            done => return done.map(|()| socket),
        }
    }
}

/// Addresses that are tried at the same time.
const AT_ONCE: usize = 2;

#[cfg(test)]
mod tests;
