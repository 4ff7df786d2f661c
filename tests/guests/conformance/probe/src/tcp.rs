//! TCP, one step after the other.

use crate::address::{family, parse, text};
use crate::stream_error;
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::network::{ErrorCode, IpSocketAddress};
use crate::wasi::sockets::tcp::{ShutdownType, TcpSocket};
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;

pub(crate) fn roundtrip(address: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (socket, input, output) = connect(parse(address)?).map_err(name)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let permit = output.check_write().map_err(stream_error)?.min(rest.len() as u64) as usize;
        if permit == 0 {
            output.subscribe().block();
            continue;
        }
        output.write(&rest[..permit]).map_err(stream_error)?;
        rest = &rest[permit..];
    }
    output.blocking_flush().map_err(stream_error)?;
    socket.shutdown(ShutdownType::Send).map_err(name)?;
    let mut answer = Vec::new();
    read(&input, |bytes| answer.extend(bytes))?;
    Ok(answer)
}

pub(crate) fn read_to_end(address: &str) -> Result<u64, String> {
    let (_socket, input, _output) = connect(parse(address)?).map_err(name)?;
    let mut count = 0;
    read(&input, |bytes| count += bytes.len() as u64)?;
    Ok(count)
}

pub(crate) fn bind(address: &str) -> Result<String, String> {
    let socket = bound(parse(address)?).map_err(name)?;
    socket.local_address().map(text).map_err(name)
}

pub(crate) fn listen(address: &str) -> Result<String, String> {
    let socket = listening(parse(address)?).map_err(name)?;
    socket.local_address().map(text).map_err(name)
}

pub(crate) fn accept(address: &str) -> Result<(String, Vec<u8>), String> {
    let socket = listening(parse(address)?).map_err(name)?;
    let (connection, input, output) = finish(&socket, TcpSocket::accept).map_err(name)?;
    let peer = connection.remote_address().map_err(name)?;
    let mut bytes = Vec::new();
    read(&input, |more| bytes.extend(more))?;
    drop((input, output));
    Ok((text(peer), bytes))
}

pub(crate) fn addresses(address: &str) -> Result<(String, String), String> {
    let (socket, _input, _output) = connect(parse(address)?).map_err(name)?;
    let own = socket.local_address().map_err(name)?;
    Ok((text(own), text(socket.remote_address().map_err(name)?)))
}

pub(crate) fn options(address: &str) -> Result<Vec<(String, u64)>, String> {
    set_and_ask(&create_tcp_socket(family(&parse(address)?)).map_err(name)?).map_err(name)
}

fn set_and_ask(socket: &TcpSocket) -> Result<Vec<(String, u64)>, ErrorCode> {
    socket.set_keep_alive_enabled(true)?;
    socket.set_keep_alive_idle_time(60_000_000_000)?;
    socket.set_keep_alive_interval(10_000_000_000)?;
    socket.set_keep_alive_count(5)?;
    socket.set_hop_limit(64)?;
    socket.set_receive_buffer_size(65_536)?;
    socket.set_send_buffer_size(65_536)?;
    let values = [
        ("keep-alive-enabled", u64::from(socket.keep_alive_enabled()?)),
        ("keep-alive-idle-time", socket.keep_alive_idle_time()?),
        ("keep-alive-interval", socket.keep_alive_interval()?),
        ("keep-alive-count", socket.keep_alive_count()?.into()),
        ("hop-limit", socket.hop_limit()?.into()),
        ("receive-buffer-size", socket.receive_buffer_size()?),
        ("send-buffer-size", socket.send_buffer_size()?),
    ];
    Ok(values.into_iter().map(|(option, value)| (option.to_owned(), value)).collect())
}

fn connect(to: IpSocketAddress) -> Result<(TcpSocket, InputStream, OutputStream), ErrorCode> {
    let socket = create_tcp_socket(family(&to))?;
    socket.start_connect(&instance_network(), to)?;
    let (input, output) = finish(&socket, TcpSocket::finish_connect)?;
    Ok((socket, input, output))
}

fn listening(at: IpSocketAddress) -> Result<TcpSocket, ErrorCode> {
    let socket = bound(at)?;
    socket.start_listen()?;
    finish(&socket, TcpSocket::finish_listen)?;
    Ok(socket)
}

fn bound(at: IpSocketAddress) -> Result<TcpSocket, ErrorCode> {
    let socket = create_tcp_socket(family(&at))?;
    socket.start_bind(&instance_network(), at)?;
    finish(&socket, TcpSocket::finish_bind)?;
    Ok(socket)
}

/// Tries as often as the socket is ready, until there is a result.
fn finish<T>(
    socket: &TcpSocket,
    attempt: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match attempt(socket) {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

fn read(input: &InputStream, mut take: impl FnMut(Vec<u8>)) -> Result<(), String> {
    loop {
        match input.blocking_read(1 << 16) {
            Ok(bytes) => take(bytes),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(stream_error(error)),
        }
    }
}

fn name(error: ErrorCode) -> String {
    error.name().to_owned()
}
