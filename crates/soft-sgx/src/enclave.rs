//! Loaded enclaves, their pages and their thread control structures.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU32},
    },
};

use crate::{
    leaves::{Cpu, Identity},
    memory::{Access, PAGE_SIZE, Region},
};

/// An enclave after EINIT. Its memory is unmapped when the last reference goes.
#[derive(Debug)]
pub(crate) struct Enclave {
    pub(crate) identity: Identity,
    pub(crate) cpu: Arc<Cpu>,
    /// In bytes.
    pub(crate) ssa_frame_size: usize,
    /// Sorted by address.
    threads: Vec<ThreadControl>,
    /// One entry for each page of ELRANGE.
    pages: Vec<PageAccess>,
    region: Region,
}

/// A page's SECINFO permissions; `NONE` for TCS pages and holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageAccess(u8);

/// The fields of a TCS that entering needs, and those that the CPU keeps in it.
#[derive(Debug)]
pub(crate) struct ThreadControl {
    pub(crate) address: usize,
    pub(crate) entry: usize,
    pub(crate) gs_base: usize,
    /// Offset of the first SSA frame.
    pub(crate) ossa: usize,
    pub(crate) nssa: u32,
    pub(crate) cssa: AtomicU32,
    pub(crate) busy: AtomicBool,
}

/// What SECS and the page tables say about an enclave, before it exists.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) cpu: Arc<Cpu>,
    pub(crate) ssa_frame_size: usize,
    pub(crate) threads: Vec<ThreadControl>,
    pub(crate) pages: Vec<PageAccess>,
    pub(crate) region: Region,
}

impl Enclave {
    /// Makes the enclave known to [`find`].
    pub(crate) fn register(parts: Parts) -> Arc<Self> {
        let Parts { identity, cpu, ssa_frame_size, mut threads, pages, region } = parts;
        threads.sort_by_key(|thread| thread.address);
        let enclave = Arc::new(Self { identity, cpu, ssa_frame_size, threads, pages, region });
        let mut loaded = LOADED.write().unwrap_or_else(PoisonError::into_inner);
        loaded.insert(enclave.base(), Arc::downgrade(&enclave));
        enclave
    }

    pub(crate) fn base(&self) -> usize {
        self.region.base()
    }

    pub(crate) fn size(&self) -> usize {
        self.region.size()
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.base()) < self.size()
    }

    pub(crate) fn thread(&self, tcs: usize) -> Option<(usize, &ThreadControl)> {
        let index = self.threads.binary_search_by_key(&tcs, |thread| thread.address).ok()?;
        Some((index, &self.threads[index]))
    }

    pub(crate) fn thread_at(&self, index: usize) -> Option<&ThreadControl> {
        self.threads.get(index)
    }

    /// Whether every byte of the range is enclave memory with at least `access`.
    pub(crate) fn allows(&self, address: usize, length: usize, access: PageAccess) -> bool {
        let offset = address.wrapping_sub(self.base());
        if offset >= self.size() || length > self.size() - offset {
            return false;
        }
        let last = offset + length.saturating_sub(1);
        self.pages[offset / PAGE_SIZE..=last / PAGE_SIZE].iter().all(|page| page.includes(access))
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        let mut loaded = LOADED.write().unwrap_or_else(PoisonError::into_inner);
        loaded.remove(&self.base());
    }
}

/// The loaded enclave whose range holds `address`.
pub(crate) fn find(address: usize) -> Option<Arc<Enclave>> {
    let loaded = LOADED.read().unwrap_or_else(PoisonError::into_inner);
    let (_, enclave) = loaded.range(..=address).next_back()?;
    enclave.upgrade().filter(|enclave| enclave.contains(address))
}

impl PageAccess {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READ: Self = Self(1);
    pub(crate) const WRITE: Self = Self(2);
    pub(crate) const EXECUTE: Self = Self(4);

    pub(crate) fn with(self, other: Self, present: bool) -> Self {
        if present { Self(self.0 | other.0) } else { self }
    }

    pub(crate) fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl From<PageAccess> for Access {
    fn from(page: PageAccess) -> Self {
        Self {
            read: page.includes(PageAccess::READ),
            write: page.includes(PageAccess::WRITE),
            execute: page.includes(PageAccess::EXECUTE),
        }
    }
}

/// By base address. EENTER names only a TCS, so that entering starts here.
static LOADED: RwLock<BTreeMap<usize, Weak<Enclave>>> = RwLock::new(BTreeMap::new());
