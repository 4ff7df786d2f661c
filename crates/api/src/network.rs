//! What an app may do on the network: rules as text, and the questions that the enclave asks of them.

mod text;

use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// One thing that an app may do on the network. `Display` gives the canonical text, `FromStr` reads it, and JSON holds
/// it as a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkRule {
    /// `https://HOST[:PORTS]`: requests over TLS that ends inside the enclave. Port 443 where none is named.
    Https(HostRule),
    /// `http://HOST[:PORTS]`: requests in plaintext through the host. Port 80 where none is named.
    Http(HostRule),
    /// `tcp://ADDRESS[/PREFIX]:PORTS`: connect.
    Tcp(AddressRule),
    /// `udp://ADDRESS[/PREFIX]:PORTS`: send to and receive from.
    Udp(AddressRule),
    /// `tcp-listen://ADDRESS[/PREFIX]:PORTS`: bind to, and accept connections at.
    TcpListen(AddressRule),
    /// `udp-listen://ADDRESS[/PREFIX]:PORTS`: bind to a port of one's choice.
    UdpListen(AddressRule),
    /// `lookup://NAME`: ask the host for the addresses of a name. Never of an address.
    Lookup(HostPattern),
}

/// Hosts and their ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRule {
    pub host: HostPattern,
    pub ports: PortRange,
}

/// Hosts by name, or one by its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `*`: every name and every address.
    Any,
    /// One DNS name, lower-case, without a dot at its end.
    Name(String),
    /// `*.NAME`: every name that ends with a dot and this one, at any depth; not the name itself.
    Subdomains(String),
    /// One address; an IPv6 address stands in brackets.
    Address(IpAddr),
}

/// Addresses and their ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRule {
    pub addresses: AddressRange,
    pub ports: PortRange,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressRange {
    /// `*`: every address of both families.
    Any,
    /// Addresses whose first `prefix` bits are those of `base`; its other bits are zero. One address has all of its
    /// bits, 32 or 128, as prefix.
    Network { base: IpAddr, prefix: u8 },
}

/// Ports from `first` to `last`, both included. Rules that name peers do not know port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl NetworkRule {
    /// Whether the host can read and change what this rule lets through, unless the app encrypts it itself.
    pub fn is_plaintext(&self) -> bool {
        !matches!(self, Self::Https(_) | Self::Lookup(_))
    }

    /// Whether this rule allows everything that `other` does.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Https(a), Self::Https(b)) | (Self::Http(a), Self::Http(b)) => a.covers(b),
            (Self::Tcp(a), Self::Tcp(b))
            | (Self::Udp(a), Self::Udp(b))
            | (Self::TcpListen(a), Self::TcpListen(b))
            | (Self::UdpListen(a), Self::UdpListen(b)) => a.covers(b),
            (Self::Lookup(a), Self::Lookup(b)) => a.covers(b),
            _ => false,
        }
    }
}

/// All of an app's rules. What none of them allows is denied.
///
/// Ascending by their canonical texts, byte by byte, none twice; at most [`MAX_NETWORK_RULES`] of together at most
/// [`MAX_NETWORK_RULES_TEXT`] bytes. JSON holds an array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<NetworkRule>", into = "Vec<NetworkRule>")]
pub struct NetworkPolicy {
    rules: Vec<NetworkRule>,
}

impl NetworkPolicy {
    /// The policy of these rules, in any order; one that is given twice counts once.
    ///
    /// # Errors
    /// [`InvalidNetworkPolicy`] where they are too many or too long, or one of them is none that a text can give.
    pub fn new(rules: Vec<NetworkRule>) -> Result<Self, InvalidNetworkPolicy> {
        let mut texts = Vec::with_capacity(rules.len());
        for rule in rules {
            let text = rule.to_string();
            if text.parse().as_ref() != Ok(&rule) {
                return Err(InvalidNetworkPolicy::NotARule(text));
            }
            texts.push((text, rule));
        }
        texts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        texts.dedup();
        if texts.len() > MAX_NETWORK_RULES {
            return Err(InvalidNetworkPolicy::TooMany(texts.len()));
        }
        let length = texts.iter().map(|(text, _)| text.len()).sum();
        if length > MAX_NETWORK_RULES_TEXT {
            return Err(InvalidNetworkPolicy::TooLong(length));
        }
        Ok(Self { rules: texts.into_iter().map(|(_, rule)| rule).collect() })
    }

    /// Ascending by their texts.
    pub fn rules(&self) -> &[NetworkRule] {
        &self.rules
    }

    /// Whether it allows nothing.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a request may go to this host over TLS. `host` is as in a URL, in brackets or not where it is an IPv6
    /// address.
    pub fn allows_https(&self, host: &str, port: u16) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::Https(rule) if rule.matches(host, port)))
    }

    /// Whether a request may go to this host in plaintext. `host` is as for [`allows_https`](Self::allows_https).
    pub fn allows_http(&self, host: &str, port: u16) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::Http(rule) if rule.matches(host, port)))
    }

    /// Whether a TCP socket may connect there.
    pub fn allows_tcp_connect(&self, to: SocketAddr) -> bool {
        to.port() != 0 && self.any(|rule| matches!(rule, NetworkRule::Tcp(rule) if rule.matches(to)))
    }

    /// Whether a TCP socket may listen at this address that it is bound to, or be bound to this port of its choice.
    pub fn allows_tcp_listen(&self, at: SocketAddr) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::TcpListen(rule) if rule.matches(at)))
    }

    /// Whether datagrams may go there and come from there.
    pub fn allows_udp_peer(&self, peer: SocketAddr) -> bool {
        peer.port() != 0 && self.any(|rule| matches!(rule, NetworkRule::Udp(rule) if rule.matches(peer)))
    }

    /// Whether a UDP socket may be bound here. Port 0, a port of the host's choice, is free to whoever
    /// [uses UDP](Self::uses_udp) at all.
    pub fn allows_udp_bind(&self, at: SocketAddr) -> bool {
        match at.port() {
            0 => self.uses_udp(),
            _ => self.any(|rule| matches!(rule, NetworkRule::UdpListen(rule) if rule.matches(at))),
        }
    }

    /// Whether the host may be asked for the addresses of this name.
    pub fn allows_lookup(&self, name: &str) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::Lookup(pattern) if pattern.matches(name)))
    }

    /// Whether any rule is about TCP sockets: such an app may make them, and bind them to port 0.
    pub fn uses_tcp(&self) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::Tcp(_) | NetworkRule::TcpListen(_)))
    }

    /// Whether any rule is about UDP sockets: such an app may make them, and bind them to port 0.
    pub fn uses_udp(&self) -> bool {
        self.any(|rule| matches!(rule, NetworkRule::Udp(_) | NetworkRule::UdpListen(_)))
    }

    /// Whether any rule lets [plaintext](NetworkRule::is_plaintext) through the host.
    pub fn is_plaintext(&self) -> bool {
        self.any(NetworkRule::is_plaintext)
    }

    /// The rules of `other` that no single rule of this policy [covers](NetworkRule::covers). None: this policy allows
    /// everything that `other` does.
    pub fn beyond<'a>(&self, other: &'a Self) -> Vec<&'a NetworkRule> {
        other.rules.iter().filter(|rule| !self.any(|mine| mine.covers(rule))).collect()
    }

    fn any(&self, test: impl Fn(&NetworkRule) -> bool) -> bool {
        self.rules.iter().any(test)
    }
}

impl TryFrom<Vec<NetworkRule>> for NetworkPolicy {
    type Error = InvalidNetworkPolicy;

    fn try_from(rules: Vec<NetworkRule>) -> Result<Self, InvalidNetworkPolicy> {
        Self::new(rules)
    }
}

impl From<NetworkPolicy> for Vec<NetworkRule> {
    fn from(policy: NetworkPolicy) -> Self {
        policy.rules
    }
}

impl HostRule {
    fn matches(&self, host: &str, port: u16) -> bool {
        port != 0 && self.ports.contains(port) && self.host.matches(host)
    }

    fn covers(&self, other: &Self) -> bool {
        self.host.covers(&other.host) && self.ports.covers(other.ports)
    }
}

impl HostPattern {
    /// Case and one dot at the end of `host` do not matter.
    fn matches(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let address = bare.parse::<IpAddr>().ok();
        let name = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Any => !name.is_empty() && !address.is_some_and(is_mapped),
            Self::Address(allowed) => address == Some(*allowed),
            Self::Name(allowed) => name.eq_ignore_ascii_case(allowed),
            Self::Subdomains(parent) => {
                let (name, parent) = (name.as_bytes(), parent.as_bytes());
                name.len().checked_sub(parent.len()).is_some_and(|at| {
                    at > 1 && name[at - 1] == b'.' && name[at..].eq_ignore_ascii_case(parent)
                })
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Subdomains(_), Self::Name(name)) => self.matches(name),
            (Self::Subdomains(a), Self::Subdomains(b)) => a == b || self.matches(b),
            _ => self == other,
        }
    }
}

impl AddressRule {
    fn matches(&self, at: SocketAddr) -> bool {
        self.ports.contains(at.port()) && self.addresses.contains(at.ip())
    }

    fn covers(&self, other: &Self) -> bool {
        self.addresses.covers(other.addresses) && self.ports.covers(other.ports)
    }
}

impl AddressRange {
    /// An IPv4 address in the clothes of an IPv6 one is in no range.
    fn contains(self, address: IpAddr) -> bool {
        match self {
            _ if is_mapped(address) => false,
            Self::Any => true,
            Self::Network { base, prefix } => {
                masked(address, prefix) == Some(base) && same_family(base, address)
            }
        }
    }

    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Network { .. }, Self::Any) => false,
            (Self::Network { prefix, .. }, Self::Network { base, prefix: longer }) => {
                prefix <= longer && self.contains(base)
            }
        }
    }
}

impl PortRange {
    /// Whether the port is in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// The text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a network rule: {why}", .text.escape_debug())]
pub struct InvalidNetworkRule {
    /// The text, or its beginning where it is long.
    pub text: String,
    pub why: RuleFault,
}

/// What is wrong with the text of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    #[error(
        "it begins with none of https://, http://, tcp://, udp://, tcp-listen://, udp-listen:// and lookup://"
    )]
    Scheme,
    #[error("a host is a DNS name, *.NAME, an address (IPv6 in brackets) or *")]
    Host,
    #[error("addresses are an IPv4 address, an IPv6 address in brackets, either with /PREFIX, or *")]
    Address,
    #[error("an IPv4 address is written as one, not mapped into IPv6")]
    Mapped,
    #[error("a prefix is at most 32 of an IPv4 address and 128 of an IPv6 address")]
    Prefix,
    #[error("the address has bits beyond its prefix; {0} is the block that it lies in")]
    BitsBeyondPrefix(String),
    #[error("ports are a number, FIRST-LAST or *, after a colon")]
    Ports,
    #[error("a lookup names no port")]
    PortOfLookup,
}

/// The rules are no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetworkPolicy {
    #[error("an app has at most {MAX_NETWORK_RULES} network rules, and these are {0}")]
    TooMany(usize),
    #[error(
        "an app's network rules have together at most {MAX_NETWORK_RULES_TEXT} bytes, and these have {0}"
    )]
    TooLong(usize),
    /// A value that was not made from a text.
    #[error("'{}' is not the canonical text of a network rule", .0.escape_debug())]
    NotARule(String),
}

/// Most rules that one app has.
pub const MAX_NETWORK_RULES: usize = 32;
/// Most bytes that the texts of one app's rules have together.
pub const MAX_NETWORK_RULES_TEXT: usize = 2 << 10;

/// The address with all bits after the first `prefix` set to zero; none where it does not have as many.
fn masked(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    Some(match address {
        IpAddr::V4(address) => {
            let kept = u32::MAX.checked_shl(32u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::V4((address.to_bits() & kept).into())
        }
        IpAddr::V6(address) => {
            let kept = u128::MAX.checked_shl(128u32.checked_sub(prefix)?).unwrap_or(0);
            IpAddr::V6((address.to_bits() & kept).into())
        }
    })
}

fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests;
