//! The time that the enclave is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time that never goes back. The enclave has one clock for its timers and for dates, and its timers would fire
/// early after a step back: so where the machine's wall clock is set back, this one goes on from where it was.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Nanoseconds from 1970 to the start. It only grows.
    offset: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), offset: AtomicU64::new(0) }
    }

    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.reading(self.start.elapsed(), since_epoch)
    }

    fn reading(&self, since_start: Duration, since_epoch: Duration) -> u64 {
        let [since_start, since_epoch] = [since_start, since_epoch].map(nanoseconds);
        let offset = since_epoch.saturating_sub(since_start);
        let offset = self.offset.fetch_max(offset, Ordering::Relaxed).max(offset);
        offset.saturating_add(since_start)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_goes_on_from_where_it_was() {
        let clock = Clock::new();
        let seconds = |since_start, since_epoch| {
            clock.reading(Duration::from_secs(since_start), Duration::from_secs(since_epoch)) / 1_000_000_000
        };
        assert_eq!(seconds(1, 1_000), 1_000);
        assert_eq!(seconds(2, 1_001), 1_001);
        // An hour back, then on, then an hour ahead.
        assert_eq!(seconds(3, 500), 1_002);
        assert_eq!(seconds(4, 501), 1_003);
        assert_eq!(seconds(5, 4_600), 4_600);
        assert_eq!(seconds(6, 0), 4_601);
    }

    #[test]
    fn it_tells_the_time() {
        let wall = nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let told = Clock::new().now();
        assert!(told.abs_diff(wall) < 60_000_000_000, "{told} {wall}");
    }
}
