use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An amount that one call may hold, and that all calls together may.
#[derive(Clone, Debug)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
    total: &'static Total,
}

/// What the calls of all apps hold together: the enclave's heap is theirs.
#[derive(Debug)]
pub struct Total {
    used: AtomicUsize,
    most: usize,
}

impl Total {
    /// At most `most` of it at once.
    pub const fn new(most: usize) -> Self {
        Self { used: AtomicUsize::new(0), most }
    }
}

impl Budget {
    /// At most `most` for one call, and what `total` has left.
    pub fn new(most: usize, total: &'static Total) -> Self {
        Self { used: Arc::default(), most, total }
    }

    /// A share of `amount`, unless that is more than is left.
    pub fn take(&self, amount: usize) -> Option<Share> {
        let mut share = Share { budget: self.clone(), amount: 0 };
        share.resize(amount).then_some(share)
    }
}

/// A part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    amount: usize,
}

impl Share {
    /// How much it is.
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Changes nothing and says false where the budget does not allow it.
    pub fn resize(&mut self, amount: usize) -> bool {
        let Budget { used, most, total } = &self.budget;
        if !exchange(used, self.amount, amount, *most) {
            return false;
        }
        if !exchange(&total.used, self.amount, amount, total.most) {
            // What was held before fits for sure.
            exchange(used, amount, self.amount, usize::MAX);
            return false;
        }
        self.amount = amount;
        true
    }

    /// Another share of the same budget, as large.
    pub fn another(&self) -> Option<Self> {
        self.budget.take(self.amount)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.amount, Ordering::Relaxed);
        self.budget.total.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

/// Counts `new` in the place of `old`, where that stays within `most`. Less is always within it.
fn exchange(used: &AtomicUsize, old: usize, new: usize, most: usize) -> bool {
    let changed = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        let changed = (used - old).checked_add(new)?;
        (new <= old || changed <= most).then_some(changed)
    });
    changed.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        static TOTAL: Total = Total::new(100);
        let budget = Budget::new(10, &TOTAL);
        let mut first = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        assert!(!first.resize(11));
        assert_eq!(first.amount(), 6);
        assert!(first.resize(10));
        assert!(first.another().is_none());
        drop(first);
        assert!(budget.take(10).is_some());
        assert_eq!(TOTAL.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn calls_together_hold_no_more_than_the_total() {
        static TOTAL: Total = Total::new(15);
        let [one, other] = [Budget::new(10, &TOTAL), Budget::new(10, &TOTAL)];
        let first = one.take(10).unwrap();
        let mut second = other.take(5).unwrap();
        assert!(!second.resize(6));
        assert!(other.take(1).is_none());
        drop(first);
        assert!(second.resize(10));
    }
}
