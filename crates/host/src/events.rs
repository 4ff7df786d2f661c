//! The event set of one TCS: what `wait` and `send` work on, and so how the enclave's threads park and wake up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use fortanix_sgx_abi::{
    EV_CANCELQ_NOT_FULL, EV_RETURNQ_NOT_EMPTY, EV_UNPARK, EV_USERCALLQ_NOT_FULL, WAIT_INDEFINITE, WAIT_NO,
};

use crate::abi::UsercallError;
use crate::sync::lock;

/// Events that were sent to a TCS and not yet waited for. Equal events merge: the ABI allows spurious and merged
/// wake-ups, and `std` records in the enclave what a wake-up was for.
#[derive(Debug, Default)]
pub(crate) struct EventSet {
    pending: AtomicU64,
    waiter: Mutex<Option<Thread>>,
}

impl EventSet {
    /// Makes the calling thread the one that waits, with nothing pending.
    pub(crate) fn attach(&self) {
        *lock(&self.waiter) = Some(thread::current());
        self.pending.store(0, Ordering::Release);
    }

    /// Adds events and wakes the thread that waits for any.
    pub(crate) fn send(&self, events: u64) {
        self.pending.fetch_or(events, Ordering::Release);
        self.wake();
    }

    /// Makes a wait look at its conditions again.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*lock(&self.waiter) {
            thread.unpark();
        }
    }

    /// Waits for any event in `mask` and takes those that are there. `timeout` is in nanoseconds or one of the ABI's
    /// two special values. Only the attached thread may call this.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is pending and the timeout is `WAIT_NO`, `TimedOut` after any other timeout,
    /// `Interrupted` once `stopping` is set.
    pub(crate) fn wait(&self, mask: u64, timeout: u64, stopping: &AtomicBool) -> Result<u64, UsercallError> {
        if let Some(events) = self.take(mask) {
            return Ok(events);
        }
        let deadline = match timeout {
            WAIT_NO => {
                if mask == 0 {
                    thread::yield_now();
                }
                return Err(UsercallError::WouldBlock);
            }
            WAIT_INDEFINITE => None,
            nanoseconds => Instant::now().checked_add(Duration::from_nanos(nanoseconds)),
        };
        loop {
            if stopping.load(Ordering::Acquire) {
                return Err(UsercallError::Interrupted);
            }
            if let Some(events) = self.take(mask) {
                return Ok(events);
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(remaining) if !remaining.is_zero() => thread::park_timeout(remaining),
                    _ => return Err(UsercallError::TimedOut),
                },
            }
        }
    }

    fn take(&self, mask: u64) -> Option<u64> {
        let events = self.pending.load(Ordering::Acquire) & mask;
        if events == 0 {
            return None;
        }
        let taken = self.pending.fetch_and(!events, Ordering::AcqRel) & events;
        (taken != 0).then_some(taken)
    }
}

/// Whether the ABI defines every bit of a set to be sent, and there is one.
pub(crate) fn is_event_set(events: u64) -> bool {
    events != 0 && events & !DEFINED == 0
}

const DEFINED: u64 = EV_USERCALLQ_NOT_FULL | EV_RETURNQ_NOT_EMPTY | EV_UNPARK | EV_CANCELQ_NOT_FULL;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    static RUNNING: AtomicBool = AtomicBool::new(false);

    #[test]
    fn an_event_is_taken_once() {
        let events = EventSet::default();
        events.attach();
        assert_eq!(events.wait(EV_UNPARK, WAIT_NO, &RUNNING), Err(UsercallError::WouldBlock));
        events.send(EV_UNPARK);
        assert_eq!(events.wait(EV_UNPARK, WAIT_INDEFINITE, &RUNNING), Ok(EV_UNPARK));
        assert_eq!(events.wait(EV_UNPARK, WAIT_NO, &RUNNING), Err(UsercallError::WouldBlock));
    }

    #[test]
    fn only_events_in_the_mask_are_taken() {
        let events = EventSet::default();
        events.attach();
        events.send(EV_UNPARK | EV_RETURNQ_NOT_EMPTY);
        assert_eq!(events.wait(EV_USERCALLQ_NOT_FULL, WAIT_NO, &RUNNING), Err(UsercallError::WouldBlock));
        assert_eq!(events.wait(EV_UNPARK, WAIT_NO, &RUNNING), Ok(EV_UNPARK));
        assert_eq!(events.wait(u64::MAX, WAIT_NO, &RUNNING), Ok(EV_RETURNQ_NOT_EMPTY));
    }

    #[test]
    fn a_timeout_passes_and_mask_zero_sleeps() {
        let events = EventSet::default();
        events.attach();
        events.send(EV_UNPARK);
        let start = Instant::now();
        assert_eq!(events.wait(0, 20_000_000, &RUNNING), Err(UsercallError::TimedOut));
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(events.wait(EV_UNPARK, 1, &RUNNING), Ok(EV_UNPARK));
    }

    #[test]
    fn a_send_wakes_a_waiting_thread() {
        let events = Arc::new(EventSet::default());
        let theirs = Arc::clone(&events);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let waiting = thread::spawn(move || {
            theirs.attach();
            ready.send(()).unwrap();
            theirs.wait(EV_UNPARK, WAIT_INDEFINITE, &RUNNING)
        });
        is_ready.recv().unwrap();
        thread::sleep(Duration::from_millis(10));
        events.send(EV_UNPARK);
        assert_eq!(waiting.join().unwrap(), Ok(EV_UNPARK));
    }

    #[test]
    fn stopping_ends_an_endless_wait() {
        let events = Arc::new(EventSet::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let (theirs, flag) = (Arc::clone(&events), Arc::clone(&stopping));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let waiting = thread::spawn(move || {
            theirs.attach();
            ready.send(()).unwrap();
            theirs.wait(0, WAIT_INDEFINITE, &flag)
        });
        is_ready.recv().unwrap();
        stopping.store(true, Ordering::Release);
        events.wake();
        assert_eq!(waiting.join().unwrap(), Err(UsercallError::Interrupted));
    }

    #[test]
    fn no_wake_up_is_lost_between_two_threads() {
        const ROUNDS: u64 = 2_000;
        let sets = Arc::new([EventSet::default(), EventSet::default()]);
        let theirs = Arc::clone(&sets);
        sets[0].attach();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let other = thread::spawn(move || {
            theirs[1].attach();
            ready.send(()).unwrap();
            for _ in 0..ROUNDS {
                theirs[1].wait(EV_UNPARK, WAIT_INDEFINITE, &RUNNING).unwrap();
                theirs[0].send(EV_UNPARK);
            }
        });
        is_ready.recv().unwrap();
        for _ in 0..ROUNDS {
            sets[1].send(EV_UNPARK);
            sets[0].wait(EV_UNPARK, WAIT_INDEFINITE, &RUNNING).unwrap();
        }
        other.join().unwrap();
    }

    #[test]
    fn sets_with_undefined_or_no_events_are_told_apart() {
        assert!(is_event_set(EV_UNPARK));
        assert!(!is_event_set(0));
        assert!(!is_event_set(1 << 40));
    }
}
