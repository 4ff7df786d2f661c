//! Listening and accepting.

use crate::ends::{
    Family, accept, add, at_last, becomes_ready, bound, connect, finish_connecting, listener, loopback,
    network, pair, read_exactly, same_address, stays_pending, unbound, write_all,
};
use crate::wasi::sockets::network::ErrorCode;
use conformance_suite::{Cases, Outcome, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(
        &mut cases,
        "tcp-accept",
        functions![
            nobody_has_connected,
            one_has_connected,
            each_is_accepted_once,
            both_ends_know_both_addresses,
            the_listener_goes_on,
            the_listener_is_dropped,
            the_pollable_waits_for_a_client,
            the_pollable_is_ready_twice_for_two,
            the_accepted_end_is_connected,
            a_client_that_went_before_it_was_accepted,
            what_a_client_sent_before_it_was_accepted,
            many_clients,
            many_clients_at_once,
            a_backlog_that_is_set,
            a_huge_backlog,
            a_backlog_that_is_changed_while_listening,
            a_listener_that_is_dropped_refuses,
        ],
    );
    add(
        &mut cases,
        "tcp-connecting",
        functions![
            the_pollable_becomes_ready_when_connected,
            the_pollable_becomes_ready_when_refused,
            a_refused_socket_stays_closed,
            before_the_server_accepts,
            is_dropped_while_connecting,
            two_at_the_same_time,
        ],
    );
    cases
}

fn nobody_has_connected(family: Family) -> Outcome {
    let listener = listener(family)?;
    fails(listener.accept().map(drop), ErrorCode::WouldBlock)?;
    fails(listener.accept().map(drop), ErrorCode::WouldBlock)
}

fn one_has_connected(family: Family) -> Outcome {
    let listener = listener(family)?;
    let _client = connect(listener.local_address()?)?;
    drop(accept(&listener)?);
    Ok(())
}

fn each_is_accepted_once(family: Family) -> Outcome {
    let listener = listener(family)?;
    let _client = connect(listener.local_address()?)?;
    let _server = accept(&listener)?;
    fails(listener.accept().map(drop), ErrorCode::WouldBlock)
}

fn both_ends_know_both_addresses(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    same_address(client.socket.local_address()?, server.socket.remote_address()?)?;
    same_address(client.socket.remote_address()?, server.socket.local_address()?)
}

fn the_listener_goes_on(family: Family) -> Outcome {
    let listener = listener(family)?;
    for _ in 0..5 {
        let _client = connect(listener.local_address()?)?;
        let _server = accept(&listener)?;
        holds("it still listens", listener.is_listening())?;
    }
    Ok(())
}

fn the_listener_is_dropped(family: Family) -> Outcome {
    // `pair` drops it.
    let (client, server) = pair(family)?;
    write_all(&client.output, b"still there")?;
    same(read_exactly(&server.input, 11)?, b"still there")
}

fn the_pollable_waits_for_a_client(family: Family) -> Outcome {
    let listener = listener(family)?;
    let pollable = listener.subscribe();
    stays_pending(&pollable)?;
    let _client = connect(listener.local_address()?)?;
    becomes_ready(&pollable)?;
    let _server = accept(&listener)?;
    stays_pending(&pollable)
}

fn the_pollable_is_ready_twice_for_two(family: Family) -> Outcome {
    let listener = listener(family)?;
    let pollable = listener.subscribe();
    let (_one, _other) = (connect(listener.local_address()?)?, connect(listener.local_address()?)?);
    for _ in 0..2 {
        becomes_ready(&pollable)?;
        drop(accept(&listener)?);
    }
    stays_pending(&pollable)
}

fn the_accepted_end_is_connected(family: Family) -> Outcome {
    let (_client, server) = pair(family)?;
    fails(server.socket.finish_connect().map(drop), ErrorCode::NotInProgress)?;
    fails(server.socket.start_listen(), ErrorCode::InvalidState)?;
    holds("it does not listen", !server.socket.is_listening())?;
    same(server.socket.address_family(), family)
}

fn a_client_that_went_before_it_was_accepted(family: Family) -> Outcome {
    let listener = listener(family)?;
    drop(connect(listener.local_address()?)?);
    // `connection-aborted`, or a connection that has ended: systems differ.
    match accept(&listener) {
        Ok(server) => {
            let ended = server.input.blocking_read(1);
            holds("nothing comes", ended.is_err())
        }
        Err(_) => Ok(()),
    }
}

fn what_a_client_sent_before_it_was_accepted(family: Family) -> Outcome {
    let listener = listener(family)?;
    let client = connect(listener.local_address()?)?;
    write_all(&client.output, b"early")?;
    let server = accept(&listener)?;
    same(read_exactly(&server.input, 5)?, b"early")
}

fn many_clients(family: Family) -> Outcome {
    let listener = listener(family)?;
    let mut connections = Vec::new();
    for number in 0..50_u8 {
        let client = connect(listener.local_address()?)?;
        write_all(&client.output, &[number])?;
        connections.push((client, accept(&listener)?));
    }
    for (number, (_client, server)) in connections.iter().enumerate() {
        same(read_exactly(&server.input, 1)?, [number as u8])?;
    }
    Ok(())
}

fn many_clients_at_once(family: Family) -> Outcome {
    let listener = listener(family)?;
    let mut clients = Vec::new();
    for number in 0..50_u8 {
        let client = connect(listener.local_address()?)?;
        write_all(&client.output, &[number])?;
        clients.push(client);
    }
    let mut seen = Vec::new();
    for _ in 0..clients.len() {
        let server = accept(&listener)?;
        seen.extend(read_exactly(&server.input, 1)?);
    }
    seen.sort_unstable();
    same(seen, (0..50).collect::<Vec<u8>>())
}

fn a_backlog_that_is_set(family: Family) -> Outcome {
    let socket = bound(family)?;
    socket.set_listen_backlog_size(2)?;
    crate::ends::listen(&socket)?;
    let _client = connect(socket.local_address()?)?;
    drop(accept(&socket)?);
    Ok(())
}

/// "Any other value will never cause an error, but it might be silently clamped".
fn a_huge_backlog(family: Family) -> Outcome {
    let socket = bound(family)?;
    socket.set_listen_backlog_size(u64::MAX)?;
    crate::ends::listen(&socket)?;
    let _client = connect(socket.local_address()?)?;
    drop(accept(&socket)?);
    Ok(())
}

fn a_backlog_that_is_changed_while_listening(family: Family) -> Outcome {
    let listener = listener(family)?;
    match listener.set_listen_backlog_size(5) {
        Ok(()) | Err(ErrorCode::NotSupported) => {}
        Err(error) => return Err(error.into()),
    }
    let _client = connect(listener.local_address()?)?;
    drop(accept(&listener)?);
    Ok(())
}

fn a_listener_that_is_dropped_refuses(family: Family) -> Outcome {
    let address = listener(family)?.local_address()?;
    let refused =
        || fails(finish_connecting(&unbound(family)?, address).map(drop), ErrorCode::ConnectionRefused);
    at_last(refused)
}

fn the_pollable_becomes_ready_when_connected(family: Family) -> Outcome {
    let (peer, socket) = (listener(family)?, unbound(family)?);
    socket.start_connect(&network(), peer.local_address()?)?;
    becomes_ready(&socket.subscribe())?;
    drop(socket.finish_connect()?);
    Ok(())
}

fn the_pollable_becomes_ready_when_refused(family: Family) -> Outcome {
    let (nobody, socket) = (bound(family)?, unbound(family)?);
    match socket.start_connect(&network(), nobody.local_address()?) {
        // Known at once.
        Err(ErrorCode::ConnectionRefused) => return becomes_ready(&socket.subscribe()),
        result => result?,
    }
    becomes_ready(&socket.subscribe())?;
    fails(socket.finish_connect().map(drop), ErrorCode::ConnectionRefused)
}

/// "After a failed connection attempt, the socket will be in the `closed` state".
fn a_refused_socket_stays_closed(family: Family) -> Outcome {
    let (nobody, peer, socket) = (bound(family)?, listener(family)?, unbound(family)?);
    let refused = finish_connecting(&socket, nobody.local_address()?);
    fails(refused.map(drop), ErrorCode::ConnectionRefused)?;
    fails(socket.start_connect(&network(), peer.local_address()?), ErrorCode::InvalidState)?;
    fails(socket.finish_connect().map(drop), ErrorCode::NotInProgress)?;
    fails(socket.start_bind(&network(), loopback(family, 0)), ErrorCode::InvalidState)
}

fn before_the_server_accepts(family: Family) -> Outcome {
    let listener = listener(family)?;
    let client = connect(listener.local_address()?)?;
    write_all(&client.output, b"hello")?;
    same_address(client.socket.remote_address()?, listener.local_address()?)
}

fn is_dropped_while_connecting(family: Family) -> Outcome {
    let listener = listener(family)?;
    for _ in 0..10 {
        unbound(family)?.start_connect(&network(), listener.local_address()?)?;
    }
    let client = connect(listener.local_address()?)?;
    let address = client.socket.local_address()?;
    // Those that were dropped come first, where they come at all.
    for _ in 0..11 {
        if let Ok(server) = accept(&listener)
            && format!("{:?}", server.socket.remote_address()) == format!("{:?}", Ok::<_, ErrorCode>(address))
        {
            return Ok(());
        }
    }
    holds("the last one is accepted", false)
}

fn two_at_the_same_time(family: Family) -> Outcome {
    let (peer, one, other) = (listener(family)?, unbound(family)?, unbound(family)?);
    one.start_connect(&network(), peer.local_address()?)?;
    other.start_connect(&network(), peer.local_address()?)?;
    becomes_ready(&one.subscribe())?;
    becomes_ready(&other.subscribe())?;
    drop(other.finish_connect()?);
    drop(one.finish_connect()?);
    Ok(())
}
