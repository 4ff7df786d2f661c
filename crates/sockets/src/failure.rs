use cloister_frames::SocketFailure;
use rustix::io::Errno;

/// What an error of Linux is called, where the operation gives it no other meaning.
pub(crate) fn failure(errno: Errno) -> SocketFailure {
    match errno {
        Errno::PERM | Errno::ACCESS => SocketFailure::AccessDenied,
        Errno::OPNOTSUPP
        | Errno::NOPROTOOPT
        | Errno::PFNOSUPPORT
        | Errno::PROTONOSUPPORT
        | Errno::PROTOTYPE
        | Errno::SOCKTNOSUPPORT
        | Errno::AFNOSUPPORT => SocketFailure::NotSupported,
        Errno::INVAL => SocketFailure::InvalidArgument,
        Errno::NOMEM | Errno::NOBUFS => SocketFailure::OutOfMemory,
        Errno::TIMEDOUT => SocketFailure::Timeout,
        // An interrupted operation is tried again like one that has to wait.
        Errno::AGAIN | Errno::INTR => SocketFailure::WouldBlock,
        Errno::ISCONN | Errno::NOTCONN | Errno::DESTADDRREQ => SocketFailure::InvalidState,
        Errno::MFILE | Errno::NFILE => SocketFailure::NewSocketLimit,
        Errno::ADDRNOTAVAIL => SocketFailure::AddressNotBindable,
        Errno::ADDRINUSE => SocketFailure::AddressInUse,
        Errno::HOSTUNREACH | Errno::HOSTDOWN | Errno::NETDOWN | Errno::NETUNREACH | Errno::NONET => {
            SocketFailure::RemoteUnreachable
        }
        Errno::CONNREFUSED => SocketFailure::ConnectionRefused,
        Errno::CONNRESET | Errno::NETRESET | Errno::PIPE => SocketFailure::ConnectionReset,
        Errno::CONNABORTED => SocketFailure::ConnectionAborted,
        Errno::MSGSIZE => SocketFailure::DatagramTooLarge,
        Errno::ALREADY => SocketFailure::ConcurrencyConflict,
        _ => SocketFailure::Unknown,
    }
}
