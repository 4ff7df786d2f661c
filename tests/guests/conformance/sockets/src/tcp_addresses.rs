//! Which addresses a TCP socket is bound and connected to.

use crate::ends::{
    Family, accept, add, at_last, bind, bound, broadcast, connect, finish_connecting, listener, loopback,
    mapped, multicast, network, of_nobody, other, port_of, same_address, unbound, unspecified,
};
use crate::wasi::sockets::network::{ErrorCode, IpSocketAddress};
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(&mut cases, "tcp-create-socket", functions![creates, creates_many, is_of_its_family]);
    add(
        &mut cases,
        "tcp-bind",
        functions![
            to_a_free_port,
            to_a_port_of_ones_choice,
            to_the_unspecified_address,
            to_the_unspecified_address_and_a_port,
            to_ports_that_differ,
            to_an_address_of_the_other_family,
            to_a_mapped_address,
            to_a_multicast_address,
            to_the_broadcast_address,
            to_an_address_of_nobody,
            to_an_address_in_use,
            to_an_address_that_was_in_use,
            to_the_same_port_of_the_other_family,
        ],
    );
    add(
        &mut cases,
        "tcp-connect",
        functions![
            to_a_listener,
            to_a_listener_at_the_unspecified_address,
            to_nobody,
            to_a_bound_socket_that_does_not_listen,
            to_the_other_family,
            to_a_mapped_one,
            to_a_multicast_one,
            to_the_broadcast_one,
            to_the_unspecified_one,
            to_port_zero,
            of_a_bound_socket_to_the_other_family,
        ],
    );
    cases
}

fn creates(family: Family) -> Outcome {
    let socket = create_tcp_socket(family)?;
    same(socket.address_family(), family)
}

fn creates_many(family: Family) -> Outcome {
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(create_tcp_socket(family)?);
    }
    Ok(())
}

fn is_of_its_family(family: Family) -> Outcome {
    same(create_tcp_socket(family)?.address_family(), family)?;
    same(listener(family)?.address_family(), family)
}

fn to_a_free_port(family: Family) -> Outcome {
    let address = bound(family)?.local_address()?;
    holds("it is not port 0", port_of(address) != 0)?;
    same_address(address, loopback(family, port_of(address)))
}

fn to_a_port_of_ones_choice(family: Family) -> Outcome {
    let free = bound(family)?.local_address()?;
    let socket = unbound(family)?;
    bind(&socket, free)?;
    same_address(socket.local_address()?, free)
}

fn to_the_unspecified_address(family: Family) -> Outcome {
    let socket = unbound(family)?;
    bind(&socket, unspecified(family, 0))?;
    let address = socket.local_address()?;
    holds("it is not port 0", port_of(address) != 0)?;
    same_address(address, unspecified(family, port_of(address)))
}

fn to_the_unspecified_address_and_a_port(family: Family) -> Outcome {
    let free = bound(family)?.local_address()?;
    let (socket, address) = (unbound(family)?, unspecified(family, port_of(free)));
    bind(&socket, address)?;
    same_address(socket.local_address()?, address)
}

fn to_ports_that_differ(family: Family) -> Outcome {
    let (one, other) = (listener(family)?, listener(family)?);
    holds("they differ", port_of(one.local_address()?) != port_of(other.local_address()?))
}

#[track_caller]
fn is_refused(family: Family, address: IpSocketAddress, error: ErrorCode) -> Outcome {
    let socket = unbound(family)?;
    fails(bind(&socket, address), error)?;
    // It is as unbound as before.
    fails(socket.local_address(), ErrorCode::InvalidState)?;
    Ok(bind(&socket, loopback(family, 0))?)
}

fn to_an_address_of_the_other_family(family: Family) -> Outcome {
    is_refused(family, loopback(other(family), 0), ErrorCode::InvalidArgument)
}

fn to_a_mapped_address(family: Family) -> Outcome {
    is_refused(family, mapped(0), ErrorCode::InvalidArgument)
}

fn to_a_multicast_address(family: Family) -> Outcome {
    is_refused(family, multicast(family, 0), ErrorCode::InvalidArgument)
}

fn to_the_broadcast_address(family: Family) -> Outcome {
    is_refused(family, broadcast(0), ErrorCode::InvalidArgument)
}

fn to_an_address_of_nobody(family: Family) -> Outcome {
    is_refused(family, of_nobody(family, 0), ErrorCode::AddressNotBindable)
}

fn to_an_address_in_use(family: Family) -> Outcome {
    let taken = listener(family)?;
    is_refused(family, taken.local_address()?, ErrorCode::AddressInUse)
}

/// "This bind operation shouldn't be affected by the TIME_WAIT state of a recently closed socket".
fn to_an_address_that_was_in_use(family: Family) -> Outcome {
    let first = listener(family)?;
    let address = first.local_address()?;
    let client = connect(address)?;
    // The end that closes first is the one that waits.
    drop(accept(&first)?);
    drop(first);
    drop(client);
    let second = unbound(family)?;
    at_last(|| Ok(bind(&second, address)?))?;
    crate::ends::listen(&second)?;
    drop(connect(address)?);
    Ok(())
}

/// "On IPv6 sockets, IPV6_V6ONLY is enabled by default and can't be configured otherwise."
fn to_the_same_port_of_the_other_family(family: Family) -> Outcome {
    if crate::ends::families().len() < 2 {
        return Ok(());
    }
    let socket = unbound(family)?;
    bind(&socket, unspecified(family, 0))?;
    crate::ends::listen(&socket)?;
    let twin = unbound(other(family))?;
    match bind(&twin, unspecified(other(family), port_of(socket.local_address()?))) {
        // Some other program's.
        Err(ErrorCode::AddressInUse) => Ok(()),
        result => Ok(result?),
    }
}

fn to_a_listener(family: Family) -> Outcome {
    let listener = listener(family)?;
    let client = connect(listener.local_address()?)?;
    same_address(client.socket.remote_address()?, listener.local_address()?)?;
    let local = client.socket.local_address()?;
    same_address(local, loopback(family, port_of(local)))
}

fn to_a_listener_at_the_unspecified_address(family: Family) -> Outcome {
    let socket = unbound(family)?;
    bind(&socket, unspecified(family, 0))?;
    crate::ends::listen(&socket)?;
    let to = loopback(family, port_of(socket.local_address()?));
    let client = connect(to)?;
    let server = accept(&socket)?;
    same_address(client.socket.remote_address()?, to)?;
    same_address(server.socket.local_address()?, to)
}

fn to_nobody(family: Family) -> Outcome {
    let free = bound(family)?.local_address()?;
    fails(finish_connecting(&unbound(family)?, free).map(drop), ErrorCode::ConnectionRefused)
}

fn to_a_bound_socket_that_does_not_listen(family: Family) -> Outcome {
    let nobody = bound(family)?;
    fails(
        finish_connecting(&unbound(family)?, nobody.local_address()?).map(drop),
        ErrorCode::ConnectionRefused,
    )
}

#[track_caller]
fn cannot_be_reached(family: Family, address: IpSocketAddress) -> Outcome {
    for socket in [unbound(family)?, bound(family)?] {
        fails(socket.start_connect(&network(), address), ErrorCode::InvalidArgument)?;
        fails_with_one_of(socket.remote_address(), &[ErrorCode::InvalidState])?;
        // It is as it was before.
        let peer = listener(family)?;
        drop(finish_connecting(&socket, peer.local_address()?)?);
    }
    Ok(())
}

fn to_the_other_family(family: Family) -> Outcome {
    cannot_be_reached(family, loopback(other(family), 80))
}

fn to_a_mapped_one(family: Family) -> Outcome {
    cannot_be_reached(family, mapped(80))
}

fn to_a_multicast_one(family: Family) -> Outcome {
    cannot_be_reached(family, multicast(family, 80))
}

fn to_the_broadcast_one(family: Family) -> Outcome {
    cannot_be_reached(family, broadcast(80))
}

fn to_the_unspecified_one(family: Family) -> Outcome {
    cannot_be_reached(family, unspecified(family, 80))
}

fn to_port_zero(family: Family) -> Outcome {
    cannot_be_reached(family, loopback(family, 0))
}

fn of_a_bound_socket_to_the_other_family(family: Family) -> Outcome {
    let socket = bound(family)?;
    let before = socket.local_address()?;
    let refused = socket.start_connect(&network(), loopback(other(family), 80));
    fails(refused, ErrorCode::InvalidArgument)?;
    same_address(socket.local_address()?, before)
}
