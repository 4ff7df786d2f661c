//! The states of UDP sockets, and which addresses they are bound to and speak with.

use crate::ends::{
    Family, Udp, add, at_last, families, loopback, mapped, multicast, network, of_nobody, other, port_of,
    same_address, udp_bind, udp_bound, unspecified,
};
use crate::wasi::sockets::network::{ErrorCode, IpSocketAddress};
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use conformance_suite::{Cases, Outcome, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(&mut cases, "udp-create-socket", functions![creates, creates_many]);
    add(
        &mut cases,
        "udp-states",
        functions![
            unbound,
            binding,
            bound,
            streaming,
            connected,
            disconnected,
            binding_may_be_tried_again,
            the_pollable_of_the_socket_is_ready,
            is_dropped_in_every_state,
        ],
    );
    add(
        &mut cases,
        "udp-bind",
        functions![
            to_a_free_port,
            to_a_port_of_ones_choice,
            to_the_unspecified_address,
            to_the_other_family,
            to_a_mapped_address,
            to_an_address_of_nobody,
            to_an_address_in_use,
            to_an_address_that_was_in_use,
            to_the_same_port_of_the_other_family,
        ],
    );
    add(
        &mut cases,
        "udp-stream",
        functions![
            with_a_peer,
            with_another_peer,
            with_a_peer_and_then_with_none,
            with_the_other_family,
            with_a_mapped_address,
            with_the_unspecified_address,
            with_port_zero,
            that_failed_leaves_the_socket_usable,
        ],
    );
    cases
}

fn creates(family: Family) -> Outcome {
    same(create_udp_socket(family)?.address_family(), family)
}

fn creates_many(family: Family) -> Outcome {
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(create_udp_socket(family)?);
    }
    Ok(())
}

fn unbound(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)?;
    fails(socket.local_address(), ErrorCode::InvalidState)?;
    fails(socket.remote_address(), ErrorCode::InvalidState)?;
    fails(socket.stream(None).map(drop), ErrorCode::InvalidState)?;
    fails(socket.stream(Some(loopback(family, 80))).map(drop), ErrorCode::InvalidState)?;
    same(socket.address_family(), family)
}

fn binding(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    socket.start_bind(&network(), loopback(family, 0))?;
    fails(socket.start_bind(&network(), loopback(family, 0)), ErrorCode::ConcurrencyConflict)?;
    fails(socket.remote_address(), ErrorCode::InvalidState)?;
    Ok(socket.finish_bind()?)
}

fn bound(family: Family) -> Outcome {
    let socket = udp_bound(family)?;
    fails(socket.start_bind(&network(), loopback(family, 0)), ErrorCode::InvalidState)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)?;
    fails(socket.remote_address(), ErrorCode::InvalidState)?;
    socket.local_address()?;
    drop(socket.stream(None)?);
    Ok(())
}

fn streaming(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    fails(udp.socket.start_bind(&network(), loopback(family, 0)), ErrorCode::InvalidState)?;
    fails(udp.socket.finish_bind(), ErrorCode::NotInProgress)?;
    fails(udp.socket.remote_address(), ErrorCode::InvalidState)
}

fn connected(family: Family) -> Outcome {
    let peer = udp_bound(family)?;
    let udp = Udp::of(udp_bound(family)?, Some(peer.local_address()?))?;
    fails(udp.socket.start_bind(&network(), loopback(family, 0)), ErrorCode::InvalidState)?;
    same_address(udp.socket.remote_address()?, peer.local_address()?)
}

fn disconnected(family: Family) -> Outcome {
    let peer = udp_bound(family)?;
    let udp = Udp::of(udp_bound(family)?, Some(peer.local_address()?))?.again(None)?;
    fails(udp.socket.remote_address(), ErrorCode::InvalidState)?;
    holds("it has its port", port_of(udp.address()?) != 0)
}

fn binding_may_be_tried_again(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    fails(udp_bind(&socket, loopback(other(family), 0)), ErrorCode::InvalidArgument)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)?;
    udp_bind(&socket, loopback(family, 0)).map_err(Into::into)
}

fn the_pollable_of_the_socket_is_ready(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    holds("unbound", socket.subscribe().ready())?;
    holds("bound", udp_bound(family)?.subscribe().ready())
}

fn is_dropped_in_every_state(family: Family) -> Outcome {
    for _ in 0..10 {
        drop(create_udp_socket(family)?);
        create_udp_socket(family)?.start_bind(&network(), loopback(family, 0))?;
        drop(udp_bound(family)?);
        drop(Udp::new(family)?);
    }
    Ok(())
}

fn to_a_free_port(family: Family) -> Outcome {
    let address = udp_bound(family)?.local_address()?;
    holds("it is not port 0", port_of(address) != 0)?;
    same_address(address, loopback(family, port_of(address)))
}

fn to_a_port_of_ones_choice(family: Family) -> Outcome {
    let free = udp_bound(family)?.local_address()?;
    let socket = create_udp_socket(family)?;
    at_last(|| Ok(udp_bind(&socket, free)?))?;
    same_address(socket.local_address()?, free)
}

fn to_the_unspecified_address(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    udp_bind(&socket, unspecified(family, 0))?;
    let address = socket.local_address()?;
    holds("it is not port 0", port_of(address) != 0)?;
    same_address(address, unspecified(family, port_of(address)))
}

#[track_caller]
fn is_refused(family: Family, address: IpSocketAddress, error: ErrorCode) -> Outcome {
    let socket = create_udp_socket(family)?;
    fails(udp_bind(&socket, address), error)?;
    fails(socket.local_address(), ErrorCode::InvalidState)?;
    Ok(udp_bind(&socket, loopback(family, 0))?)
}

fn to_the_other_family(family: Family) -> Outcome {
    is_refused(family, loopback(other(family), 0), ErrorCode::InvalidArgument)
}

fn to_a_mapped_address(family: Family) -> Outcome {
    is_refused(family, mapped(0), ErrorCode::InvalidArgument)
}

fn to_an_address_of_nobody(family: Family) -> Outcome {
    is_refused(family, of_nobody(family, 0), ErrorCode::AddressNotBindable)
}

fn to_an_address_in_use(family: Family) -> Outcome {
    let taken = udp_bound(family)?;
    is_refused(family, taken.local_address()?, ErrorCode::AddressInUse)
}

fn to_an_address_that_was_in_use(family: Family) -> Outcome {
    let address = Udp::new(family)?.address()?;
    Ok(udp_bind(&create_udp_socket(family)?, address)?)
}

fn to_the_same_port_of_the_other_family(family: Family) -> Outcome {
    if families().len() < 2 {
        return Ok(());
    }
    let socket = create_udp_socket(family)?;
    udp_bind(&socket, unspecified(family, 0))?;
    let twin = create_udp_socket(other(family))?;
    match udp_bind(&twin, unspecified(other(family), port_of(socket.local_address()?))) {
        // Some other program's.
        Err(ErrorCode::AddressInUse) => Ok(()),
        result => Ok(result?),
    }
}

fn with_a_peer(family: Family) -> Outcome {
    let peer = udp_bound(family)?.local_address()?;
    let socket = udp_bound(family)?;
    let before = socket.local_address()?;
    let udp = Udp::of(socket, Some(peer))?;
    same_address(udp.socket.remote_address()?, peer)?;
    same_address(udp.address()?, before)
}

fn with_another_peer(family: Family) -> Outcome {
    let (one, other) = (udp_bound(family)?.local_address()?, udp_bound(family)?.local_address()?);
    let udp = Udp::of(udp_bound(family)?, Some(one))?.again(Some(other))?;
    same_address(udp.socket.remote_address()?, other)
}

fn with_a_peer_and_then_with_none(family: Family) -> Outcome {
    let peer = udp_bound(family)?;
    let udp = Udp::of(udp_bound(family)?, Some(peer.local_address()?))?.again(None)?;
    fails(udp.socket.remote_address(), ErrorCode::InvalidState)
}

#[track_caller]
fn cannot_be_a_peer(family: Family, address: IpSocketAddress) -> Outcome {
    let socket = udp_bound(family)?;
    fails(socket.stream(Some(address)).map(drop), ErrorCode::InvalidArgument)?;
    fails(socket.remote_address(), ErrorCode::InvalidState)
}

fn with_the_other_family(family: Family) -> Outcome {
    cannot_be_a_peer(family, loopback(other(family), 80))
}

fn with_a_mapped_address(family: Family) -> Outcome {
    cannot_be_a_peer(family, mapped(80))
}

fn with_the_unspecified_address(family: Family) -> Outcome {
    cannot_be_a_peer(family, unspecified(family, 80))
}

fn with_port_zero(family: Family) -> Outcome {
    cannot_be_a_peer(family, loopback(family, 0))?;
    cannot_be_a_peer(family, multicast(family, 0))
}

fn that_failed_leaves_the_socket_usable(family: Family) -> Outcome {
    let socket = udp_bound(family)?;
    fails(socket.stream(Some(loopback(family, 0))).map(drop), ErrorCode::InvalidArgument)?;
    drop(Udp::of(socket, None)?);
    Ok(())
}
