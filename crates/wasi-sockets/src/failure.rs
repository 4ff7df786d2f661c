//! Between the host's errors and the interface's.

use cloister_boundary::net::SocketError;
use wasmtime::component::ResourceTableError;

use crate::bindings::wasi::sockets::network::ErrorCode;

/// Why a function of the interface did not succeed.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum Failure {
    /// The guest gets this code.
    Code(ErrorCode),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<SocketError> for Failure {
    fn from(error: SocketError) -> Self {
        Self::Code(code(error))
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// The guest broke a rule whose breach ends its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// `outgoing-datagram-stream.send`: "Implementations must trap if either `check-send` was not called or `datagrams`
    /// contains more items than `check-send` permitted".
    #[error("the guest sent {sent} datagrams, and check-send had permitted {permitted}")]
    Send { sent: usize, permitted: usize },
    /// `output-stream.write`: "Precondition: check-write gave permit of Ok(n) and contents has a length of less than or
    /// equal to n. Otherwise, this function will trap".
    #[error("the guest wrote {written} bytes, and check-write had permitted {permitted}")]
    Write { written: usize, permitted: usize },
    /// `udp-socket.stream`: "Implementations may trap if the streams returned by a previous invocation haven't been
    /// dropped yet".
    #[error("the guest called stream on a UDP socket before it dropped the streams that it had")]
    StreamsInUse,
}

impl From<Breach> for Failure {
    fn from(breach: Breach) -> Self {
        Self::Trap(breach.into())
    }
}

pub(crate) fn code(error: SocketError) -> ErrorCode {
    match error {
        SocketError::AccessDenied => ErrorCode::AccessDenied,
        SocketError::NotSupported => ErrorCode::NotSupported,
        SocketError::InvalidArgument => ErrorCode::InvalidArgument,
        SocketError::OutOfMemory => ErrorCode::OutOfMemory,
        SocketError::Timeout => ErrorCode::Timeout,
        SocketError::WouldBlock => ErrorCode::WouldBlock,
        SocketError::InvalidState => ErrorCode::InvalidState,
        SocketError::NewSocketLimit => ErrorCode::NewSocketLimit,
        SocketError::AddressNotBindable => ErrorCode::AddressNotBindable,
        SocketError::AddressInUse => ErrorCode::AddressInUse,
        SocketError::RemoteUnreachable => ErrorCode::RemoteUnreachable,
        SocketError::ConnectionRefused => ErrorCode::ConnectionRefused,
        SocketError::ConnectionReset => ErrorCode::ConnectionReset,
        SocketError::ConnectionAborted => ErrorCode::ConnectionAborted,
        SocketError::DatagramTooLarge => ErrorCode::DatagramTooLarge,
        SocketError::NameUnresolvable => ErrorCode::NameUnresolvable,
        SocketError::TemporaryResolverFailure => ErrorCode::TemporaryResolverFailure,
        SocketError::PermanentResolverFailure => ErrorCode::PermanentResolverFailure,
        SocketError::ConcurrencyConflict => ErrorCode::ConcurrencyConflict,
        SocketError::Unknown | SocketError::Host => ErrorCode::Unknown,
    }
}
