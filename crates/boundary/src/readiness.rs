//! Who waits for which socket, and what happened to it meanwhile.

use crate::net::SocketError;
use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Which half of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// The sockets that are watched, under their numbers.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<u64, Arc<State>>>);

impl Registry {
    /// Watches a socket from now on, unless another one has its number.
    pub(crate) fn insert(&self, number: u64) -> Option<Arc<State>> {
        let mut sources = lock(&self.0);
        if sources.contains_key(&number) {
            return None;
        }
        let state = Arc::new(State::default());
        sources.insert(number, Arc::clone(&state));
        Some(state)
    }

    /// Only the enclave's side has numbers that are not watched.
    #[cfg(target_env = "sgx")]
    pub(crate) fn contains(&self, number: u64) -> bool {
        lock(&self.0).contains_key(&number)
    }

    pub(crate) fn remove(&self, number: u64) {
        lock(&self.0).remove(&number);
    }

    /// Wakes whoever waits for what changed. Of a number that nobody has, nothing is known.
    pub(crate) fn deliver(&self, number: u64, readable: bool, writable: bool) {
        let Some(state) = lock(&self.0).get(&number).cloned() else { return };
        for (changed, direction) in [(readable, Direction::Read), (writable, Direction::Write)] {
            // Unlocked before anyone is woken, who may look at once.
            let wakers = if changed { state.half(direction).event() } else { Vec::new() };
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

/// What is known of one socket.
#[derive(Debug, Default)]
pub(crate) struct State {
    read: Mutex<Half>,
    write: Mutex<Half>,
}

impl State {
    /// Attempts an operation where the socket may be ready for it, and remembers where it has to wait.
    ///
    /// # Errors
    /// [`SocketError::WouldBlock`] where it has to; others as `operation` says.
    pub(crate) fn attempt<T>(
        &self,
        direction: Direction,
        operation: impl FnOnce() -> Result<T, SocketError>,
    ) -> Result<T, SocketError> {
        let seen = self.half(direction).seen().ok_or(SocketError::WouldBlock)?;
        let done = operation();
        if matches!(done, Err(SocketError::WouldBlock)) {
            self.blocked(direction, seen);
        }
        done
    }

    /// The count of events, if the socket may be ready; else the task will be woken.
    pub(crate) fn poll_ready(&self, direction: Direction, cx: &Context<'_>) -> Poll<u64> {
        self.half(direction).ready(cx).map_or(Poll::Pending, Poll::Ready)
    }

    /// An operation that began after so many events has to wait.
    pub(crate) fn blocked(&self, direction: Direction, seen: u64) {
        self.half(direction).blocked_at = Some(seen);
    }

    fn half(&self, direction: Direction) -> MutexGuard<'_, Half> {
        lock(match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        })
    }
}

/// One half of a socket: what happened to it, and the tasks that wait for more.
#[derive(Debug, Default)]
struct Half {
    /// Events so far. An event between an operation and its `WouldBlock` must not be forgotten.
    events: u64,
    /// The count at which the socket blocked.
    blocked_at: Option<u64>,
    wakers: Vec<Waker>,
}

impl Half {
    /// The count of events, if the socket may be ready.
    fn seen(&self) -> Option<u64> {
        (self.blocked_at != Some(self.events)).then_some(self.events)
    }

    /// The count of events, if the socket may be ready; else the task will be woken.
    fn ready(&mut self, cx: &Context<'_>) -> Option<u64> {
        let seen = self.seen();
        if seen.is_none() && !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            if self.wakers.len() == MAX_WAKERS {
                // Those of tasks that stopped to wait are in between: all look again.
                self.wakers.drain(..).for_each(Waker::wake);
            }
            self.wakers.push(cx.waker().clone());
        }
        seen
    }

    /// Counts an event: whom to wake.
    fn event(&mut self) -> Vec<Waker> {
        self.events = self.events.wrapping_add(1);
        mem::take(&mut self.wakers)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Most tasks that wait for one half.
const MAX_WAKERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn an_event_during_an_operation_is_not_forgotten() {
        let mut half = Half::default();
        let seen = half.seen().unwrap();
        half.event();
        half.blocked_at = Some(seen);
        let seen = half.seen().expect("something happened since");
        half.blocked_at = Some(seen);
        assert_eq!(half.seen(), None);
        half.event();
        assert!(half.seen().is_some());
    }

    #[test]
    fn all_who_wait_are_woken_and_once() {
        let mut half = Half { blocked_at: Some(0), ..Half::default() };
        let tasks = [task(), task()];
        for (_, waker) in &tasks {
            for _ in 0..3 {
                assert_eq!(half.ready(&Context::from_waker(waker)), None);
            }
        }
        half.event().into_iter().for_each(Waker::wake);
        assert!(half.event().is_empty());
        assert!(tasks.iter().all(|(count, _)| count.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn more_who_wait_than_there_is_room_for_look_again() {
        let mut half = Half { blocked_at: Some(0), ..Half::default() };
        let tasks: Vec<_> = (0..=MAX_WAKERS).map(|_| task()).collect();
        for (_, waker) in &tasks {
            half.ready(&Context::from_waker(waker));
        }
        let woken = |index: usize| tasks[index].0.0.load(Ordering::Relaxed);
        assert!((0..MAX_WAKERS).all(|index| woken(index) == 1));
        assert_eq!((woken(MAX_WAKERS), half.wakers.len()), (0, 1));
    }
}
