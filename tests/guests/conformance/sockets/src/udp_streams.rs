//! Datagrams.

use crate::ends::{
    Case, Family, Udp, add, becomes_ready, families, loopback, mapped, other, port_of, same_address,
    stays_pending, udp_bind, udp_bound, unspecified,
};
use crate::wasi::sockets::network::{ErrorCode, IpSocketAddress};
use crate::wasi::sockets::udp::{IncomingDatagram, OutgoingDatagram};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use conformance_suite::{Cases, Outcome, came_back, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(
        &mut cases,
        "udp-send",
        functions![
            to_another,
            to_oneself,
            to_each_of_several,
            several_at_once,
            nothing,
            nothing_without_a_permit,
            an_empty_datagram,
            a_large_datagram,
            too_large,
            too_large_after_others,
            to_nobody_in_particular,
            to_the_other_family,
            to_a_mapped_address,
            to_the_unspecified_address,
            to_port_zero,
            to_an_invalid_address_after_others,
            to_the_peer_by_default,
            to_the_peer_by_its_address,
            to_another_than_the_peer,
            to_a_port_that_nobody_has,
            permits_are_for_one_send,
            the_pollable_is_ready,
        ],
    );
    add(
        &mut cases,
        "udp-receive",
        functions![
            nothing_is_there,
            none_are_asked_for,
            no_more_than_asked_for,
            as_many_as_there_are,
            the_pollable_waits,
            the_pollable_waits_again,
            the_source_is_who_sent_it,
            only_from_the_peer,
            what_came_from_others_before_there_was_a_peer,
            from_anyone_again,
            a_kept_boundary,
            at_the_unspecified_address,
        ],
    );
    for (family, suffix) in families() {
        let functions: [(&str, Case); 3] = [
            ("without-a-permit", send_without_a_permit),
            ("more-than-the-permit", send_more_than_the_permit),
            ("twice-on-one-permit", send_twice_on_one_permit),
        ];
        for (function, run) in functions {
            cases.add("traps", &format!("udp-send.{suffix}-{function}"), move || run(family));
        }
    }
    cases
}

fn to(address: IpSocketAddress, data: &[u8]) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: Some(address) }
}

fn to_peer(data: &[u8]) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: None }
}

impl Udp {
    /// Sends as soon as it is permitted, and gives what `send` gives.
    fn send(&self, datagrams: &[OutgoingDatagram]) -> Result<u64, ErrorCode> {
        while self.output.check_send()? < datagrams.len() as u64 {
            self.output.subscribe().block();
        }
        self.output.send(datagrams)
    }

    /// Waits for so many.
    fn receive(&self, count: usize) -> Outcome<Vec<IncomingDatagram>> {
        let mut received = Vec::new();
        while received.len() < count {
            becomes_ready(&self.input.subscribe())?;
            received.extend(self.input.receive((count - received.len()) as u64)?);
        }
        Ok(received)
    }

    #[track_caller]
    fn receives(&self, expected: &[&[u8]]) -> Outcome {
        let received = self.receive(expected.len())?;
        same(received.iter().map(|datagram| &datagram.data[..]).collect::<Vec<_>>(), expected)
    }
}

fn to_another(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    same(one.send(&[to(other.address()?, b"hello")])?, 1)?;
    other.receives(&[b"hello"])
}

fn to_oneself(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    same(udp.send(&[to(udp.address()?, b"hello")])?, 1)?;
    udp.receives(&[b"hello"])
}

fn to_each_of_several(family: Family) -> Outcome {
    let (from, one, other) = (Udp::new(family)?, Udp::new(family)?, Udp::new(family)?);
    same(from.send(&[to(one.address()?, b"one"), to(other.address()?, b"other")])?, 2)?;
    other.receives(&[b"other"])?;
    one.receives(&[b"one"])
}

fn several_at_once(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    let address = other.address()?;
    let most = (one.output.check_send()? as usize).min(8);
    let datagrams: Vec<_> = (0..most).map(|number| to(address, &[number as u8])).collect();
    same(one.output.send(&datagrams)?, most as u64)?;
    let received = other.receive(most)?;
    same(
        received.iter().map(|datagram| datagram.data[0]).collect::<Vec<_>>(),
        (0..most as u8).collect::<Vec<_>>(),
    )
}

fn nothing(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    udp.output.check_send()?;
    same(udp.output.send(&[])?, 0)
}

fn nothing_without_a_permit(family: Family) -> Outcome {
    same(Udp::new(family)?.output.send(&[])?, 0)
}

fn an_empty_datagram(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    same(one.send(&[to(other.address()?, b"")])?, 1)?;
    other.receives(&[b""])
}

fn a_large_datagram(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    let data: Vec<u8> = (0..60_000_u32).map(|position| (position % 251) as u8).collect();
    same(one.send(&[to(other.address()?, &data)])?, 1)?;
    other.receives(&[&data])
}

fn too_large(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    fails(one.send(&[to(other.address()?, &[0; TOO_LARGE])]), ErrorCode::DatagramTooLarge)?;
    one.send(&[to(other.address()?, b"small")])?;
    other.receives(&[b"small"])
}

/// "If at least one datagram has been sent successfully, this function never returns an error."
fn too_large_after_others(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    let address = other.address()?;
    same(
        one.send(&[to(address, b"a"), to(address, b"b"), to(address, &[0; TOO_LARGE]), to(address, b"c")])?,
        2,
    )?;
    other.receives(&[b"a", b"b"])?;
    stays_pending(&other.input.subscribe())
}

fn to_nobody_in_particular(family: Family) -> Outcome {
    fails(Udp::new(family)?.send(&[to_peer(b"hello")]), ErrorCode::InvalidArgument)
}

#[track_caller]
fn is_refused(family: Family, address: IpSocketAddress) -> Outcome {
    fails(Udp::new(family)?.send(&[to(address, b"hello")]), ErrorCode::InvalidArgument)
}

fn to_the_other_family(family: Family) -> Outcome {
    is_refused(family, loopback(other(family), 80))
}

fn to_a_mapped_address(family: Family) -> Outcome {
    is_refused(family, mapped(80))
}

fn to_the_unspecified_address(family: Family) -> Outcome {
    is_refused(family, unspecified(family, 80))
}

fn to_port_zero(family: Family) -> Outcome {
    is_refused(family, loopback(family, 0))
}

fn to_an_invalid_address_after_others(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    same(one.send(&[to(other.address()?, b"a"), to(loopback(family, 0), b"b")])?, 1)?;
    other.receives(&[b"a"])
}

fn to_the_peer_by_default(family: Family) -> Outcome {
    let other = Udp::new(family)?;
    let one = Udp::of(udp_bound(family)?, Some(other.address()?))?;
    same(one.send(&[to_peer(b"hello")])?, 1)?;
    other.receives(&[b"hello"])
}

fn to_the_peer_by_its_address(family: Family) -> Outcome {
    let other = Udp::new(family)?;
    let one = Udp::of(udp_bound(family)?, Some(other.address()?))?;
    same(one.send(&[to(other.address()?, b"hello")])?, 1)?;
    other.receives(&[b"hello"])
}

fn to_another_than_the_peer(family: Family) -> Outcome {
    let (peer, another) = (Udp::new(family)?, Udp::new(family)?);
    let one = Udp::of(udp_bound(family)?, Some(peer.address()?))?;
    fails(one.send(&[to(another.address()?, b"hello")]), ErrorCode::InvalidArgument)?;
    // The same address with another port.
    let beside = loopback(family, port_of(peer.address()?) ^ 1);
    fails(one.send(&[to(beside, b"hello")]), ErrorCode::InvalidArgument)
}

/// Nobody is told, unless the socket has that peer alone; then the next operation may say so.
fn to_a_port_that_nobody_has(family: Family) -> Outcome {
    let free = udp_bound(family)?.local_address()?;
    same(Udp::new(family)?.send(&[to(free, b"hello")])?, 1)?;
    let connected = Udp::of(udp_bound(family)?, Some(free))?;
    same(connected.send(&[to_peer(b"hello")])?, 1)?;
    becomes_ready(&connected.input.subscribe())?;
    fails(connected.input.receive(1).map(drop), ErrorCode::ConnectionRefused)
}

fn permits_are_for_one_send(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    for number in 0..3 {
        holds("it permits some", one.output.check_send()? > 0)?;
        same(one.output.send(&[to(other.address()?, &[number])])?, 1)?;
    }
    other.receives(&[&[0], &[1], &[2]])
}

fn the_pollable_is_ready(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    becomes_ready(&udp.output.subscribe())?;
    holds("it permits some", udp.output.check_send()? > 0)
}

fn nothing_is_there(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    same(udp.input.receive(10)?.len(), 0)?;
    same(udp.input.receive(u64::MAX)?.len(), 0)
}

fn none_are_asked_for(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    udp.send(&[to(udp.address()?, b"hello")])?;
    becomes_ready(&udp.input.subscribe())?;
    same(udp.input.receive(0)?.len(), 0)?;
    udp.receives(&[b"hello"])
}

fn no_more_than_asked_for(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let address = udp.address()?;
    udp.send(&[to(address, b"a"), to(address, b"b"), to(address, b"c")])?;
    becomes_ready(&udp.input.subscribe())?;
    let first = udp.input.receive(2)?;
    holds("at most two", (1..=2).contains(&first.len()))?;
    same(&first[0].data[..], b"a")?;
    same(first.len() + udp.receive(3 - first.len())?.len(), 3)
}

fn as_many_as_there_are(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let address = udp.address()?;
    udp.send(&[to(address, b"a"), to(address, b"b")])?;
    let mut received = Vec::new();
    while received.len() < 2 {
        becomes_ready(&udp.input.subscribe())?;
        received.extend(udp.input.receive(u64::MAX)?);
    }
    same(received.len(), 2)?;
    same(udp.input.receive(u64::MAX)?.len(), 0)
}

fn the_pollable_waits(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let pollable = udp.input.subscribe();
    stays_pending(&pollable)?;
    udp.send(&[to(udp.address()?, b"hello")])?;
    becomes_ready(&pollable)?;
    same(udp.input.receive(1)?.len(), 1)
}

fn the_pollable_waits_again(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let pollable = udp.input.subscribe();
    for _ in 0..3 {
        udp.send(&[to(udp.address()?, b"hello")])?;
        becomes_ready(&pollable)?;
        same(udp.input.receive(1)?.len(), 1)?;
        stays_pending(&pollable)?;
    }
    Ok(())
}

fn the_source_is_who_sent_it(family: Family) -> Outcome {
    let (one, other) = (Udp::new(family)?, Udp::new(family)?);
    one.send(&[to(other.address()?, b"hello")])?;
    same_address(other.receive(1)?[0].remote_address, one.address()?)
}

fn only_from_the_peer(family: Family) -> Outcome {
    let (peer, stranger) = (Udp::new(family)?, Udp::new(family)?);
    let udp = Udp::of(udp_bound(family)?, Some(peer.address()?))?;
    stranger.send(&[to(udp.address()?, b"stranger")])?;
    peer.send(&[to(udp.address()?, b"peer")])?;
    udp.receives(&[b"peer"])?;
    stays_pending(&udp.input.subscribe())
}

/// "`receive` will only return datagrams sent from the provided `remote-address`."
fn what_came_from_others_before_there_was_a_peer(family: Family) -> Outcome {
    let (peer, stranger, udp) = (Udp::new(family)?, Udp::new(family)?, Udp::new(family)?);
    stranger.send(&[to(udp.address()?, b"stranger")])?;
    becomes_ready(&udp.input.subscribe())?;
    let udp = udp.again(Some(peer.address()?))?;
    peer.send(&[to(udp.address()?, b"peer")])?;
    udp.receives(&[b"peer"])
}

fn from_anyone_again(family: Family) -> Outcome {
    let (peer, stranger) = (Udp::new(family)?, Udp::new(family)?);
    let udp = Udp::of(udp_bound(family)?, Some(peer.address()?))?;
    let address = udp.address()?;
    let udp = udp.again(None)?;
    // Linux gives a port of its own choice back with the peer; it is the guest's all the same.
    same_address(udp.address()?, address)?;
    stranger.send(&[to(udp.address()?, b"stranger")])?;
    udp.receives(&[b"stranger"])
}

fn a_kept_boundary(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let address = udp.address()?;
    udp.send(&[to(address, b"one"), to(address, b""), to(address, b"three")])?;
    udp.receives(&[b"one", b"", b"three"])
}

fn at_the_unspecified_address(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    udp_bind(&socket, unspecified(family, 0))?;
    let (udp, from) = (Udp::of(socket, None)?, Udp::new(family)?);
    from.send(&[to(loopback(family, port_of(udp.address()?)), b"hello")])?;
    udp.receives(&[b"hello"])
}

fn send_without_a_permit(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let _sent = udp.output.send(&[to(udp.address()?, b"hello")]);
    came_back()
}

fn send_more_than_the_permit(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let address = udp.address()?;
    let permit = udp.output.check_send()?;
    let datagrams: Vec<_> = (0..=permit).map(|_| to(address, b"hello")).collect();
    let _sent = udp.output.send(&datagrams);
    came_back()
}

fn send_twice_on_one_permit(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    let address = udp.address()?;
    udp.output.check_send()?;
    udp.output.send(&[to(address, b"hello")])?;
    let _sent = udp.output.send(&[to(address, b"hello")]);
    came_back()
}

/// Bytes: more than fit where a length is 16 bits.
const TOO_LARGE: usize = 70_000;
