use std::io::{Read as _, Write as _};
use std::time::Duration;

use cloister_frames::{
    DiskFailure, DiskRequest, DiskResponse, Family, QuoteRequest, QuoteResponse, SocketFailure,
    SocketRequest, SocketResponse, Transport, encode_length,
};

use super::*;
use crate::memory::Memory;
use crate::service::Quoting;

#[derive(Debug)]
struct NoQuotes;

impl Quoting for NoQuotes {
    fn answer(&self, _: QuoteRequest) -> Result<QuoteResponse, String> {
        Err("none".into())
    }
}

fn streams(listen: &str) -> Streams {
    let offer = Offer {
        listen: listen.parse().unwrap(),
        configuration: Arc::new(Configuration::new(b"{}".to_vec()).unwrap()),
        quotes: Arc::new(Quotes(Arc::new(NoQuotes))),
        disk: Arc::new(Disk::of_few_blocks(None)),
        tpm: None,
    };
    Streams::new(offer, &LogSink::discard(), None).unwrap()
}

struct Buffer {
    memory: Memory,
    address: u64,
}

impl Buffer {
    fn new() -> Self {
        let memory = Memory::new(0..0);
        let address = memory.allocate(4096, 8).unwrap();
        Self { memory, address }
    }

    fn read(&self, stream: &Stream, length: u64) -> Result<Vec<u8>, UsercallError> {
        let buffer = self.memory.borrow(self.address, length).unwrap();
        stream.read(&buffer).map(|count| buffer.to_vec(count))
    }

    fn write(&self, stream: &Stream, bytes: &[u8]) -> Result<usize, UsercallError> {
        let buffer = self.memory.borrow(self.address, bytes.len() as u64).unwrap();
        buffer.copy_from(bytes);
        stream.write(&buffer)
    }
}

fn connected(streams: &Streams) -> (Arc<Stream>, TcpStream, u64) {
    let (listener, local) = streams.bind("cloister:tcp:127.0.0.1:0").unwrap();
    let client = TcpStream::connect(&local).unwrap();
    let accepted = loop {
        match streams.accept(listener) {
            Err(UsercallError::WouldBlock) => std::thread::yield_now(),
            accepted => break accepted.unwrap(),
        }
    };
    assert_eq!(accepted.local.to_string(), local);
    assert_eq!(accepted.peer, client.local_addr().unwrap());
    (streams.find(accepted.fd).unwrap(), client, listener)
}

#[test]
fn standard_streams_are_there() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    assert_eq!(buffer.read(&streams.find(0).unwrap(), 10), Ok(vec![]));
    assert_eq!(buffer.write(&streams.find(0).unwrap(), b"x"), Err(UsercallError::InvalidInput));
    assert_eq!(buffer.write(&streams.find(2).unwrap(), b"line\n"), Ok(5));
    assert_eq!(buffer.read(&streams.find(1).unwrap(), 10), Err(UsercallError::InvalidInput));
    assert_eq!(streams.find(3).unwrap_err(), UsercallError::BrokenPipe);
}

#[test]
fn sockets_never_block_and_carry_bytes() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    let (server, mut client, listener) = connected(&streams);
    assert_eq!(streams.accept(listener).unwrap_err(), UsercallError::WouldBlock);
    assert_eq!(buffer.read(&server, 10), Err(UsercallError::WouldBlock));
    assert_eq!(buffer.write(&server, b"hello"), Ok(5));
    let mut bytes = [0; 5];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    client.write_all(b"back").unwrap();
    let readiness = Arc::clone(streams.table.readiness());
    readiness.wait(1024).unwrap();
    assert_eq!(buffer.read(&server, 3), Ok(b"bac".to_vec()));
    drop(client);
    assert_eq!(buffer.read(&server, 10), Ok(b"k".to_vec()));
    let end = loop {
        match buffer.read(&server, 10) {
            Err(UsercallError::WouldBlock) => std::thread::yield_now(),
            end => break end,
        }
    };
    assert_eq!(end, Ok(vec![]));
}

#[test]
fn a_full_socket_would_block() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    let (server, _client, _) = connected(&streams);
    let blocked = (0..1 << 20).find_map(|_| buffer.write(&server, &[0; 4096]).err());
    assert_eq!(blocked, Some(UsercallError::WouldBlock));
}

#[test]
fn only_the_agreed_address_may_be_bound_and_once() {
    let streams = streams("127.0.0.1:0");
    for refused in [
        "127.0.0.1:0",
        "cloister:tcp:127.0.0.1:1",
        "cloister:tcp:0.0.0.0:0",
        "cloister:tcp:localhost:0",
        "cloister:tcp:",
        "",
    ] {
        assert_eq!(streams.bind(refused), Err(UsercallError::PermissionDenied), "{refused}");
    }
    assert!(streams.bind("cloister:tcp:127.0.0.1:0").is_ok());
    assert_eq!(streams.bind("cloister:tcp:127.0.0.1:0"), Err(UsercallError::AddrInUse));
}

#[test]
fn a_port_in_use_is_told_to_the_enclave_and_to_the_host() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let streams = streams(&address);
    assert_eq!(streams.bind(&format!("{LISTEN_PREFIX}{address}")), Err(UsercallError::AddrInUse));
    let failure = streams.listening().take_failure().unwrap();
    assert_eq!(failure.kind(), io::ErrorKind::AddrInUse);
    assert!(streams.listening().take_failure().is_none());
}

#[test]
fn nothing_but_services_can_be_connected_to() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    for refused in ["127.0.0.1:80", "example.com:443", "cloister:tcp:127.0.0.1:0", ""] {
        assert_eq!(streams.connect(refused), Err(UsercallError::PermissionDenied));
    }
    let configuration = streams.find(streams.connect(CONFIGURATION).unwrap()).unwrap();
    assert_eq!(buffer.write(&configuration, &[0; 4]), Ok(4));
    assert_eq!(buffer.read(&configuration, 100), Ok(b"\x02\0\0\0{}".to_vec()));
    let quotes = streams.find(streams.connect(QUOTES).unwrap()).unwrap();
    assert_eq!(buffer.write(&quotes, b"\x01\0\0\0\x01"), Ok(5));
    assert_eq!(buffer.read(&quotes, 100), Ok(b"\x05\0\0\0\xffnone".to_vec()));
}

#[test]
fn the_disk_is_lent_over_any_number_of_streams_and_no_tpm_is_not_found() {
    let streams = streams("127.0.0.1:0");
    assert_eq!(streams.connect(TPM), Err(UsercallError::NotFound));
    let [first, second] = [(); 2].map(|()| streams.find(streams.connect(DISK).unwrap()).unwrap());
    assert_eq!(first.kind(), StreamKind::Disk);
    let memory = Memory::new(0..0);
    let length = 20 + 16 * 4096;
    let address = memory.allocate(length, 8).unwrap();
    let ask = |stream: &Stream, request: DiskRequest<'_>| {
        let frame = [request.head().as_bytes(), request.data()].concat();
        let buffer = memory.borrow(address, length).unwrap();
        buffer.copy_from(&frame);
        drop(buffer);
        let offered = memory.borrow(address, frame.len() as u64).unwrap();
        assert_eq!(stream.write(&offered), Ok(frame.len()), "one usercall takes all of it");
        drop(offered);
        let buffer = memory.borrow(address, length).unwrap();
        let count = stream.read(&buffer).unwrap();
        buffer.to_vec(count)[4..].to_vec()
    };
    assert_eq!(ask(&first, DiskRequest::Resize { blocks: 16 }), DiskResponse::Done.encode());
    let data: Vec<u8> = (0..16 * 4096).map(|i| (i % 249) as u8).collect();
    assert_eq!(ask(&first, DiskRequest::Write { block: 0, data: &data }), DiskResponse::Done.encode());
    let read = DiskRequest::Read { block: 0, count: 16 };
    assert!(ask(&second, read) == DiskResponse::Data(&data).encode());
    assert_eq!(streams.disk_statistics().read_bytes, 16 * 4096);
    streams.stop();
    assert_eq!(ask(&second, read), DiskResponse::Failed(DiskFailure::Io).encode());
}

#[test]
fn a_byte_written_to_the_readiness_stream_ends_a_read() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    let readiness = streams.find(streams.connect(READINESS).unwrap()).unwrap();
    assert_eq!(buffer.write(&readiness, b"!"), Ok(1));
    assert_eq!(buffer.read(&readiness, 64), Err(UsercallError::Interrupted));
}

#[test]
fn numbers_are_not_used_twice() {
    let streams = streams("127.0.0.1:0");
    let first = streams.connect(CONFIGURATION).unwrap();
    streams.close(first);
    streams.close(first);
    assert_eq!(streams.find(first).unwrap_err(), UsercallError::BrokenPipe);
    assert_ne!(streams.connect(CONFIGURATION).unwrap(), first);
}

#[test]
fn shutdown_refuses_new_connections_and_keeps_those_there_are() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    let (server, mut client, listener) = connected(&streams);
    let address = streams.listening().wait(Duration::ZERO, |progress| match progress {
        Progress::Bound(address, _) => Some(*address),
        _ => None,
    });
    streams.request_shutdown();
    assert_eq!(streams.accept(listener).unwrap_err(), UsercallError::WouldBlock);
    assert!(TcpStream::connect(address.unwrap()).is_err());
    assert_eq!(buffer.write(&server, b"bye"), Ok(3));
    let mut bytes = [0; 3];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"bye");
}

#[test]
fn a_listener_that_was_lent_is_not_the_enclaves_own() {
    let (streams, buffer) = (streams("127.0.0.1:0"), Buffer::new());
    let service = streams.find(streams.connect(SOCKETS).unwrap()).unwrap();
    let ask = |request: &SocketRequest<'_>| {
        let payload = request.encode();
        let frame = [&encode_length(payload.len()).unwrap(), payload.as_slice()].concat();
        buffer.write(&service, &frame).unwrap();
        buffer.read(&service, 4096).unwrap().split_off(4)
    };
    let answer = ask(&SocketRequest::Open { transport: Transport::Tcp, family: Family::V4 });
    let Ok(SocketResponse::Opened { number: socket }) = SocketResponse::decode(&answer) else { panic!() };
    let done = SocketResponse::Done.encode();
    assert_eq!(ask(&SocketRequest::Bind { socket, local: ([127, 0, 0, 1], 0).into() }), done);
    assert_eq!(ask(&SocketRequest::Listen { socket, backlog: 1 }), done);
    assert_eq!(streams.find(socket).unwrap().kind(), StreamKind::Lent);
    assert_eq!(streams.accept(socket).unwrap_err(), UsercallError::InvalidInput);
    let (own, _) = streams.bind("cloister:tcp:127.0.0.1:0").unwrap();
    let refused = SocketResponse::Failed(SocketFailure::InvalidState).encode();
    assert_eq!(ask(&SocketRequest::Accept { socket: own }), refused);
    streams.close(socket);
    assert_eq!(streams.accept(own).unwrap_err(), UsercallError::WouldBlock);
}
