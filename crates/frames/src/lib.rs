//! Frames of the services that the untrusted host lends to the enclave.
//!
//! Both sides of the boundary use this crate and nothing else of each other. The enclave opens a service with EDP's
//! `connect_stream` usercall under one of the names here; sockets are opened with `bind_stream` under
//! [`LISTEN_PREFIX`]. A service stream carries requests and responses, each a little-endian `u32` length and that many
//! bytes. All decoders here are total: any bytes give a value or an error.
#![forbid(unsafe_code)]

mod quote;
mod readiness;

pub use quote::{QuoteRequest, QuoteResponse, REPORT_LEN, TARGET_INFO_LEN};
pub use readiness::{EVENT_LEN, Event, SHUTDOWN_FD};

/// `connect_stream` name of the readiness stream: a read blocks until sockets are ready and returns whole [`Event`]s.
/// One byte written to it ends a read that is under way.
pub const READINESS: &str = "cloister:readiness";
/// `connect_stream` name of the boot configuration: one empty request, one response, the configuration in JSON.
pub const CONFIGURATION: &str = "cloister:configuration";
/// `connect_stream` name of the quoting service: [`QuoteRequest`] and [`QuoteResponse`].
pub const QUOTES: &str = "cloister:quotes";
/// Prefix of a `bind_stream` name; the rest is a socket address. The listener and the streams that it accepts never
/// block: they answer `WouldBlock`, and the readiness stream tells when to try again (edge-triggered).
pub const LISTEN_PREFIX: &str = "cloister:tcp:";

/// Largest payload of a service frame, in bytes.
pub const MAX_FRAME: usize = 1 << 20;

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
