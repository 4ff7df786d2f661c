use std::fmt;
use std::str::FromStr;

/// Where an enclave answers: a TCP address, and the host name that TLS asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, to be resolved and connected to.
    pub address: String,
    /// Server name indication: `localhost`, or for an app its own name, `hello.localhost`.
    pub server_name: String,
}

/// `host:port`, where the host is also the server name. An IPv6 address stands in brackets.
impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let server_name = bracketed.unwrap_or(host);
        let ambiguous = bracketed.is_none() && host.contains(':');
        if server_name.is_empty() || ambiguous || port.parse::<u16>().is_err() {
            return Err(invalid());
        }
        Ok(Self { address: text.to_owned(), server_name: server_name.to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// The text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint: write host:port, such as localhost:8443")]
pub struct InvalidEndpoint(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_host_and_port() {
        let name = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.server_name);
        assert_eq!(name("localhost:8443").unwrap(), "localhost");
        assert_eq!(name("hello.localhost:1").unwrap(), "hello.localhost");
        assert_eq!(name("[::1]:8443").unwrap(), "::1");
        for bad in ["localhost", "", ":8443", "localhost:", "localhost:65536", "::1:8443", "[]:1"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
