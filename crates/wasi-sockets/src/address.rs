//! Addresses: what the standard forbids, and between its types and `std`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use cloister_boundary::net::Family;

use crate::bindings::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

/// `tcp-socket.start-bind`: the right family, not IPv4-mapped, unicast.
pub(crate) fn check_tcp_local(family: Family, local: SocketAddr) -> Result<(), ErrorCode> {
    check(is_of(family, local.ip()) && is_unicast(local.ip()))
}

/// `tcp-socket.start-connect`: also neither unspecified nor of port 0.
pub(crate) fn check_tcp_remote(family: Family, remote: SocketAddr) -> Result<(), ErrorCode> {
    check(is_of(family, remote.ip()) && is_unicast(remote.ip()) && is_remote(remote))
}

/// `udp-socket.start-bind`: the right family; groups may be bound to.
pub(crate) fn check_udp_local(family: Family, local: SocketAddr) -> Result<(), ErrorCode> {
    check(is_of(family, local.ip()))
}

/// `udp-socket.stream` and `outgoing-datagram-stream.send`: also neither unspecified nor of port 0.
pub(crate) fn check_udp_remote(family: Family, remote: SocketAddr) -> Result<(), ErrorCode> {
    check(is_of(family, remote.ip()) && is_remote(remote))
}

/// Whether a datagram from `source` is one of `peer`; flow information and scope are the host's to choose.
pub(crate) fn is_same_peer(source: SocketAddr, peer: SocketAddr) -> bool {
    source.port() == peer.port() && source.ip() == peer.ip()
}

/// IPv6 addresses that carry IPv4 ones are of neither family: sockets are `IPV6_V6ONLY`, and a rule for one form should
/// not be evaded by another.
pub(crate) fn is_of(family: Family, address: IpAddr) -> bool {
    match (family, address) {
        (Family::V4, IpAddr::V4(_)) => true,
        (Family::V6, IpAddr::V6(address)) => {
            address.to_ipv4_mapped().is_none() && !is_ipv4_compatible(address)
        }
        _ => false,
    }
}

/// RFC 4291, section 2.5.5.1: deprecated, and systems differ in what they make of it.
fn is_ipv4_compatible(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0, 0, 0, 0, 0, 0, ..])
        && address != Ipv6Addr::UNSPECIFIED
        && address != Ipv6Addr::LOCALHOST
}

fn is_unicast(address: IpAddr) -> bool {
    !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn is_remote(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

fn check(is_valid: bool) -> Result<(), ErrorCode> {
    if is_valid { Ok(()) } else { Err(ErrorCode::InvalidArgument) }
}

impl From<IpAddressFamily> for Family {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

impl From<Family> for IpAddressFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4,
            Family::V6 => Self::Ipv6,
        }
    }
}

impl From<IpSocketAddress> for SocketAddr {
    fn from(address: IpSocketAddress) -> Self {
        match address {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
                Self::V4(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
            }
            IpSocketAddress::Ipv6(v6) => {
                let (a, b, c, d, e, f, g, h) = v6.address;
                let address = Ipv6Addr::new(a, b, c, d, e, f, g, h);
                Self::V6(SocketAddrV6::new(address, v6.port, v6.flow_info, v6.scope_id))
            }
        }
    }
}

impl From<SocketAddr> for IpSocketAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => {
                let [a, b, c, d] = v4.ip().octets();
                Self::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
            }
            SocketAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.ip().segments();
                Self::Ipv6(Ipv6SocketAddress {
                    port: v6.port(),
                    flow_info: v6.flowinfo(),
                    address: (a, b, c, d, e, f, g, h),
                    scope_id: v6.scope_id(),
                })
            }
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self::Ipv4((a, b, c, d))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.segments();
                Self::Ipv6((a, b, c, d, e, f, g, h))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_both_ways() {
        for text in ["1.2.3.4:5", "[2001:db8::7]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(IpSocketAddress::from(address)), address);
        }
        let scoped = SocketAddr::V6(SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 3, 2));
        assert_eq!(SocketAddr::from(IpSocketAddress::from(scoped)), scoped);
    }

    #[test]
    fn what_may_be_bound_to_and_reached() {
        // Family, address, and whether it is: TCP local, TCP remote, UDP local, UDP remote.
        let cases = [
            (Family::V4, "127.0.0.1:80", [true, true, true, true]),
            (Family::V4, "127.0.0.1:0", [true, false, true, false]),
            (Family::V4, "0.0.0.0:80", [true, false, true, false]),
            (Family::V4, "224.0.0.1:80", [false, false, true, true]),
            (Family::V4, "255.255.255.255:80", [false, false, true, true]),
            (Family::V4, "[::1]:80", [false, false, false, false]),
            (Family::V6, "[::1]:80", [true, true, true, true]),
            (Family::V6, "[::]:80", [true, false, true, false]),
            (Family::V6, "[ff02::1]:80", [false, false, true, true]),
            (Family::V6, "[::ffff:127.0.0.1]:80", [false, false, false, false]),
            (Family::V6, "[::127.0.0.1]:80", [false, false, false, false]),
            (Family::V6, "127.0.0.1:80", [false, false, false, false]),
        ];
        for (family, text, expected) in cases {
            let address = text.parse().unwrap();
            let checks = [check_tcp_local, check_tcp_remote, check_udp_local, check_udp_remote];
            assert_eq!(checks.map(|check| check(family, address).is_ok()), expected, "{family:?} {text}");
        }
    }
}
