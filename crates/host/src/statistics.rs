//! How often the enclave's threads crossed the boundary, and what for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::abi::UsercallKind;

/// Counts since the enclave was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    usercalls: [u64; UsercallKind::ALL.len()],
    /// How long loading and measuring the image took.
    pub load_time: Duration,
    /// What the disk was asked for.
    pub disk: DiskStatistics,
}

/// Requests to the disk that succeeded, and the bytes that they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStatistics {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub written_bytes: u64,
    pub flushes: u64,
    /// Requests of any kind that failed.
    pub failures: u64,
}

impl Statistics {
    pub(crate) fn new<'a>(
        counts: impl Iterator<Item = &'a Counts>,
        load_time: Duration,
        disk: DiskStatistics,
    ) -> Self {
        let mut usercalls = [0; UsercallKind::ALL.len()];
        for count in counts {
            for (sum, one) in usercalls.iter_mut().zip(&count.0) {
                *sum += one.load(Ordering::Relaxed);
            }
        }
        Self { usercalls, load_time, disk }
    }

    /// Usercalls of this kind.
    pub fn of(&self, kind: UsercallKind) -> u64 {
        self.usercalls[kind.index()]
    }

    /// Every kind and its count, in the order of the ABI's numbers.
    pub fn usercalls(&self) -> impl Iterator<Item = (UsercallKind, u64)> + '_ {
        UsercallKind::ALL.into_iter().zip(self.usercalls)
    }

    /// Usercalls of all kinds.
    pub fn total(&self) -> u64 {
        self.usercalls.iter().sum()
    }
}

/// Counts of one TCS, written by its thread alone.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts([AtomicU64; UsercallKind::ALL.len()]);

impl Counts {
    pub(crate) fn add(&self, kind: UsercallKind) {
        let count = &self.0[kind.index()];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_are_summed_by_kind() {
        let counts = [Counts::default(), Counts::default()];
        counts[0].add(UsercallKind::Read);
        counts[1].add(UsercallKind::Read);
        counts[1].add(UsercallKind::AsyncQueues);
        let statistics = Statistics::new(counts.iter(), Duration::ZERO, DiskStatistics::default());
        assert_eq!(statistics.of(UsercallKind::Read), 2);
        assert_eq!(statistics.of(UsercallKind::AsyncQueues), 1);
        assert_eq!(statistics.of(UsercallKind::Wait), 0);
        assert_eq!(statistics.total(), 3);
        assert_eq!(statistics.usercalls().filter(|(_, count)| *count > 0).count(), 2);
    }
}
