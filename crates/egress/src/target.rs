use std::net::{Ipv4Addr, Ipv6Addr};

use cloister_api::NetworkPolicy;
use http::uri::Authority;
use rustls::pki_types::ServerName;

use crate::EgressError;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    authority: Authority,
    name: ServerName<'static>,
    protection: Protection,
}

/// What keeps others from reading along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// TLS with a server that proves its name, or what it runs.
    Tls,
    None,
}

impl Target {
    /// What an authority, such as `example.com:8443` or `[::1]`, names.
    ///
    /// # Errors
    /// [`EgressError::InvalidUri`] where it has user information (which RFC 9110, section 4.2.4 lets a recipient treat as
    /// an error), or is neither a name nor an address, with or without a port.
    pub fn new(protection: Protection, authority: &str) -> Result<Self, EgressError> {
        let authority = Authority::try_from(authority).map_err(|_| EgressError::InvalidUri)?;
        let (host, port) = host_and_port(&authority).ok_or(EgressError::InvalidUri)?;
        let name = ServerName::try_from(&*host).map_err(|_| EgressError::InvalidUri)?.to_owned();
        let port = port.unwrap_or(match protection {
            Protection::Tls => 443,
            Protection::None => 80,
        });
        Ok(Self { host, port, authority, name, protection })
    }

    /// A name or an address: lower-case, with neither brackets nor a dot at its end.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As the server gets it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether TLS protects it.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Whether a policy lets requests go there.
    pub fn is_allowed_by(&self, policy: &NetworkPolicy) -> bool {
        match self.protection {
            Protection::Tls => policy.allows_https(&self.host, self.port),
            Protection::None => policy.allows_http(&self.host, self.port),
        }
    }

    /// Whether it is the same server: RFC 6454, section 5.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.protection == other.protection && self.host == other.host && self.port == other.port
    }

    pub(crate) fn name(&self) -> &ServerName<'static> {
        &self.name
    }
}

fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let text = authority.as_str();
    if text.contains('@') {
        return None;
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), rest)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let host = text[..end].to_ascii_lowercase();
            (host.strip_suffix('.').map_or(host.clone(), str::to_owned), &text[end..])
        }
    };
    let port = match rest.strip_prefix(':') {
        Some("") | None => None,
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            Some(port.parse::<u16>().ok().filter(|&port| digits && port != 0)?)
        }
    };
    let port = if rest.is_empty() || rest.starts_with(':') { port } else { return None };
    // What only looks like an address, such as 127.1 or 0x7f000001, some resolvers take for one.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|first: char| first.is_ascii_digit());
    if host.is_empty() || (numeric && !host.contains(':') && host.parse::<Ipv4Addr>().is_err()) {
        return None;
    }
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_authorities() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        let cases = [
            ("example.com", some("example.com", None)),
            ("EXAMPLE.com.:8443", some("example.com", Some(8443))),
            ("example.com:", some("example.com", None)),
            ("127.0.0.1:1", some("127.0.0.1", Some(1))),
            ("[::1]", some("::1", None)),
            ("[0:0::1]:443", some("::1", Some(443))),
            ("1e100.net", some("1e100.net", None)),
            ("user@example.com", None),
            ("user:pass@example.com", None),
            ("example.com:0", None),
            ("example.com:65536", None),
            ("example.com:+1", None),
            ("127.1", None),
            ("2130706433", None),
            ("0x7f000001", None),
            ("1.2.3.4.5", None),
            ("[::1%25eth0]", None),
            ("[v1.x]", None),
            (".", None),
        ];
        for (text, expected) in cases {
            let Ok(authority) = Authority::try_from(text) else {
                assert_eq!(expected, None, "{text}");
                continue;
            };
            assert_eq!(host_and_port(&authority), expected, "{text}");
        }
    }

    #[test]
    fn the_same_server_under_another_spelling() {
        let target = |protection, authority| Target::new(protection, authority).unwrap();
        let one = target(Protection::Tls, "Example.com");
        assert!(one.is_same_origin(&target(Protection::Tls, "example.com.:443")));
        assert!(!one.is_same_origin(&target(Protection::Tls, "example.com:444")));
        assert!(!one.is_same_origin(&target(Protection::None, "example.com:443")));
        assert!(!one.is_same_origin(&target(Protection::Tls, "www.example.com")));
    }
}
