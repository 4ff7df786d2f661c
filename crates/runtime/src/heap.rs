//! The heap that calls share.
//!
//! An enclave whose heap runs out ends, and its heap is as large as its image says. So what a call may come to hold is
//! claimed from a fixed account before it is allocated. There are two, so that the greedy cannot starve the modest:
//! a call that claims little waits for its turn among its like and is then sure of what it claimed; a call that claims
//! much, and every growth beyond what was claimed, draws on the other account, and is refused where that is empty.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// What calls may hold, all together.
#[derive(Clone, Debug)]
pub(crate) struct CallHeap {
    modest: Account,
    large: Account,
}

impl CallHeap {
    /// Half of the bytes for modest calls, half for large ones and for growth.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { modest: Account::new(bytes / 2), large: Account::new(bytes / 2) }
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
        Some(Claim { allowance: memory, _held: held, grown: Held::nothing(&self.large) })
    }
}

/// A part of the heap. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Claim {
    /// Bytes that growth may still take without asking.
    allowance: usize,
    _held: Held,
    grown: Held,
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
}

impl Drop for Held {
    fn drop(&mut self) {
        self.account.add_permits(self.units);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Bytes up to which a call is modest: what one with the default limits and arguments of some 20 KiB claims.
const MODEST: usize = 24 << 20;
/// Bytes of one permit: permits are asked for in 32 bits, and a page is fine enough.
const UNIT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn growth_takes_the_allowance_first_and_all_is_given_back() {
        let heap = CallHeap::new(20 * UNIT);
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
        let heap = CallHeap::new(2 * UNIT);
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
        let heap = CallHeap::new(2 * UNIT);
        assert!(heap.claim(UNIT, 1).await.is_none());
        let heap = CallHeap::new(4 * MODEST);
        assert!(heap.claim(2 * MODEST, 0).await.is_some());
        assert!(heap.claim(2 * MODEST, 1).await.is_none());
    }

    #[tokio::test]
    async fn large_claims_leave_the_modest_alone() {
        let heap = CallHeap::new(4 * MODEST);
        let _large = heap.claim(2 * MODEST, 0).await.unwrap();
        assert!(heap.claim(MODEST, 0).await.is_some());
    }
}
