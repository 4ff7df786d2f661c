//! `wasi:sockets/ip-name-lookup`.

use crate::ends::{becomes_ready, network};
use crate::wasi::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use crate::wasi::sockets::network::{ErrorCode, IpAddress};
use conformance_suite::{Cases, Failure, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "ip-name-lookup",
        functions![
            localhost,
            localhost_in_capitals,
            localhost_twice_at_the_same_time,
            an_ipv4_address,
            an_ipv6_address,
            a_long_ipv6_address,
            a_mapped_address,
            the_end_is_told_again,
            addresses_are_of_the_name_before_the_end,
            a_stream_is_dropped_before_its_end,
            the_network_is_dropped_before_the_answer,
            a_name_that_nobody_has,
            a_unicode_name_that_nobody_has,
            a_failure_is_told_again,
            no_name,
            a_name_with_a_space,
            a_name_with_a_port,
            a_url,
            an_address_with_a_number_too_large,
            a_bracket_without_its_other,
            a_name_with_a_control_character,
            a_name_that_is_too_long,
            a_label_that_is_too_long,
        ],
    )
}

fn resolve(name: &str) -> Result<ResolveAddressStream, ErrorCode> {
    resolve_addresses(&network(), name)
}

/// All addresses, or why there are none.
fn addresses(stream: &ResolveAddressStream) -> Result<Vec<IpAddress>, ErrorCode> {
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

fn is_loopback(address: &IpAddress) -> bool {
    match *address {
        IpAddress::Ipv4((first, ..)) => first == 127,
        IpAddress::Ipv6(address) => address == (0, 0, 0, 0, 0, 0, 0, 1),
    }
}

fn localhost() -> Outcome {
    let addresses = addresses(&resolve("localhost")?)?;
    holds("there is one", !addresses.is_empty())?;
    holds("all are of this machine", addresses.iter().all(is_loopback))
}

fn localhost_in_capitals() -> Outcome {
    let addresses = addresses(&resolve("LocalHost")?)?;
    holds("there is one", !addresses.is_empty())?;
    holds("all are of this machine", addresses.iter().all(is_loopback))
}

fn localhost_twice_at_the_same_time() -> Outcome {
    let (one, other) = (resolve("localhost")?, resolve("localhost")?);
    let (second, first) = (addresses(&other)?, addresses(&one)?);
    same(format!("{first:?}"), format!("{second:?}"))
}

#[track_caller]
fn is_itself(name: &str, expected: IpAddress) -> Outcome {
    same(format!("{:?}", addresses(&resolve(name)?)?), format!("{:?}", [expected]))
}

fn an_ipv4_address() -> Outcome {
    is_itself("203.0.113.9", IpAddress::Ipv4((203, 0, 113, 9)))
}

fn an_ipv6_address() -> Outcome {
    is_itself("2001:db8::9", IpAddress::Ipv6((0x2001, 0xdb8, 0, 0, 0, 0, 0, 9)))?;
    is_itself("::1", IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1)))
}

fn a_long_ipv6_address() -> Outcome {
    let address = IpAddress::Ipv6((0x2001, 0xdb8, 1, 2, 3, 4, 5, 0xffff));
    is_itself("2001:0DB8:0001:0002:0003:0004:0005:FFFF", address)
}

/// "This function never returns IPv4-mapped IPv6 addresses."
fn a_mapped_address() -> Outcome {
    match resolve("::ffff:203.0.113.9").and_then(|stream| addresses(&stream)) {
        Ok(found) => same(format!("{found:?}"), format!("{:?}", [IpAddress::Ipv4((203, 0, 113, 9))])),
        Err(_) => Ok(()),
    }
}

fn the_end_is_told_again() -> Outcome {
    let stream = resolve("127.0.0.1")?;
    addresses(&stream)?;
    for _ in 0..3 {
        holds("it has ended", stream.resolve_next_address()?.is_none())?;
    }
    becomes_ready(&stream.subscribe())
}

fn addresses_are_of_the_name_before_the_end() -> Outcome {
    let stream = resolve("localhost")?;
    becomes_ready(&stream.subscribe())?;
    // Ready: so it would not block.
    holds("there is one", stream.resolve_next_address()?.is_some())
}

fn a_stream_is_dropped_before_its_end() -> Outcome {
    for _ in 0..10 {
        drop(resolve("localhost")?);
    }
    Ok(())
}

fn the_network_is_dropped_before_the_answer() -> Outcome {
    let network = network();
    let stream = resolve_addresses(&network, "localhost")?;
    drop(network);
    holds("there is one", !addresses(&stream)?.is_empty())
}

/// RFC 6761, section 6.4. Where there is no resolver, it is a failure of that.
const NOBODYS: [ErrorCode; 3] =
    [ErrorCode::NameUnresolvable, ErrorCode::TemporaryResolverFailure, ErrorCode::PermanentResolverFailure];

fn a_name_that_nobody_has() -> Outcome {
    fails_with_one_of(resolve("nobody.invalid").and_then(|stream| addresses(&stream)), &NOBODYS)
}

/// "Unicode domain names are automatically converted to ASCII using IDNA encoding."
fn a_unicode_name_that_nobody_has() -> Outcome {
    fails_with_one_of(resolve("bücher.invalid").and_then(|stream| addresses(&stream)), &NOBODYS)
}

fn a_failure_is_told_again() -> Outcome {
    let stream = match resolve("nobody.invalid") {
        Ok(stream) => stream,
        // Known at once.
        Err(error) => return fails_with_one_of::<(), _>(Err(error), &NOBODYS),
    };
    let Err(first) = addresses(&stream) else { return Err(Failure::new("it has addresses")) };
    fails(stream.resolve_next_address().map(drop), first)
}

#[track_caller]
fn is_no_name(text: &str) -> Outcome {
    fails(resolve(text).and_then(|stream| addresses(&stream)), ErrorCode::InvalidArgument)
}

fn no_name() -> Outcome {
    is_no_name("")
}

fn a_name_with_a_space() -> Outcome {
    is_no_name("local host")
}

fn a_name_with_a_port() -> Outcome {
    is_no_name("localhost:80")
}

fn a_url() -> Outcome {
    is_no_name("http://localhost/")
}

fn an_address_with_a_number_too_large() -> Outcome {
    is_no_name("256.0.0.1")
}

fn a_bracket_without_its_other() -> Outcome {
    is_no_name("[::1")
}

fn a_name_with_a_control_character() -> Outcome {
    is_no_name("local\0host")
}

/// RFC 1035, section 2.3.4. Who does not see it, does not find it.
fn a_name_that_is_too_long() -> Outcome {
    let name = "long.".repeat(60) + "invalid";
    is_no_name_or_nobodys(&name)
}

fn a_label_that_is_too_long() -> Outcome {
    is_no_name_or_nobodys(&("l".repeat(64) + ".invalid"))
}

#[track_caller]
fn is_no_name_or_nobodys(name: &str) -> Outcome {
    let mut expected = NOBODYS.to_vec();
    expected.push(ErrorCode::InvalidArgument);
    fails_with_one_of(resolve(name).and_then(|stream| addresses(&stream)), &expected)
}
