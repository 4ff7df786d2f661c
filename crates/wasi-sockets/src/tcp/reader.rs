use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use cloister_boundary::net::{Shutdown, SocketError, TcpSocket};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};

use crate::context::Exits;
use crate::usage::{Held, Usage};

/// What the peer sends. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    lent: TcpSocket,
    state: Arc<Mutex<State>>,
    usage: Usage,
    exits: Exits,
}

#[derive(Debug)]
enum State {
    Open,
    /// Read while a pollable waited, and not empty.
    Ahead(Held),
    /// To be told once; then the stream is closed.
    Failed(SocketError),
    Closed,
}

impl Reader {
    pub(super) fn new(lent: TcpSocket, usage: Usage, exits: Exits) -> Self {
        Self { lent, state: Arc::new(Mutex::new(State::Open)), usage, exits }
    }

    /// "Any data still in the receive queue at time of calling this method will be discarded."
    pub(super) fn shut_down(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Closed) {
            *state = State::Closed;
            // Fails where the peer has ended the connection, which comes to the same.
            let _ended = self.lent.shutdown(Shutdown::Read);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes of a read that no bytes were read ahead for.
    fn ask(&self, most: usize) -> Read {
        self.exits.add();
        let mut buffer = BytesMut::zeroed(most);
        match self.lent.read(&mut buffer) {
            Ok(0) => Read::End,
            Ok(count) => Read::Bytes(fitted(buffer, count)),
            Err(SocketError::WouldBlock) => Read::Nothing,
            Err(error) => Read::Failed(error),
        }
    }
}

enum Read {
    Bytes(Bytes),
    Nothing,
    End,
    Failed(SocketError),
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        while matches!(*self.state(), State::Open) {
            self.lent.readable().await;
            if self.usage.is_full() {
                return;
            }
            let read = self.ask(READ_AHEAD);
            let mut state = self.state();
            match read {
                Read::Bytes(bytes) => *state = State::Ahead(self.usage.hold(bytes)),
                Read::Nothing => {}
                Read::End => *state = State::Closed,
                Read::Failed(error) => *state = State::Failed(error),
            }
        }
    }
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.state();
        match &mut *state {
            State::Closed => Err(StreamError::Closed),
            State::Failed(error) => {
                let error = *error;
                *state = State::Closed;
                Err(StreamError::LastOperationFailed(error.into()))
            }
            _ if size == 0 => Ok(Bytes::new()),
            State::Ahead(held) => {
                let bytes = held.take(size);
                if held.is_empty() {
                    *state = State::Open;
                }
                Ok(bytes)
            }
            State::Open => match self.ask(size.min(MAX_READ)) {
                Read::Bytes(bytes) => Ok(bytes),
                Read::Nothing => Ok(Bytes::new()),
                Read::End => {
                    *state = State::Closed;
                    Err(StreamError::Closed)
                }
                Read::Failed(error) => {
                    *state = State::Closed;
                    Err(StreamError::LastOperationFailed(error.into()))
                }
            },
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            self.ready().await;
            let bytes = self.read(size)?;
            if !bytes.is_empty() || size == 0 {
                return Ok(bytes);
            }
        }
    }
}

/// The first `count` bytes, in no more memory than they need.
fn fitted(mut buffer: BytesMut, count: usize) -> Bytes {
    if count < buffer.len() / 2 {
        return Bytes::copy_from_slice(&buffer[..count]);
    }
    buffer.truncate(count);
    buffer.freeze()
}

/// Bytes that one read takes from the host at most.
const MAX_READ: usize = 64 << 10;
/// Bytes that a pollable takes from the host to know that there are some.
const READ_AHEAD: usize = 16 << 10;
