//! Addresses as text and as the standard has them.

use crate::wasi::sockets::network::{
    IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use std::net::{IpAddr, SocketAddr};

/// Such as `127.0.0.1:80` or `[::1]:80`.
///
/// # Errors
/// It is no address.
pub(crate) fn parse(text: &str) -> Result<IpSocketAddress, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is no address"))?;
    Ok(match address {
        SocketAddr::V4(v4) => {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: v4.ip().octets().into() })
        }
        SocketAddr::V6(v6) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: v6.port(),
            flow_info: v6.flowinfo(),
            address: v6.ip().segments().into(),
            scope_id: v6.scope_id(),
        }),
    })
}

pub(crate) fn text(address: IpSocketAddress) -> String {
    let address = match address {
        IpSocketAddress::Ipv4(v4) => SocketAddr::from((<[u8; 4]>::from(v4.address), v4.port)),
        IpSocketAddress::Ipv6(v6) => SocketAddr::from((<[u16; 8]>::from(v6.address), v6.port)),
    };
    address.to_string()
}

pub(crate) fn ip_text(address: IpAddress) -> String {
    let address = match address {
        IpAddress::Ipv4(v4) => IpAddr::from(<[u8; 4]>::from(v4)),
        IpAddress::Ipv6(v6) => IpAddr::from(<[u16; 8]>::from(v6)),
    };
    address.to_string()
}

pub(crate) fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

/// All addresses and port 0 of a family.
pub(crate) fn unspecified(family: IpAddressFamily) -> IpSocketAddress {
    match family {
        IpAddressFamily::Ipv4 => IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (0, 0, 0, 0) }),
        IpAddressFamily::Ipv6 => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: 0,
            flow_info: 0,
            address: (0, 0, 0, 0, 0, 0, 0, 0),
            scope_id: 0,
        }),
    }
}
