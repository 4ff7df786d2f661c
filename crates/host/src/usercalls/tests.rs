use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use cloister_frames::{CONFIGURATION, QuoteRequest, QuoteResponse};
use fortanix_sgx_abi::{EV_UNPARK, WAIT_INDEFINITE, WAIT_NO};

use super::*;
use crate::disk::Disk;
use crate::interference::StreamKind;
use crate::log::{LogSink, LogSource};
use crate::service::{Configuration, Quotes, Quoting};
use crate::streams::Offer;
use crate::sync::lock;

#[derive(Debug)]
struct NoQuotes;

impl Quoting for NoQuotes {
    fn answer(&self, _: QuoteRequest) -> Result<QuoteResponse, String> {
        Err("none".into())
    }
}

#[derive(Default)]
struct Launches(AtomicUsize);

impl Threads for Launches {
    fn launch(&self) -> Result<(), UsercallError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(UsercallError::WouldBlock),
        }
    }
}

/// A host, and what stands in for the enclave: registers go in and come out.
struct Fixture {
    host: Host,
    launches: Launches,
    lines: Arc<Mutex<Vec<(LogSource, String)>>>,
}

const FIRST: u64 = 0x7000_0000_1000;
const SECOND: u64 = 0x7000_0000_9000;

impl Fixture {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(interference: Option<Arc<dyn Interference>>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&lines);
        let log = LogSink::new(move |source, line| lock(&theirs).push((source, line.to_owned())));
        let offer = Offer {
            listen: "127.0.0.1:0".parse().unwrap(),
            configuration: Arc::new(Configuration::new(b"{\"listen\":1}".to_vec()).unwrap()),
            quotes: Arc::new(Quotes(Arc::new(NoQuotes))),
            disk: Arc::new(Disk::of_few_blocks(interference.clone())),
            tpm: None,
        };
        let memory = Memory::new(0x7000_0000_0000..0x7000_1000_0000);
        let streams = Streams::new(offer, &log, None).unwrap();
        let host = Host::new(memory, streams, [SECOND, FIRST], interference);
        host.slot(FIRST).unwrap().events.attach();
        Self { host, launches: Launches::default(), lines }
    }

    fn call(&self, kind: UsercallKind, arguments: [u64; 4]) -> Result<Reply, Breach> {
        self.raw(kind as u64, arguments)
    }

    fn raw(&self, number: u64, arguments: [u64; 4]) -> Result<Reply, Breach> {
        let caller = self.host.slot(FIRST).unwrap();
        self.host.serve(caller, &self.launches, Usercall { number, arguments })
    }

    fn ok(&self, kind: UsercallKind, arguments: [u64; 4]) -> u64 {
        match self.call(kind, arguments) {
            Ok(Reply::Enter(0, value)) => value,
            other => panic!("{kind:?}: {other:?}"),
        }
    }

    fn error(&self, kind: UsercallKind, arguments: [u64; 4]) -> i32 {
        match self.call(kind, arguments) {
            Ok(Reply::Enter(code, 0)) if code != 0 => code as i32,
            other => panic!("{kind:?}: {other:?}"),
        }
    }

    fn alloc(&self, bytes: &[u8]) -> u64 {
        let address = self.ok(UsercallKind::Alloc, [bytes.len() as u64, 8, 0, 0]);
        self.host.memory.borrow(address, bytes.len() as u64).unwrap().copy_from(bytes);
        address
    }

    fn bytes(&self, address: u64, length: u64) -> Vec<u8> {
        self.host.memory.borrow(address, length).unwrap().to_vec(length as usize)
    }

    fn byte_buffer(&self, at: u64) -> Vec<u8> {
        let buffer = self.bytes(at, 16);
        let word = |range: std::ops::Range<usize>| u64::from_le_bytes(buffer[range].try_into().unwrap());
        self.bytes(word(0..8), word(8..16))
    }

    fn open(&self, kind: UsercallKind, name: &str) -> u64 {
        let address = self.alloc(name.as_bytes());
        self.ok(kind, [address, name.len() as u64, 0, 0])
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> u64 {
        let address = self.alloc(bytes);
        self.ok(UsercallKind::Write, [fd, address, bytes.len() as u64, 0])
    }

    fn read(&self, fd: u64, length: u64) -> Vec<u8> {
        let address = self.alloc(&vec![0; length as usize]);
        let count = self.ok(UsercallKind::Read, [fd, address, length, 0]);
        self.bytes(address, count)
    }
}

#[test]
fn unknown_usercalls_end_the_enclave() {
    let fixture = Fixture::new();
    for number in [0, 17, 0x8000_0001, u64::MAX] {
        assert_eq!(fixture.raw(number, [0; 4]), Err(Breach::UnknownUsercall(number)));
    }
}

#[test]
fn alloc_and_free() {
    let fixture = Fixture::new();
    let address = fixture.ok(UsercallKind::Alloc, [100, 4096, 0, 0]);
    assert_eq!(address % 4096, 0);
    assert_eq!(fixture.call(UsercallKind::Free, [address, 100, 4096, 0]), Ok(Reply::Enter(0, 0)));
    assert!(fixture.call(UsercallKind::Free, [address, 100, 4096, 0]).is_err());
    assert_eq!(fixture.error(UsercallKind::Alloc, [0, 1, 0, 0]), UsercallError::InvalidInput.code());
    assert_eq!(fixture.error(UsercallKind::Alloc, [1 << 50, 1, 0, 0]), UsercallError::Other.code());
}

#[test]
fn pointers_into_the_enclave_end_it() {
    let fixture = Fixture::new();
    let address = FIRST + 8;
    let inside = Err(Breach::InsideEnclave { address, length: 16 });
    assert_eq!(fixture.call(UsercallKind::Read, [0, address, 16, 0]), inside);
    assert_eq!(fixture.call(UsercallKind::Write, [1, address, 16, 0]), inside);
    assert_eq!(fixture.call(UsercallKind::BindStream, [address, 16, 0, 0]), inside);
    assert_eq!(fixture.call(UsercallKind::ConnectStream, [address, 16, 0, 0]), inside);
    assert_eq!(fixture.call(UsercallKind::ReadAlloc, [0, address, 0, 0]), inside);
    assert!(matches!(
        fixture.call(UsercallKind::Write, [1, 0x10, 16, 0]),
        Err(Breach::NotAllocated { address: 0x10, length: 16 })
    ));
}

#[test]
fn standard_output_becomes_log_lines() {
    let fixture = Fixture::new();
    assert_eq!(fixture.write(1, b"to out\n"), 7);
    assert_eq!(fixture.write(2, b"to err\nrest"), 11);
    assert_eq!(fixture.ok(UsercallKind::Flush, [2, 0, 0, 0]), 0);
    fixture.host.stop();
    assert_eq!(
        *lock(&fixture.lines),
        [
            (LogSource::EnclaveOutput, "to out".to_owned()),
            (LogSource::EnclaveError, "to err".to_owned()),
            (LogSource::EnclaveError, "rest".to_owned()),
        ]
    );
    assert!(fixture.read(0, 16).is_empty());
}

#[test]
fn streams_that_are_not_open_are_broken_pipes() {
    let fixture = Fixture::new();
    let address = fixture.alloc(&[0; 8]);
    let broken = UsercallError::BrokenPipe.code();
    for kind in [UsercallKind::Read, UsercallKind::Write, UsercallKind::Flush] {
        assert_eq!(fixture.error(kind, [99, address, 8, 0]), broken, "{kind:?}");
    }
    assert_eq!(fixture.error(UsercallKind::ReadAlloc, [99, address, 0, 0]), broken);
    assert_eq!(fixture.error(UsercallKind::AcceptStream, [99, 0, 0, 0]), broken);
    assert_eq!(fixture.ok(UsercallKind::Close, [99, 0, 0, 0]), 0);
}

#[test]
fn a_connection_is_bound_accepted_and_closed() {
    let fixture = Fixture::new();
    let name = b"cloister:tcp:127.0.0.1:0";
    let (local, peer) = (fixture.alloc(&[0; 16]), fixture.alloc(&[0; 16]));
    let listener = fixture.ok(UsercallKind::BindStream, [fixture.alloc(name), name.len() as u64, local, 0]);
    let address = String::from_utf8(fixture.byte_buffer(local)).unwrap();
    let client = TcpStream::connect(&address).unwrap();
    let socket = loop {
        match fixture.call(UsercallKind::AcceptStream, [listener, local, peer, 0]).unwrap() {
            Reply::Enter(0, fd) => break fd,
            Reply::Enter(code, _) => assert_eq!(code as i32, UsercallError::WouldBlock.code()),
            exit => panic!("{exit:?}"),
        }
    };
    assert_eq!(fixture.byte_buffer(local), address.as_bytes());
    assert_eq!(fixture.byte_buffer(peer), client.local_addr().unwrap().to_string().as_bytes());
    assert_eq!(fixture.write(socket, b"hi"), 2);
    fixture.ok(UsercallKind::Close, [socket, 0, 0, 0]);
    let mut received = Vec::new();
    std::io::Read::read_to_end(&mut &client, &mut received).unwrap();
    assert_eq!(received, b"hi");
}

#[test]
fn other_addresses_are_not_permitted() {
    let fixture = Fixture::new();
    let denied = UsercallError::PermissionDenied.code();
    for name in ["127.0.0.1:0", "cloister:tcp:127.0.0.1:80", "example.com:443"] {
        let address = fixture.alloc(name.as_bytes());
        let arguments = [address, name.len() as u64, 0, 0];
        assert_eq!(fixture.error(UsercallKind::BindStream, arguments), denied);
        assert_eq!(fixture.error(UsercallKind::ConnectStream, arguments), denied);
    }
    let invalid = fixture.alloc(&[0xff; 2000]);
    for length in [2, 2000] {
        let arguments = [invalid, length, 0, 0];
        assert_eq!(fixture.error(UsercallKind::BindStream, arguments), UsercallError::InvalidInput.code());
    }
}

#[test]
fn services_are_read_and_written() {
    let fixture = Fixture::new();
    let fd = fixture.open(UsercallKind::ConnectStream, CONFIGURATION);
    assert_eq!(fixture.write(fd, &[0; 4]), 4);
    assert_eq!(fixture.read(fd, 4), 12u32.to_le_bytes());
    let target = fixture.alloc(&[0; 16]);
    assert_eq!(fixture.ok(UsercallKind::ReadAlloc, [fd, target, 0, 0]), 0);
    assert_eq!(fixture.byte_buffer(target), b"{\"listen\":1}");
    assert!(fixture.read(fd, 4).is_empty());
}

#[test]
fn events_go_to_one_thread_or_to_all() {
    let fixture = Fixture::new();
    let wait = |mask, timeout| fixture.call(UsercallKind::Wait, [mask, timeout, 0, 0]);
    assert_eq!(
        fixture.error(UsercallKind::Wait, [EV_UNPARK, WAIT_NO, 0, 0]),
        UsercallError::WouldBlock.code()
    );
    assert_eq!(fixture.error(UsercallKind::Wait, [EV_UNPARK, 1000, 0, 0]), UsercallError::TimedOut.code());
    assert_eq!(fixture.error(UsercallKind::Wait, [0, WAIT_NO, 0, 0]), UsercallError::WouldBlock.code());
    fixture.ok(UsercallKind::Send, [EV_UNPARK, SECOND, 0, 0]);
    fixture.error(UsercallKind::Wait, [EV_UNPARK, WAIT_NO, 0, 0]);
    fixture.ok(UsercallKind::Send, [EV_UNPARK, FIRST, 0, 0]);
    assert_eq!(wait(EV_UNPARK, WAIT_INDEFINITE), Ok(Reply::Enter(0, EV_UNPARK)));
    fixture.ok(UsercallKind::Send, [EV_UNPARK, 0, 0, 0]);
    assert_eq!(wait(EV_UNPARK, WAIT_INDEFINITE), Ok(Reply::Enter(0, EV_UNPARK)));
    let invalid = UsercallError::InvalidInput.code();
    assert_eq!(fixture.error(UsercallKind::Send, [EV_UNPARK, FIRST + 1, 0, 0]), invalid);
    assert_eq!(fixture.error(UsercallKind::Send, [0, FIRST, 0, 0]), invalid);
}

#[test]
fn threads_are_launched_while_there_are_any() {
    let fixture = Fixture::new();
    assert_eq!(fixture.ok(UsercallKind::LaunchThread, [0; 4]), 0);
    assert_eq!(fixture.error(UsercallKind::LaunchThread, [0; 4]), UsercallError::WouldBlock.code());
}

#[test]
fn exit_says_how() {
    let fixture = Fixture::new();
    assert_eq!(fixture.call(UsercallKind::Exit, [0; 4]), Ok(Reply::Exit(Manner::Success)));
    assert_eq!(fixture.call(UsercallKind::Exit, [1, 0, 0, 0]), Ok(Reply::Exit(Manner::Failure)));
}

#[test]
fn time_is_in_nanoseconds_and_the_counter_is_not_offered() {
    let fixture = Fixture::new();
    match fixture.call(UsercallKind::InsecureTime, [0; 4]) {
        // Between 2020 and 2100.
        Ok(Reply::Enter(now, 0)) => assert!((1_577_836_800..4_102_444_800).contains(&(now / 1_000_000_000))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn asynchronous_queues_are_refused_with_a_code_that_std_knows() {
    let fixture = Fixture::new();
    assert_eq!(fixture.error(UsercallKind::AsyncQueues, [0; 4]), UsercallError::Other.code());
}

#[test]
fn usercalls_are_counted_by_kind() {
    let fixture = Fixture::new();
    fixture.call(UsercallKind::InsecureTime, [0; 4]).unwrap();
    fixture.call(UsercallKind::InsecureTime, [0; 4]).unwrap();
    fixture.call(UsercallKind::Close, [50, 0, 0, 0]).unwrap();
    let statistics = crate::statistics::Statistics::new(
        fixture.host.slots().iter().map(|slot| &slot.counts),
        std::time::Duration::ZERO,
        fixture.host.streams.disk_statistics(),
    );
    assert_eq!(statistics.of(UsercallKind::InsecureTime), 2);
    assert_eq!(statistics.total(), 3);
}

#[test]
fn stopping_releases_a_blocked_wait() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        let stopper = scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            fixture.host.stop();
        });
        let interrupted = Reply::Enter(UsercallError::Interrupted.code() as u64, 0);
        let waited = fixture.call(UsercallKind::Wait, [0, WAIT_INDEFINITE, 0, 0]);
        assert_eq!(waited, Ok(interrupted));
        stopper.join().unwrap();
    });
    assert!(fixture.host.is_stopping());
}

/// Lies in every way once: which one, it takes from the length that the enclave asks for.
#[derive(Debug)]
struct Liar;

impl Interference for Liar {
    fn outgoing(&self, call: &Call<'_>, bytes: &mut Vec<u8>) {
        if call.stream == Some(StreamKind::Standard) {
            bytes.reverse();
        }
    }

    fn answer(&self, call: &Call<'_>, answer: &mut Answer) {
        match (call.kind, call.length) {
            (UsercallKind::Read, 4) => answer.fail(UsercallError::ConnectionReset),
            (UsercallKind::Read, 5) => answer.end_of_stream(),
            (UsercallKind::Read, 6) => answer.set_bytes(b"123456789".to_vec()),
            (UsercallKind::Wait, _) => *answer = Answer { status: 0, value: 77, bytes: Vec::new() },
            (UsercallKind::InsecureTime, _) => answer.value = 1,
            (UsercallKind::ConnectStream, _) if call.name == Some(CONFIGURATION) => answer.value = 1,
            _ => {}
        }
    }
}

#[test]
fn an_interference_changes_answers_and_bytes() {
    let fixture = Fixture::with(Some(Arc::new(Liar)));
    let address = fixture.alloc(&[0; 8]);
    let read = |length| fixture.call(UsercallKind::Read, [0, address, length, 0]).unwrap();
    assert_eq!(read(4), Reply::Enter(UsercallError::ConnectionReset.code() as u64, 0));
    assert_eq!(read(5), Reply::Enter(0, 0));
    assert_eq!(read(6), Reply::Enter(0, 9));
    assert_eq!(fixture.bytes(address, 8), b"123456\0\0");
    assert_eq!(read(7), Reply::Enter(0, 0));
    assert_eq!(fixture.call(UsercallKind::Wait, [4, WAIT_NO, 0, 0]), Ok(Reply::Enter(0, 77)));
    assert_eq!(fixture.call(UsercallKind::InsecureTime, [0; 4]), Ok(Reply::Enter(1, 0)));
    assert_eq!(fixture.open(UsercallKind::ConnectStream, CONFIGURATION), 1);
    assert_eq!(fixture.write(1, b"\ncba"), 4);
    assert_eq!(*lock(&fixture.lines), [(LogSource::EnclaveOutput, "abc".to_owned())]);
}
