//! The host that lies about sockets, names and the time.

use cloister_frames::{
    Datagram, MAX_SOCKET_PAYLOAD, SocketFailure, SocketRequest, SocketResponse, encode_length,
};
use cloister_host::{Answer, Call, Interference, StreamKind, UsercallError, UsercallKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::time::TimeLie;

/// Tells one lie at a time, wherever it applies, and counts how often it did.
#[derive(Debug, Default)]
pub(super) struct Liar {
    lie: Mutex<Option<Lie>>,
    told: AtomicU32,
    /// Numbers of a client's connection and of a stream to the sockets.
    client: AtomicU64,
    lane: AtomicU64,
    held: Mutex<Hold>,
    released: Condvar,
    pub(super) clock: Mutex<super::time::Clock>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
    /// About what is asked of the sockets.
    Answer(Asked, AnswerLie),
    /// About reading from and writing to streams of a kind.
    Transfer(StreamKind, TransferLie),
    /// About the addresses of a name.
    Found(FoundLie),
    /// One request of this kind is answered only once the liar is told to go on; all others are at once.
    Silence(Asked),
    Time(TimeLie),
}

/// Kinds of requests that come of what a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Open,
    Bind,
    Connect,
    FinishConnect,
    Disconnect,
    Listen,
    Accept,
    LocalAddress,
    Option,
    SetOption,
    Shutdown,
    Receive,
    Send,
    Resolve,
}

impl Asked {
    pub(super) const ALL: [Self; 14] = [
        Self::Open,
        Self::Bind,
        Self::Connect,
        Self::FinishConnect,
        Self::Disconnect,
        Self::Listen,
        Self::Accept,
        Self::LocalAddress,
        Self::Option,
        Self::SetOption,
        Self::Shutdown,
        Self::Receive,
        Self::Send,
        Self::Resolve,
    ];

    fn of(request: &SocketRequest<'_>) -> Option<Self> {
        Some(match request {
            SocketRequest::Open { .. } => Self::Open,
            SocketRequest::Bind { .. } => Self::Bind,
            SocketRequest::Connect { .. } => Self::Connect,
            SocketRequest::FinishConnect { .. } => Self::FinishConnect,
            SocketRequest::Disconnect { .. } => Self::Disconnect,
            SocketRequest::Listen { .. } => Self::Listen,
            SocketRequest::Accept { .. } => Self::Accept,
            SocketRequest::LocalAddress { .. } => Self::LocalAddress,
            SocketRequest::Option { .. } => Self::Option,
            SocketRequest::SetOption { .. } => Self::SetOption,
            SocketRequest::Shutdown { .. } => Self::Shutdown,
            SocketRequest::Receive { .. } => Self::Receive,
            SocketRequest::Send { .. } => Self::Send,
            SocketRequest::Resolve { .. } => Self::Resolve,
            // The enclave remembers whom a guest's sockets are connected to.
            SocketRequest::RemoteAddress { .. } => return None,
        })
    }

    /// Whether the answer may be that it has to wait.
    pub(super) fn can_wait(self) -> bool {
        matches!(self, Self::FinishConnect | Self::Accept | Self::Receive | Self::Send)
    }
}

/// What is answered instead of what is so.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnswerLie {
    Empty,
    /// Without its last byte.
    Cut,
    /// With a byte more.
    Longer,
    Garbage,
    /// Longer than any frame of the sockets.
    TooLong,
    /// The answer to something else.
    AnotherKind,
    /// A code that no failure has.
    UnknownFailure,
    /// It failed, in truth it was done.
    Failure(SocketFailure),
    /// It is done, in truth nothing was.
    Done,
    Number(NumberLie),
    /// An address of the other family.
    AnotherFamily,
    /// An IPv4 address inside an IPv6 one.
    MappedAddress,
    /// More datagrams than were asked for or given.
    TooMany,
    /// None at all, which is would-block.
    NoDatagram,
    /// A datagram whose length is beyond the frame's end.
    CutDatagram,
    /// A datagram of somebody whom no rule allows.
    StrangersDatagram,
    /// The greatest of all numbers.
    GreatestValue,
}

/// Numbers of sockets that are none.
#[derive(Clone, Copy, Debug)]
pub(super) enum NumberLie {
    OfAClientsConnection,
    OfAStreamToTheSockets,
    NeverGiven,
    /// The least of negative numbers, were it signed.
    Negative,
    /// What the readiness stream uses to say that it is time to end.
    AllOnes,
}

/// What becomes of bytes on their way.
#[derive(Clone, Copy, Debug)]
pub(super) enum TransferLie {
    End,
    Half,
    Twice,
    BeyondTheBuffer,
    Huge,
    Forged,
    UnknownError,
    NegativeError,
    AlwaysInterrupted,
    EverySecondWouldBlock,
    MoreWrittenThanOffered,
    NothingWritten,
}

/// What becomes of the frame with a name's addresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum FoundLie {
    Nothing,
    EmptyFrame,
    Half,
    LengthBeyondTheEnd,
    HugeLength,
    Garbage,
    AnotherKind,
    WouldBlock,
    NoAddresses,
    TooManyAddresses,
    ByteTooMany,
    Twice,
    MappedAddress,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    Idle,
    Holding,
    Released,
}

impl Liar {
    /// From now on; none: the truth.
    pub(super) fn tell(&self, lie: Option<Lie>) {
        *lock(&self.held) = Hold::Idle;
        *lock(&self.clock) = Default::default();
        *lock(&self.lie) = lie;
    }

    /// How often the lie was told since this was asked the last time.
    pub(super) fn told(&self) -> u32 {
        self.told.swap(0, Ordering::Relaxed)
    }

    /// Whether a request is kept waiting.
    pub(super) fn is_holding(&self) -> bool {
        *lock(&self.held) == Hold::Holding
    }

    /// Answers the request that waits.
    pub(super) fn release(&self) {
        *lock(&self.held) = Hold::Released;
        self.released.notify_all();
    }

    fn lie(&self) -> Option<Lie> {
        *lock(&self.lie)
    }

    fn count(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    fn hold(&self) {
        let mut held = lock(&self.held);
        if *held != Hold::Idle {
            return;
        }
        *held = Hold::Holding;
        self.count();
        let holding = |hold: &mut Hold| *hold == Hold::Holding;
        let waited = self.released.wait_timeout_while(held, LONGEST_HOLD, holding);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn number(&self, lie: NumberLie) -> u64 {
        match lie {
            NumberLie::OfAClientsConnection => self.client.load(Ordering::Relaxed),
            NumberLie::OfAStreamToTheSockets => self.lane.load(Ordering::Relaxed),
            NumberLie::NeverGiven => 0x7777_7777,
            NumberLie::Negative => 1 << 63,
            NumberLie::AllOnes => u64::MAX,
        }
    }

    fn answer_for(&self, asked: Asked, lie: AnswerLie, honest: &dyn Fn() -> Vec<u8>) -> Vec<u8> {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9));
        let datagrams = |peer, count| SocketResponse::Received(vec![Datagram { peer, bytes: b"lie" }; count]);
        let with_peer = |peer| match asked {
            Asked::Accept => SocketResponse::Accepted { number: 0x7777_7777, peer },
            Asked::Receive => datagrams(peer, 1),
            _ => SocketResponse::Address(peer),
        };
        match lie {
            AnswerLie::Empty => Vec::new(),
            AnswerLie::Cut => {
                let mut answer = honest();
                answer.pop();
                answer
            }
            AnswerLie::Longer => [honest(), vec![0]].concat(),
            AnswerLie::Garbage => vec![0xee; 33],
            AnswerLie::TooLong => vec![2; MAX_SOCKET_PAYLOAD + 1],
            AnswerLie::AnotherKind if asked == Asked::Option => SocketResponse::Done.encode(),
            AnswerLie::AnotherKind => SocketResponse::Value(1).encode(),
            AnswerLie::UnknownFailure => vec![255, 99],
            AnswerLie::Failure(failure) => {
                honest();
                SocketResponse::Failed(failure).encode()
            }
            AnswerLie::Done => SocketResponse::Done.encode(),
            AnswerLie::Number(lie) => {
                let number = self.number(lie);
                match asked {
                    Asked::Accept => SocketResponse::Accepted { number, peer: v4 }.encode(),
                    _ => SocketResponse::Opened { number }.encode(),
                }
            }
            AnswerLie::AnotherFamily => with_peer(v6).encode(),
            AnswerLie::MappedAddress => with_peer(mapped).encode(),
            AnswerLie::TooMany if asked == Asked::Send => SocketResponse::Sent(16).encode(),
            AnswerLie::TooMany => datagrams(v4, 16).encode(),
            AnswerLie::NoDatagram if asked == Asked::Send => vec![7, 0],
            AnswerLie::NoDatagram => vec![6],
            AnswerLie::CutDatagram => {
                let mut answer = datagrams(v4, 1).encode();
                answer.pop();
                answer
            }
            AnswerLie::StrangersDatagram => datagrams(v4, 1).encode(),
            AnswerLie::GreatestValue => SocketResponse::Value(u64::MAX).encode(),
        }
    }
}

impl Interference for Liar {
    fn socket(
        &self,
        request: &SocketRequest<'_>,
        sockets: &dyn Fn(&SocketRequest<'_>) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        let asked = Asked::of(request)?;
        match self.lie()? {
            Lie::Answer(about, lie) if about == asked => {
                self.count();
                Some(self.answer_for(asked, lie, &|| sockets(request)))
            }
            Lie::Silence(about) if about == asked => {
                self.hold();
                None
            }
            _ => None,
        }
    }

    fn looked_up(&self, _name: &str, bytes: &mut Vec<u8>) {
        let Some(Lie::Found(lie)) = self.lie() else { return };
        self.count();
        let framed = |payload: Vec<u8>| {
            let length = encode_length(payload.len()).expect("it fits a frame");
            [length.as_slice(), &payload].concat()
        };
        let found = |addresses: Vec<IpAddr>| SocketResponse::Found(addresses).encode();
        *bytes = match lie {
            FoundLie::Nothing => Vec::new(),
            FoundLie::EmptyFrame => framed(Vec::new()),
            FoundLie::Half => bytes[..bytes.len() / 2].to_vec(),
            FoundLie::LengthBeyondTheEnd => {
                let length = encode_length(bytes.len() - LENGTH + 1).expect("it fits a frame");
                [&length, &bytes[LENGTH..]].concat()
            }
            FoundLie::HugeLength => [&u32::MAX.to_le_bytes(), &bytes[LENGTH..]].concat(),
            FoundLie::Garbage => vec![0xee; 33],
            FoundLie::AnotherKind => framed(SocketResponse::Done.encode()),
            FoundLie::WouldBlock => framed(SocketResponse::Failed(SocketFailure::WouldBlock).encode()),
            FoundLie::NoAddresses => framed(vec![8]),
            FoundLie::TooManyAddresses => {
                let most = found(vec![Ipv4Addr::LOCALHOST.into(); 64]);
                framed([most.as_slice(), &most[1..]].concat())
            }
            FoundLie::ByteTooMany => framed([found(vec![Ipv4Addr::LOCALHOST.into()]), vec![4]].concat()),
            FoundLie::Twice => [bytes.as_slice(), bytes].concat(),
            FoundLie::MappedAddress => framed(found(vec![Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()])),
        };
    }

    fn answer(&self, call: &Call<'_>, answer: &mut Answer) {
        match (call.stream, call.fd) {
            (Some(StreamKind::Socket), Some(number)) => self.client.store(number, Ordering::Relaxed),
            (Some(StreamKind::Sockets), Some(number)) => self.lane.store(number, Ordering::Relaxed),
            _ => {}
        }
        match self.lie() {
            Some(Lie::Transfer(stream, lie))
                if call.stream == Some(stream)
                    && lie.change(call, answer, self.told.load(Ordering::Relaxed)) =>
            {
                self.count();
            }
            Some(Lie::Time(lie)) if call.kind == UsercallKind::InsecureTime => {
                answer.value = lock(&self.clock).read(lie, answer.value);
                self.count();
            }
            _ => {}
        }
    }
}

impl TransferLie {
    /// Whether it was told. An answer that is none yet is left alone.
    fn change(self, call: &Call<'_>, answer: &mut Answer, told: u32) -> bool {
        let (read, write) = (call.kind == UsercallKind::Read, call.kind == UsercallKind::Write);
        if answer.status != 0 || !(read || write) {
            return false;
        }
        match self {
            Self::End if read => answer.end_of_stream(),
            Self::Half if read && answer.bytes.len() > 1 => {
                let half = answer.bytes.len() / 2;
                answer.set_bytes(answer.bytes[..half].to_vec());
            }
            Self::Twice if read && !answer.bytes.is_empty() => {
                let twice = [answer.bytes.as_slice(), answer.bytes.as_slice()].concat();
                let fits = twice.len().min(call.length);
                answer.set_bytes(twice[..fits].to_vec());
            }
            Self::BeyondTheBuffer if read => answer.value = call.length as u64 + 1,
            Self::Huge => answer.value = u64::MAX,
            Self::Forged if read && !answer.bytes.is_empty() => {
                answer.bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
            }
            Self::UnknownError => answer.status = 0x1234_5678,
            Self::NegativeError => answer.status = -1,
            Self::AlwaysInterrupted => answer.fail(UsercallError::Interrupted),
            Self::EverySecondWouldBlock if read && told.is_multiple_of(2) => {
                answer.fail(UsercallError::WouldBlock);
            }
            // Counted as told, so that the next one is not.
            Self::EverySecondWouldBlock if read => {}
            Self::MoreWrittenThanOffered if write => answer.value = call.length as u64 + 1,
            Self::NothingWritten if write => answer.value = 0,
            _ => return false,
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of a frame's length.
const LENGTH: usize = 4;
/// A test that fails must not keep the host's threads for ever.
const LONGEST_HOLD: Duration = Duration::from_secs(120);
