//! The options of TCP sockets.

use crate::ends::{Family, accept, add, bound, connect, listen, unbound};
use crate::wasi::sockets::network::ErrorCode;
use crate::wasi::sockets::tcp::TcpSocket;
use conformance_suite::{Cases, Outcome, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(
        &mut cases,
        "tcp-options",
        functions![
            keep_alive_is_off,
            keep_alive_is_switched,
            keep_alive_idle_time_is_set,
            keep_alive_interval_is_set,
            keep_alive_count_is_set,
            hop_limit_is_set,
            receive_buffer_size_is_set,
            send_buffer_size_is_set,
            all_have_values_from_the_beginning,
            zero_is_refused,
            zero_changes_nothing,
            the_smallest_values,
            the_greatest_values,
            are_set_while_keep_alive_is_off,
            of_a_bound_socket,
            of_a_listener,
            of_a_connection,
            are_inherited_by_accepted_connections,
            stay_when_connected,
        ],
    );
    cases
}

fn keep_alive_is_off(family: Family) -> Outcome {
    same(unbound(family)?.keep_alive_enabled()?, false)
}

fn keep_alive_is_switched(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for enabled in [true, true, false, false, true] {
        socket.set_keep_alive_enabled(enabled)?;
        same(socket.keep_alive_enabled()?, enabled)?;
    }
    Ok(())
}

fn keep_alive_idle_time_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for seconds in [60, 1, 7_200] {
        socket.set_keep_alive_idle_time(seconds * SECOND)?;
        same(socket.keep_alive_idle_time()?, seconds * SECOND)?;
    }
    Ok(())
}

fn keep_alive_interval_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for seconds in [75, 1, 600] {
        socket.set_keep_alive_interval(seconds * SECOND)?;
        same(socket.keep_alive_interval()?, seconds * SECOND)?;
    }
    Ok(())
}

fn keep_alive_count_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for count in [9, 1, 20] {
        socket.set_keep_alive_count(count)?;
        same(socket.keep_alive_count()?, count)?;
    }
    Ok(())
}

fn hop_limit_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for limit in [42, 1, 255] {
        socket.set_hop_limit(limit)?;
        same(socket.hop_limit()?, limit)?;
    }
    Ok(())
}

/// What is set may be rounded, but more is not less.
fn receive_buffer_size_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    socket.set_receive_buffer_size(8 << 10)?;
    let small = socket.receive_buffer_size()?;
    socket.set_receive_buffer_size(64 << 10)?;
    holds("it has grown", socket.receive_buffer_size()? > small)
}

fn send_buffer_size_is_set(family: Family) -> Outcome {
    let socket = unbound(family)?;
    socket.set_send_buffer_size(8 << 10)?;
    let small = socket.send_buffer_size()?;
    socket.set_send_buffer_size(64 << 10)?;
    holds("it has grown", socket.send_buffer_size()? > small)
}

fn all_have_values_from_the_beginning(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for (name, value) in values(&socket)? {
        holds(&format!("{name} is something"), value > 0)?;
    }
    Ok(())
}

fn zero_is_refused(family: Family) -> Outcome {
    let socket = unbound(family)?;
    fails(socket.set_listen_backlog_size(0), ErrorCode::InvalidArgument)?;
    for (name, result) in set_all(&socket, 0) {
        fails(result, ErrorCode::InvalidArgument).map_err(|failure| failure.while_doing(name))?;
    }
    Ok(())
}

fn zero_changes_nothing(family: Family) -> Outcome {
    let socket = unbound(family)?;
    let before = values(&socket)?;
    let _refused = set_all(&socket, 0);
    same(values(&socket)?, before)
}

fn the_smallest_values(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for (name, result) in set_all(&socket, 1) {
        same(result, Ok(())).map_err(|failure| failure.while_doing(name))?;
    }
    for (name, value) in values(&socket)? {
        holds(&format!("{name} is something"), value > 0)?;
    }
    Ok(())
}

/// "Any other value will never cause an error, but it might be silently clamped and/or rounded."
fn the_greatest_values(family: Family) -> Outcome {
    let socket = unbound(family)?;
    for (name, result) in set_all(&socket, u64::MAX) {
        same(result, Ok(())).map_err(|failure| failure.while_doing(name))?;
    }
    for (name, value) in values(&socket)? {
        holds(&format!("{name} is something"), value > 0)?;
    }
    Ok(())
}

fn are_set_while_keep_alive_is_off(family: Family) -> Outcome {
    let socket = unbound(family)?;
    socket.set_keep_alive_idle_time(33 * SECOND)?;
    socket.set_keep_alive_enabled(true)?;
    same(socket.keep_alive_idle_time()?, 33 * SECOND)?;
    socket.set_keep_alive_enabled(false)?;
    same(socket.keep_alive_idle_time()?, 33 * SECOND)
}

fn of_a_bound_socket(family: Family) -> Outcome {
    let socket = bound(family)?;
    choose(&socket)?;
    has_what_was_chosen(&socket)
}

fn of_a_listener(family: Family) -> Outcome {
    let socket = bound(family)?;
    listen(&socket)?;
    choose(&socket)?;
    has_what_was_chosen(&socket)
}

fn of_a_connection(family: Family) -> Outcome {
    let (client, server) = crate::ends::pair(family)?;
    for end in [client, server] {
        choose(&end.socket)?;
        has_what_was_chosen(&end.socket)?;
    }
    Ok(())
}

fn are_inherited_by_accepted_connections(family: Family) -> Outcome {
    let listener = bound(family)?;
    choose(&listener)?;
    listener.set_receive_buffer_size(32 << 10)?;
    listener.set_send_buffer_size(32 << 10)?;
    listen(&listener)?;
    let _client = connect(listener.local_address()?)?;
    let server = accept(&listener)?;
    has_what_was_chosen(&server.socket)?;
    same(server.socket.receive_buffer_size()?, listener.receive_buffer_size()?)?;
    same(server.socket.send_buffer_size()?, listener.send_buffer_size()?)
}

fn stay_when_connected(family: Family) -> Outcome {
    let (peer, socket) = (crate::ends::listener(family)?, unbound(family)?);
    choose(&socket)?;
    let _streams = crate::ends::finish_connecting(&socket, peer.local_address()?)?;
    has_what_was_chosen(&socket)
}

fn choose(socket: &TcpSocket) -> Outcome {
    socket.set_keep_alive_enabled(true)?;
    socket.set_keep_alive_idle_time(42 * SECOND)?;
    socket.set_keep_alive_interval(13 * SECOND)?;
    socket.set_keep_alive_count(5)?;
    Ok(socket.set_hop_limit(33)?)
}

fn has_what_was_chosen(socket: &TcpSocket) -> Outcome {
    same(socket.keep_alive_enabled()?, true)?;
    same(socket.keep_alive_idle_time()?, 42 * SECOND)?;
    same(socket.keep_alive_interval()?, 13 * SECOND)?;
    same(socket.keep_alive_count()?, 5)?;
    same(socket.hop_limit()?, 33)
}

/// All options that are numbers.
fn values(socket: &TcpSocket) -> Outcome<Vec<(&'static str, u64)>> {
    Ok(vec![
        ("keep-alive-idle-time", socket.keep_alive_idle_time()?),
        ("keep-alive-interval", socket.keep_alive_interval()?),
        ("keep-alive-count", socket.keep_alive_count()?.into()),
        ("hop-limit", socket.hop_limit()?.into()),
        ("receive-buffer-size", socket.receive_buffer_size()?),
        ("send-buffer-size", socket.send_buffer_size()?),
    ])
}

/// Sets all of them to a number, or to the greatest that each can be given.
fn set_all(socket: &TcpSocket, value: u64) -> Vec<(&'static str, Result<(), ErrorCode>)> {
    let count = u32::try_from(value).unwrap_or(u32::MAX);
    let limit = u8::try_from(value).unwrap_or(u8::MAX);
    vec![
        ("keep-alive-idle-time", socket.set_keep_alive_idle_time(value)),
        ("keep-alive-interval", socket.set_keep_alive_interval(value)),
        ("keep-alive-count", socket.set_keep_alive_count(count)),
        ("hop-limit", socket.set_hop_limit(limit)),
        ("receive-buffer-size", socket.set_receive_buffer_size(value)),
        ("send-buffer-size", socket.set_send_buffer_size(value)),
    ]
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;
