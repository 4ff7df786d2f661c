//! `wasi:sockets/ip-name-lookup`: the host looks names up, and what it answers is a hint that nothing proves.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::{fmt, vec};

use cloister_boundary::net::{self, SocketError};
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use crate::SocketsCtxView;
use crate::bindings::wasi::sockets::ip_name_lookup::{Host, HostResolveAddressStream};
use crate::bindings::wasi::sockets::network::{ErrorCode, IpAddress};
use crate::failure::Failure;
use crate::network::Network;
use crate::usage::Slot;

impl Host for SocketsCtxView<'_> {
    async fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, Failure> {
        self.charge_exit().await?;
        self.charge_moved(name.len() as u64).await?;
        self.check_network(&network)?;
        let stream = match Target::parse(&name).ok_or(ErrorCode::InvalidArgument)? {
            Target::Address(address) => ResolveAddressStream::found(vec![address]),
            Target::Name(name) if !self.ctx.policy.allows_lookup(without_root(&name)) => {
                return Err(ErrorCode::AccessDenied.into());
            }
            Target::Name(name) => ResolveAddressStream::ask(name, self.ctx.usage.lookup()?),
        };
        Ok(self.table.push(stream)?)
    }
}

impl HostResolveAddressStream for SocketsCtxView<'_> {
    async fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, Failure> {
        self.charge(0).await?;
        let stream = self.table.get_mut(&stream)?;
        Ok(stream.next()?.map(IpAddress::from))
    }

    async fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

/// The addresses of a name, as they become known.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct ResolveAddressStream(Progress);

enum Progress {
    Asked(Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, SocketError>> + Send>>),
    Found(vec::IntoIter<IpAddr>),
    Failed(SocketError),
}

impl ResolveAddressStream {
    fn found(addresses: Vec<IpAddr>) -> Self {
        Self(Progress::Found(addresses.into_iter()))
    }

    /// The host has the question when this returns.
    fn ask(name: String, slot: Slot) -> Self {
        let asked = Box::pin(async move {
            let _until_answered_or_dropped = slot;
            net::resolve(&name).await
        });
        let mut stream = Self(Progress::Asked(asked));
        let _answer_comes_later = stream.poll(&mut Context::from_waker(Waker::noop()));
        stream
    }

    fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        let _still_asked = self.poll(&mut Context::from_waker(Waker::noop()));
        match &mut self.0 {
            Progress::Asked(..) => Err(ErrorCode::WouldBlock),
            Progress::Found(addresses) => Ok(addresses.next()),
            Progress::Failed(error) => Err(crate::failure::code(*error)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Progress::Asked(asked) = &mut self.0 {
            self.0 = match asked.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(addresses)) if addresses.is_empty() => {
                    Progress::Failed(SocketError::NameUnresolvable)
                }
                Poll::Ready(Ok(addresses)) => Progress::Found(distinct(addresses).into_iter()),
                // The stream would tell the guest to wait for what never comes.
                Poll::Ready(Err(SocketError::WouldBlock)) => Progress::Failed(SocketError::Unknown),
                Poll::Ready(Err(error)) => Progress::Failed(error),
            };
        }
        Poll::Ready(())
    }
}

#[async_trait]
impl Pollable for ResolveAddressStream {
    async fn ready(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(..) => f.write_str("Asked"),
            Self::Found(addresses) => f.debug_tuple("Found").field(&addresses.as_slice()).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// "This function never returns IPv4-mapped IPv6 addresses."
fn distinct(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut distinct: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    for address in addresses.into_iter().map(|address| address.to_canonical()) {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    distinct
}

/// What a guest wants to be looked up.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// An address already; the host is not asked.
    Address(IpAddr),
    /// A name in ASCII and lower case, with a final dot where the guest wrote one.
    Name(String),
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inner) = bracketed {
            return inner
                .parse::<Ipv6Addr>()
                .ok()
                .map(|address| Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        if text.len() > MAX_TEXT {
            return None;
        }
        // "Unicode domain names are automatically converted to ASCII using IDNA encoding": UTS 46, not transitional.
        let name = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::URL).ok()?;
        is_name(&name).then(|| Self::Name(name.into_owned()))
    }
}

/// RFC 1035, section 2.3.4, and RFC 2181, section 11: any letters; here those that names of hosts have, and `_`.
fn is_name(name: &str) -> bool {
    let name = without_root(name);
    let is_letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(is_letter);
    name.len() <= MAX_NAME && name.split('.').all(is_label) && !ends_in_number(name)
}

/// Such text is an address to many a resolver ("0x7f.1", "2130706433"), and never the name of a host.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let digits = last.strip_prefix("0x");
    last.bytes().all(|byte| byte.is_ascii_digit())
        || digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Bytes of the longest text that may be a name: 4 of UTF-8 for each letter.
const MAX_TEXT: usize = 4 * MAX_NAME;
/// Bytes of a label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;
/// Bytes of a name without its final dot (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_lookup() {
        let cases = [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]", "1.2.3.4"),
        ];
        for (text, expected) in cases {
            assert_eq!(Target::parse(text), Some(Target::Address(expected.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn names_are_lowered_and_kept() {
        let cases = [
            ("localhost", "localhost"),
            ("Example.COM.", "example.com."),
            ("my_db", "my_db"),
            ("3com.com", "3com.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("例え。jp", "xn--r8jz45g.jp"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ];
        for (text, expected) in cases {
            assert_eq!(Target::parse(text), Some(Target::Name(expected.to_owned())), "{text}");
        }
        let long = format!("{}.{}", "a".repeat(63), "b".repeat(63));
        assert!(Target::parse(&long).is_some());
    }

    #[test]
    fn what_is_neither_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(63), "a".repeat(63), "a".repeat(63), "a".repeat(63)].join(".");
        let cases = [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a\0b",
            "a/b",
            "a:80",
            "[127.0.0.1]",
            "[::1",
            "::1]",
            "1.2.3",
            "1.2.3.256",
            "0x7f.1",
            "a.0x7f000001",
            "2130706433",
            "fe80::1%1",
            "user@host",
            "http://a",
            "xn--a",
            "xn--999999999",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "a\u{200d}b",
            "\u{feff}",
            &long_label,
            &long_name,
        ];
        for text in cases {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }

    #[test]
    fn mapped_and_repeated_addresses_become_one() {
        let addresses = ["::ffff:1.2.3.4", "::1", "1.2.3.4", "::1"].map(|text| text.parse().unwrap());
        assert_eq!(
            distinct(addresses.to_vec()),
            ["1.2.3.4", "::1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
    }
}
