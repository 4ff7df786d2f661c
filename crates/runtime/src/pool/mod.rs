//! Room for native code.
//!
//! In the image it is one static region of pages that are readable, writable and executable, since EDP has no dynamic
//! memory management (EDMM): the page permissions are fixed and measured when the image is loaded. Wasmtime asks for its
//! code memory through the symbols of its custom platform layer, and [`PageAllocator`] hands out pages of the region.
//! Natively Wasmtime maps its own memory, and the same allocator only keeps the books, so that both sides refuse alike.

mod pages;
#[cfg(target_env = "sgx")]
mod sgx;

pub use pages::{NotAllocated, PAGE_BYTES, PageAllocator, PoolFull};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of the image's region. A 12 MB JavaScript component needs 62 to 78 MB of it.
pub const POOL_BYTES: usize = 192 << 20;

/// How full the pool is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatistics {
    pub used: usize,
    pub free: usize,
    pub total: usize,
    /// The longest free run.
    pub largest_free: usize,
    /// The most that was ever in use.
    pub high_water: usize,
}

/// The pool that a runtime compiles into.
#[derive(Clone, Debug)]
pub(crate) struct CodePool {
    pages: Arc<Mutex<PageAllocator>>,
}

impl CodePool {
    /// In the image the one static region, whatever `bytes` says; natively a bookkeeping pool of `bytes`.
    #[cfg_attr(target_env = "sgx", expect(unused_variables, reason = "the region's size is the image's"))]
    pub(crate) fn new(bytes: usize) -> Self {
        #[cfg(target_env = "sgx")]
        let pages = Arc::clone(sgx::region_pages());
        #[cfg(not(target_env = "sgx"))]
        let pages = Arc::new(Mutex::new(PageAllocator::new(bytes)));
        Self { pages }
    }

    pub(crate) fn statistics(&self) -> PoolStatistics {
        let pages = lock(&self.pages);
        PoolStatistics {
            used: pages.used_bytes(),
            free: pages.free_bytes(),
            total: pages.total_bytes(),
            largest_free: pages.largest_free(),
            high_water: pages.high_water_bytes(),
        }
    }

    /// Refuses what would not fit in one piece now.
    pub(crate) fn has_room(&self, bytes: usize) -> Result<(), PoolFull> {
        let PoolStatistics { free, total, largest_free, .. } = self.statistics();
        if bytes <= largest_free {
            return Ok(());
        }
        Err(PoolFull {
            wanted: bytes.div_ceil(PAGE_BYTES).saturating_mul(PAGE_BYTES),
            free,
            largest: largest_free,
            total,
        })
    }

    /// Accounts for compiled code of `bytes` until the answer is dropped. In the image Wasmtime's own mapping already is
    /// that account.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Hold, PoolFull> {
        if cfg!(target_env = "sgx") {
            return Ok(Hold { account: None });
        }
        let offset = lock(&self.pages).allocate(bytes)?;
        Ok(Hold { account: Some((Arc::clone(&self.pages), offset, bytes)) })
    }
}

/// Pages held for one component's native code.
#[derive(Debug)]
pub(crate) struct Hold {
    account: Option<(Arc<Mutex<PageAllocator>>, usize, usize)>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((pages, offset, bytes)) = self.account.take() {
            let freed = lock(&pages).free(offset, bytes);
            debug_assert_eq!(freed, Ok(()));
        }
    }
}

/// The allocator changes nothing before it can no longer fail, so a poisoned lock still guards a sound state.
fn lock(pages: &Mutex<PageAllocator>) -> MutexGuard<'_, PageAllocator> {
    pages.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_given_back_when_it_is_dropped() {
        let pool = CodePool::new(16 * PAGE_BYTES);
        let hold = pool.hold(3 * PAGE_BYTES + 1).unwrap();
        assert_eq!(pool.statistics().used, 4 * PAGE_BYTES);
        assert!(pool.has_room(12 * PAGE_BYTES).is_ok());
        assert_eq!(pool.has_room(13 * PAGE_BYTES).unwrap_err().largest, 12 * PAGE_BYTES);
        drop(hold);
        let after = pool.statistics();
        assert_eq!((after.used, after.high_water, after.free), (0, 4 * PAGE_BYTES, 16 * PAGE_BYTES));
    }
}
