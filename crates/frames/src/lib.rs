//! Frames of the services that the untrusted host lends to the enclave.
//!
//! Both sides of the boundary use this crate and nothing else of each other. The enclave opens a service with EDP's
//! `connect_stream` usercall under one of the names here; sockets are opened with `bind_stream` under
//! [`LISTEN_PREFIX`]. A service stream carries requests and responses, each a little-endian `u32` length and that many
//! bytes. All decoders here are total: any bytes give a value or an error.
#![forbid(unsafe_code)]

mod disk;
mod quote;
mod readiness;
mod socket;

pub use disk::{
    BLOCK_LEN, DiskFailure, DiskHead, DiskRequest, DiskResponse, MAX_BLOCKS, MAX_BLOCKS_PER_FRAME,
    MAX_DISK_HEAD,
};
pub use quote::{PlatformKind, QuoteRequest, QuoteResponse, REPORT_LEN, TARGET_INFO_LEN};
pub use readiness::{EVENT_LEN, Event, SHUTDOWN_FD};
pub use socket::{
    Datagram, Family, MAX_ADDRESSES, MAX_DATAGRAM, MAX_DATAGRAMS, MAX_NAME, MAX_SOCKET_PAYLOAD, Shutdown,
    SocketFailure, SocketOption, SocketRequest, SocketResponse, Transport,
};

/// `connect_stream` name of the readiness stream: a read blocks until sockets are ready and returns whole [`Event`]s.
/// One byte written to it ends a read that is under way.
pub const READINESS: &str = "cloister:readiness";
/// `connect_stream` name of the boot configuration: one empty request, one response, the configuration in JSON.
pub const CONFIGURATION: &str = "cloister:configuration";
/// `connect_stream` name of the quoting service: [`QuoteRequest`] and [`QuoteResponse`].
pub const QUOTES: &str = "cloister:quotes";
/// `connect_stream` name of the disk: [`DiskRequest`] and [`DiskResponse`]. Any number of streams lead to the one disk,
/// and requests on different streams are served at the same time.
pub const DISK: &str = "cloister:disk";
/// `connect_stream` name of the TPM: a frame with a TPM 2.0 command is answered by one with its response, or by an
/// empty one where the TPM cannot be reached. Where the host lends none, the name is refused with `NotFound`.
pub const TPM: &str = "cloister:tpm";
/// `connect_stream` name of the sockets: [`SocketRequest`] and [`SocketResponse`]. Any number of streams lead to the same
/// sockets. `read` and `write` work on a TCP socket that is connected, under its number; `close` on any of them.
pub const SOCKETS: &str = "cloister:sockets";
/// Prefix of a `bind_stream` name; the rest is a socket address. The listener and the streams that it accepts never
/// block: they answer `WouldBlock`, and the readiness stream tells when to try again (edge-triggered).
pub const LISTEN_PREFIX: &str = "cloister:tcp:";

/// Largest payload of a service frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

/// Largest TPM command and response, in bytes (`TPM2_MAX_COMMAND_SIZE` of the PC Client profile is 4096).
pub const MAX_TPM_MESSAGE: usize = 4096;

/// The bytes are not a frame of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// the frame is {0} bytes long, and the limit is {MAX_FRAME}
    #[error("the frame is {0} bytes long, and the limit is {MAX_FRAME}")]
    TooLong(usize),
    /// the frame has the unknown tag {0}
    #[error("the frame has the unknown tag {0}")]
    Tag(u8),
    /// the frame's length does not fit its tag
    #[error("the frame's length does not fit its tag")]
    Length,
    /// a number in the frame is out of bounds
    #[error("a number in the frame is out of bounds")]
    Number,
}

/// Length prefix of a payload.
///
/// # Errors
/// [`FrameError::TooLong`] over [`MAX_FRAME`].
pub fn encode_length(payload: usize) -> Result<[u8; 4], FrameError> {
    match u32::try_from(payload) {
        Ok(length) if payload <= MAX_FRAME => Ok(length.to_le_bytes()),
        _ => Err(FrameError::TooLong(payload)),
    }
}

/// Payload length of a prefix.
///
/// # Errors
/// [`FrameError::TooLong`] over [`MAX_FRAME`].
pub fn decode_length(prefix: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length <= MAX_FRAME { Ok(length) } else { Err(FrameError::TooLong(length)) }
}
