//! Linux sockets and name lookup with the errors of `wasi:sockets`, for the host and for native builds. Untrusted.
#![forbid(unsafe_code)]

mod failure;
mod lookup;
mod options;

pub use lookup::look_up;

use cloister_frames::{Family, MAX_DATAGRAM, Shutdown, SocketFailure, SocketOption, Transport};
use failure::failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, ipproto, sockopt,
};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A socket that never blocks.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    family: Family,
    transport: Transport,
}

impl Socket {
    /// A new socket. One of IPv6 never speaks IPv4.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn new(family: Family, transport: Transport) -> Result<Self, SocketFailure> {
        let (kind, protocol) = match transport {
            Transport::Tcp => (SocketType::STREAM, ipproto::TCP),
            Transport::Udp => (SocketType::DGRAM, ipproto::UDP),
        };
        let domain = match family {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let fd = rustix::net::socket_with(domain, kind, FLAGS, Some(protocol)).map_err(failure)?;
        if family == Family::V6 {
            sockopt::set_ipv6_v6only(&fd, true).map_err(failure)?;
        }
        if transport == Transport::Tcp {
            // What is written is meant to go: whoever writes has its own buffers.
            sockopt::set_tcp_nodelay(&fd, true).map_err(failure)?;
        }
        Ok(Self { fd, family, transport })
    }

    /// The address family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// TCP or UDP.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Binds to a local address. Connections that ended lately are no obstacle (`SO_REUSEADDR`) for TCP.
    ///
    /// # Errors
    /// [`SocketFailure::InvalidState`] where the socket is bound already, others as the operating system says.
    pub fn bind(&self, local: SocketAddr) -> Result<(), SocketFailure> {
        if self.transport == Transport::Tcp {
            sockopt::set_socket_reuseaddr(&self.fd, true).map_err(failure)?;
        }
        rustix::net::bind(&self.fd, &local).map_err(|errno| match errno {
            Errno::AFNOSUPPORT => SocketFailure::InvalidArgument,
            Errno::INVAL => SocketFailure::InvalidState,
            errno => failure(errno),
        })
    }

    /// Begins to connect. For UDP, sets the only peer, at once.
    ///
    /// # Errors
    /// [`SocketFailure::ConcurrencyConflict`] while another attempt is under way, [`SocketFailure::InvalidState`] where the
    /// socket is connected, others as the operating system says.
    pub fn start_connect(&self, remote: SocketAddr) -> Result<(), SocketFailure> {
        // Linux takes a second attempt for the first one's end.
        if self.transport == Transport::Tcp && self.remote_address().is_ok() {
            return Err(SocketFailure::InvalidState);
        }
        let connect = || rustix::net::connect(&self.fd, &remote);
        let connected = match connect() {
            // Linux does not choose another local address for another route: forgetting the peer makes it.
            Err(Errno::INVAL) if self.transport == Transport::Udp => {
                rustix::net::connect_unspec(&self.fd).and_then(|()| connect())
            }
            connected => connected,
        };
        match connected {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(Errno::AFNOSUPPORT) => Err(SocketFailure::InvalidArgument),
            // No port is left to bind to.
            Err(Errno::ADDRNOTAVAIL | Errno::AGAIN) => Err(SocketFailure::AddressInUse),
            Err(Errno::INVAL) => Err(SocketFailure::InvalidState),
            Err(errno) => Err(failure(errno)),
        }
    }

    /// How an attempt to connect has ended.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] while it is under way, [`SocketFailure::InvalidState`] where there is none, or why
    /// it failed: once.
    pub fn finish_connect(&self) -> Result<(), SocketFailure> {
        let mut polled = [PollFd::new(&self.fd, PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_err(failure)?;
        if polled[0].revents().is_empty() {
            return Err(SocketFailure::WouldBlock);
        }
        sockopt::socket_error(&self.fd).map_err(failure)?.map_err(failure)?;
        self.remote_address().map(drop)
    }

    /// Forgets the peer of a UDP socket.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn disconnect(&self) -> Result<(), SocketFailure> {
        rustix::net::connect_unspec(&self.fd).map_err(failure)
    }

    /// Waits for connections from now on.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn listen(&self, backlog: u32) -> Result<(), SocketFailure> {
        let backlog = i32::try_from(backlog.max(1)).unwrap_or(i32::MAX);
        rustix::net::listen(&self.fd, backlog).map_err(|errno| match errno {
            Errno::INVAL => SocketFailure::InvalidState,
            errno => failure(errno),
        })
    }

    /// The next connection and its peer.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] where there is none.
    pub fn accept(&self) -> Result<(Self, SocketAddr), SocketFailure> {
        let (fd, peer) = rustix::net::acceptfrom_with(&self.fd, FLAGS).map_err(|errno| match errno {
            Errno::INVAL => SocketFailure::InvalidState,
            // Linux passes on what has happened to the connection since (accept(2)).
            Errno::CONNRESET
            | Errno::NETRESET
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::NONET => SocketFailure::ConnectionAborted,
            errno => failure(errno),
        })?;
        let peer = peer.ok_or(SocketFailure::ConnectionAborted).and_then(internet)?;
        Ok((Self { fd, ..*self }, peer))
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// [`SocketFailure::InvalidState`] where it is not bound.
    pub fn local_address(&self) -> Result<SocketAddr, SocketFailure> {
        let local = internet(rustix::net::getsockname(&self.fd).map_err(failure)?)?;
        if local.port() == 0 { Err(SocketFailure::InvalidState) } else { Ok(local) }
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`SocketFailure::InvalidState`] where the socket is not connected.
    pub fn remote_address(&self) -> Result<SocketAddr, SocketFailure> {
        let remote = rustix::net::getpeername(&self.fd).map_err(failure)?;
        internet(remote.ok_or(SocketFailure::InvalidState)?)
    }

    /// An option's value.
    ///
    /// # Errors
    /// [`SocketFailure::NotSupported`] where the socket does not have it.
    pub fn option(&self, option: SocketOption) -> Result<u64, SocketFailure> {
        options::read(self, option)
    }

    /// Changes an option; values beyond what the operating system has are clamped.
    ///
    /// # Errors
    /// [`SocketFailure::InvalidArgument`] for zero where the option has none.
    pub fn set_option(&self, option: SocketOption, value: u64) -> Result<(), SocketFailure> {
        options::write(self, option, value)
    }

    /// Ends one or both halves of a connection.
    ///
    /// # Errors
    /// [`SocketFailure::InvalidState`] where there is no connection.
    pub fn shutdown(&self, direction: Shutdown) -> Result<(), SocketFailure> {
        let how = match direction {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        rustix::net::shutdown(&self.fd, how).map_err(failure)
    }

    /// Reads from a connection: how many bytes, 0 at its end.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] where nothing is there.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, SocketFailure> {
        let (count, _) = rustix::net::recv(&self.fd, into, RecvFlags::empty()).map_err(failure)?;
        Ok(count)
    }

    /// Writes to a connection: how many bytes went.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] where there is no room.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, SocketFailure> {
        rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL).map_err(failure)
    }

    /// Receives a datagram: how many bytes, and from whom. One that does not fit is lost.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] where there is none.
    pub fn receive(&self, into: &mut [u8]) -> Result<(usize, SocketAddr), SocketFailure> {
        loop {
            let received = rustix::net::recvfrom(&self.fd, &mut *into, RecvFlags::TRUNC);
            let (count, length, peer) = received.map_err(failure)?;
            if count == length {
                return Ok((count, internet(peer.ok_or(SocketFailure::Unknown)?)?));
            }
        }
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// [`SocketFailure::WouldBlock`] where there is no room, [`SocketFailure::DatagramTooLarge`], or what has become of
    /// an earlier one.
    pub fn send(&self, bytes: &[u8], peer: SocketAddr) -> Result<(), SocketFailure> {
        if bytes.len() > MAX_DATAGRAM {
            return Err(SocketFailure::DatagramTooLarge);
        }
        let sent = rustix::net::sendto(&self.fd, bytes, SendFlags::NOSIGNAL, &peer);
        sent.map(drop).map_err(|errno| match errno {
            Errno::AFNOSUPPORT => SocketFailure::InvalidArgument,
            errno => failure(errno),
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn internet(address: SocketAddrAny) -> Result<SocketAddr, SocketFailure> {
    // A connection that is gone has an address of no family.
    SocketAddr::try_from(address).map_err(|_| SocketFailure::InvalidState)
}

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

#[cfg(test)]
mod tests;
