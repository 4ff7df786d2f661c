//! The text form of rules: one canonical text each.

use super::{
    AddressRange, AddressRule, HostPattern, HostRule, InvalidNetworkRule, NetworkRule, PortRange, RuleFault,
    is_mapped, masked,
};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

impl FromStr for NetworkRule {
    type Err = InvalidNetworkRule;

    fn from_str(text: &str) -> Result<Self, InvalidNetworkRule> {
        parse(text).map_err(|why| InvalidNetworkRule { text: text.chars().take(SHOWN).collect(), why })
    }
}

impl TryFrom<String> for NetworkRule {
    type Error = InvalidNetworkRule;

    fn try_from(text: String) -> Result<Self, InvalidNetworkRule> {
        text.parse()
    }
}

impl From<NetworkRule> for String {
    fn from(rule: NetworkRule) -> String {
        rule.to_string()
    }
}

impl fmt::Display for NetworkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(rule) => rule.write(f, "https", HTTPS_PORT),
            Self::Http(rule) => rule.write(f, "http", HTTP_PORT),
            Self::Tcp(rule) => rule.write(f, "tcp", PEER_PORTS),
            Self::Udp(rule) => rule.write(f, "udp", PEER_PORTS),
            Self::TcpListen(rule) => rule.write(f, "tcp-listen", LISTEN_PORTS),
            Self::UdpListen(rule) => rule.write(f, "udp-listen", LISTEN_PORTS),
            Self::Lookup(pattern) => write!(f, "lookup://{pattern}"),
        }
    }
}

impl HostRule {
    fn write(&self, f: &mut fmt::Formatter<'_>, scheme: &str, usual: u16) -> fmt::Result {
        write!(f, "{scheme}://{}", self.host)?;
        if self.ports == (PortRange { first: usual, last: usual }) {
            return Ok(());
        }
        self.ports.write(f, PEER_PORTS)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Subdomains(parent) => write!(f, "*.{parent}"),
            Self::Address(address) => write_address(f, *address),
        }
    }
}

impl AddressRule {
    fn write(&self, f: &mut fmt::Formatter<'_>, scheme: &str, every: PortRange) -> fmt::Result {
        write!(f, "{scheme}://{}", self.addresses)?;
        self.ports.write(f, every)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Any => f.write_str("*"),
            Self::Network { base, prefix } => {
                write_address(f, base)?;
                if prefix == bits(base) { Ok(()) } else { write!(f, "/{prefix}") }
            }
        }
    }
}

impl PortRange {
    fn write(self, f: &mut fmt::Formatter<'_>, every: Self) -> fmt::Result {
        match self {
            _ if self == every => f.write_str(":*"),
            Self { first, last } if first == last => write!(f, ":{first}"),
            Self { first, last } => write!(f, ":{first}-{last}"),
        }
    }
}

fn parse(text: &str) -> Result<NetworkRule, RuleFault> {
    let (scheme, rest) = text.split_once("://").ok_or(RuleFault::Scheme)?;
    match scheme {
        "https" => Ok(NetworkRule::Https(host_rule(rest, HTTPS_PORT)?)),
        "http" => Ok(NetworkRule::Http(host_rule(rest, HTTP_PORT)?)),
        "tcp" => Ok(NetworkRule::Tcp(address_rule(rest, PEER_PORTS)?)),
        "udp" => Ok(NetworkRule::Udp(address_rule(rest, PEER_PORTS)?)),
        "tcp-listen" => Ok(NetworkRule::TcpListen(address_rule(rest, LISTEN_PORTS)?)),
        "udp-listen" => Ok(NetworkRule::UdpListen(address_rule(rest, LISTEN_PORTS)?)),
        "lookup" => match (rest.contains(':'), pattern(rest)) {
            (_, Ok(HostPattern::Address(_))) => Err(RuleFault::Host),
            (true, _) => Err(RuleFault::PortOfLookup),
            (false, pattern) => pattern.map(NetworkRule::Lookup),
        },
        _ => Err(RuleFault::Scheme),
    }
}

fn host_rule(text: &str, usual: u16) -> Result<HostRule, RuleFault> {
    let (host, ports) = split_ports(text);
    let ports = match ports {
        Some(text) => port_range(text, PEER_PORTS)?,
        None => PortRange { first: usual, last: usual },
    };
    Ok(HostRule { host: pattern(host)?, ports })
}

fn address_rule(text: &str, every: PortRange) -> Result<AddressRule, RuleFault> {
    let (addresses, ports) = split_ports(text);
    let addresses = address_range(addresses)?;
    Ok(AddressRule { addresses, ports: port_range(ports.ok_or(RuleFault::Ports)?, every)? })
}

/// What stands before the last colon that is not in brackets, and what stands after it.
fn split_ports(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((before, after)) if !after.contains(']') => (before, Some(after)),
        _ => (text, None),
    }
}

fn pattern(text: &str) -> Result<HostPattern, RuleFault> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some(parent) = text.strip_prefix("*.") {
        return Ok(HostPattern::Subdomains(name(parent)?));
    }
    match address(text) {
        Some(address) if is_mapped(address) => Err(RuleFault::Mapped),
        Some(address) => Ok(HostPattern::Address(address)),
        None => Ok(HostPattern::Name(name(text)?)),
    }
}

/// A DNS name in lower case (RFC 1123, section 2.1, and `_`). What ends in a number is none, since resolvers take it
/// for an IPv4 address.
fn name(text: &str) -> Result<String, RuleFault> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    let number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if text.len() > MAX_NAME || number || !text.split('.').all(label) {
        return Err(RuleFault::Host);
    }
    Ok(text.to_ascii_lowercase())
}

/// An IPv4 address, or an IPv6 address in brackets.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

fn address_range(text: &str) -> Result<AddressRange, RuleFault> {
    if text == "*" {
        return Ok(AddressRange::Any);
    }
    let (base, prefix) = match text.split_once('/') {
        Some((base, prefix)) => (base, Some(number::<u8>(prefix).ok_or(RuleFault::Prefix)?)),
        None => (text, None),
    };
    let base = address(base).ok_or(RuleFault::Address)?;
    if is_mapped(base) {
        return Err(RuleFault::Mapped);
    }
    let prefix = prefix.unwrap_or(bits(base));
    let network = masked(base, prefix).ok_or(RuleFault::Prefix)?;
    if network != base {
        let block = AddressRange::Network { base: network, prefix };
        return Err(RuleFault::BitsBeyondPrefix(block.to_string()));
    }
    Ok(AddressRange::Network { base, prefix })
}

fn port_range(text: &str, every: PortRange) -> Result<PortRange, RuleFault> {
    if text == "*" {
        return Ok(every);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first).ok_or(RuleFault::Ports)?, number(last).ok_or(RuleFault::Ports)?);
    if first < every.first || first > last { Err(RuleFault::Ports) } else { Ok(PortRange { first, last }) }
}

/// A decimal number of digits alone.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn write_address(f: &mut fmt::Formatter<'_>, address: IpAddr) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write!(f, "{address}"),
        IpAddr::V6(address) => write!(f, "[{address}]"),
    }
}

const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
const PEER_PORTS: PortRange = PortRange { first: 1, last: u16::MAX };
const LISTEN_PORTS: PortRange = PortRange { first: 0, last: u16::MAX };
/// RFC 1035, section 2.3.4: 255 bytes on the wire, which are 253 as text.
const MAX_NAME: usize = 253;
/// Characters of a bad text that its error repeats.
const SHOWN: usize = 100;
