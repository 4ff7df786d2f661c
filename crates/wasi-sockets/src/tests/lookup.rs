use std::net::IpAddr;

use super::*;
use crate::bindings::wasi::sockets::ip_name_lookup::{Host as _, HostResolveAddressStream};
use crate::bindings::wasi::sockets::network::ErrorCode::*;
use crate::bindings::wasi::sockets::network::IpAddress;
use crate::lookup::ResolveAddressStream;

impl Guest {
    async fn look_up(&mut self, name: &str) -> Result<Resource<ResolveAddressStream>, Failure> {
        let network = self.network().await;
        self.view().resolve_addresses(network, name.to_owned()).await
    }

    /// All of them, waiting as a guest does.
    async fn addresses(&mut self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        let stream = self.look_up(name).await?;
        let mut addresses = Vec::new();
        loop {
            match self.view().resolve_next_address(lent(&stream)).await {
                Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => addresses.push([a, b, c, d].into()),
                Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                    addresses.push([a, b, c, d, e, f, g, h].into());
                }
                Ok(None) => break,
                Err(Failure::Code(WouldBlock)) => {
                    let pollable =
                        HostResolveAddressStream::subscribe(&mut self.view(), lent(&stream)).await.unwrap();
                    self.block(pollable).await;
                }
                Err(error) => {
                    assert_eq!(
                        code(self.view().resolve_next_address(lent(&stream)).await),
                        code::<()>(Err(error))
                    );
                    return Err(NameUnresolvable.into());
                }
            }
        }
        assert!(self.view().resolve_next_address(lent(&stream)).await.unwrap().is_none());
        Ok(addresses)
    }
}

#[tokio::test]
async fn localhost_is_on_the_loopback_interface() {
    let mut guest = Guest::new();
    for name in ["localhost", "LocalHost"] {
        let addresses = guest.addresses(name).await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }
}

#[tokio::test]
async fn addresses_are_answered_without_the_host_or_a_rule() {
    let mut guest = Guest::allowed(&[]);
    for (text, expected) in
        [("1.2.3.4", "1.2.3.4"), ("[::1]", "::1"), ("::1", "::1"), ("::ffff:1.2.3.4", "1.2.3.4")]
    {
        assert_eq!(guest.addresses(text).await.unwrap(), [expected.parse::<IpAddr>().unwrap()]);
    }
}

#[tokio::test]
async fn names_need_a_rule() {
    let mut guest = Guest::allowed(&["lookup://localhost", "lookup://*.example.com"]);
    assert_eq!(code(guest.look_up("localhost").await), None);
    assert_eq!(code(guest.look_up("LOCALHOST.").await), None);
    assert_eq!(code(guest.look_up("example.org").await), Some(AccessDenied));
    assert_eq!(code(guest.look_up("example.com").await), Some(AccessDenied));
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let mut guest = Guest::new();
    for name in ["", "a b", "http://example.com", "0x7f.1", "a..b"] {
        assert_eq!(code(guest.look_up(name).await), Some(InvalidArgument), "{name}");
    }
}

#[tokio::test]
async fn a_failure_stays() {
    let mut guest = Guest::new();
    // RFC 6761, section 6.4: never exists.
    assert!(guest.addresses("nothing.invalid").await.is_err());
}

#[tokio::test]
async fn only_so_many_lookups_at_a_time() {
    let mut guest = Guest::new();
    let slots: Vec<_> = (0..crate::MAX_LOOKUPS).map(|_| guest.context.usage.lookup().unwrap()).collect();
    assert_eq!(code(guest.look_up("localhost").await), Some(TemporaryResolverFailure));
    assert_eq!(code(guest.look_up("127.0.0.1").await), None);
    drop(slots);
    assert!(guest.addresses("localhost").await.is_ok());
}
