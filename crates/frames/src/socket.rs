mod fields;

use crate::FrameError;
use fields::{Fields, put_address, put_datagrams, put_ip};
use std::net::{IpAddr, SocketAddr};

/// What the enclave asks of the host's sockets.
///
/// A payload is a tag byte and then the fields in this order; numbers are little-endian. A socket is a `u64`: the number
/// that the usercalls `read`, `write` and `close` and the readiness stream know it by, too. Enumerations are a byte. An
/// IP address is its family, and 4 or 16 bytes; a socket address is an IP address, the port (`u16`), and for IPv6 the
/// flow label and the scope (`u32` each). No request waits for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketRequest<'a> {
    /// Tag 1: a new socket.
    Open { transport: Transport, family: Family },
    /// Tag 2: bind it.
    Bind { socket: u64, local: SocketAddr },
    /// Tag 3: begin to connect it; for UDP, set its only peer.
    Connect { socket: u64, remote: SocketAddr },
    /// Tag 4: how did the attempt to connect end?
    FinishConnect { socket: u64 },
    /// Tag 5: forget the only peer of a UDP socket.
    Disconnect { socket: u64 },
    /// Tag 6: wait for connections.
    Listen { socket: u64, backlog: u32 },
    /// Tag 7: the next connection.
    Accept { socket: u64 },
    /// Tag 8: the address that it is bound to.
    LocalAddress { socket: u64 },
    /// Tag 9: its peer's address.
    RemoteAddress { socket: u64 },
    /// Tag 10: an option's value.
    Option { socket: u64, option: SocketOption },
    /// Tag 11: change an option.
    SetOption { socket: u64, option: SocketOption, value: u64 },
    /// Tag 12: end one or both halves of a connection.
    Shutdown { socket: u64, direction: Shutdown },
    /// Tag 13: datagrams that are there.
    Receive {
        socket: u64,
        /// How many at most, a byte: 1 to [`MAX_DATAGRAMS`].
        most: u8,
    },
    /// Tag 14: send datagrams.
    Send {
        socket: u64,
        /// 1 to [`MAX_DATAGRAMS`], up to the frame's end.
        datagrams: Vec<Datagram<'a>>,
    },
    /// Tag 15: look up the addresses of a name.
    Resolve {
        /// 1 to [`MAX_NAME`] bytes of UTF-8 without a zero, up to the frame's end.
        name: &'a str,
    },
}

/// What the host answers; laid out as a [`SocketRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketResponse<'a> {
    /// Tag 1: the number of a new socket; for [`SocketRequest::Resolve`], of a stream that becomes readable once, and has
    /// one frame then: [`Self::Found`] or [`Self::Failed`].
    Opened { number: u64 },
    /// Tag 2: a bind, connect, disconnect, listen, shutdown or change of an option is done, or a connection is there.
    Done,
    /// Tag 3: a connection.
    Accepted { number: u64, peer: SocketAddr },
    /// Tag 4: an address.
    Address(SocketAddr),
    /// Tag 5: an option's value.
    Value(u64),
    /// Tag 6: datagrams: 1 to [`MAX_DATAGRAMS`], up to the frame's end.
    Received(Vec<Datagram<'a>>),
    /// Tag 7: how many datagrams were sent, a byte: 1 to [`MAX_DATAGRAMS`].
    Sent(u8),
    /// Tag 8: a name's addresses: 1 to [`MAX_ADDRESSES`], up to the frame's end.
    Found(Vec<IpAddr>),
    /// Tag 255: it failed; the reason's code is a byte.
    Failed(SocketFailure),
}

/// A datagram in a frame: the peer's address, a length (`u16`) and that many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Where it came from, or goes to.
    pub peer: SocketAddr,
    /// At most [`MAX_DATAGRAM`].
    pub bytes: &'a [u8],
}

impl Datagram<'_> {
    /// Most bytes that one takes in a frame.
    pub const MAX_ENCODED_LEN: usize = V6_HEAD + MAX_DATAGRAM;

    /// Bytes that it takes in a frame.
    pub fn encoded_len(&self) -> usize {
        let head = if self.peer.is_ipv4() { V4_HEAD } else { V6_HEAD };
        head + self.bytes.len()
    }

    /// Adds it to the end of a [`SocketResponse::Received`] that is encoded already.
    pub fn append_to(&self, encoded: &mut Vec<u8>) {
        put_datagrams(&[*self], encoded);
    }
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    Tcp = 1,
    Udp = 2,
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Family {
    V4 = 4,
    V6 = 6,
}

/// An option of a socket, and what its number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SocketOption {
    /// TCP: 1 where idle connections are probed, else 0.
    KeepAlive = 1,
    /// TCP: nanoseconds before the first probe.
    KeepIdle = 2,
    /// TCP: nanoseconds between probes.
    KeepInterval = 3,
    /// TCP: unanswered probes before a connection is given up.
    KeepCount = 4,
    /// Hop limit (time to live) of unicast packets, 1 to 255.
    HopLimit = 5,
    /// Bytes of the kernel's receive buffer.
    ReceiveBuffer = 6,
    /// Bytes of the kernel's send buffer.
    SendBuffer = 7,
}

/// Which half of a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Shutdown {
    Read = 1,
    Write = 2,
    Both = 3,
}

/// Why a request failed; named as the error codes of `wasi:sockets/network@0.2.12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum SocketFailure {
    /// Code 1.
    #[error("access is denied")]
    AccessDenied = 1,
    /// Code 2.
    #[error("the operation is not supported")]
    NotSupported = 2,
    /// Code 3.
    #[error("an argument is invalid")]
    InvalidArgument = 3,
    /// Code 4.
    #[error("the host is out of memory")]
    OutOfMemory = 4,
    /// Code 5.
    #[error("the operation timed out")]
    Timeout = 5,
    /// Code 6: not yet.
    #[error("the operation would block")]
    WouldBlock = 6,
    /// Code 7.
    #[error("the socket is in the wrong state")]
    InvalidState = 7,
    /// Code 8.
    #[error("there are too many sockets")]
    NewSocketLimit = 8,
    /// Code 9.
    #[error("the host does not have the address")]
    AddressNotBindable = 9,
    /// Code 10.
    #[error("the address is in use")]
    AddressInUse = 10,
    /// Code 11.
    #[error("the remote address cannot be reached")]
    RemoteUnreachable = 11,
    /// Code 12.
    #[error("the connection was refused")]
    ConnectionRefused = 12,
    /// Code 13.
    #[error("the connection was reset")]
    ConnectionReset = 13,
    /// Code 14.
    #[error("the connection was aborted")]
    ConnectionAborted = 14,
    /// Code 15.
    #[error("the datagram is too large")]
    DatagramTooLarge = 15,
    /// Code 16.
    #[error("the name has no address")]
    NameUnresolvable = 16,
    /// Code 17.
    #[error("name lookup fails for now")]
    TemporaryResolverFailure = 17,
    /// Code 18.
    #[error("name lookup fails for good")]
    PermanentResolverFailure = 18,
    /// Code 19.
    #[error("another operation of the socket is under way")]
    ConcurrencyConflict = 19,
    /// Code 20: something else.
    #[error("the operation failed for an unknown reason")]
    Unknown = 20,
}

impl<'a> SocketRequest<'a> {
    /// The request as a frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut start = |tag: u8, socket: u64| {
            bytes.push(tag);
            bytes.extend(socket.to_le_bytes());
        };
        match self {
            Self::Open { transport, family } => bytes.extend([1, *transport as u8, *family as u8]),
            Self::Bind { socket, local } => {
                start(2, *socket);
                put_address(*local, &mut bytes);
            }
            Self::Connect { socket, remote } => {
                start(3, *socket);
                put_address(*remote, &mut bytes);
            }
            Self::FinishConnect { socket } => start(4, *socket),
            Self::Disconnect { socket } => start(5, *socket),
            Self::Listen { socket, backlog } => {
                start(6, *socket);
                bytes.extend(backlog.to_le_bytes());
            }
            Self::Accept { socket } => start(7, *socket),
            Self::LocalAddress { socket } => start(8, *socket),
            Self::RemoteAddress { socket } => start(9, *socket),
            Self::Option { socket, option } => {
                start(10, *socket);
                bytes.push(*option as u8);
            }
            Self::SetOption { socket, option, value } => {
                start(11, *socket);
                bytes.push(*option as u8);
                bytes.extend(value.to_le_bytes());
            }
            Self::Shutdown { socket, direction } => {
                start(12, *socket);
                bytes.push(*direction as u8);
            }
            Self::Receive { socket, most } => {
                start(13, *socket);
                bytes.push(*most);
            }
            Self::Send { socket, datagrams } => {
                start(14, *socket);
                put_datagrams(datagrams, &mut bytes);
            }
            Self::Resolve { name } => {
                bytes.push(15);
                bytes.extend(name.as_bytes());
            }
        }
        bytes
    }

    /// The request in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a request.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FrameError> {
        check_length(payload)?;
        let mut fields = Fields::of(payload);
        let tag = fields.byte()?;
        let socket = if (2..=14).contains(&tag) { fields.u64()? } else { 0 };
        let request = match tag {
            1 => Self::Open { transport: fields.transport()?, family: fields.family()? },
            2 => Self::Bind { socket, local: fields.address()? },
            3 => Self::Connect { socket, remote: fields.address()? },
            4 => Self::FinishConnect { socket },
            5 => Self::Disconnect { socket },
            6 => Self::Listen { socket, backlog: fields.u32()? },
            7 => Self::Accept { socket },
            8 => Self::LocalAddress { socket },
            9 => Self::RemoteAddress { socket },
            10 => Self::Option { socket, option: fields.option()? },
            11 => Self::SetOption { socket, option: fields.option()?, value: fields.u64()? },
            12 => Self::Shutdown { socket, direction: fields.shutdown()? },
            13 => Self::Receive { socket, most: count(fields.byte()?)? },
            14 => Self::Send { socket, datagrams: fields.datagrams()? },
            15 => Self::Resolve { name: name(fields.rest())? },
            tag => return Err(FrameError::Tag(tag)),
        };
        fields.end()?;
        Ok(request)
    }

    /// The socket that it is about.
    pub fn socket(&self) -> Option<u64> {
        match *self {
            Self::Open { .. } | Self::Resolve { .. } => None,
            Self::Bind { socket, .. }
            | Self::Connect { socket, .. }
            | Self::FinishConnect { socket }
            | Self::Disconnect { socket }
            | Self::Listen { socket, .. }
            | Self::Accept { socket }
            | Self::LocalAddress { socket }
            | Self::RemoteAddress { socket }
            | Self::Option { socket, .. }
            | Self::SetOption { socket, .. }
            | Self::Shutdown { socket, .. }
            | Self::Receive { socket, .. }
            | Self::Send { socket, .. } => Some(socket),
        }
    }
}

impl<'a> SocketResponse<'a> {
    /// The response as a frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Opened { number } => {
                bytes.push(1);
                bytes.extend(number.to_le_bytes());
            }
            Self::Done => bytes.push(2),
            Self::Accepted { number, peer } => {
                bytes.push(3);
                bytes.extend(number.to_le_bytes());
                put_address(*peer, &mut bytes);
            }
            Self::Address(address) => {
                bytes.push(4);
                put_address(*address, &mut bytes);
            }
            Self::Value(value) => {
                bytes.push(5);
                bytes.extend(value.to_le_bytes());
            }
            Self::Received(datagrams) => {
                bytes.push(6);
                put_datagrams(datagrams, &mut bytes);
            }
            Self::Sent(count) => bytes.extend([7, *count]),
            Self::Found(addresses) => {
                bytes.push(8);
                addresses.iter().for_each(|address| put_ip(*address, &mut bytes));
            }
            Self::Failed(failure) => bytes.extend([255, *failure as u8]),
        }
        bytes
    }

    /// The response in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a response.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FrameError> {
        check_length(payload)?;
        let mut fields = Fields::of(payload);
        let response = match fields.byte()? {
            1 => Self::Opened { number: fields.u64()? },
            2 => Self::Done,
            3 => Self::Accepted { number: fields.u64()?, peer: fields.address()? },
            4 => Self::Address(fields.address()?),
            5 => Self::Value(fields.u64()?),
            6 => Self::Received(fields.datagrams()?),
            7 => Self::Sent(count(fields.byte()?)?),
            8 => Self::Found(fields.ips()?),
            255 => Self::Failed(fields.failure()?),
            tag => return Err(FrameError::Tag(tag)),
        };
        fields.end()?;
        Ok(response)
    }
}

impl SocketOption {
    /// Every option.
    pub const ALL: [Self; 7] = [
        Self::KeepAlive,
        Self::KeepIdle,
        Self::KeepInterval,
        Self::KeepCount,
        Self::HopLimit,
        Self::ReceiveBuffer,
        Self::SendBuffer,
    ];
}

impl SocketFailure {
    /// Every failure.
    pub const ALL: [Self; 20] = [
        Self::AccessDenied,
        Self::NotSupported,
        Self::InvalidArgument,
        Self::OutOfMemory,
        Self::Timeout,
        Self::WouldBlock,
        Self::InvalidState,
        Self::NewSocketLimit,
        Self::AddressNotBindable,
        Self::AddressInUse,
        Self::RemoteUnreachable,
        Self::ConnectionRefused,
        Self::ConnectionReset,
        Self::ConnectionAborted,
        Self::DatagramTooLarge,
        Self::NameUnresolvable,
        Self::TemporaryResolverFailure,
        Self::PermanentResolverFailure,
        Self::ConcurrencyConflict,
        Self::Unknown,
    ];
}

fn check_length(payload: &[u8]) -> Result<(), FrameError> {
    if payload.len() <= MAX_SOCKET_PAYLOAD { Ok(()) } else { Err(FrameError::Length) }
}

fn count(count: u8) -> Result<u8, FrameError> {
    if (1..=MAX_DATAGRAMS).contains(&usize::from(count)) { Ok(count) } else { Err(FrameError::Number) }
}

fn name(bytes: &[u8]) -> Result<&str, FrameError> {
    if !(1..=MAX_NAME).contains(&bytes.len()) {
        return Err(FrameError::Length);
    }
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.contains('\0') => Ok(name),
        Ok(_) | Err(_) => Err(FrameError::Number),
    }
}

/// Bytes in front of a datagram's contents: family, address, port; length.
const V4_HEAD: usize = 1 + 4 + 2 + 2;
/// The same, with flow label and scope.
const V6_HEAD: usize = 1 + 16 + 2 + 4 + 4 + 2;
/// Bytes of the longest payload of a socket frame: half of [`MAX_FRAME`](crate::MAX_FRAME).
pub const MAX_SOCKET_PAYLOAD: usize = 512 << 10;
/// Most bytes of one UDP datagram's contents: 65,535 less the headers of IPv4 and UDP.
pub const MAX_DATAGRAM: usize = 65_507;
/// Most datagrams that one request sends or receives.
pub const MAX_DATAGRAMS: usize = 16;
/// Most addresses of one name.
pub const MAX_ADDRESSES: usize = 64;
/// Bytes of the longest name that can be looked up (RFC 1035, section 2.3.4: 253 in text form, and the final dot).
pub const MAX_NAME: usize = 254;

#[cfg(test)]
mod tests;
