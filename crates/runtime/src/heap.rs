//! The heap that calls share.
//!
//! An enclave whose heap runs out ends, and its heap is as large as its image says. So what a call may come to hold is
//! claimed from a fixed account before it is allocated. There are two, so that the greedy cannot starve the modest:
//! a call that claims little waits for its turn among its like and is then sure of what it claimed; a call that claims
//! much, every growth beyond what was claimed, and every result while the host holds it, draws on the other account, and
//! is refused where that is empty.
//!
//! What a call is sure of is what it holds while it waits for a clock, a socket or a client, so that many can wait at once.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes of heap that all calls under way may hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallHeapBytes {
    /// For what calls are sure of.
    pub modest: usize,
    /// For calls that are sure of much, for growth, and for results.
    pub large: usize,
}

/// What calls may hold, all together.
#[derive(Clone, Debug)]
pub(crate) struct CallHeap {
    modest: Account,
    large: Account,
}

impl CallHeap {
    pub(crate) fn new(bytes: CallHeapBytes) -> Self {
        Self { modest: Account::new(bytes.modest), large: Account::new(bytes.large) }
    }

    /// Waits until `fixed` and `memory` bytes are free, and takes them; who waits longest is first. `memory` is what
    /// the call's first growths are served from. `None` where there is never as much.
    pub(crate) async fn claim(&self, fixed: usize, memory: usize) -> Option<Claim> {
        let bytes = fixed.saturating_add(memory);
        let account = if bytes <= MODEST { &self.modest } else { &self.large };
        if bytes > account.total {
            return None;
        }
        let held = Held::wait(account, bytes).await?;
        let nothing = || Held::nothing(&self.large);
        Some(Claim { allowance: memory, held, grown: nothing(), result: nothing() })
    }
}

/// A part of the heap. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Bytes that growth may still take without asking.
    allowance: usize,
    held: Held,
    grown: Held,
    /// What the host holds of a result.
    result: Held,
}

impl Claim {
    /// Takes more, or says that there is no more.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let covered = bytes.min(self.allowance);
        if !self.grown.grow(bytes - covered) {
            return false;
        }
        self.allowance -= covered;
        true
    }

    /// Gives back a part of what was claimed beside `memory`.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.held.release(bytes / UNIT);
    }

    /// Takes as much for a result, which may be there already, or says that there is not as much.
    pub(crate) fn hold_result(&mut self, bytes: usize) -> bool {
        self.result.is_anything() || self.result.grow(bytes)
    }

    pub(crate) fn holds_result(&self) -> bool {
        self.result.is_anything()
    }

    /// Gives back what was taken for a result.
    pub(crate) fn drop_result(&mut self) {
        self.result.release(usize::MAX);
    }
}

#[derive(Clone, Debug)]
struct Account {
    units: Arc<Semaphore>,
    total: usize,
}

impl Account {
    fn new(total: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(total / UNIT)), total }
    }
}

#[derive(Debug)]
struct Held {
    account: Arc<Semaphore>,
    units: usize,
}

impl Held {
    fn nothing(account: &Account) -> Self {
        Self { account: Arc::clone(&account.units), units: 0 }
    }

    async fn wait(account: &Account, bytes: usize) -> Option<Self> {
        let units = units(bytes);
        // The semaphore is never closed.
        account.units.acquire_many(units).await.ok()?.forget();
        Some(Self { account: Arc::clone(&account.units), units: units as usize })
    }

    fn grow(&mut self, bytes: usize) -> bool {
        let units = units(bytes);
        let Ok(permit) = self.account.try_acquire_many(units) else { return false };
        permit.forget();
        self.units += units as usize;
        true
    }

    fn is_anything(&self) -> bool {
        self.units > 0
    }

    fn release(&mut self, units: usize) {
        let released = units.min(self.units);
        if released > 0 {
            self.units -= released;
            self.account.add_permits(released);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release(usize::MAX);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Bytes up to which a call is modest: arguments of 180 KiB, or memories that begin with 20 MiB.
const MODEST: usize = 24 << 20;
/// Bytes of one permit: permits are asked for in 32 bits, and a page is fine enough.
const UNIT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn heap_of(each: usize) -> CallHeap {
        CallHeap::new(CallHeapBytes { modest: each, large: each })
    }

    #[tokio::test]
    async fn growth_takes_the_allowance_first_and_all_is_given_back() {
        let heap = heap_of(10 * UNIT);
        let mut call = heap.claim(UNIT, 2 * UNIT).await.unwrap();
        assert!(call.grow(2 * UNIT));
        assert!(call.grow(10 * UNIT));
        assert!(!call.grow(1));
        let mut other = heap.claim(UNIT, UNIT).await.unwrap();
        assert!(other.grow(UNIT), "an allowance is sure, however much others took");
        assert!(!other.grow(1));
        drop(call);
        assert!(other.grow(10 * UNIT));
        drop(other);
        assert_eq!(heap.modest.units.available_permits(), 10);
        assert_eq!(heap.large.units.available_permits(), 10);
    }

    #[tokio::test]
    async fn a_claim_waits_for_its_turn() {
        let heap = heap_of(UNIT);
        let first = heap.claim(UNIT, 0).await.unwrap();
        let waiting = tokio::spawn({
            let heap = heap.clone();
            async move { heap.claim(UNIT, 0).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn what_can_never_be_had_is_refused_at_once() {
        let heap = heap_of(UNIT);
        assert!(heap.claim(UNIT, 1).await.is_none());
        let heap = heap_of(2 * MODEST);
        assert!(heap.claim(2 * MODEST, 0).await.is_some());
        assert!(heap.claim(2 * MODEST, 1).await.is_none());
    }

    #[tokio::test]
    async fn large_claims_leave_the_modest_alone() {
        let heap = heap_of(2 * MODEST);
        let _large = heap.claim(2 * MODEST, 0).await.unwrap();
        assert!(heap.claim(MODEST, 0).await.is_some());
    }

    #[tokio::test]
    async fn a_result_is_held_once_and_given_back() {
        let heap = heap_of(10 * UNIT);
        let mut call = heap.claim(UNIT, 0).await.unwrap();
        assert!(call.hold_result(6 * UNIT) && call.hold_result(6 * UNIT));
        let mut other = heap.claim(UNIT, 0).await.unwrap();
        assert!(!other.hold_result(6 * UNIT));
        call.drop_result();
        assert!(other.hold_result(6 * UNIT));
        drop(other);
        assert_eq!(heap.large.units.available_permits(), 10);
    }
}
