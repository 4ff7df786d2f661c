//! Serves usercalls, each on the thread that left the enclave with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::abi::{UsercallError, UsercallKind};
use crate::clock::Clock;
use crate::enter::Usercall;
use crate::events::{EventSet, is_event_set};
use crate::interference::{Answer, Call, Interference};
use crate::memory::{Borrowed, Breach, Memory};
use crate::statistics::Counts;
use crate::streams::{MAX_COPY, Stream, Streams};

/// What the host lends to one enclave: all its threads share this.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) memory: Memory,
    pub(crate) streams: Streams,
    /// In the order of their addresses.
    slots: Vec<Slot>,
    /// Set once, when the enclave is not to be entered again.
    stopping: AtomicBool,
    clock: Clock,
    interference: Option<Arc<dyn Interference>>,
}

/// The host's side of one TCS.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Of the TCS.
    pub(crate) address: u64,
    pub(crate) events: EventSet,
    pub(crate) counts: Counts,
}

/// Starts threads that enter the enclave.
pub(crate) trait Threads {
    /// Starts one at a free TCS.
    ///
    /// # Errors
    /// Where none is free, or the operating system has no thread.
    fn launch(&self) -> Result<(), UsercallError>;
}

/// What becomes of the thread that made a usercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It enters again, with these two values.
    Enter(u64, u64),
    /// The enclave is over.
    Exit(Manner),
}

/// How an enclave calls `exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Success,
    /// A panic, or an exit code other than zero.
    Failure,
}

impl Host {
    pub(crate) fn new(
        memory: Memory,
        streams: Streams,
        tcs_addresses: impl IntoIterator<Item = u64>,
        interference: Option<Arc<dyn Interference>>,
    ) -> Self {
        let mut slots: Vec<_> = tcs_addresses
            .into_iter()
            .map(|address| Slot { address, events: EventSet::default(), counts: Counts::default() })
            .collect();
        slots.sort_by_key(|slot| slot.address);
        Self { memory, streams, slots, stopping: AtomicBool::new(false), clock: Clock::new(), interference }
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn slot(&self, address: u64) -> Option<&Slot> {
        let index = self.slots.binary_search_by_key(&address, |slot| slot.address).ok()?;
        self.slots.get(index)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Releases every thread that is blocked in a usercall; none is to enter again.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for slot in &self.slots {
            slot.events.wake();
        }
        self.streams.stop();
    }

    /// Serves one usercall of the thread at `caller`.
    ///
    /// # Errors
    /// Where the enclave breaks the ABI. It cannot go on then.
    pub(crate) fn serve(
        &self,
        caller: &Slot,
        threads: &dyn Threads,
        call: Usercall,
    ) -> Result<Reply, Breach> {
        let kind = UsercallKind::from_number(call.number).ok_or(Breach::UnknownUsercall(call.number))?;
        caller.counts.add(kind);
        let [first, second, third, fourth] = call.arguments;
        match kind {
            UsercallKind::Read => self.read(first, second, third),
            UsercallKind::ReadAlloc => self.read_alloc(first, second),
            UsercallKind::Write => self.write(first, second, third),
            UsercallKind::Flush => Ok(status(self.streams.find(first).map(drop))),
            UsercallKind::Close => {
                self.streams.close(first);
                Ok(NOTHING)
            }
            UsercallKind::BindStream => self.bind(first, second, third),
            UsercallKind::AcceptStream => self.accept(first, second, third),
            UsercallKind::ConnectStream => self.connect(first, second, third, fourth),
            UsercallKind::LaunchThread => Ok(status(threads.launch())),
            UsercallKind::Exit if first == 0 => Ok(Reply::Exit(Manner::Success)),
            UsercallKind::Exit => Ok(Reply::Exit(Manner::Failure)),
            UsercallKind::Wait => Ok(self.wait(caller, first, second)),
            UsercallKind::Send => Ok(status(self.send(first, second))),
            UsercallKind::InsecureTime => Ok(self.insecure_time()),
            UsercallKind::Alloc => Ok(value(self.memory.allocate(first, second))),
            UsercallKind::Free => self.memory.free(first, second).map(|()| NOTHING),
            // The ABI's `UnSupported` would make the enclave's `std` abort.
            UsercallKind::AsyncQueues => Ok(status(Err(UsercallError::Other))),
        }
    }

    fn read(&self, fd: u64, address: u64, length: u64) -> Result<Reply, Breach> {
        let into = self.memory.borrow(address, length)?;
        let stream = match self.streams.find(fd) {
            Ok(stream) => stream,
            Err(error) => return Ok(value(Err(error))),
        };
        let Some(interference) = &self.interference else {
            return Ok(value(stream.read(&into).map(|count| count as u64)));
        };
        let result = stream.read(&into);
        let call = Call { fd: Some(fd), ..about(UsercallKind::Read, &stream, into.len()) };
        let mut answer = answer_of(result.map(|count| count as u64));
        answer.bytes = into.to_vec(result.unwrap_or(0));
        interference.answer(&call, &mut answer);
        into.copy_from(&answer.bytes);
        Ok(pass_on(&answer))
    }

    fn read_alloc(&self, fd: u64, target: u64) -> Result<Reply, Breach> {
        let result = self.streams.find(fd).and_then(|stream| {
            let address = self.memory.allocate(READ_ALLOC_LEN, 1)?;
            let read = self.read_into_vec(&stream, address);
            // Freed with the size that it was allocated with, and borrowed by nobody.
            let _ = self.memory.free(address, READ_ALLOC_LEN);
            Ok((stream, read?))
        });
        let (stream, bytes) = match result {
            Ok(read) => read,
            Err(error) => return Ok(status(Err(error))),
        };
        let mut answer = Answer { status: 0, value: 0, bytes };
        if let Some(interference) = &self.interference {
            let call =
                Call { fd: Some(fd), ..about(UsercallKind::ReadAlloc, &stream, READ_ALLOC_LEN as usize) };
            interference.answer(&call, &mut answer);
        }
        let told = self.memory.answer_bytes(target, &answer.bytes)?;
        Ok(match told {
            Ok(()) => Reply::Enter(code(answer.status), 0),
            Err(error) => status(Err(error)),
        })
    }

    fn read_into_vec(&self, stream: &Stream, address: u64) -> Result<Vec<u8>, UsercallError> {
        let buffer = self.memory.borrow(address, READ_ALLOC_LEN).map_err(|_| UsercallError::Other)?;
        stream.read(&buffer).map(|count| buffer.to_vec(count))
    }

    fn write(&self, fd: u64, address: u64, length: u64) -> Result<Reply, Breach> {
        let from = self.memory.borrow(address, length)?;
        let stream = match self.streams.find(fd) {
            Ok(stream) => stream,
            Err(error) => return Ok(value(Err(error))),
        };
        let Some(interference) = &self.interference else {
            return Ok(value(stream.write(&from).map(|count| count as u64)));
        };
        let call = Call { fd: Some(fd), ..about(UsercallKind::Write, &stream, from.len()) };
        let result = self.write_interfered(&**interference, &call, &stream, &from)?;
        let mut answer = answer_of(result);
        interference.answer(&call, &mut answer);
        Ok(pass_on(&answer))
    }

    /// Lets the interference change the bytes. The enclave is told that as many were written as it offered, where
    /// all of the changed ones were.
    fn write_interfered(
        &self,
        interference: &dyn Interference,
        call: &Call<'_>,
        stream: &Stream,
        from: &Borrowed<'_>,
    ) -> Result<Result<u64, UsercallError>, Breach> {
        let original = from.to_vec(MAX_COPY);
        let mut bytes = original.clone();
        interference.outgoing(call, &mut bytes);
        if bytes.is_empty() {
            return Ok(Ok(original.len() as u64));
        }
        let length = bytes.len() as u64;
        let address = match self.memory.allocate(length, 1) {
            Ok(address) => address,
            Err(error) => return Ok(Err(error)),
        };
        let changed = self.memory.borrow(address, length)?;
        changed.copy_from(&bytes);
        let written = stream.write(&changed).map(|count| count as u64);
        drop(changed);
        self.memory.free(address, length)?;
        Ok(written.map(|count| if count == length { original.len() as u64 } else { count }))
    }

    fn bind(&self, name: u64, length: u64, local: u64) -> Result<Reply, Breach> {
        let name = match self.name(name, length)? {
            Ok(name) => name,
            Err(error) => return Ok(value(Err(error))),
        };
        let bound = self.streams.bind(&name);
        if let Ok((fd, address)) = &bound
            && let Err(error) = self.memory.answer_bytes(local, address.as_bytes())?
        {
            self.streams.close(*fd);
            return Ok(value(Err(error)));
        }
        Ok(self.opened(UsercallKind::BindStream, Some(&name), bound.map(|(fd, _)| fd)))
    }

    fn accept(&self, listener: u64, local: u64, peer: u64) -> Result<Reply, Breach> {
        let accepted = self.streams.accept(listener);
        if let Ok(accepted) = &accepted {
            // Most enclaves do not ask; formatting is for those that do.
            for (target, address) in [(local, accepted.local), (peer, accepted.peer)] {
                if target == 0 {
                    continue;
                }
                if let Err(error) = self.memory.answer_bytes(target, address.to_string().as_bytes())? {
                    self.streams.close(accepted.fd);
                    return Ok(value(Err(error)));
                }
            }
        }
        Ok(self.opened(UsercallKind::AcceptStream, None, accepted.map(|accepted| accepted.fd)))
    }

    fn connect(&self, name: u64, length: u64, local: u64, peer: u64) -> Result<Reply, Breach> {
        let name = match self.name(name, length)? {
            Ok(name) => name,
            Err(error) => return Ok(value(Err(error))),
        };
        let connected = self.streams.connect(&name);
        if let Ok(fd) = connected {
            for (target, address) in [(local, "host"), (peer, name.as_str())] {
                if let Err(error) = self.memory.answer_bytes(target, address.as_bytes())? {
                    self.streams.close(fd);
                    return Ok(value(Err(error)));
                }
            }
        }
        Ok(self.opened(UsercallKind::ConnectStream, Some(&name), connected))
    }

    fn name(&self, address: u64, length: u64) -> Result<Result<String, UsercallError>, Breach> {
        let bytes = self.memory.borrow(address, length)?;
        if bytes.len() > MAX_NAME {
            return Ok(Err(UsercallError::InvalidInput));
        }
        Ok(String::from_utf8(bytes.to_vec(MAX_NAME)).map_err(|_| UsercallError::InvalidInput))
    }

    fn opened(&self, kind: UsercallKind, name: Option<&str>, fd: Result<u64, UsercallError>) -> Reply {
        let Some(interference) = &self.interference else {
            return value(fd);
        };
        let stream = fd.ok().and_then(|fd| self.streams.find(fd).ok()).map(|stream| stream.kind());
        let call = Call { kind, fd: fd.ok(), stream, name, length: 0 };
        let mut answer = answer_of(fd);
        interference.answer(&call, &mut answer);
        pass_on(&answer)
    }

    fn wait(&self, caller: &Slot, mask: u64, timeout: u64) -> Reply {
        let events = caller.events.wait(mask, timeout, &self.stopping);
        let Some(interference) = &self.interference else {
            return value(events);
        };
        let mut answer = answer_of(events);
        interference.answer(&bare(UsercallKind::Wait), &mut answer);
        pass_on(&answer)
    }

    fn send(&self, events: u64, tcs: u64) -> Result<(), UsercallError> {
        if !is_event_set(events) {
            return Err(UsercallError::InvalidInput);
        }
        if tcs == 0 {
            self.slots.iter().for_each(|slot| slot.events.send(events));
            return Ok(());
        }
        self.slot(tcs).ok_or(UsercallError::InvalidInput)?.events.send(events);
        Ok(())
    }

    /// The second value would point to the frequency of the time-stamp counter, for an enclave that reads the counter
    /// itself. It is null: RDTSC is illegal in an SGX1 enclave.
    fn insecure_time(&self) -> Reply {
        let nanoseconds = self.clock.now();
        let Some(interference) = &self.interference else {
            return Reply::Enter(nanoseconds, 0);
        };
        let mut answer = answer_of(Ok(nanoseconds));
        interference.answer(&bare(UsercallKind::InsecureTime), &mut answer);
        Reply::Enter(answer.value, 0)
    }
}

fn status(result: Result<(), UsercallError>) -> Reply {
    value(result.map(|()| 0))
}

fn value(result: Result<u64, UsercallError>) -> Reply {
    match result {
        Ok(value) => Reply::Enter(0, value),
        Err(error) => Reply::Enter(code(error.code()), 0),
    }
}

/// A `Result` of the ABI in a register.
fn code(status: i32) -> u64 {
    u64::from(status.cast_unsigned())
}

fn answer_of(result: Result<u64, UsercallError>) -> Answer {
    match result {
        Ok(value) => Answer { status: 0, value, bytes: Vec::new() },
        Err(error) => Answer { status: error.code(), value: 0, bytes: Vec::new() },
    }
}

fn pass_on(answer: &Answer) -> Reply {
    Reply::Enter(code(answer.status), answer.value)
}

fn bare(kind: UsercallKind) -> Call<'static> {
    Call { kind, fd: None, stream: None, name: None, length: 0 }
}

fn about(kind: UsercallKind, stream: &Stream, length: usize) -> Call<'static> {
    Call { stream: Some(stream.kind()), length, ..bare(kind) }
}

/// The answer of a usercall that returns nothing.
const NOTHING: Reply = Reply::Enter(0, 0);

/// Bytes that one `read_alloc` returns at most.
const READ_ALLOC_LEN: u64 = 64 << 10;

/// Longest address or service name, in bytes.
const MAX_NAME: usize = 1024;

#[cfg(test)]
mod tests;
