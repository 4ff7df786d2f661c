//! A host that lies, for tests of the enclave.
//!
//! The enclave must stay right, or end cleanly, whatever the host answers. An [`Interference`] given in
//! [`Launch`](crate::Launch) sees each answer on its way into the enclave and may change its status, its value and its
//! bytes, or hold it back by sleeping. Without one, answers take a shorter path that these types are no part of.

use std::fmt;

use cloister_frames::{DiskRequest, SocketRequest};

use crate::abi::{UsercallError, UsercallKind};

/// Changes what the host does for the enclave. Called on the thread that made the usercall, many at a time.
pub trait Interference: Send + Sync + fmt::Debug {
    /// Sees, and may change, bytes that the enclave hands out with `write`, before they are passed on.
    fn outgoing(&self, _call: &Call<'_>, _bytes: &mut Vec<u8>) {}

    /// Sees, and may change, an answer before the enclave does. Called for `read`, `read_alloc`, `write`,
    /// `bind_stream`, `accept_stream`, `connect_stream`, `wait` and `insecure_time`.
    fn answer(&self, _call: &Call<'_>, _answer: &mut Answer) {}

    /// Answers a request to the disk in the disk's place; `None` leaves it to the disk. The answer is a frame's
    /// payload, which [`DiskResponse::encode`](cloister_frames::DiskResponse::encode) makes, and may be any bytes up to
    /// [`cloister_frames::MAX_FRAME`]. `disk` answers as the disk would, this request or another one, and may be called
    /// any number of times.
    fn disk(
        &self,
        _request: &DiskRequest<'_>,
        _disk: &dyn Fn(&DiskRequest<'_>) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        None
    }

    /// Answers a request about sockets in the host's place; `None` leaves it to the host. The answer is a frame's payload,
    /// which [`SocketResponse::encode`](cloister_frames::SocketResponse::encode) makes, and may be any bytes up to
    /// [`cloister_frames::MAX_FRAME`]. `sockets` answers as the host would, this request or another one, and may be called
    /// any number of times.
    fn socket(
        &self,
        _request: &SocketRequest<'_>,
        _sockets: &dyn Fn(&SocketRequest<'_>) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        None
    }

    /// Sees, and may change, everything that the enclave will read about a name: one frame, its length included. Where
    /// nothing is left of it, the enclave waits. Called on the thread of the lookup, which it may hold up.
    fn looked_up(&self, _name: &str, _bytes: &mut Vec<u8>) {}

    /// Answers a TPM command in the TPM's place; `None` leaves it to the TPM, which is what `tpm` asks.
    fn tpm(&self, _command: &[u8], _tpm: &dyn Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
        None
    }
}

/// The usercall that is being answered.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Which one.
    pub kind: UsercallKind,
    /// The file descriptor that it names.
    pub fd: Option<u64>,
    /// What that is.
    pub stream: Option<StreamKind>,
    /// The address or service that it names.
    pub name: Option<&'a str>,
    /// Bytes that it offers to read or write.
    pub length: usize,
}

/// What the enclave will be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Zero, or the code of an error; any other code is a lie that the ABI forbids. Not used by `insecure_time`.
    pub status: i32,
    /// Number of bytes, file descriptor, event set or nanoseconds since 1970. A length that is larger than the buffer
    /// is passed on as it is.
    pub value: u64,
    /// The bytes read. No more of them are copied than the enclave's buffer holds.
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Turns the answer into an error.
    pub fn fail(&mut self, error: UsercallError) {
        *self = Self { status: error.code(), value: 0, bytes: Vec::new() };
    }

    /// Turns the answer into the end of the stream.
    pub fn end_of_stream(&mut self) {
        *self = Self { status: 0, value: 0, bytes: Vec::new() };
    }

    /// Replaces the bytes read, and the length with theirs.
    pub fn set_bytes(&mut self, bytes: Vec<u8>) {
        *self = Self { status: 0, value: bytes.len() as u64, bytes };
    }
}

/// What a file descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard input, output or error.
    Standard,
    Listener,
    /// A connection that the listener accepted.
    Socket,
    /// A socket that the enclave opened through the service.
    Lent,
    /// What becomes of one name lookup.
    Lookup,
    Readiness,
    Configuration,
    Quotes,
    Disk,
    Sockets,
    Tpm,
}
