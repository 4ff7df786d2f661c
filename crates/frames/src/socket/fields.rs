use super::{
    Datagram, Family, MAX_ADDRESSES, MAX_DATAGRAM, MAX_DATAGRAMS, Shutdown, SocketFailure, SocketOption,
    Transport,
};
use crate::FrameError;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Fields of a payload that are still to be read.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Length) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn family(&mut self) -> Result<Family, FrameError> {
        self.one_of(&[Family::V4, Family::V6], |family| *family as u8)
    }

    pub(super) fn transport(&mut self) -> Result<Transport, FrameError> {
        self.one_of(&[Transport::Tcp, Transport::Udp], |transport| *transport as u8)
    }

    pub(super) fn option(&mut self) -> Result<SocketOption, FrameError> {
        self.one_of(&SocketOption::ALL, |option| *option as u8)
    }

    pub(super) fn shutdown(&mut self) -> Result<Shutdown, FrameError> {
        self.one_of(&[Shutdown::Read, Shutdown::Write, Shutdown::Both], |direction| *direction as u8)
    }

    pub(super) fn failure(&mut self) -> Result<SocketFailure, FrameError> {
        self.one_of(&SocketFailure::ALL, |failure| *failure as u8)
    }

    pub(super) fn address(&mut self) -> Result<SocketAddr, FrameError> {
        Ok(match self.ip()? {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), self.u16()?),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, self.u16()?, self.u32()?, self.u32()?).into(),
        })
    }

    /// 1 to [`MAX_ADDRESSES`] addresses, up to the end.
    pub(super) fn ips(&mut self) -> Result<Vec<IpAddr>, FrameError> {
        self.many(MAX_ADDRESSES, Self::ip)
    }

    /// 1 to [`MAX_DATAGRAMS`] datagrams, up to the end.
    pub(super) fn datagrams(&mut self) -> Result<Vec<Datagram<'a>>, FrameError> {
        self.many(MAX_DATAGRAMS, |fields| {
            let peer = fields.address()?;
            let length = usize::from(fields.u16()?);
            if length > MAX_DATAGRAM {
                return Err(FrameError::Number);
            }
            Ok(Datagram { peer, bytes: fields.bytes(length)? })
        })
    }

    fn ip(&mut self) -> Result<IpAddr, FrameError> {
        Ok(match self.family()? {
            Family::V4 => IpAddr::from(self.array::<4>()?),
            Family::V6 => Ipv6Addr::from(self.array::<16>()?).into(),
        })
    }

    fn many<T>(
        &mut self,
        most: usize,
        mut one: impl FnMut(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let mut found = Vec::new();
        while !self.is_empty() {
            if found.len() == most {
                return Err(FrameError::Number);
            }
            found.push(one(self)?);
        }
        if found.is_empty() { Err(FrameError::Length) } else { Ok(found) }
    }

    fn one_of<T: Copy>(&mut self, all: &[T], number: impl Fn(&T) -> u8) -> Result<T, FrameError> {
        let wanted = self.byte()?;
        all.iter().find(|one| number(one) == wanted).copied().ok_or(FrameError::Number)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(FrameError::Length)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(FrameError::Length)?;
        self.0 = rest;
        Ok(*array)
    }
}

pub(super) fn put_address(address: SocketAddr, into: &mut Vec<u8>) {
    put_ip(address.ip(), into);
    into.extend(address.port().to_le_bytes());
    if let SocketAddr::V6(address) = address {
        into.extend(address.flowinfo().to_le_bytes());
        into.extend(address.scope_id().to_le_bytes());
    }
}

pub(super) fn put_ip(address: IpAddr, into: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            into.push(Family::V4 as u8);
            into.extend(address.octets());
        }
        IpAddr::V6(address) => {
            into.push(Family::V6 as u8);
            into.extend(address.octets());
        }
    }
}

pub(super) fn put_datagrams(datagrams: &[Datagram<'_>], into: &mut Vec<u8>) {
    for Datagram { peer, bytes } in datagrams {
        put_address(*peer, into);
        // Saturated, it is longer than a datagram may be, and whoever decodes it says so.
        into.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
        into.extend(*bytes);
    }
}
