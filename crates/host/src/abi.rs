//! The usercalls of the Fortanix SGX ABI: their numbers, and the error codes that the enclave's `std` understands.

use std::io;

use fortanix_sgx_abi as abi;

/// A usercall of the ABI, in the order of its numbers, which start at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u64)]
pub enum UsercallKind {
    Read = 1,
    ReadAlloc,
    Write,
    Flush,
    Close,
    BindStream,
    AcceptStream,
    ConnectStream,
    LaunchThread,
    Exit,
    Wait,
    Send,
    InsecureTime,
    Alloc,
    Free,
    AsyncQueues,
}

impl UsercallKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Read,
        Self::ReadAlloc,
        Self::Write,
        Self::Flush,
        Self::Close,
        Self::BindStream,
        Self::AcceptStream,
        Self::ConnectStream,
        Self::LaunchThread,
        Self::Exit,
        Self::Wait,
        Self::Send,
        Self::InsecureTime,
        Self::Alloc,
        Self::Free,
        Self::AsyncQueues,
    ];

    /// The usercall with this number.
    pub fn from_number(number: u64) -> Option<Self> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        Self::ALL.get(index).copied()
    }

    /// Its name in the ABI.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadAlloc => "read_alloc",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Close => "close",
            Self::BindStream => "bind_stream",
            Self::AcceptStream => "accept_stream",
            Self::ConnectStream => "connect_stream",
            Self::LaunchThread => "launch_thread",
            Self::Exit => "exit",
            Self::Wait => "wait",
            Self::Send => "send",
            Self::InsecureTime => "insecure_time",
            Self::Alloc => "alloc",
            Self::Free => "free",
            Self::AsyncQueues => "async_queues",
        }
    }

    /// Index into [`UsercallKind::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize - 1
    }
}

/// Error codes that a usercall may answer. The enclave's `std` aborts the enclave on any other code, also on those
/// that the ABI defines beside these (`check_os_error` in `library/std/src/sys/pal/sgx/abi/usercalls/mod.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(i32)]
pub enum UsercallError {
    /// not permitted
    #[error("not permitted")]
    PermissionDenied = abi::Error::PermissionDenied as i32,
    /// not found
    #[error("not found")]
    NotFound = abi::Error::NotFound as i32,
    /// interrupted
    #[error("interrupted")]
    Interrupted = abi::Error::Interrupted as i32,
    /// it would block
    #[error("it would block")]
    WouldBlock = abi::Error::WouldBlock as i32,
    /// it exists already
    #[error("it exists already")]
    AlreadyExists = abi::Error::AlreadyExists as i32,
    /// invalid argument
    #[error("invalid argument")]
    InvalidInput = abi::Error::InvalidInput as i32,
    /// the stream is closed
    #[error("the stream is closed")]
    BrokenPipe = abi::Error::BrokenPipe as i32,
    /// the address is in use
    #[error("the address is in use")]
    AddrInUse = abi::Error::AddrInUse as i32,
    /// the address is not available
    #[error("the address is not available")]
    AddrNotAvailable = abi::Error::AddrNotAvailable as i32,
    /// the connection was aborted
    #[error("the connection was aborted")]
    ConnectionAborted = abi::Error::ConnectionAborted as i32,
    /// the connection was reset
    #[error("the connection was reset")]
    ConnectionReset = abi::Error::ConnectionReset as i32,
    /// not connected
    #[error("not connected")]
    NotConnected = abi::Error::NotConnected as i32,
    /// timed out
    #[error("timed out")]
    TimedOut = abi::Error::TimedOut as i32,
    /// the connection was refused
    #[error("the connection was refused")]
    ConnectionRefused = abi::Error::ConnectionRefused as i32,
    /// invalid data
    #[error("invalid data")]
    InvalidData = abi::Error::InvalidData as i32,
    /// nothing could be written
    #[error("nothing could be written")]
    WriteZero = abi::Error::WriteZero as i32,
    /// the stream ended early
    #[error("the stream ended early")]
    UnexpectedEof = abi::Error::UnexpectedEof as i32,
    /// another error
    #[error("another error")]
    Other = abi::Error::Other as i32,
}

impl UsercallError {
    /// The code on the wire: never zero.
    pub fn code(self) -> i32 {
        self as i32
    }
}

impl From<&io::Error> for UsercallError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::Interrupted => Self::Interrupted,
            io::ErrorKind::WouldBlock => Self::WouldBlock,
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            io::ErrorKind::InvalidInput => Self::InvalidInput,
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            io::ErrorKind::AddrInUse => Self::AddrInUse,
            io::ErrorKind::AddrNotAvailable => Self::AddrNotAvailable,
            io::ErrorKind::ConnectionAborted => Self::ConnectionAborted,
            io::ErrorKind::ConnectionReset => Self::ConnectionReset,
            io::ErrorKind::NotConnected => Self::NotConnected,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            io::ErrorKind::InvalidData => Self::InvalidData,
            io::ErrorKind::WriteZero => Self::WriteZero,
            io::ErrorKind::UnexpectedEof => Self::UnexpectedEof,
            _ => Self::Other,
        }
    }
}

impl From<io::Error> for UsercallError {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_those_of_the_abi() {
        let mut number = 0;
        macro_rules! check {
            ($(fn $name:ident($($n:ident: $t:ty),*) $(-> $r:tt)*; )*) => {
                $({
                    number += 1;
                    assert_eq!(UsercallKind::from_number(number).map(UsercallKind::name), Some(stringify!($name)));
                })*
            };
        }
        abi::invoke_with_usercalls!(check);
        assert_eq!(number, 16);
        for kind in UsercallKind::ALL {
            assert_eq!(UsercallKind::from_number(kind as u64), Some(kind));
        }
    }

    #[test]
    fn unknown_numbers_are_refused() {
        for number in [0, 17, abi::USERCALL_USER_DEFINED, u64::MAX] {
            assert_eq!(UsercallKind::from_number(number), None);
        }
    }

    #[test]
    fn operating_system_errors_are_mapped() {
        for (errno, expected) in [
            (libc::EPERM, UsercallError::PermissionDenied),
            (libc::EACCES, UsercallError::PermissionDenied),
            (libc::ENOENT, UsercallError::NotFound),
            (libc::EINTR, UsercallError::Interrupted),
            (libc::EAGAIN, UsercallError::WouldBlock),
            (libc::EINVAL, UsercallError::InvalidInput),
            (libc::EPIPE, UsercallError::BrokenPipe),
            (libc::EADDRINUSE, UsercallError::AddrInUse),
            (libc::EADDRNOTAVAIL, UsercallError::AddrNotAvailable),
            (libc::ECONNABORTED, UsercallError::ConnectionAborted),
            (libc::ECONNRESET, UsercallError::ConnectionReset),
            (libc::ENOTCONN, UsercallError::NotConnected),
            (libc::ETIMEDOUT, UsercallError::TimedOut),
            (libc::ECONNREFUSED, UsercallError::ConnectionRefused),
            (libc::EMFILE, UsercallError::Other),
            (libc::EOPNOTSUPP, UsercallError::Other),
            (libc::ENOMEM, UsercallError::Other),
        ] {
            assert_eq!(UsercallError::from(io::Error::from_raw_os_error(errno)), expected, "errno {errno}");
        }
    }
}
