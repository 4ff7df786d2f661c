//! Operations on one side, the moment of a snapshot on the other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets operations in together, and a snapshot only when there is none.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: Mutex<Inside>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    operations: usize,
    /// A snapshot waits or is being taken: nobody new comes in.
    is_closed: bool,
}

/// The gate is closed and nobody inside; it opens when this is dropped.
#[derive(Debug)]
pub(crate) struct Closed<'a>(&'a Gate);

impl Gate {
    pub(crate) fn enter(&self) {
        let mut inside = self.lock();
        while inside.is_closed {
            inside = self.moved.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        inside.operations += 1;
    }

    pub(crate) fn leave(&self) {
        let mut inside = self.lock();
        inside.operations -= 1;
        if inside.is_closed && inside.operations == 0 {
            self.moved.notify_all();
        }
    }

    /// Waits until the operations that are inside have ended. One caller at a time.
    pub(crate) fn close(&self) -> Closed<'_> {
        let mut inside = self.lock();
        inside.is_closed = true;
        while inside.operations > 0 {
            inside = self.moved.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        Closed(self)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closed = false;
        self.0.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_snapshot_waits_for_operations_and_holds_new_ones_off() {
        let (gate, left) = (Gate::default(), AtomicBool::new(false));
        gate.enter();
        thread::scope(|scope| {
            scope.spawn(|| {
                let closed = gate.close();
                assert!(left.load(Ordering::SeqCst));
                drop(closed);
            });
            thread::sleep(Duration::from_millis(20));
            left.store(true, Ordering::SeqCst);
            gate.leave();
        });
        gate.enter();
        gate.leave();
    }
}
