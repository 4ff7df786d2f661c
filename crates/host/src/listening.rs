//! The one listener that the enclave may have, as the host follows it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// How far the enclave has come with its listener.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    progress: Mutex<Progress>,
    changed: Condvar,
    closed: AtomicBool,
}

impl Listening {
    /// Looks at the progress until `f` has what it wants or `until` has passed.
    pub(crate) fn wait<T>(
        &self,
        timeout: Duration,
        mut f: impl FnMut(&mut Progress) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now().checked_add(timeout);
        let mut progress = lock(&self.progress);
        loop {
            if let Some(found) = f(&mut progress) {
                return Some(found);
            }
            let remaining = deadline.map_or(Duration::from_secs(1), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if remaining.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(progress, remaining);
            (progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The error that kept the enclave from listening, once.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        let mut progress = lock(&self.progress);
        match std::mem::take(&mut *progress) {
            Progress::Failed(error) => Some(error),
            other => {
                *progress = other;
                None
            }
        }
    }

    /// Makes waiters look again.
    pub(crate) fn notify(&self) {
        let _progress = lock(&self.progress);
        self.changed.notify_all();
    }

    /// Notes progress, and says whether it was noted: a listener that is bound stays.
    pub(crate) fn set(&self, new: Progress) -> bool {
        let mut progress = lock(&self.progress);
        if matches!(*progress, Progress::Bound(..)) {
            return false;
        }
        *progress = new;
        self.changed.notify_all();
        true
    }

    /// Whether connections are refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Refuses connections from here on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Progress::Bound(_, listener) = &*lock(&self.progress) {
            // Connections are refused from here on (tcp(7)); where it fails, they wait in the backlog and are dropped.
            let _ = rustix::net::shutdown(&**listener, rustix::net::Shutdown::Both);
        }
    }
}

/// See [`Listening`].
#[derive(Debug, Default)]
pub(crate) enum Progress {
    #[default]
    NotYet,
    Failed(io::Error),
    Bound(SocketAddr, Arc<TcpListener>),
}

/// A non-blocking listener (`std` sets `SO_REUSEADDR`) and its local address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<(Arc<TcpListener>, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    Ok((Arc::new(listener), local))
}
