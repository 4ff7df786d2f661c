//! Data over connections: both ways, with back-pressure, and to each kind of end.

use crate::ends::{
    Connection, Family, add, becomes_ready, is_closed, pair, read_exactly, read_to_end, same_address,
    stays_pending, write_all,
};
use crate::wasi::io::streams::StreamError;
use crate::wasi::sockets::network::{ErrorCode, network_error_code};
use crate::wasi::sockets::tcp::ShutdownType;
use conformance_suite::{Cases, Failure, Outcome, fails, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    add(
        &mut cases,
        "tcp-data",
        functions![
            goes_both_ways,
            keeps_its_order,
            comes_in_pieces_as_it_is_asked_for,
            a_megabyte,
            nothing_is_there_yet,
            nothing_is_asked_for,
            nothing_is_written,
            the_reader_waits,
            the_reader_blocks,
            skips,
            splices,
            zeroes,
            a_full_connection_permits_nothing,
            a_full_connection_goes_on_when_it_is_read,
            both_ends_write_at_once,
            the_pollable_of_the_output_is_ready,
        ],
    );
    add(
        &mut cases,
        "tcp-shutdown",
        functions![
            of_sending,
            of_sending_after_data,
            of_sending_leaves_receiving,
            of_receiving,
            of_receiving_what_is_there,
            of_receiving_leaves_sending,
            of_both,
            of_each,
            is_idempotent,
            leaves_the_addresses,
            of_sending_while_full,
        ],
    );
    add(
        &mut cases,
        "tcp-end",
        functions![
            of_the_peer,
            of_the_peer_wakes_the_reader,
            of_the_peer_with_data_left,
            is_told_again,
            of_dropped_streams,
            of_the_output_alone,
            of_the_input_alone,
            by_a_reset,
            by_a_reset_of_a_writer,
            data_written_before_the_drop_arrives,
        ],
    );
    cases
}

fn goes_both_ways(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"ping")?;
    same(read_exactly(&server.input, 4)?, b"ping")?;
    write_all(&server.output, b"pong")?;
    same(read_exactly(&client.input, 4)?, b"pong")
}

fn keeps_its_order(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    for byte in 0..=255 {
        write_all(&client.output, &[byte])?;
    }
    same(read_exactly(&server.input, 256)?, (0..=255).collect::<Vec<u8>>())
}

fn comes_in_pieces_as_it_is_asked_for(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"0123456789")?;
    for byte in b"0123456789" {
        same(server.input.blocking_read(1)?, [*byte])?;
    }
    same(server.input.read(1)?, b"")
}

fn a_megabyte(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let data = pattern(1 << 20);
    let mut received = Vec::new();
    let mut rest = &data[..];
    while received.len() < data.len() {
        let permit = client.output.check_write()?.min(rest.len() as u64) as usize;
        client.output.write(&rest[..permit])?;
        rest = &rest[permit..];
        received.extend(server.input.blocking_read(64 << 10)?);
    }
    holds("it is what was sent", received == data)
}

fn nothing_is_there_yet(family: Family) -> Outcome {
    let (_client, server) = pair(family)?;
    same(server.input.read(100)?, b"")?;
    stays_pending(&server.input.subscribe())?;
    same(server.input.read(100)?, b"")
}

fn nothing_is_asked_for(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"x")?;
    becomes_ready(&server.input.subscribe())?;
    same(server.input.read(0)?, b"")?;
    same(server.input.read(1)?, b"x")
}

fn nothing_is_written(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.output.check_write()?;
    client.output.write(b"")?;
    client.output.blocking_flush()?;
    same(server.input.read(1)?, b"")
}

fn the_reader_waits(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let pollable = server.input.subscribe();
    stays_pending(&pollable)?;
    write_all(&client.output, b"x")?;
    becomes_ready(&pollable)?;
    same(server.input.read(1)?, b"x")?;
    // It may be ready once more for nothing.
    same(server.input.read(1)?, b"")?;
    stays_pending(&pollable)
}

fn the_reader_blocks(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"hello")?;
    let bytes = server.input.blocking_read(100)?;
    holds("something came", !bytes.is_empty() && b"hello".starts_with(&bytes))
}

fn skips(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"0123456789")?;
    let mut skipped = 0;
    while skipped < 4 {
        skipped += server.input.blocking_skip(4 - skipped)?;
    }
    same(read_exactly(&server.input, 6)?, b"456789")
}

/// From one connection to another.
fn splices(family: Family) -> Outcome {
    let ((client, relay_in), (relay_out, server)) = (pair(family)?, pair(family)?);
    write_all(&client.output, b"0123456789")?;
    let mut spliced = 0;
    while spliced < 10 {
        spliced += relay_out.output.blocking_splice(&relay_in.input, 10 - spliced)?;
    }
    same(read_exactly(&server.input, 10)?, b"0123456789")
}

fn zeroes(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.output.blocking_write_zeroes_and_flush(4_096)?;
    same(read_exactly(&server.input, 4_096)?, vec![0; 4_096])
}

/// Writes until nothing more is permitted.
fn fill(connection: &Connection) -> Outcome<usize> {
    let mut written = 0;
    // A permit that is gone may come back when the kernel has taken what was under way, on a slow machine later.
    while written < MOST_IN_FLIGHT {
        let mut permit = connection.output.check_write()?;
        if permit == 0 && (0..10).any(|_| stays_pending(&connection.output.subscribe()).is_err()) {
            permit = connection.output.check_write()?;
        }
        if permit == 0 {
            return Ok(written);
        }
        let piece = (permit as usize).min(64 << 10);
        connection.output.write(&pattern_from(written, piece))?;
        written += piece;
    }
    Err(Failure::new("it is never full"))
}

fn a_full_connection_permits_nothing(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    fill(&client)?;
    same(client.output.check_write()?, 0)?;
    holds("it is not ready", !client.output.subscribe().ready())?;
    stays_pending(&client.output.subscribe())
}

fn a_full_connection_goes_on_when_it_is_read(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let written = fill(&client)?;
    let pollable = client.output.subscribe();
    stays_pending(&pollable)?;
    let received = read_exactly(&server.input, written)?;
    holds("it is what was written", received == pattern(written))?;
    becomes_ready(&pollable)?;
    holds("it permits again", client.output.check_write()? > 0)?;
    write_all(&client.output, b"more")?;
    same(read_exactly(&server.input, 4)?, b"more")
}

fn both_ends_write_at_once(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let (up, down) = (fill(&client)?, fill(&server)?);
    same(read_exactly(&server.input, up)?.len(), up)?;
    same(read_exactly(&client.input, down)?.len(), down)
}

fn the_pollable_of_the_output_is_ready(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    becomes_ready(&client.output.subscribe())?;
    holds("it permits something", client.output.check_write()? > 0)
}

fn of_sending(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Send)?;
    is_closed(client.output.check_write())?;
    is_closed(server.input.blocking_read(1))
}

fn of_sending_after_data(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"the last words")?;
    client.socket.shutdown(ShutdownType::Send)?;
    same(read_to_end(&server.input)?, b"the last words")
}

fn of_sending_leaves_receiving(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Send)?;
    is_closed(server.input.blocking_read(1))?;
    write_all(&server.output, b"an answer")?;
    same(read_exactly(&client.input, 9)?, b"an answer")?;
    server.socket.shutdown(ShutdownType::Send)?;
    is_closed(client.input.blocking_read(1))
}

fn of_receiving(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Receive)?;
    becomes_ready(&client.input.subscribe())?;
    is_closed(client.input.read(1))
}

/// "Any data still in the receive queue at time of calling this method will be discarded."
fn of_receiving_what_is_there(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&server.output, b"too late")?;
    becomes_ready(&client.input.subscribe())?;
    client.socket.shutdown(ShutdownType::Receive)?;
    is_closed(client.input.read(100))
}

fn of_receiving_leaves_sending(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Receive)?;
    write_all(&client.output, b"still")?;
    same(read_exactly(&server.input, 5)?, b"still")
}

fn of_both(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Both)?;
    is_closed(client.input.read(1))?;
    is_closed(client.output.check_write())?;
    is_closed(server.input.blocking_read(1))
}

fn of_each(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    client.socket.shutdown(ShutdownType::Receive)?;
    client.socket.shutdown(ShutdownType::Send)?;
    is_closed(client.input.read(1))?;
    is_closed(client.output.check_write())?;
    is_closed(server.input.blocking_read(1))
}

fn is_idempotent(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    for kind in [ShutdownType::Send, ShutdownType::Receive, ShutdownType::Both] {
        client.socket.shutdown(kind)?;
        client.socket.shutdown(kind)?;
    }
    Ok(())
}

fn leaves_the_addresses(family: Family) -> Outcome {
    let (client, _server) = pair(family)?;
    let before = format!("{:?} {:?}", client.socket.local_address()?, client.socket.remote_address()?);
    client.socket.shutdown(ShutdownType::Send)?;
    let after = format!("{:?} {:?}", client.socket.local_address()?, client.socket.remote_address()?);
    same(after, before)?;
    holds("it is no listener", !client.socket.is_listening())?;
    fails(client.socket.finish_connect().map(drop), ErrorCode::NotInProgress)
}

/// What was written before arrives all the same.
fn of_sending_while_full(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let written = fill(&client)?;
    client.socket.shutdown(ShutdownType::Send)?;
    let received = read_to_end(&server.input)?;
    holds("it is what was written", received == pattern(written))?;
    becomes_ready(&client.output.subscribe())?;
    is_closed(client.output.check_write())
}

fn of_the_peer(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    drop(client);
    is_closed(server.input.blocking_read(1))
}

fn of_the_peer_wakes_the_reader(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let pollable = server.input.subscribe();
    stays_pending(&pollable)?;
    drop(client);
    becomes_ready(&pollable)?;
    is_closed(server.input.read(1))
}

fn of_the_peer_with_data_left(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&client.output, b"left")?;
    drop(client);
    same(read_to_end(&server.input)?, b"left")
}

fn is_told_again(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    drop(client);
    for _ in 0..3 {
        is_closed(server.input.blocking_read(1))?;
        is_closed(server.input.read(1))?;
    }
    becomes_ready(&server.input.subscribe())
}

/// Without streams there is still a socket to shut down.
fn of_dropped_streams(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let Connection { input, output, socket } = client;
    drop((input, output));
    same_address(socket.remote_address()?, server.socket.local_address()?)?;
    socket.shutdown(ShutdownType::Both)?;
    is_closed(server.input.blocking_read(1))?;
    drop(socket);
    Ok(())
}

fn of_the_output_alone(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let Connection { input, output, socket } = client;
    write_all(&output, b"all of it")?;
    socket.shutdown(ShutdownType::Send)?;
    drop(output);
    same(read_to_end(&server.input)?, b"all of it")?;
    write_all(&server.output, b"back")?;
    same(read_exactly(&input, 4)?, b"back")?;
    drop(input);
    drop(socket);
    Ok(())
}

fn of_the_input_alone(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let Connection { input, output, socket } = client;
    drop(input);
    write_all(&output, b"still")?;
    same(read_exactly(&server.input, 5)?, b"still")?;
    drop(output);
    drop(socket);
    Ok(())
}

/// An end that is dropped with data unread resets the connection (RFC 9293, section 3.6.1).
fn by_a_reset(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&server.output, b"never read")?;
    becomes_ready(&client.input.subscribe())?;
    drop(client);
    becomes_ready(&server.input.subscribe())?;
    match server.input.read(1) {
        Err(StreamError::LastOperationFailed(error)) => {
            same(network_error_code(&error), Some(ErrorCode::ConnectionReset))?;
            holds("it has words", !error.to_debug_string().is_empty())
        }
        // Whoever read ahead for the guest has left nothing unread.
        Err(StreamError::Closed) => Ok(()),
        Ok(bytes) => Err(Failure::new(format!("{} bytes", bytes.len()))),
    }
}

fn by_a_reset_of_a_writer(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    write_all(&server.output, b"never read")?;
    becomes_ready(&client.input.subscribe())?;
    drop(client);
    for _ in 0..1_000 {
        becomes_ready(&server.output.subscribe())?;
        let written = server
            .output
            .check_write()
            .and_then(|permit| server.output.write(&vec![0; permit.min(1_000) as usize]));
        match written {
            Ok(()) => {}
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = network_error_code(&error);
                holds(
                    "it is a reset",
                    matches!(code, Some(ErrorCode::ConnectionReset | ErrorCode::ConnectionAborted)),
                )?;
                return Ok(());
            }
        }
    }
    Err(Failure::new("the writer is never told"))
}

fn data_written_before_the_drop_arrives(family: Family) -> Outcome {
    let (client, server) = pair(family)?;
    let data = pattern(16 << 10);
    let permit = client.output.check_write()? as usize;
    let sent = &data[..permit.min(data.len())];
    client.output.write(sent)?;
    // Not flushed.
    drop(client);
    holds("it is what was written", read_to_end(&server.input)? == sent)
}

/// Bytes by which a piece that is lost or twice there is noticed.
fn pattern(length: usize) -> Vec<u8> {
    pattern_from(0, length)
}

fn pattern_from(start: usize, length: usize) -> Vec<u8> {
    (start..start + length).map(|position| (position % 251) as u8).collect()
}

/// More than any system buffers for one connection.
const MOST_IN_FLIGHT: usize = 256 << 20;
