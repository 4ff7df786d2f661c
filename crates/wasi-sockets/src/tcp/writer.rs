use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes};
use cloister_boundary::net::{Shutdown, SocketError, TcpSocket};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

use crate::context::Exits;
use crate::failure::Breach;
use crate::usage::{Held, Usage};

/// What the guest sends. Clones share it.
///
/// A write goes to the host at once. What the host does not take is sent by a task as the peer makes room, and until then
/// `check-write` permits nothing. When the last clone is dropped, what was not sent is lost: `output-stream.drop` waits
/// for it before.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    end: Arc<End>,
    usage: Usage,
    task: Mutex<Option<AbortHandle>>,
}

/// What the task shares with the guest's side.
#[derive(Debug)]
struct End {
    lent: TcpSocket,
    state: Mutex<State>,
    sent: Notify,
    exits: Exits,
}

#[derive(Debug)]
enum State {
    /// All is sent. Holds how many bytes the next write may have.
    Idle {
        permitted: usize,
    },
    Sending(Held),
    /// To be shut down when all is sent.
    Ending(Held),
    /// To be told once; then the stream is closed.
    Failed(SocketError),
    Closed,
}

impl Writer {
    pub(super) fn new(lent: TcpSocket, usage: Usage, exits: Exits) -> Self {
        let state = Mutex::new(State::Idle { permitted: 0 });
        let end = Arc::new(End { lent, state, sent: Notify::new(), exits });
        Self(Arc::new(Inner { end, usage, task: Mutex::new(None) }))
    }

    /// "The `output-stream` associated with this socket will be closed and a FIN packet will be sent", after what was
    /// written.
    pub(super) fn shut_down(&self) {
        let mut state = self.0.end.state();
        *state = match mem::replace(&mut *state, State::Closed) {
            State::Sending(held) => State::Ending(held),
            State::Idle { .. } => {
                self.0.end.close();
                State::Closed
            }
            state => state,
        };
    }

    fn send_later(&self) {
        let task = tokio::spawn(self.0.end.clone().send_all()).abort_handle();
        *self.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl End {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends until nothing is left or the connection fails.
    async fn send_all(self: Arc<Self>) {
        loop {
            self.lent.writable().await;
            if self.send_some() {
                self.sent.notify_waiters();
                return;
            }
        }
    }

    /// Whether the task is over.
    fn send_some(&self) -> bool {
        let mut state = self.state();
        let (State::Sending(held) | State::Ending(held)) = &mut *state else {
            return true;
        };
        let sent = self.write(held.bytes());
        if let Ok(count) = sent {
            held.take(count);
            if !held.is_empty() {
                return false;
            }
        }
        let ends = matches!(*state, State::Ending(_));
        *state = match sent {
            Ok(_) if ends => {
                self.close();
                State::Closed
            }
            Ok(_) => State::Idle { permitted: 0 },
            Err(error) => State::Failed(error),
        };
        true
    }

    /// How many of the bytes the host took before it had no more room.
    fn write(&self, bytes: &[u8]) -> Result<usize, SocketError> {
        let mut written = 0;
        while written < bytes.len() {
            self.exits.add();
            match self.lent.write(&bytes[written..]) {
                Ok(0) => return Err(SocketError::Host),
                Ok(count) => written += count,
                Err(SocketError::WouldBlock) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Fails where the peer has ended the connection, which comes to the same.
    fn close(&self) {
        let _ended = self.lent.shutdown(Shutdown::Write);
    }
}

/// How the stream stands; a failure is told here and only here.
fn check(state: &mut State) -> StreamResult<()> {
    match *state {
        State::Idle { .. } | State::Sending(_) | State::Ending(_) => Ok(()),
        State::Closed => Err(StreamError::Closed),
        State::Failed(error) => {
            *state = State::Closed;
            Err(StreamError::LastOperationFailed(error.into()))
        }
    }
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        let end = &self.0.end;
        loop {
            let sent = end.sent.notified();
            if !matches!(*end.state(), State::Sending(_) | State::Ending(_)) {
                return;
            }
            sent.await;
        }
    }
}

#[async_trait]
impl OutputStream for Writer {
    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        let end = &self.0.end;
        let mut state = end.state();
        check(&mut state)?;
        let permitted = match *state {
            State::Idle { permitted } => permitted,
            _ => 0,
        };
        if bytes.len() > permitted {
            let breach = Breach::Write { written: bytes.len(), permitted };
            return Err(StreamError::Trap(breach.into()));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        match end.write(&bytes) {
            Ok(count) if count == bytes.len() => *state = State::Idle { permitted: 0 },
            Ok(count) => {
                bytes.advance(count);
                *state = State::Sending(self.0.usage.hold(bytes));
                drop(state);
                self.send_later();
            }
            Err(error) => {
                *state = State::Closed;
                return Err(StreamError::LastOperationFailed(error.into()));
            }
        }
        Ok(())
    }

    /// What was written is on its way already: the pollable is ready when the host has it.
    fn flush(&mut self) -> StreamResult<()> {
        check(&mut self.0.end.state())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let mut state = self.0.end.state();
        check(&mut state)?;
        match &mut *state {
            State::Idle { permitted } => {
                *permitted = if self.0.usage.is_full() { LEAST_PERMIT } else { MOST_PERMIT };
                Ok(*permitted)
            }
            _ => Ok(0),
        }
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        loop {
            self.ready().await;
            let permitted = self.check_write()?;
            if permitted > 0 {
                return Ok(permitted);
            }
        }
    }

    async fn cancel(&mut self) {
        self.ready().await;
    }
}

/// Bytes of one write, which is also what one connection buffers.
const MOST_PERMIT: usize = 64 << 10;
/// Bytes of one write while the call's sockets buffer much: `blocking-write-and-flush` takes as many.
const LEAST_PERMIT: usize = 4 << 10;
