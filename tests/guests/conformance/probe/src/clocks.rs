//! Time.

use crate::wasi::clocks::{monotonic_clock, wall_clock};

pub(crate) fn wall_now() -> (u64, u32) {
    let now = wall_clock::now();
    (now.seconds, now.nanoseconds)
}

pub(crate) fn sleep(milliseconds: u64) -> u64 {
    let before = monotonic_clock::now();
    monotonic_clock::subscribe_duration(milliseconds.saturating_mul(1_000_000)).block();
    monotonic_clock::now().saturating_sub(before)
}
