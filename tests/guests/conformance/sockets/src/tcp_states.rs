//! Every operation in every state, as
//! <https://github.com/WebAssembly/WASI/blob/main/proposals/sockets/TcpSocketOperationalSemantics.md> has them.

use crate::ends::{
    Connection, Family, add, bound, connect, families, finish_connecting, listener, loopback, network, pair,
    same_address, unbound,
};
use crate::wasi::io::streams::{InputStream, OutputStream};
use crate::wasi::sockets::network::ErrorCode;
use crate::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use conformance_suite::{Cases, Failure, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    for (family, suffix) in families() {
        for state in State::ALL {
            for operation in OPERATIONS {
                let name = format!("{}-when-{state:?}", operation.name);
                cases.add(&format!("tcp-states.{suffix}"), &name, move || check(family, state, operation));
            }
        }
    }
    add(
        &mut cases,
        "tcp-states",
        functions![
            local_address_while_binding,
            is_listening_only_when_listening,
            the_family_in_every_state,
            binding_is_finished_once,
            connecting_is_finished_once,
            listening_is_finished_once,
            binding_may_be_tried_again,
            connecting_may_be_tried_again_after_an_invalid_address,
            a_bound_socket_connects_from_its_address,
            the_pollable_is_ready_where_nothing_is_waited_for,
            the_pollable_serves_all_of_the_sockets_life,
            a_network_is_dropped_after_use,
            sockets_are_dropped_in_every_state,
        ],
    );
    cases
}

#[derive(Clone, Copy, Debug)]
enum State {
    Unbound,
    Binding,
    Bound,
    Connecting,
    ListenStarted,
    Listening,
    Connected,
    Accepted,
    Closed,
}

impl State {
    const ALL: [Self; 9] = [
        Self::Unbound,
        Self::Binding,
        Self::Bound,
        Self::Connecting,
        Self::ListenStarted,
        Self::Listening,
        Self::Connected,
        Self::Accepted,
        Self::Closed,
    ];

    /// A new socket that is brought into this state.
    fn reach(self, family: Family) -> Outcome<Staged> {
        match self {
            Self::Unbound => Ok(Staged::of(unbound(family)?)),
            Self::Binding => {
                let socket = unbound(family)?;
                socket.start_bind(&network(), loopback(family, 0))?;
                Ok(Staged::of(socket))
            }
            Self::Bound => Ok(Staged::of(bound(family)?)),
            Self::Connecting => {
                let (peer, socket) = (listener(family)?, unbound(family)?);
                socket.start_connect(&network(), peer.local_address()?)?;
                Ok(Staged { _beside: Some(peer), ..Staged::of(socket) })
            }
            Self::ListenStarted => {
                let socket = bound(family)?;
                socket.start_listen()?;
                Ok(Staged::of(socket))
            }
            Self::Listening => Ok(Staged::of(listener(family)?)),
            Self::Connected => {
                let (client, server) = pair(family)?;
                Ok(Staged::connected(client, server))
            }
            Self::Accepted => {
                let (client, server) = pair(family)?;
                Ok(Staged::connected(server, client))
            }
            Self::Closed => {
                let (socket, nobody) = (unbound(family)?, bound(family)?);
                fails(finish_connecting(&socket, nobody.local_address()?), ErrorCode::ConnectionRefused)?;
                Ok(Staged::of(socket))
            }
        }
    }
}

/// A socket in a state, and what keeps it there.
struct Staged {
    _streams: Option<(InputStream, OutputStream)>,
    socket: TcpSocket,
    _peer: Option<Connection>,
    _beside: Option<TcpSocket>,
}

impl Staged {
    fn of(socket: TcpSocket) -> Self {
        Self { _streams: None, socket, _peer: None, _beside: None }
    }

    fn connected(connection: Connection, peer: Connection) -> Self {
        let Connection { input, output, socket } = connection;
        Self { _streams: Some((input, output)), _peer: Some(peer), ..Self::of(socket) }
    }
}

#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    run: fn(&TcpSocket, Family) -> Result<(), ErrorCode>,
    /// What it has to come to in each of [`State::ALL`].
    expected: [Expected; 9],
}

#[derive(Clone, Copy)]
enum Expected {
    Success,
    Fails(ErrorCode),
    OneOf(&'static [ErrorCode]),
    /// Another case has it, or the standard leaves it open.
    Anything,
}

fn check(family: Family, state: State, operation: Operation) -> Outcome {
    let staged = state.reach(family).map_err(|failure| failure.while_doing("reaching the state"))?;
    let result = (operation.run)(&staged.socket, family);
    match operation.expected[state as usize] {
        Expected::Success => Ok(result?),
        Expected::Fails(error) => fails(result, error),
        Expected::OneOf(errors) => fails_with_one_of(result, errors),
        Expected::Anything => Ok(()),
    }
}

const OPERATIONS: [Operation; 13] = {
    use Expected::{Anything as ANY, Fails, OneOf, Success as OK};
    const CONFLICT: Expected = Fails(ErrorCode::ConcurrencyConflict);
    const STATE: Expected = Fails(ErrorCode::InvalidState);
    const IDLE: Expected = Fails(ErrorCode::NotInProgress);
    /// The standard lets all functions fail with the former after a connection failed.
    const CLOSED: Expected = OneOf(&[ErrorCode::InvalidState, ErrorCode::ConnectionRefused]);
    const NOT_YET: Expected = OneOf(&[ErrorCode::InvalidState, ErrorCode::WouldBlock]);
    [
        Operation {
            name: "start-bind",
            run: |socket, family| socket.start_bind(&network(), loopback(family, 0)),
            expected: [OK, CONFLICT, STATE, CONFLICT, CONFLICT, STATE, STATE, STATE, STATE],
        },
        Operation {
            name: "finish-bind",
            run: |socket, _| socket.finish_bind(),
            expected: [IDLE, OK, IDLE, IDLE, IDLE, IDLE, IDLE, IDLE, IDLE],
        },
        Operation {
            name: "start-connect",
            run: |socket, family| {
                let Ok(peer) = listener(family) else { return Err(ErrorCode::Unknown) };
                socket.start_connect(&network(), peer.local_address()?)
            },
            expected: [OK, CONFLICT, OK, CONFLICT, CONFLICT, STATE, STATE, STATE, STATE],
        },
        Operation {
            name: "finish-connect",
            run: |socket, _| match socket.finish_connect() {
                Err(ErrorCode::WouldBlock) => {
                    socket.subscribe().block();
                    socket.finish_connect().map(drop)
                }
                result => result.map(drop),
            },
            expected: [IDLE, IDLE, IDLE, OK, IDLE, IDLE, IDLE, IDLE, IDLE],
        },
        Operation {
            name: "start-listen",
            run: |socket, _| socket.start_listen(),
            expected: [STATE, CONFLICT, OK, CONFLICT, CONFLICT, STATE, STATE, STATE, STATE],
        },
        Operation {
            name: "finish-listen",
            run: |socket, _| socket.finish_listen(),
            expected: [IDLE, IDLE, IDLE, IDLE, OK, IDLE, IDLE, IDLE, IDLE],
        },
        Operation {
            name: "accept",
            run: |socket, _| socket.accept().map(|(_socket, _input, _output)| ()),
            expected: [
                STATE,
                STATE,
                STATE,
                STATE,
                NOT_YET,
                Fails(ErrorCode::WouldBlock),
                STATE,
                STATE,
                STATE,
            ],
        },
        Operation {
            name: "local-address",
            run: |socket, _| socket.local_address().map(drop),
            expected: [STATE, ANY, OK, ANY, OK, OK, OK, OK, CLOSED],
        },
        Operation {
            name: "remote-address",
            run: |socket, _| socket.remote_address().map(drop),
            expected: [STATE, STATE, STATE, STATE, STATE, STATE, OK, OK, CLOSED],
        },
        Operation {
            name: "shutdown",
            run: |socket, _| socket.shutdown(ShutdownType::Both),
            expected: [STATE, STATE, STATE, STATE, STATE, STATE, OK, OK, CLOSED],
        },
        Operation {
            name: "set-listen-backlog-size",
            run: |socket, _| socket.set_listen_backlog_size(7),
            expected: [OK, OK, OK, STATE, OK, OK, STATE, STATE, CLOSED],
        },
        Operation {
            name: "set-listen-backlog-size-of-nothing",
            run: |socket, _| socket.set_listen_backlog_size(0),
            expected: {
                const NOTHING: Expected = Fails(ErrorCode::InvalidArgument);
                const EITHER: Expected = OneOf(&[
                    ErrorCode::InvalidArgument,
                    ErrorCode::InvalidState,
                    ErrorCode::ConnectionRefused,
                ]);
                [NOTHING, NOTHING, NOTHING, EITHER, NOTHING, NOTHING, EITHER, EITHER, EITHER]
            },
        },
        Operation {
            name: "hop-limit",
            run: |socket, _| socket.hop_limit().map(drop),
            expected: [OK, OK, OK, ANY, OK, OK, OK, OK, CLOSED],
        },
    ]
};

/// The standard's "bound" is the state `bound` or higher.
fn local_address_while_binding(family: Family) -> Outcome {
    fails(State::Binding.reach(family)?.socket.local_address(), ErrorCode::InvalidState)
}

fn is_listening_only_when_listening(family: Family) -> Outcome {
    for state in State::ALL {
        let staged = state.reach(family)?;
        match state {
            State::ListenStarted => {}
            State::Listening => holds("it listens", staged.socket.is_listening())?,
            _ => holds(&format!("it does not listen when {state:?}"), !staged.socket.is_listening())?,
        }
    }
    Ok(())
}

fn the_family_in_every_state(family: Family) -> Outcome {
    for state in State::ALL {
        same(state.reach(family)?.socket.address_family(), family)?;
    }
    Ok(())
}

fn binding_is_finished_once(family: Family) -> Outcome {
    let socket = bound(family)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)?;
    fails(socket.start_bind(&network(), loopback(family, 0)), ErrorCode::InvalidState)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)
}

fn connecting_is_finished_once(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    fails(client.socket.finish_connect(), ErrorCode::NotInProgress)
}

fn listening_is_finished_once(family: Family) -> Outcome {
    let socket = listener(family)?;
    fails(socket.finish_listen(), ErrorCode::NotInProgress)?;
    fails(socket.start_listen(), ErrorCode::InvalidState)?;
    holds("it still listens", socket.is_listening())
}

/// "Bind can be attempted multiple times on the same socket [...] as long as the previous bind failed."
fn binding_may_be_tried_again(family: Family) -> Outcome {
    let taken = listener(family)?.local_address()?;
    let socket = unbound(family)?;
    let first = crate::ends::bind(&socket, crate::ends::multicast(family, 0));
    fails(first, ErrorCode::InvalidArgument)?;
    fails(socket.finish_bind(), ErrorCode::NotInProgress)?;
    // Nobody is there any more.
    crate::ends::bind(&socket, taken)?;
    same_address(socket.local_address()?, taken)
}

fn connecting_may_be_tried_again_after_an_invalid_address(family: Family) -> Outcome {
    let (peer, socket) = (listener(family)?, unbound(family)?);
    let invalid = socket.start_connect(&network(), loopback(family, 0));
    fails(invalid, ErrorCode::InvalidArgument)?;
    fails(socket.finish_connect(), ErrorCode::NotInProgress)?;
    finish_connecting(&socket, peer.local_address()?)?;
    Ok(())
}

fn a_bound_socket_connects_from_its_address(family: Family) -> Outcome {
    let (peer, socket) = (listener(family)?, bound(family)?);
    let from = socket.local_address()?;
    let _streams = finish_connecting(&socket, peer.local_address()?)?;
    same_address(socket.local_address()?, from)?;
    same_address(crate::ends::accept(&peer)?.socket.remote_address()?, from)
}

fn the_pollable_is_ready_where_nothing_is_waited_for(family: Family) -> Outcome {
    for state in [State::Unbound, State::Bound, State::Connected, State::Closed] {
        let staged = state.reach(family)?;
        holds(&format!("it is ready when {state:?}"), staged.socket.subscribe().ready())?;
    }
    Ok(())
}

/// "`subscribe` only has to be called once per socket and can then be (re)used".
fn the_pollable_serves_all_of_the_sockets_life(family: Family) -> Outcome {
    let socket = unbound(family)?;
    let pollable = socket.subscribe();
    socket.start_bind(&network(), loopback(family, 0))?;
    crate::ends::becomes_ready(&pollable)?;
    socket.finish_bind()?;
    socket.start_listen()?;
    crate::ends::becomes_ready(&pollable)?;
    socket.finish_listen()?;
    crate::ends::stays_pending(&pollable)?;
    let _client = connect(socket.local_address()?)?;
    crate::ends::becomes_ready(&pollable)?;
    let (_accepted, _input, _output) = socket.accept()?;
    crate::ends::stays_pending(&pollable)
}

fn a_network_is_dropped_after_use(family: Family) -> Outcome {
    let (socket, first) = (unbound(family)?, network());
    socket.start_bind(&first, loopback(family, 0))?;
    drop(first);
    socket.finish_bind()?;
    let (peer, second) = (listener(family)?, network());
    socket.start_connect(&second, peer.local_address()?)?;
    drop(second);
    crate::ends::becomes_ready(&socket.subscribe())?;
    socket.finish_connect()?;
    Ok(())
}

fn sockets_are_dropped_in_every_state(family: Family) -> Outcome {
    for _ in 0..10 {
        for state in State::ALL {
            drop(state.reach(family).map_err(|failure: Failure| failure.while_doing(format!("{state:?}")))?);
        }
    }
    Ok(())
}
