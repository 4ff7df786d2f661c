//! `wasi:clocks`. The host provides the time, and nothing about it can be trusted but that the monotonic clock never
//! goes back.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use crate::WasiCtxView;
use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};

impl monotonic_clock::Host for WasiCtxView<'_> {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        self.charge_clock().await?;
        Ok(Moment::now().reading)
    }

    async fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.charge(0).await?;
        Ok(RESOLUTION_NANOSECONDS.into())
    }

    async fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge_clock().await?;
        let now = Moment::now();
        self.timer(now, when.saturating_sub(now.reading))
    }

    async fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge_clock().await?;
        self.timer(Moment::now(), duration)
    }
}

impl wall_clock::Host for WasiCtxView<'_> {
    async fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.charge_clock().await?;
        Ok(datetime(SystemTime::now()))
    }

    async fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.charge(0).await?;
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: RESOLUTION_NANOSECONDS })
    }
}

impl WasiCtxView<'_> {
    async fn charge_clock(&mut self) -> wasmtime::Result<()> {
        self.charge(CLOCK_PRICE).await
    }

    fn timer(&mut self, now: Moment, wait: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(Timer::after(now, wait))?;
        subscribe(self.table, timer)
    }
}

/// A moment that a guest waits for. Once ready, it stays ready.
#[derive(Debug)]
enum Timer {
    Elapsed,
    At(Instant),
    /// At the end of what the clock can count to, or beyond.
    Never,
}

impl Timer {
    /// Of `wait` nanoseconds. The clock never says the end of its range, whatever the host says about the time.
    fn after(now: Moment, wait: u64) -> Self {
        match (wait, now.reading.saturating_add(wait)) {
            (0, _) => Self::Elapsed,
            (_, u64::MAX) => Self::Never,
            _ => now.instant.checked_add(Duration::from_nanos(wait)).map_or(Self::Never, Self::At),
        }
    }
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self {
            Self::Elapsed => {}
            // The executor's own budget would make an elapsed timer look pending to `pollable.ready`.
            Self::At(instant) => tokio::task::unconstrained(tokio::time::sleep_until(*instant)).await,
            Self::Never => std::future::pending().await,
        }
        *self = Self::Elapsed;
    }
}

/// One look at the host's clock.
#[derive(Clone, Copy, Debug)]
struct Moment {
    instant: Instant,
    /// Nanoseconds since some moment near the start of the process. It never goes back.
    reading: u64,
}

impl Moment {
    fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        static LATEST: Monotonic = Monotonic(AtomicU64::new(0));
        let instant = Instant::now();
        let elapsed = instant.saturating_duration_since(*START.get_or_init(|| instant));
        let reading = LATEST.observe(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
        Self { instant, reading }
    }
}

/// The latest reading, shared by all guests and threads.
struct Monotonic(AtomicU64);

impl Monotonic {
    /// `reading`, or the latest one before it where the host's clock went back.
    fn observe(&self, reading: u64) -> u64 {
        self.0.fetch_max(reading, Ordering::AcqRel).max(reading)
    }
}

/// The host's time as a date that every guest language can show.
fn datetime(time: SystemTime) -> wall_clock::Datetime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since_epoch = since_epoch.min(Duration::from_secs(LATEST_DATE_SECONDS));
    wall_clock::Datetime { seconds: since_epoch.as_secs(), nanoseconds: since_epoch.subsec_nanos() }
}

/// Both clocks count nanoseconds, on Linux and through EDP's `insecure_time`.
const RESOLUTION_NANOSECONDS: u32 = 1;
/// Asking the host for the time leaves the enclave: as dear as this many bytes.
const CLOCK_PRICE: u64 = 1_500;
/// 9999-12-31T23:59:59Z, the last second of RFC 3339.
const LATEST_DATE_SECONDS: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let clock = Monotonic(AtomicU64::new(0));
        let readings = [5, 9, 3, 0, 9, 10, u64::MAX, 1];
        assert_eq!(readings.map(|r| clock.observe(r)), [5, 9, 9, 9, 9, 10, u64::MAX, u64::MAX]);
    }

    #[test]
    fn dates_before_1970_and_after_9999_are_clamped() {
        let epoch = SystemTime::UNIX_EPOCH;
        let seconds = |time| datetime(time).seconds;
        assert_eq!(seconds(epoch - Duration::from_secs(1)), 0);
        assert_eq!(seconds(epoch + Duration::from_secs(LATEST_DATE_SECONDS + 7)), LATEST_DATE_SECONDS);
        let now = datetime(epoch + Duration::new(1_700_000_000, 5));
        assert_eq!((now.seconds, now.nanoseconds), (1_700_000_000, 5));
    }

    fn timer(reading: u64, wait: Duration) -> Timer {
        Timer::after(Moment { instant: Instant::now(), reading }, wait.as_nanos() as u64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_fires_once_and_stays_ready() {
        let mut timer = timer(7, Duration::from_secs(3600));
        let start = Instant::now();
        timer.ready().await;
        assert!(start.elapsed() >= Duration::from_secs(3600));
        timer.ready().await;
        assert!(matches!(timer, Timer::Elapsed));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_clocks_range_never_comes() {
        let millennium = Duration::from_secs(1_000 * 365 * 24 * 3600);
        let nanosecond = Duration::from_nanos(1);
        for (reading, wait) in
            [(0, Duration::from_nanos(u64::MAX)), (u64::MAX - 1, nanosecond), (u64::MAX, nanosecond)]
        {
            let mut timer = timer(reading, wait);
            assert!(tokio::time::timeout(millennium, timer.ready()).await.is_err(), "{reading}");
        }
        assert!(matches!(timer(u64::MAX, Duration::ZERO), Timer::Elapsed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_of_centuries_neither_fires_nor_panics() {
        let mut timer = timer(0, Duration::from_nanos(u64::MAX - 1));
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(tokio::time::timeout(year, timer.ready()).await.is_err());
    }
}
