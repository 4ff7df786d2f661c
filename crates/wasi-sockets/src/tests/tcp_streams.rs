use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;
use crate::bindings::wasi::sockets::tcp::ShutdownType;

/// A guest's connection and its peer's end, outside.
struct Connection {
    guest: Guest,
    socket: Resource<TcpSocket>,
    input: Resource<DynInputStream>,
    output: Resource<DynOutputStream>,
    peer: TcpStream,
}

impl Connection {
    async fn new() -> Self {
        let outside = TcpListener::bind(ANY_PORT).unwrap();
        let mut guest = Guest::new();
        let socket = guest.tcp(IpAddressFamily::Ipv4).await;
        let (input, output) = guest.connect(&socket, outside.local_addr().unwrap()).await.unwrap();
        let (peer, _) = outside.accept().unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { guest, socket, input, output, peer }
    }

    /// Writes until the host takes no more, and says how many bytes that were.
    fn fill(&mut self) -> usize {
        let mut written = 0;
        loop {
            match self.check_write().unwrap() {
                0 => return written,
                permitted => {
                    let bytes = pattern(written, permitted);
                    self.guest.table.write(lent(&self.output), bytes).unwrap();
                    written += permitted;
                }
            }
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.guest.table.check_write(lent(&self.output))? as usize)
    }

    fn read_now(&mut self) -> StreamResult<Vec<u8>> {
        wasmtime_wasi_io::bindings::wasi::io::streams::HostInputStream::read(
            &mut self.guest.table,
            lent(&self.input),
            100,
        )
    }

    async fn shut_down(&mut self, kind: ShutdownType) {
        self.guest.view().shutdown(lent(&self.socket), kind).await.unwrap();
    }

    /// Lets the peer end the connection with a reset.
    async fn reset(&mut self) {
        let outside = TcpListener::bind(ANY_PORT).unwrap();
        let other = TcpStream::connect(outside.local_addr().unwrap()).unwrap();
        // Linux resets a connection that is closed before all is read.
        self.guest.write(&self.output, b"never read").await.unwrap();
        let mut seen = [0];
        self.peer.peek(&mut seen).unwrap();
        drop(std::mem::replace(&mut self.peer, other));
    }
}

/// Bytes from `offset` on of a sequence that shows what is lost or swapped.
fn pattern(offset: usize, length: usize) -> Vec<u8> {
    (offset..offset + length).map(|at| (at % 251) as u8).collect()
}

/// Reads in a thread of its own until the end.
fn read_all(mut peer: TcpStream) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    })
}

#[tokio::test]
async fn bytes_go_both_ways_until_each_side_ends() {
    let mut c = Connection::new().await;
    assert_eq!(c.read_now().unwrap(), b"");
    c.guest.write(&c.output, b"question").await.unwrap();
    let mut question = [0; 8];
    c.peer.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"question");
    c.peer.write_all(b"answer").unwrap();
    assert_eq!(c.guest.read(&c.input, 3).await.unwrap(), b"ans");
    assert_eq!(c.guest.read(&c.input, 100).await.unwrap(), b"wer");
    c.peer.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(c.guest.read(&c.input, 1).await, Err(StreamError::Closed)));
    assert!(matches!(c.read_now(), Err(StreamError::Closed)));
    c.guest.write(&c.output, b"still").await.unwrap();
    c.shut_down(ShutdownType::Send).await;
    let mut rest = Vec::new();
    c.peer.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"still");
}

#[tokio::test]
async fn a_readable_pollable_loses_nothing() {
    let mut c = Connection::new().await;
    let pollable = c.guest.table.subscribe_input(&c.input);
    assert!(!c.guest.is_ready(&pollable).await);
    let bytes = pattern(0, 100_000);
    let (mut peer, sent) = (c.peer.try_clone().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || {
        peer.write_all(&sent).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    c.guest.block(pollable).await;
    assert_eq!(c.guest.read_to_end(&c.input).await, bytes);
    writer.join().unwrap();
}

#[tokio::test]
async fn writes_need_a_permit_and_use_it_up() {
    let mut c = Connection::new().await;
    let unasked = c.guest.table.write(lent(&c.output), b"x".to_vec());
    assert!(matches!(unasked, Err(StreamError::Trap(_))));
    assert!(c.guest.table.write(lent(&c.output), Vec::new()).is_ok());
    let permitted = c.check_write().unwrap();
    assert_eq!(permitted, 64 << 10);
    let too_much = c.guest.table.write(lent(&c.output), vec![0; permitted + 1]);
    assert!(matches!(too_much, Err(StreamError::Trap(_))));
    c.check_write().unwrap();
    c.guest.table.write(lent(&c.output), b"x".to_vec()).unwrap();
    let again = c.guest.table.write(lent(&c.output), b"x".to_vec());
    assert!(matches!(again, Err(StreamError::Trap(_))));
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_guest() {
    let mut c = Connection::new().await;
    let written = c.fill();
    let pollable = c.guest.table.subscribe_output(&c.output);
    assert!(!c.guest.is_ready(&pollable).await);
    assert!(c.guest.table.flush(lent(&c.output)).is_ok());
    assert_eq!(c.check_write().unwrap(), 0);
    let received = read_all(c.peer.try_clone().unwrap());
    c.guest.block(pollable).await;
    assert_eq!(c.check_write().unwrap(), 64 << 10);
    c.shut_down(ShutdownType::Send).await;
    assert_eq!(received.join().unwrap(), pattern(0, written));
}

#[tokio::test]
async fn what_was_written_goes_without_the_guest() {
    let mut c = Connection::new().await;
    let written = c.fill();
    let mut received = vec![0; written];
    let mut peer = c.peer.try_clone().unwrap();
    let received = tokio::task::spawn_blocking(move || {
        peer.read_exact(&mut received).unwrap();
        received
    });
    assert_eq!(received.await.unwrap(), pattern(0, written));
}

#[tokio::test]
async fn a_shutdown_waits_for_what_was_written() {
    let mut c = Connection::new().await;
    let written = c.fill();
    c.shut_down(ShutdownType::Send).await;
    c.shut_down(ShutdownType::Send).await;
    assert_eq!(c.check_write().unwrap(), 0);
    let received = read_all(c.peer.try_clone().unwrap());
    let pollable = c.guest.table.subscribe_output(&c.output);
    c.guest.block(pollable).await;
    assert!(matches!(c.check_write(), Err(StreamError::Closed)));
    assert!(matches!(c.guest.table.flush(lent(&c.output)), Err(StreamError::Closed)));
    assert_eq!(received.join().unwrap(), pattern(0, written));
}

#[tokio::test]
async fn a_dropped_stream_waits_for_what_was_written() {
    let mut c = Connection::new().await;
    let written = c.fill();
    let received = read_all(c.peer.try_clone().unwrap());
    let Connection { mut guest, socket, input, output, .. } = c;
    let dropped =
        wasmtime_wasi_io::bindings::wasi::io::streams::HostOutputStream::drop(&mut guest.table, output);
    timeout(PATIENCE, dropped).await.unwrap().unwrap();
    wasmtime_wasi_io::bindings::wasi::io::streams::HostInputStream::drop(&mut guest.table, input)
        .await
        .unwrap();
    HostTcpSocket::drop(&mut guest.view(), socket).await.unwrap();
    assert_eq!(received.join().unwrap(), pattern(0, written));
}

#[tokio::test]
async fn receiving_can_be_shut_down() {
    let mut c = Connection::new().await;
    c.peer.write_all(b"unwanted").unwrap();
    let pollable = c.guest.table.subscribe_input(&c.input);
    c.guest.block(pollable).await;
    c.shut_down(ShutdownType::Receive).await;
    assert!(matches!(c.read_now(), Err(StreamError::Closed)));
    c.guest.write(&c.output, b"still").await.unwrap();
    c.shut_down(ShutdownType::Both).await;
    assert!(matches!(c.check_write(), Err(StreamError::Closed)));
}

#[tokio::test]
async fn a_reset_is_told_once_with_its_code() {
    let mut c = Connection::new().await;
    c.reset().await;
    let read = c.guest.read(&c.input, 1).await;
    assert_eq!(c.guest.network_error(read).await, Some(ErrorCode::ConnectionReset));
    assert!(matches!(c.read_now(), Err(StreamError::Closed)));
    c.check_write().unwrap();
    let written = c.guest.table.write(lent(&c.output), b"late".to_vec());
    assert_eq!(c.guest.network_error(written).await, Some(ErrorCode::ConnectionReset));
    assert!(matches!(c.check_write(), Err(StreamError::Closed)));
    c.shut_down(ShutdownType::Both).await;
}

#[tokio::test]
async fn a_reset_ends_what_waits_to_be_sent() {
    let mut c = Connection::new().await;
    c.fill();
    let pollable = c.guest.table.subscribe_output(&c.output);
    let outside = TcpListener::bind(ANY_PORT).unwrap();
    c.peer = TcpStream::connect(outside.local_addr().unwrap()).unwrap();
    c.guest.block(pollable).await;
    let flushed = c.guest.table.flush(lent(&c.output));
    assert_eq!(c.guest.network_error(flushed).await, Some(ErrorCode::ConnectionReset));
    assert!(matches!(c.check_write(), Err(StreamError::Closed)));
}

#[tokio::test]
async fn errors_of_other_kinds_have_no_code() {
    let mut guest = Guest::new();
    let error = wasmtime::Error::msg("a file's");
    let result: StreamResult<()> = Err(StreamError::LastOperationFailed(error));
    assert_eq!(guest.network_error(result).await, None);
}

#[tokio::test]
async fn the_end_of_a_call_closes_its_sockets() {
    let mut c = Connection::new().await;
    let (_, address) = c.guest.listener().await;
    c.fill();
    let mut peer = c.peer.try_clone().unwrap();
    drop(c.guest.table);
    let read = tokio::task::spawn_blocking(move || peer.read_to_end(&mut Vec::new()).map(drop));
    // The end of the connection, not of the test's patience.
    let kind = read.await.unwrap().err().map(|error| error.kind());
    assert!(matches!(kind, None | Some(std::io::ErrorKind::ConnectionReset)), "{kind:?}");
    assert!(is_closed(address).await);
}

async fn is_closed(address: SocketAddr) -> bool {
    for _ in 0..3_000 {
        if TcpStream::connect(address).is_err() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

trait Subscribe {
    fn subscribe_input(&mut self, input: &Resource<DynInputStream>) -> Resource<DynPollable>;
    fn subscribe_output(&mut self, output: &Resource<DynOutputStream>) -> Resource<DynPollable>;
}

impl Subscribe for ResourceTable {
    fn subscribe_input(&mut self, input: &Resource<DynInputStream>) -> Resource<DynPollable> {
        wasmtime_wasi_io::poll::subscribe(self, lent(input)).unwrap()
    }

    fn subscribe_output(&mut self, output: &Resource<DynOutputStream>) -> Resource<DynPollable> {
        wasmtime_wasi_io::poll::subscribe(self, lent(output)).unwrap()
    }
}
