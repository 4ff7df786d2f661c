//! The options of UDP sockets.

use crate::ends::{Family, Udp, add, udp_bound};
use crate::wasi::sockets::network::ErrorCode;
use crate::wasi::sockets::udp::UdpSocket;
use crate::wasi::sockets::udp_create_socket::create_udp_socket;
use conformance_suite::{Cases, Outcome, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(
        &mut cases,
        "udp-options",
        functions![
            unicast_hop_limit_is_set,
            receive_buffer_size_is_set,
            send_buffer_size_is_set,
            all_have_values_from_the_beginning,
            zero_is_refused,
            zero_changes_nothing,
            the_smallest_values,
            the_greatest_values,
            of_a_bound_socket,
            of_a_streaming_socket,
            stay_when_streaming,
        ],
    );
    cases
}

fn unicast_hop_limit_is_set(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    for limit in [42, 1, 255] {
        socket.set_unicast_hop_limit(limit)?;
        same(socket.unicast_hop_limit()?, limit)?;
    }
    Ok(())
}

fn receive_buffer_size_is_set(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    socket.set_receive_buffer_size(8 << 10)?;
    let small = socket.receive_buffer_size()?;
    socket.set_receive_buffer_size(64 << 10)?;
    holds("it has grown", socket.receive_buffer_size()? > small)
}

fn send_buffer_size_is_set(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    socket.set_send_buffer_size(8 << 10)?;
    let small = socket.send_buffer_size()?;
    socket.set_send_buffer_size(64 << 10)?;
    holds("it has grown", socket.send_buffer_size()? > small)
}

fn all_have_values_from_the_beginning(family: Family) -> Outcome {
    are_something(&create_udp_socket(family)?)
}

fn zero_is_refused(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    for (name, result) in set_all(&socket, 0) {
        fails(result, ErrorCode::InvalidArgument).map_err(|failure| failure.while_doing(name))?;
    }
    Ok(())
}

fn zero_changes_nothing(family: Family) -> Outcome {
    let socket = create_udp_socket(family)?;
    let before = values(&socket)?;
    let _refused = set_all(&socket, 0);
    same(values(&socket)?, before)
}

fn the_smallest_values(family: Family) -> Outcome {
    takes(&create_udp_socket(family)?, 1)
}

/// "Any other value will never cause an error, but it might be silently clamped and/or rounded."
fn the_greatest_values(family: Family) -> Outcome {
    takes(&create_udp_socket(family)?, u64::MAX)
}

fn of_a_bound_socket(family: Family) -> Outcome {
    let socket = udp_bound(family)?;
    socket.set_unicast_hop_limit(33)?;
    same(socket.unicast_hop_limit()?, 33)?;
    takes(&socket, 1)
}

fn of_a_streaming_socket(family: Family) -> Outcome {
    let udp = Udp::new(family)?;
    udp.socket.set_unicast_hop_limit(33)?;
    same(udp.socket.unicast_hop_limit()?, 33)?;
    takes(&udp.socket, 1 << 20)
}

fn stay_when_streaming(family: Family) -> Outcome {
    let socket = udp_bound(family)?;
    socket.set_unicast_hop_limit(33)?;
    let udp = Udp::of(socket, None)?;
    same(udp.socket.unicast_hop_limit()?, 33)
}

fn takes(socket: &UdpSocket, value: u64) -> Outcome {
    for (name, result) in set_all(socket, value) {
        same(result, Ok(())).map_err(|failure| failure.while_doing(name))?;
    }
    are_something(socket)
}

fn are_something(socket: &UdpSocket) -> Outcome {
    for (name, value) in values(socket)? {
        holds(&format!("{name} is something"), value > 0)?;
    }
    Ok(())
}

fn values(socket: &UdpSocket) -> Outcome<Vec<(&'static str, u64)>> {
    Ok(vec![
        ("unicast-hop-limit", socket.unicast_hop_limit()?.into()),
        ("receive-buffer-size", socket.receive_buffer_size()?),
        ("send-buffer-size", socket.send_buffer_size()?),
    ])
}

/// Sets all of them to a number, or to the greatest that each can be given.
fn set_all(socket: &UdpSocket, value: u64) -> Vec<(&'static str, Result<(), ErrorCode>)> {
    vec![
        ("unicast-hop-limit", socket.set_unicast_hop_limit(u8::try_from(value).unwrap_or(u8::MAX))),
        ("receive-buffer-size", socket.set_receive_buffer_size(value)),
        ("send-buffer-size", socket.set_send_buffer_size(value)),
    ]
}
