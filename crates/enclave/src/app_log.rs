//! What an app's calls wrote to standard output and error.

use bytes::Bytes;
use cloister_runtime::{LogSink, Stdio};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The last of what the app's calls wrote to standard output and error. Its owner may read it, and nobody else.
#[derive(Default)]
pub(crate) struct AppLog {
    kept: Mutex<Kept>,
    grown: Notify,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// How many bytes were written and are no longer kept.
    gone: u64,
    /// Nothing more will be written.
    is_closed: bool,
}

impl AppLog {
    /// The bytes kept, oldest first.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.lock().bytes.iter().copied().collect()
    }

    /// Ends those who follow once they have read everything.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.grown.notify_waiters();
    }

    /// Reads what is there, and then what comes.
    pub(crate) fn follow(self: &Arc<Self>) -> Follower {
        Follower { log: Arc::clone(self), position: 0, is_first: true }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogSink for AppLog {
    fn write(&self, _: Stdio, bytes: &[u8]) {
        #[cfg(feature = "provocations")]
        assert!(!bytes.starts_with(b"hello"), "provoked by {bytes:?}");
        let kept = &bytes[bytes.len().saturating_sub(APP_LOG)..];
        {
            let mut log = self.lock();
            let over = (log.bytes.len() + kept.len()).saturating_sub(APP_LOG);
            log.bytes.drain(..over);
            log.bytes.extend(kept);
            log.gone += (over + bytes.len() - kept.len()) as u64;
        }
        self.grown.notify_waiters();
    }
}

impl std::fmt::Debug for AppLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppLog").finish_non_exhaustive()
    }
}

/// A reader of a log that goes on.
#[derive(Debug)]
pub(crate) struct Follower {
    log: Arc<AppLog>,
    /// Bytes of the log's whole life that were read or skipped.
    position: u64,
    is_first: bool,
}

impl Follower {
    /// What comes next; `None` when nothing more can come. Says how much was lost where it was read too slowly.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let grown = self.log.grown.notified();
            let mut grown = std::pin::pin!(grown);
            // From here on no growth is missed.
            grown.as_mut().enable();
            {
                let log = self.log.lock();
                let skipped = log.gone.saturating_sub(self.position);
                self.position = self.position.max(log.gone);
                let is_first = std::mem::take(&mut self.is_first);
                let at = usize::try_from(self.position - log.gone).unwrap_or(usize::MAX);
                let most = log.bytes.len().saturating_sub(at).min(PIECE);
                let mut piece = Vec::new();
                if skipped > 0 && !is_first {
                    piece.extend_from_slice(
                        format!("\n[{skipped} bytes of the log were skipped]\n").as_bytes(),
                    );
                }
                piece.extend(log.bytes.iter().skip(at).take(most));
                self.position += most as u64;
                if !piece.is_empty() {
                    return Some(piece.into());
                }
                if log.is_closed {
                    return None;
                }
            }
            grown.await;
        }
    }
}

/// Bytes of output kept of one app.
const APP_LOG: usize = 256 << 10;
/// Bytes that a follower takes at once.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn a_log_keeps_the_last_bytes() {
        let log = AppLog::default();
        log.write(Stdio::Stdout, b"first");
        log.write(Stdio::Stderr, &vec![b'x'; APP_LOG - 2]);
        assert_eq!(log.read().len(), APP_LOG);
        assert!(log.read().starts_with(b"stx"));
        log.write(Stdio::Stdout, &vec![b'y'; 2 * APP_LOG]);
        assert_eq!(log.read(), vec![b'y'; APP_LOG]);
    }

    #[tokio::test]
    async fn a_follower_reads_what_is_there_and_what_comes() {
        let log = Arc::new(AppLog::default());
        log.write(Stdio::Stdout, b"before");
        let mut follower = log.follow();
        assert_eq!(follower.next().await.unwrap(), "before");
        assert!(timeout(Duration::from_millis(20), follower.next()).await.is_err());
        let writer = Arc::clone(&log);
        let waiting = tokio::spawn(async move { (follower.next().await, follower) });
        tokio::task::yield_now().await;
        writer.write(Stdio::Stderr, b"after");
        let (read, mut follower) = waiting.await.unwrap();
        assert_eq!(read.unwrap(), "after");
        writer.write(Stdio::Stdout, b"last");
        writer.close();
        assert_eq!(follower.next().await.unwrap(), "last");
        assert_eq!(follower.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_follower_is_told_what_it_missed() {
        let log = Arc::new(AppLog::default());
        log.write(Stdio::Stdout, &vec![b'a'; APP_LOG + 10]);
        let mut follower = log.follow();
        // What was gone before it began is not missed.
        assert_eq!(follower.next().await.unwrap(), vec![b'a'; PIECE]);
        log.write(Stdio::Stdout, &vec![b'b'; APP_LOG]);
        let piece = follower.next().await.unwrap();
        let told = format!("\n[{} bytes of the log were skipped]\nbbb", APP_LOG - PIECE);
        assert!(piece.starts_with(told.as_bytes()), "{:?}", &piece[..60]);
    }
}
