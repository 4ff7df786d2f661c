//! The time, as the host tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The host's clock, kept from going back while the enclave runs. Clones share what was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// Milliseconds since 1970: the latest that were told.
    latest: Arc<AtomicU64>,
}

impl Clock {
    /// The time. The host may lie, but never tell an earlier time than before.
    pub(crate) fn now(&self) -> SystemTime {
        let told = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.later(u64::try_from(told.as_millis()).unwrap_or(u64::MAX))
    }

    /// Whole seconds since 1970.
    pub(crate) fn seconds(&self) -> u64 {
        self.now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn later(&self, told: u64) -> SystemTime {
        let told = told.min(MOST);
        let latest = self.latest.fetch_max(told, Ordering::AcqRel).max(told);
        SystemTime::UNIX_EPOCH + Duration::from_millis(latest)
    }
}

/// The year 9999, so that sums with what certificates and tokens say stay in range.
const MOST: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::default();
        let seconds = |told| clock.later(told).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!((seconds(5_000), seconds(3_000), seconds(7_999)), (5, 5, 7));
        assert_eq!(clock.clone().later(0), clock.later(7_999), "clones share it");
        assert!(clock.now() >= SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(seconds(u64::MAX), MOST / 1_000);
    }
}
