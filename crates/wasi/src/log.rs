use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Which of a guest's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stdio {
    Stdout,
    Stderr,
}

/// Takes what guests write to standard output and error.
pub trait LogSink: Send + Sync + 'static {
    /// Never blocks and never fails: a guest goes on when its log is full.
    fn write(&self, stream: Stdio, bytes: &[u8]);
}

/// Keeps the first bytes of a guest's output, and counts the rest.
pub struct BoundedLog {
    limit: usize,
    log: Mutex<CapturedLog>,
}

impl BoundedLog {
    /// Keeps at most `limit` bytes, of both streams together. Alternating between the streams byte by byte takes 17
    /// bytes of memory for each byte kept.
    pub fn new(limit: usize) -> Self {
        Self { limit, log: Mutex::default() }
    }

    /// Takes out what was captured since the last time, and makes its room free again.
    pub fn take(&self) -> CapturedLog {
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LogSink for BoundedLog {
    fn write(&self, stream: Stdio, bytes: &[u8]) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let room = if log.dropped == 0 { self.limit.saturating_sub(log.bytes.len()) } else { 0 };
        let (kept, dropped) = bytes.split_at(room.min(bytes.len()));
        log.push(stream, kept);
        log.dropped = log.dropped.saturating_add(dropped.len() as u64);
    }
}

impl fmt::Debug for BoundedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedLog").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Output of a guest, in the order in which it was written. It is a secret of the app.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CapturedLog {
    bytes: Vec<u8>,
    /// Each span starts where the one before it ends; neighbours are of different streams.
    spans: Vec<Span>,
    dropped: u64,
}

impl CapturedLog {
    /// The pieces in the order written; neighbours are of different streams.
    pub fn pieces(&self) -> impl Iterator<Item = (Stdio, &[u8])> {
        let starts = std::iter::once(0).chain(self.spans.iter().map(|span| span.end));
        starts
            .zip(&self.spans)
            .map(|(start, span)| (span.stream, self.bytes.get(start..span.end).unwrap_or_default()))
    }

    /// All bytes kept of one stream.
    pub fn of(&self, stream: Stdio) -> Vec<u8> {
        self.pieces().filter(|(s, _)| *s == stream).flat_map(|(_, bytes)| bytes).copied().collect()
    }

    /// How many bytes did not fit. More than 0: the log is truncated.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.dropped == 0
    }

    fn push(&mut self, stream: Stdio, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        match self.spans.last_mut() {
            Some(last) if last.stream == stream => last.end = end,
            _ => self.spans.push(Span { stream, end }),
        }
    }
}

impl fmt::Debug for CapturedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturedLog")
            .field("kept", &self.bytes.len())
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Span {
    stream: Stdio,
    /// Where in the bytes it ends.
    end: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_order_and_join_their_neighbours() {
        let log = BoundedLog::new(100);
        log.write(Stdio::Stdout, b"a");
        log.write(Stdio::Stdout, b"b");
        log.write(Stdio::Stderr, b"");
        log.write(Stdio::Stderr, b"c");
        log.write(Stdio::Stdout, b"d");
        let log = log.take();
        let pieces: Vec<_> = log.pieces().collect();
        assert_eq!(pieces, [(Stdio::Stdout, &b"ab"[..]), (Stdio::Stderr, b"c"), (Stdio::Stdout, b"d")]);
        assert_eq!(log.of(Stdio::Stdout), b"abd");
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn the_limit_cuts_in_the_middle_and_counts_the_rest() {
        let log = BoundedLog::new(4);
        log.write(Stdio::Stdout, b"abc");
        log.write(Stdio::Stderr, b"def");
        log.write(Stdio::Stdout, b"");
        log.write(Stdio::Stdout, b"gh");
        let log = log.take();
        assert_eq!((log.of(Stdio::Stdout), log.of(Stdio::Stderr)), (b"abc".to_vec(), b"d".to_vec()));
        assert_eq!(log.dropped(), 4);
    }

    #[test]
    fn what_is_taken_makes_room() {
        let log = BoundedLog::new(2);
        log.write(Stdio::Stdout, b"abc");
        assert_eq!(log.take().dropped(), 1);
        assert!(log.take().is_empty());
        log.write(Stdio::Stdout, b"x");
        assert_eq!(log.take().of(Stdio::Stdout), b"x");
    }

    #[test]
    fn a_log_of_nothing_only_counts() {
        let log = BoundedLog::new(0);
        log.write(Stdio::Stderr, b"abc");
        let log = log.take();
        assert_eq!(log.pieces().count(), 0);
        assert!(!log.is_empty());
        assert_eq!(log.dropped(), 3);
    }

    #[test]
    fn debug_does_not_show_what_a_guest_wrote() {
        let log = BoundedLog::new(10);
        log.write(Stdio::Stdout, b"secret");
        assert!(!format!("{log:?}{:?}", log.take()).contains("secret"));
    }
}
