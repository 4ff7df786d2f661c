//! Which app a host name means.

use std::net::IpAddr;

/// The host of a Host header, an `:authority` or a server name, as one that may name an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName {
    /// Lower case, without a port and without the root's dot.
    name: String,
}

impl HostName {
    /// `None` for what is no DNS name, IP addresses among it.
    pub(crate) fn parse(authority: &str) -> Option<Self> {
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) => return None,
            None => authority,
        };
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_dns = name.len() <= MAX_NAME && name.split('.').all(is_label);
        // What ends in a number is an address or nothing (RFC 3986, section 3.2.2; the URL standard, section 3.5).
        let ends_in_number =
            name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        (is_dns && !ends_in_number && name.parse::<IpAddr>().is_err()).then_some(Self { name })
    }

    /// The whole name.
    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// The label that an app of this host name has as its name. A name of one label, such as `localhost`, is the
    /// enclave's own.
    pub(crate) fn app(&self) -> Option<&str> {
        self.name.split_once('.').map(|(first, _)| first)
    }
}

/// RFC 1123, section 2.1, and underscores, which some networks have.
fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Bytes of a DNS name (RFC 1035, section 2.3.4), as text without the root's dot.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn app(authority: &str) -> Option<String> {
        HostName::parse(authority)?.app().map(str::to_owned)
    }

    #[test]
    fn the_first_label_of_several_is_an_app() {
        for (authority, expected) in [
            ("hello.localhost", Some("hello")),
            ("Hello.Example.COM:8443", Some("hello")),
            ("hello.localhost.", Some("hello")),
            ("a-b.localhost:1", Some("a-b")),
            ("localhost:8443", None),
            ("localhost", None),
            ("127.0.0.1:8443", None),
            ("127.1", None),
            ("hello.1", None),
            ("[::1]:8443", None),
            ("", None),
            (".localhost", None),
            ("hello..localhost", None),
            ("hello.local host", None),
            ("hello.localhost:80:80", None),
            ("-a.localhost", None),
            ("user@hello.localhost", None),
            ("hellö.localhost", None),
        ] {
            assert_eq!(app(authority).as_deref(), expected, "{authority}");
        }
        let long = format!("a.{}", "b.".repeat(126));
        assert_eq!(app(&long).as_deref(), Some("a"));
        assert_eq!(app(&format!("{long}cc")), None);
    }
}
