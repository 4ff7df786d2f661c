use crate::Socket;
use crate::failure::failure;
use cloister_frames::{Family, SocketFailure, SocketOption, Transport};
use rustix::net::sockopt;
use std::time::Duration;

pub(crate) fn read(socket: &Socket, option: SocketOption) -> Result<u64, SocketFailure> {
    check(socket, option)?;
    match option {
        SocketOption::KeepAlive => sockopt::socket_keepalive(socket).map(u64::from),
        SocketOption::KeepIdle => sockopt::tcp_keepidle(socket).map(nanoseconds),
        SocketOption::KeepInterval => sockopt::tcp_keepintvl(socket).map(nanoseconds),
        SocketOption::KeepCount => sockopt::tcp_keepcnt(socket).map(u64::from),
        SocketOption::HopLimit => match socket.family() {
            Family::V4 => sockopt::ip_ttl(socket).map(u64::from),
            Family::V6 => sockopt::ipv6_unicast_hops(socket).map(u64::from),
        },
        // Linux doubles what it is given, for its own bookkeeping, and tells the double (socket(7)).
        SocketOption::ReceiveBuffer => sockopt::socket_recv_buffer_size(socket).map(|size| size as u64 / 2),
        SocketOption::SendBuffer => sockopt::socket_send_buffer_size(socket).map(|size| size as u64 / 2),
    }
    .map_err(failure)
}

pub(crate) fn write(socket: &Socket, option: SocketOption, value: u64) -> Result<(), SocketFailure> {
    check(socket, option)?;
    match option {
        SocketOption::KeepAlive => sockopt::set_socket_keepalive(socket, value != 0),
        _ if value == 0 => return Err(SocketFailure::InvalidArgument),
        SocketOption::KeepIdle => sockopt::set_tcp_keepidle(socket, seconds(value)),
        SocketOption::KeepInterval => sockopt::set_tcp_keepintvl(socket, seconds(value)),
        SocketOption::KeepCount => {
            sockopt::set_tcp_keepcnt(socket, u32::try_from(value).unwrap_or(u32::MAX).min(MAX_KEEP_COUNT))
        }
        SocketOption::HopLimit => {
            let limit = u8::try_from(value).map_err(|_| SocketFailure::InvalidArgument)?;
            match socket.family() {
                Family::V4 => sockopt::set_ip_ttl(socket, limit.into()),
                Family::V6 => sockopt::set_ipv6_unicast_hops(socket, Some(limit)),
            }
        }
        SocketOption::ReceiveBuffer => sockopt::set_socket_recv_buffer_size(socket, buffer(value)),
        SocketOption::SendBuffer => sockopt::set_socket_send_buffer_size(socket, buffer(value)),
    }
    .map_err(failure)
}

fn check(socket: &Socket, option: SocketOption) -> Result<(), SocketFailure> {
    match option {
        SocketOption::HopLimit | SocketOption::ReceiveBuffer | SocketOption::SendBuffer => Ok(()),
        _ if socket.transport() == Transport::Tcp => Ok(()),
        _ => Err(SocketFailure::NotSupported),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Linux counts whole seconds, and 1 to [`MAX_KEEP_TIME`] of them.
fn seconds(nanoseconds: u64) -> Duration {
    Duration::from_secs(Duration::from_nanos(nanoseconds).as_secs().clamp(1, MAX_KEEP_TIME))
}

fn buffer(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).min(MAX_BUFFER)
}

/// `MAX_TCP_KEEPIDLE` and `MAX_TCP_KEEPINTVL` of Linux.
const MAX_KEEP_TIME: u64 = 32_767;
/// `MAX_TCP_KEEPCNT` of Linux.
const MAX_KEEP_COUNT: u32 = 127;
/// Half of what an `int` holds: Linux doubles it.
const MAX_BUFFER: usize = 1 << 30;
