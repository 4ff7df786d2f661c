//! Whether a connection is of use to anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Requests of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request that is not answered in full. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Requests>);

impl Activity {
    /// Counts a request.
    pub(crate) fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }

    /// Ends when no request was under way for `time`, and at most twice that later.
    pub(crate) async fn idle(&self, time: Duration) {
        loop {
            let before = self.0.begun.load(Ordering::Relaxed);
            tokio::time::sleep(time).await;
            let ended = self.0.ended.load(Ordering::Relaxed);
            if ended == before && before == self.0.begun.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const TIME: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(200);

    #[tokio::test]
    async fn a_connection_without_requests_is_idle() {
        timeout(Duration::from_secs(60), Activity::default().idle(TIME)).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_under_way_is_no_idleness() {
        let activity = Activity::default();
        let request = activity.begin();
        assert!(timeout(LONG, activity.idle(TIME)).await.is_err());
        drop(request);
        timeout(Duration::from_secs(60), activity.idle(TIME)).await.unwrap();
    }
}
