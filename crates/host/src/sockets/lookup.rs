use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;

use cloister_frames::{SocketResponse, encode_length};
use cloister_sockets::look_up;
use rustix::event::{EventfdFlags, eventfd};

use super::{MAX_LOOKUPS, MAX_SOCKETS, Permit};
use crate::abi::UsercallError;
use crate::interference::Interference;
use crate::sync::lock;

/// One lookup of a name: a stream that becomes readable once its answer is there.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Readable from then on.
    done: OwnedFd,
    /// `None` until then; what is left to read of it.
    answer: Mutex<Option<Vec<u8>>>,
    _permit: Permit<MAX_SOCKETS>,
}

impl Lookup {
    pub(super) fn new(permit: Permit<MAX_SOCKETS>) -> io::Result<Arc<Self>> {
        let done = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self { done, answer: Mutex::new(None), _permit: permit }))
    }

    /// Asks the operating system, on a thread of its own: it may take as long as it likes.
    pub(super) fn start(
        self: Arc<Self>,
        name: &str,
        under_way: Permit<MAX_LOOKUPS>,
        interference: Option<Arc<dyn Interference>>,
    ) -> io::Result<()> {
        let name = name.to_owned();
        let run = move || {
            let answer = look_up(&name).map_or_else(SocketResponse::Failed, SocketResponse::Found).encode();
            drop(under_way);
            let length = encode_length(answer.len()).expect("64 addresses fit a frame");
            let mut bytes = [&length, answer.as_slice()].concat();
            if let Some(interference) = interference {
                interference.looked_up(&name, &mut bytes);
            }
            self.finish(bytes);
        };
        thread::Builder::new().name("lookup".into()).spawn(run).map(drop)
    }

    /// Offers what is left of the answer to `deliver`, which says how many of its bytes it took: as many are gone.
    ///
    /// # Errors
    /// `WouldBlock` until the answer is there.
    pub(crate) fn read(&self, deliver: impl FnOnce(&[u8]) -> usize) -> Result<usize, UsercallError> {
        let mut answer = lock(&self.answer);
        let rest = answer.as_mut().ok_or(UsercallError::WouldBlock)?;
        let count = deliver(rest).min(rest.len());
        rest.drain(..count);
        Ok(count)
    }

    fn finish(&self, answer: Vec<u8>) {
        if answer.is_empty() {
            return;
        }
        *lock(&self.answer) = Some(answer);
        // It is written once: there is room.
        let _ = rustix::io::write(&self.done, &1u64.to_ne_bytes());
    }
}

impl AsFd for Lookup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
