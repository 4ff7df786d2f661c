use crate::heap::Claim;
use cloister_api::Limits;
use wasmtime::ResourceLimiter;

/// Bounds of a store, over all of its memories, tables and instances together.
///
/// A growth beyond a bound is answered to the guest as the WebAssembly specification says, with -1; the first is
/// remembered, because guests commonly abort soon after, and then the bound is the reason to report.
///
/// What was once granted stays counted even where the growth then failed: Wasmtime also reports failures of growths that
/// it never asked about, so taking back would let a guest undo the count of memory that it holds.
#[derive(Debug)]
pub(crate) struct Bounds {
    memory: usize,
    table_elements: usize,
    instances: usize,
    claim: Claim,
    memory_used: usize,
    table_elements_used: usize,
    refused: Option<LimitExceeded>,
    result: ResultRoom,
}

/// Bytes that the host may hold of a lifted result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResultRoom {
    /// What is claimed beforehand.
    pub sure: usize,
    /// What the limits of the app allow, where the heap has as much.
    pub most: usize,
}

impl ResultRoom {
    /// For functions whose results are known, and small.
    pub(crate) const NOTHING: Self = Self { sure: SMALL_RESULT, most: SMALL_RESULT };
}

impl Bounds {
    /// Bounds of the app, and of what `claim` can still take of the heap.
    pub(crate) fn new(limits: &Limits, claim: Claim, result: ResultRoom) -> Self {
        Self {
            memory: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            table_elements: usize::try_from(limits.table_elements).unwrap_or(usize::MAX),
            instances: usize::try_from(limits.instances).unwrap_or(usize::MAX),
            claim,
            memory_used: 0,
            table_elements_used: 0,
            refused: None,
            result,
        }
    }

    /// The guest returned to the host: bytes that lifting what it returned may take.
    pub(crate) fn returned(&mut self) -> usize {
        let ResultRoom { sure, most } = self.result;
        if most <= sure {
            return most;
        }
        // Lifted, and once more in its notation.
        if self.claim.hold_result((most - sure).saturating_mul(2)) { most } else { sure }
    }

    /// The guest goes on: what it returned last was no result, or is let go.
    pub(crate) fn goes_on(&mut self) {
        self.claim.drop_result();
    }

    /// Whether a result could be as large as the app's limits allow.
    pub(crate) fn has_room_for_result(&self) -> bool {
        self.result.most <= self.result.sure || self.claim.holds_result()
    }

    /// The first growth that was refused.
    pub(crate) fn refused(&self) -> Option<LimitExceeded> {
        self.refused
    }

    fn refuse(&mut self, limit: LimitExceeded) -> wasmtime::Result<bool> {
        self.refused.get_or_insert(limit);
        Ok(false)
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let added = desired.saturating_sub(current);
        match self.memory_used.checked_add(added) {
            Some(used) if used <= self.memory => {
                if !self.claim.grow(added) {
                    return self.refuse(LimitExceeded::Heap);
                }
                self.memory_used = used;
                Ok(true)
            }
            _ => self.refuse(LimitExceeded::Memory { limit: self.memory }),
        }
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        let heap = error.root_cause().is::<wasmtime::OutOfMemory>();
        let limit = if heap { LimitExceeded::Heap } else { LimitExceeded::Memory { limit: self.memory } };
        self.refused.get_or_insert(limit);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let added = desired.saturating_sub(current);
        match self.table_elements_used.checked_add(added) {
            Some(used) if used <= self.table_elements => {
                if !self.claim.grow(added.saturating_mul(TABLE_ELEMENT)) {
                    return self.refuse(LimitExceeded::Heap);
                }
                self.table_elements_used = used;
                Ok(true)
            }
            _ => self.refuse(LimitExceeded::TableElements { limit: self.table_elements }),
        }
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}

/// The bound that a call reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("the memory limit of {limit} bytes")]
    Memory { limit: usize },
    #[error("the limit of {limit} table elements")]
    TableElements { limit: usize },
    #[error("the limit of {limit} instances, memories or tables")]
    Instances { limit: u32 },
    #[error("the limit of {limit} resource handles")]
    Handles { limit: u32 },
    #[error("the limit of {limit} bytes that one host call may take from the guest")]
    HostCallBytes { limit: usize },
    /// Not the app's bound but the image's.
    #[error("the memory that the enclave has left")]
    Heap,
}

/// Bytes of a result of numbers, with what lifting takes beside it.
const SMALL_RESULT: usize = 4 << 10;
/// Bytes of a table's element: a pointer, and as much again while the table moves.
pub(crate) const TABLE_ELEMENT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::{CallHeap, CallHeapBytes};

    async fn bounds_within(heap: usize) -> Bounds {
        let claim = CallHeap::new(CallHeapBytes { modest: heap, large: heap }).claim(0, 0).await.unwrap();
        let limits = Limits { memory: 1000, table_elements: 10, ..Limits::default() };
        Bounds::new(&limits, claim, ResultRoom { sure: 10, most: 5000 })
    }

    async fn bounds() -> Bounds {
        bounds_within(1 << 20).await
    }

    #[tokio::test]
    async fn what_is_not_left_of_the_heap_is_refused_by_that_name() {
        let mut bounds = bounds_within(4096).await;
        assert!(bounds.memory_growing(0, 100, None).unwrap());
        assert!(!bounds.memory_growing(100, 200, None).unwrap());
        assert_eq!(bounds.refused(), Some(LimitExceeded::Heap));
    }

    #[tokio::test]
    async fn totals_count_over_all_memories() {
        let mut bounds = bounds().await;
        assert!(bounds.memory_growing(0, 600, None).unwrap());
        assert!(bounds.memory_growing(0, 400, None).unwrap());
        assert!(!bounds.memory_growing(400, 401, None).unwrap());
        assert_eq!(bounds.refused(), Some(LimitExceeded::Memory { limit: 1000 }));
        assert!(bounds.table_growing(0, 10, None).unwrap());
        assert!(!bounds.table_growing(0, 1, None).unwrap());
        assert_eq!(bounds.refused(), Some(LimitExceeded::Memory { limit: 1000 }), "the first stays");
    }

    #[tokio::test]
    async fn a_failure_does_not_undo_the_count() {
        let mut bounds = bounds().await;
        assert!(bounds.memory_growing(0, 900, None).unwrap());
        bounds
            .memory_grow_failed(wasmtime::Error::msg("memory growth exceeds memory type's limits"))
            .unwrap();
        assert!(!bounds.memory_growing(0, 900, None).unwrap());
    }

    #[tokio::test]
    async fn beyond_its_own_maximum_a_memory_reaches_no_bound_of_ours() {
        let mut bounds = bounds().await;
        assert!(!bounds.memory_growing(0, 900, Some(800)).unwrap());
        assert!(!bounds.table_growing(0, 9, Some(8)).unwrap());
        assert_eq!((bounds.memory_used, bounds.table_elements_used, bounds.refused()), (0, 0, None));
    }

    #[tokio::test]
    async fn a_result_is_as_large_as_the_heap_has_room_for() {
        let mut bounds = bounds_within(4096).await;
        assert_eq!((bounds.returned(), bounds.has_room_for_result()), (10, false));
        let mut bounds = bounds_within(16384).await;
        assert_eq!((bounds.returned(), bounds.has_room_for_result()), (5000, true));
        bounds.goes_on();
        assert!(!bounds.has_room_for_result());
        assert!(bounds.memory_growing(0, 1000, None).unwrap());
    }
}
