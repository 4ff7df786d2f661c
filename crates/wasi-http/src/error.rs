use wasmtime::component::ResourceTableError;

use crate::bindings::wasi::http::types::{ErrorCode, HeaderError};
use crate::{MAX_FIELDS_BYTES, MAX_HELD_FIELDS_BYTES, MAX_OPEN_BODIES};

/// Why a host function ended the guest's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fields beyond [`MAX_FIELDS_BYTES`].
    #[error("the guest put more than {MAX_FIELDS_BYTES} bytes into one set of HTTP fields")]
    FieldsTooLarge,
    /// Fields beyond [`MAX_HELD_FIELDS_BYTES`].
    #[error(
        "the guest held HTTP fields of more than {MAX_HELD_FIELDS_BYTES} bytes at once: drop those that are done with"
    )]
    TooManyFields,
    /// More than [`MAX_OPEN_BODIES`].
    #[error(
        "the guest opened more than {MAX_OPEN_BODIES} outgoing bodies at once: finish those that are written"
    )]
    TooManyBodies,
}

/// What a host function answers instead of a result.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum Failure {
    /// The guest gets this error.
    Error(ErrorCode),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for Failure {
    fn from(error: ErrorCode) -> Self {
        Self::Error(error)
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

/// What a function of `fields` answers instead of a result.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum HeaderFailure {
    /// The guest gets this error.
    Error(HeaderError),
    /// The guest's call ends.
    Trap(wasmtime::Error),
}

impl From<HeaderError> for HeaderFailure {
    fn from(error: HeaderError) -> Self {
        Self::Error(error)
    }
}

impl From<Error> for HeaderFailure {
    fn from(error: Error) -> Self {
        Self::Trap(error.into())
    }
}

impl From<ResourceTableError> for HeaderFailure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<wasmtime::Error> for HeaderFailure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}
