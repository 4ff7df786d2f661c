use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use cloister_frames::{EVENT_LEN, Event, Shutdown, SocketOption, decode_length};

use super::*;
use crate::memory::Memory;

/// The enclave's side: requests by function call, reads and writes through memory.
struct Enclave {
    table: Arc<Table>,
    sockets: Sockets,
    memory: Memory,
    buffer: u64,
}

impl Enclave {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(interference: Option<Arc<dyn Interference>>) -> Self {
        let table = Arc::new(Table::new([(0, Stream::Input)]).unwrap());
        let sockets = Sockets::new(&table, interference);
        let memory = Memory::new(0..0);
        let buffer = memory.allocate(4096, 8).unwrap();
        Self { table, sockets, memory, buffer }
    }

    fn ask(&self, request: &SocketRequest<'_>) -> Vec<u8> {
        Answer::of(&self.sockets, &request.encode()).unwrap()
    }

    /// An answer that owns nothing.
    fn done(&self, request: SocketRequest<'_>) -> Result<(), SocketFailure> {
        match SocketResponse::decode(&self.ask(&request)).unwrap() {
            SocketResponse::Done => Ok(()),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// Asks again while it would block.
    fn eventually<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, SocketFailure>,
    ) -> Result<T, SocketFailure> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match attempt() {
                Err(SocketFailure::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }

    fn number(&self, request: SocketRequest<'_>) -> Result<u64, SocketFailure> {
        match SocketResponse::decode(&self.ask(&request)).unwrap() {
            SocketResponse::Opened { number } => Ok(number),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn open(&self, transport: Transport) -> u64 {
        self.number(SocketRequest::Open { transport, family: Family::V4 }).unwrap()
    }

    fn address(&self, request: SocketRequest<'_>) -> Result<SocketAddr, SocketFailure> {
        match SocketResponse::decode(&self.ask(&request)).unwrap() {
            SocketResponse::Address(address) => Ok(address),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn bound(&self, transport: Transport) -> (u64, SocketAddr) {
        let socket = self.open(transport);
        self.done(SocketRequest::Bind { socket, local: localhost(0) }).unwrap();
        (socket, self.address(SocketRequest::LocalAddress { socket }).unwrap())
    }

    fn listener(&self) -> (u64, SocketAddr) {
        let (socket, address) = self.bound(Transport::Tcp);
        self.done(SocketRequest::Listen { socket, backlog: 4 }).unwrap();
        (socket, address)
    }

    fn accept(&self, socket: u64) -> Result<(u64, SocketAddr), SocketFailure> {
        match SocketResponse::decode(&self.ask(&SocketRequest::Accept { socket })).unwrap() {
            SocketResponse::Accepted { number, peer } => Ok((number, peer)),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    /// Two ends of one connection: the one that connected, and the one that was accepted.
    fn connected(&self) -> (u64, u64) {
        let (listener, address) = self.listener();
        let socket = self.open(Transport::Tcp);
        self.done(SocketRequest::Connect { socket, remote: address }).unwrap();
        self.eventually(|| self.done(SocketRequest::FinishConnect { socket })).unwrap();
        let (accepted, peer) = self.eventually(|| self.accept(listener)).unwrap();
        assert_eq!(self.address(SocketRequest::LocalAddress { socket }), Ok(peer));
        assert_eq!(self.address(SocketRequest::RemoteAddress { socket }), Ok(address));
        assert_eq!(self.address(SocketRequest::RemoteAddress { socket: accepted }), Ok(peer));
        self.table.close(listener);
        (socket, accepted)
    }

    fn read(&self, number: u64) -> Result<Vec<u8>, UsercallError> {
        let into = self.memory.borrow(self.buffer, 4096).unwrap();
        let count = self.table.find(number)?.read(&into)?;
        Ok(into.to_vec(count))
    }

    fn read_soon(&self, number: u64) -> Result<Vec<u8>, UsercallError> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match self.read(number) {
                Err(UsercallError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                done => return done,
            }
        }
    }

    fn write(&self, number: u64, bytes: &[u8]) -> Result<usize, UsercallError> {
        let from = self.memory.borrow(self.buffer, bytes.len() as u64).unwrap();
        from.copy_from(bytes);
        self.table.find(number)?.write(&from)
    }

    /// Waits for an event of a socket.
    fn event(&self, number: u64, wanted: impl Fn(Event) -> bool) {
        loop {
            let events = self.table.readiness().wait(64 * EVENT_LEN).unwrap();
            if events.as_chunks().0.iter().map(Event::decode).any(|event| event.fd == number && wanted(event))
            {
                return;
            }
        }
    }

    fn option(&self, socket: u64, option: SocketOption) -> Result<u64, SocketFailure> {
        match SocketResponse::decode(&self.ask(&SocketRequest::Option { socket, option })).unwrap() {
            SocketResponse::Value(value) => Ok(value),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn send(&self, socket: u64, peer: SocketAddr, packets: &[&[u8]]) -> Result<u8, SocketFailure> {
        let datagrams = packets.iter().map(|bytes| Datagram { peer, bytes }).collect();
        match SocketResponse::decode(&self.ask(&SocketRequest::Send { socket, datagrams })).unwrap() {
            SocketResponse::Sent(count) => Ok(count),
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn receive(&self, socket: u64, most: u8) -> Result<Vec<(SocketAddr, Vec<u8>)>, SocketFailure> {
        match SocketResponse::decode(&self.ask(&SocketRequest::Receive { socket, most })).unwrap() {
            SocketResponse::Received(datagrams) => {
                Ok(datagrams.iter().map(|datagram| (datagram.peer, datagram.bytes.to_vec())).collect())
            }
            SocketResponse::Failed(failure) => Err(failure),
            other => panic!("{other:?}"),
        }
    }
}

fn localhost(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn connections_carry_bytes_and_end_by_halves() {
    let enclave = Enclave::new();
    let (client, server) = enclave.connected();
    assert_eq!(enclave.read(server), Err(UsercallError::WouldBlock));
    assert_eq!(enclave.write(client, b"hello"), Ok(5));
    assert_eq!(enclave.read_soon(server), Ok(b"hello".to_vec()));
    enclave.done(SocketRequest::Shutdown { socket: client, direction: Shutdown::Write }).unwrap();
    assert_eq!(enclave.read_soon(server), Ok(Vec::new()));
    assert_eq!(enclave.write(server, b"bye"), Ok(3));
    assert_eq!(enclave.read_soon(client), Ok(b"bye".to_vec()));
    assert_eq!(enclave.write(client, b"more"), Err(UsercallError::BrokenPipe));
    enclave.table.close(server);
    assert_eq!(enclave.read_soon(client), Ok(Vec::new()));
}

#[test]
fn readiness_tells_of_connections_and_of_bytes() {
    let enclave = Enclave::new();
    let (listener, address) = enclave.listener();
    let client = enclave.open(Transport::Tcp);
    enclave.done(SocketRequest::Connect { socket: client, remote: address }).unwrap();
    enclave.event(client, |event| event.writable);
    enclave.eventually(|| enclave.done(SocketRequest::FinishConnect { socket: client })).unwrap();
    let (server, _) = enclave.eventually(|| enclave.accept(listener)).unwrap();
    assert_eq!(enclave.accept(listener), Err(SocketFailure::WouldBlock));
    enclave.write(client, b"x").unwrap();
    enclave.event(server, |event| event.readable);
    assert_eq!(enclave.read(server), Ok(b"x".to_vec()));
}

#[test]
fn failures_have_the_standards_names() {
    let enclave = Enclave::new();
    let (listener, address) = enclave.listener();
    let (_other, taken) = enclave.bound(Transport::Udp);
    let socket = enclave.open(Transport::Tcp);
    let invalid = Err(SocketFailure::InvalidState);
    assert_eq!(enclave.address(SocketRequest::LocalAddress { socket }).map(drop), invalid);
    assert_eq!(enclave.address(SocketRequest::RemoteAddress { socket }).map(drop), invalid);
    assert_eq!(enclave.done(SocketRequest::Shutdown { socket, direction: Shutdown::Both }), invalid);
    assert_eq!(enclave.accept(socket).map(drop), invalid);
    assert_eq!(
        enclave.done(SocketRequest::Bind { socket, local: address }),
        Err(SocketFailure::AddressInUse)
    );
    assert_eq!(
        enclave.done(SocketRequest::Bind { socket, local: ([192, 0, 2, 1], 0).into() }),
        Err(SocketFailure::AddressNotBindable)
    );
    let ipv6: SocketAddr = "[::1]:1".parse().unwrap();
    assert_eq!(
        enclave.done(SocketRequest::Connect { socket, remote: ipv6 }),
        Err(SocketFailure::InvalidArgument)
    );
    enclave.done(SocketRequest::Bind { socket, local: localhost(0) }).unwrap();
    assert_eq!(enclave.done(SocketRequest::Bind { socket, local: localhost(0) }), invalid);
    let datagrams = enclave.open(Transport::Udp);
    assert_eq!(
        enclave.done(SocketRequest::Bind { socket: datagrams, local: taken }),
        Err(SocketFailure::AddressInUse)
    );
    assert_eq!(
        enclave.done(SocketRequest::Listen { socket: datagrams, backlog: 1 }),
        Err(SocketFailure::NotSupported)
    );
    assert_eq!(enclave.send(socket, address, &[b"x"]), Err(SocketFailure::NotSupported));
    assert_eq!(enclave.receive(socket, 1).map(drop), Err(SocketFailure::NotSupported));
    assert_eq!(enclave.done(SocketRequest::Disconnect { socket }), Err(SocketFailure::NotSupported));
    enclave.table.close(listener);
    enclave.done(SocketRequest::Connect { socket, remote: address }).unwrap();
    let refused = enclave.eventually(|| enclave.done(SocketRequest::FinishConnect { socket }));
    assert_eq!(refused, Err(SocketFailure::ConnectionRefused));
}

#[test]
fn only_sockets_that_were_lent_are_served() {
    let enclave = Enclave::new();
    for socket in [0, 77, u64::MAX] {
        assert_eq!(enclave.done(SocketRequest::FinishConnect { socket }), Err(SocketFailure::InvalidState));
    }
    let socket = enclave.open(Transport::Tcp);
    enclave.table.close(socket);
    assert_eq!(enclave.done(SocketRequest::Listen { socket, backlog: 1 }), Err(SocketFailure::InvalidState));
    let datagrams = enclave.open(Transport::Udp);
    assert_eq!(enclave.read(datagrams), Err(UsercallError::InvalidInput));
    assert_eq!(enclave.write(datagrams, b"x"), Err(UsercallError::InvalidInput));
    assert_eq!(Answer::of(&enclave.sockets, b"nonsense"), Err(UsercallError::InvalidData));
}

#[test]
fn datagrams_go_and_come_several_at_once() {
    let enclave = Enclave::new();
    let ((one, first), (other, second)) = (enclave.bound(Transport::Udp), enclave.bound(Transport::Udp));
    assert_eq!(enclave.receive(other, 16), Err(SocketFailure::WouldBlock));
    assert_eq!(enclave.send(one, second, &[b"a", b"", b"ccc"]), Ok(3));
    enclave.event(other, |event| event.readable);
    let mut received = enclave.eventually(|| enclave.receive(other, 2)).unwrap();
    received.extend(enclave.eventually(|| enclave.receive(other, 16)).unwrap());
    assert_eq!(received, [(first, b"a".to_vec()), (first, vec![]), (first, b"ccc".to_vec())]);
    let largest = vec![7; MAX_DATAGRAM];
    assert_eq!(enclave.send(one, second, &[&largest]), Ok(1));
    assert_eq!(enclave.eventually(|| enclave.receive(other, 16)), Ok(vec![(first, largest)]));
}

#[test]
fn a_frame_takes_no_more_datagrams_than_fit() {
    let enclave = Enclave::new();
    let (socket, address) = enclave.bound(Transport::Udp);
    let size = 1 << 22;
    // The kernel may give less than that; as many datagrams as fit its buffer come.
    enclave
        .done(SocketRequest::SetOption { socket, option: SocketOption::ReceiveBuffer, value: size })
        .unwrap();
    let sender = UdpSocket::bind(localhost(0)).unwrap();
    for _ in 0..10 {
        sender.send_to(&[0; MAX_DATAGRAM], address).unwrap();
    }
    let answer = enclave.ask(&SocketRequest::Receive { socket, most: 16 });
    assert!(answer.len() <= MAX_SOCKET_PAYLOAD);
    assert!(matches!(SocketResponse::decode(&answer), Ok(SocketResponse::Received(_))));
}

#[test]
fn a_peer_of_datagrams_is_set_changed_and_forgotten() {
    let enclave = Enclave::new();
    let (socket, _) = enclave.bound(Transport::Udp);
    let gone = UdpSocket::bind(localhost(0)).unwrap().local_addr().unwrap();
    enclave.done(SocketRequest::Connect { socket, remote: gone }).unwrap();
    assert_eq!(enclave.address(SocketRequest::RemoteAddress { socket }), Ok(gone));
    assert_eq!(enclave.send(socket, gone, &[b"x"]), Ok(1));
    // The ICMP answer to it.
    let refused = enclave.eventually(|| enclave.receive(socket, 1));
    assert_eq!(refused, Err(SocketFailure::ConnectionRefused));
    let (_other, address) = enclave.bound(Transport::Udp);
    enclave.done(SocketRequest::Connect { socket, remote: address }).unwrap();
    assert_eq!(enclave.address(SocketRequest::RemoteAddress { socket }), Ok(address));
    enclave.done(SocketRequest::Disconnect { socket }).unwrap();
    let forgotten = enclave.address(SocketRequest::RemoteAddress { socket });
    assert_eq!(forgotten, Err(SocketFailure::InvalidState));
}

#[test]
fn options_are_read_and_written() {
    let enclave = Enclave::new();
    let socket = enclave.open(Transport::Tcp);
    let set = |option, value| enclave.done(SocketRequest::SetOption { socket, option, value });
    for (option, value) in [
        (SocketOption::KeepAlive, 1),
        (SocketOption::KeepIdle, 60_000_000_000),
        (SocketOption::KeepInterval, 5_000_000_000),
        (SocketOption::KeepCount, 3),
        (SocketOption::HopLimit, 42),
        (SocketOption::ReceiveBuffer, 16 << 10),
        (SocketOption::SendBuffer, 16 << 10),
    ] {
        set(option, value).unwrap();
        assert_eq!(enclave.option(socket, option), Ok(value), "{option:?}");
    }
    assert_eq!(set(SocketOption::HopLimit, 0), Err(SocketFailure::InvalidArgument));
    assert_eq!(
        enclave.option(enclave.open(Transport::Udp), SocketOption::KeepIdle),
        Err(SocketFailure::NotSupported)
    );
}

/// The payload of a lookup's one frame.
fn payload(bytes: &[u8]) -> &[u8] {
    let (prefix, payload) = bytes.split_first_chunk().unwrap();
    assert_eq!(decode_length(*prefix), Ok(payload.len()));
    payload
}

#[test]
fn a_lookup_is_a_stream_that_has_one_frame() {
    let enclave = Enclave::new();
    let number = enclave.number(SocketRequest::Resolve { name: "localhost" }).unwrap();
    enclave.event(number, |event| event.readable);
    let bytes = enclave.read_soon(number).unwrap();
    let Ok(SocketResponse::Found(addresses)) = SocketResponse::decode(payload(&bytes)) else { panic!() };
    assert!(addresses.iter().all(IpAddr::is_loopback));
    assert_eq!(enclave.read(number), Ok(Vec::new()));
    assert_eq!(enclave.write(number, b"x"), Err(UsercallError::InvalidInput));
    enclave.table.close(number);
    assert_eq!(enclave.read(number), Err(UsercallError::BrokenPipe));
}

#[test]
fn what_was_lent_and_is_looked_up_is_bounded() {
    let enclave = Enclave::new();
    let (listener, address) = enclave.listener();
    let busy: Vec<_> = (0..MAX_LOOKUPS).map(|_| Permit::take(&enclave.sockets.lookups).unwrap()).collect();
    let resolve = || enclave.number(SocketRequest::Resolve { name: "localhost" });
    assert_eq!(resolve(), Err(SocketFailure::TemporaryResolverFailure));
    drop(busy);
    let number = resolve().unwrap();
    let lent: Vec<_> = std::iter::from_fn(|| Permit::take(&enclave.sockets.lent)).collect();
    assert_eq!(lent.len(), MAX_SOCKETS - 2);
    let limit = Err(SocketFailure::NewSocketLimit);
    let open = || enclave.number(SocketRequest::Open { transport: Transport::Tcp, family: Family::V4 });
    let _client = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(open(), limit);
    assert_eq!(resolve(), limit);
    assert_eq!(enclave.accept(listener).map(drop), Err(SocketFailure::NewSocketLimit));
    drop(lent);
    enclave.eventually(|| enclave.accept(listener)).unwrap();
    enclave.read_soon(number).unwrap();
    enclave.table.close(number);
    enclave.table.close(listener);
    open().unwrap();
}

#[derive(Debug)]
struct Liar;

impl Interference for Liar {
    fn socket(
        &self,
        request: &SocketRequest<'_>,
        sockets: &dyn Fn(&SocketRequest<'_>) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        match request {
            SocketRequest::Open { transport, .. } => {
                Some(sockets(&SocketRequest::Open { transport: *transport, family: Family::V4 }))
            }
            SocketRequest::Accept { .. } => Some(b"no frame of the service".to_vec()),
            _ => None,
        }
    }

    fn looked_up(&self, name: &str, bytes: &mut Vec<u8>) {
        match name {
            "never" => bytes.clear(),
            _ => bytes.extend_from_within(..),
        }
    }
}

#[test]
fn an_interference_answers_in_the_hosts_place() {
    let enclave = Enclave::with(Some(Arc::new(Liar)));
    let request = SocketRequest::Open { transport: Transport::Tcp, family: Family::V6 };
    let socket = enclave.number(request).unwrap();
    enclave.done(SocketRequest::Bind { socket, local: localhost(0) }).unwrap();
    assert_eq!(enclave.ask(&SocketRequest::Accept { socket }), b"no frame of the service");
    let never = enclave.number(SocketRequest::Resolve { name: "never" }).unwrap();
    let twice = enclave.number(SocketRequest::Resolve { name: "127.0.0.1" }).unwrap();
    let bytes = enclave.read_soon(twice).unwrap();
    assert_eq!(bytes[..bytes.len() / 2], bytes[bytes.len() / 2..]);
    assert_eq!(enclave.read(never), Err(UsercallError::WouldBlock));
}
