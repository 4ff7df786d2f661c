use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on what one call holds at once, of anything that can be counted. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Budget {
    pub(crate) fn new(most: usize) -> Self {
        Self { used: Arc::default(), most }
    }

    /// A share of `amount`, unless that is more than is left.
    pub(crate) fn take(&self, amount: usize) -> Option<Share> {
        let mut share = Share { budget: self.clone(), amount: 0 };
        share.resize(amount).then_some(share)
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    amount: usize,
}

impl Share {
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Changes nothing and says false where the budget does not allow it.
    pub(crate) fn resize(&mut self, amount: usize) -> bool {
        let Budget { used, most } = &self.budget;
        let changed = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let used = (used - self.amount).checked_add(amount)?;
            (used <= *most).then_some(used)
        });
        if changed.is_ok() {
            self.amount = amount;
        }
        changed.is_ok()
    }

    /// Another share of the same budget, as large.
    pub(crate) fn another(&self) -> Option<Self> {
        self.budget.take(self.amount)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new(10);
        let mut first = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        assert!(!first.resize(11));
        assert_eq!(first.amount(), 6);
        assert!(first.resize(10));
        assert!(first.another().is_none());
        drop(first);
        assert!(budget.take(10).is_some());
    }
}
