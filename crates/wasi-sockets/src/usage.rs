use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::bindings::wasi::sockets::network::ErrorCode;

/// What one call holds of what is bounded. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sockets: AtomicUsize,
    lookups: AtomicUsize,
    buffered: AtomicUsize,
}

impl Usage {
    /// Counts a socket until the [`Slot`] is dropped.
    pub(crate) fn socket(&self) -> Result<Slot, ErrorCode> {
        self.slot(Kind::Socket, MAX_SOCKETS).ok_or(ErrorCode::NewSocketLimit)
    }

    /// Counts a name lookup that is under way.
    pub(crate) fn lookup(&self) -> Result<Slot, ErrorCode> {
        self.slot(Kind::Lookup, MAX_LOOKUPS).ok_or(ErrorCode::TemporaryResolverFailure)
    }

    /// Keeps `bytes` and counts them until they are taken.
    pub(crate) fn hold(&self, bytes: Bytes) -> Held {
        self.0.buffered.fetch_add(bytes.len(), Ordering::Relaxed);
        ALL_BUFFERED.fetch_add(bytes.len(), Ordering::Relaxed);
        Held { bytes, usage: self.clone() }
    }

    /// Whether so much is buffered that nothing more should be read ahead, nor much be written.
    pub(crate) fn is_full(&self) -> bool {
        self.0.buffered.load(Ordering::Relaxed) >= MAX_BUFFERED
            || ALL_BUFFERED.load(Ordering::Relaxed) >= MAX_ALL_BUFFERED
    }

    fn give_back(&self, bytes: usize) {
        self.0.buffered.fetch_sub(bytes, Ordering::Relaxed);
        ALL_BUFFERED.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn slot(&self, kind: Kind, most: usize) -> Option<Slot> {
        let before = self.count(kind).fetch_add(1, Ordering::Relaxed);
        let slot = Slot { usage: self.clone(), kind };
        (before < most).then_some(slot)
    }

    fn count(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Socket => &self.0.sockets,
            Kind::Lookup => &self.0.lookups,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Socket,
    Lookup,
}

/// One of a bounded number, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    usage: Usage,
    kind: Kind,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.usage.count(self.kind).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes between a guest and the host.
pub(crate) struct Held {
    bytes: Bytes,
    usage: Usage,
}

impl Held {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives up the first `most` bytes at most.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let taken = self.bytes.split_to(most.min(self.bytes.len()));
        self.usage.give_back(taken.len());
        taken
    }
}

/// Not what they are.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} bytes)", self.bytes.len())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.usage.give_back(self.bytes.len());
    }
}

/// Sockets of one call, accepted ones among them.
pub const MAX_SOCKETS: usize = 1_000;
/// Name lookups of one call at a time.
pub const MAX_LOOKUPS: usize = 16;
/// Bytes that the sockets of one call buffer inside the enclave before they buffer less: nothing is read ahead then, and
/// a write may be no longer than 4 KiB.
pub const MAX_BUFFERED: usize = 8 << 20;
/// The same of the calls of all apps together: the enclave's heap is theirs.
const MAX_ALL_BUFFERED: usize = 64 << 20;
static ALL_BUFFERED: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_back() {
        let usage = Usage::default();
        let slots: Vec<_> = (0..MAX_SOCKETS).map(|_| usage.socket().unwrap()).collect();
        assert_eq!(usage.socket().unwrap_err(), ErrorCode::NewSocketLimit);
        assert_eq!(usage.socket().unwrap_err(), ErrorCode::NewSocketLimit);
        drop(slots);
        let lookups: Vec<_> = (0..MAX_LOOKUPS).map(|_| usage.lookup().unwrap()).collect();
        assert_eq!(usage.lookup().unwrap_err(), ErrorCode::TemporaryResolverFailure);
        assert!(usage.socket().is_ok());
        drop(lookups);
        assert!(usage.lookup().is_ok());
    }

    #[test]
    fn bytes_count_until_they_are_taken_or_dropped() {
        let usage = Usage::default();
        let mut held = usage.hold(Bytes::from(vec![7; MAX_BUFFERED]));
        assert!(usage.is_full());
        assert_eq!(held.take(1), [7][..]);
        assert!(!usage.is_full());
        let more = usage.hold(Bytes::from_static(b"x"));
        assert!(usage.is_full());
        drop(held);
        assert!(!usage.is_full() && !more.is_empty());
        drop(more);
        assert_eq!(usage.0.buffered.load(Ordering::Relaxed), 0);
    }
}
