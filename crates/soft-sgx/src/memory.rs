//! The address range of an enclave (ELRANGE).

use std::{
    io, ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Size of an enclave page, in bytes.
pub(crate) const PAGE_SIZE: usize = 4096;

/// Reserved address space, naturally aligned. Pages take memory when they are first written.
#[derive(Debug)]
pub(crate) struct Region {
    base: usize,
    size: usize,
    reserved_base: usize,
    reserved_size: usize,
}

/// Access that the processor grants to a run of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

impl Region {
    /// Reserves `size` bytes, a power of two of at least one page, with no access.
    pub(crate) fn reserve(size: usize) -> io::Result<Self> {
        for _ in 0..LOW_ATTEMPTS {
            let base = next_low_base(size);
            if let Ok(mapped) = map(base, size, libc::MAP_FIXED_NOREPLACE) {
                if mapped == base {
                    return Ok(Self { base, size, reserved_base: base, reserved_size: size });
                }
                unmap(mapped, size);
            }
        }
        // Elsewhere: of twice the size, one half is aligned.
        let reserved_size = size.checked_mul(2).ok_or(io::ErrorKind::OutOfMemory)?;
        let reserved_base = map(0, reserved_size, 0)?;
        let base = reserved_base.next_multiple_of(size);
        Ok(Self { base, size, reserved_base, reserved_size })
    }

    pub(crate) fn base(&self) -> usize {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Sets the access to `pages` pages from page number `first` on.
    pub(crate) fn protect(&mut self, first: usize, pages: usize, access: Access) -> io::Result<()> {
        let (offset, length) = (first * PAGE_SIZE, pages * PAGE_SIZE);
        assert!(offset <= self.size && length <= self.size - offset, "pages outside the region");
        let mut protection = libc::PROT_NONE;
        // Linux makes PROT_EXEC alone unreadable where the CPU has protection keys; the fault
        // handler must read instructions.
        if access.read || access.execute {
            protection |= libc::PROT_READ;
        }
        if access.write {
            protection |= libc::PROT_WRITE;
        }
        if access.execute {
            protection |= libc::PROT_EXEC;
        }
        // SAFETY: The range lies inside memory that this value owns, and `&mut self` excludes
        // references into it.
        let result = unsafe { libc::mprotect((self.base + offset) as *mut _, length, protection) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Copies `data` to `offset`. Those pages must be writable.
    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        assert!(offset <= self.size && data.len() <= self.size - offset, "write outside the region");
        // SAFETY: The destination lies inside the region, which `&mut self` borrows exclusively;
        // the loader made the pages writable before.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), (self.base + offset) as *mut u8, data.len()) };
    }

    /// The bytes of `pages` pages from page number `first` on. Those pages must be writable.
    pub(crate) fn pages_mut(&mut self, first: usize, pages: usize) -> &mut [u8] {
        let (offset, length) = (first * PAGE_SIZE, pages * PAGE_SIZE);
        assert!(offset <= self.size && length <= self.size - offset, "pages outside the region");
        // SAFETY: The range lies inside the region, is initialized (anonymous memory is zero), and
        // `&mut self` borrows it exclusively: no thread enters an enclave that is being loaded.
        unsafe { std::slice::from_raw_parts_mut((self.base + offset) as *mut u8, length) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        unmap(self.reserved_base, self.reserved_size);
    }
}

fn map(address: usize, size: usize, flags: libc::c_int) -> io::Result<usize> {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: A new anonymous mapping; MAP_FIXED is not among the flags, so nothing is replaced.
    let mapped = unsafe { libc::mmap(address as *mut _, size, libc::PROT_NONE, flags, -1, 0) };
    if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(mapped as usize) }
}

fn unmap(base: usize, size: usize) {
    // SAFETY: Called once with a mapping that this module made and that nothing uses any more.
    unsafe { libc::munmap(base as *mut _, size) };
}

/// Successive aligned places below everything that the dynamic linker and the kernel map, so that
/// "above the enclave" is one range that holds all of the host's code (see [`crate::restrict`]).
fn next_low_base(size: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(LOW_START);
    let place = |next: usize| {
        let base = next.next_multiple_of(size);
        if base.checked_add(size).is_some_and(|end| end <= LOW_END) {
            base
        } else {
            LOW_START.next_multiple_of(size)
        }
    };
    let previous = NEXT
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| place(next).checked_add(size))
        .unwrap_or(LOW_START);
    place(previous)
}

const LOW_ATTEMPTS: usize = 8;
/// 16 TiB: above what non-PIE programs, their heap, and sanitizers' shadows use.
const LOW_START: usize = 0x1000_0000_0000;
/// 64 TiB: Linux loads position-independent programs at 0x5555_…, about 85 TiB.
const LOW_END: usize = 0x4000_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_naturally_aligned_and_apart() {
        let regions: Vec<_> = [1 << 12, 1 << 20, 1 << 33].map(|size| Region::reserve(size).unwrap()).into();
        for region in &regions {
            assert_eq!(region.base() % region.size(), 0);
        }
        assert!(regions[0].base() + regions[0].size() <= regions[1].base());
    }

    #[test]
    fn pages_hold_what_was_written() {
        let mut region = Region::reserve(2 * PAGE_SIZE).unwrap();
        region.protect(0, 2, Access { read: true, write: true, execute: false }).unwrap();
        region.write(PAGE_SIZE - 1, b"ab");
        assert_eq!(region.pages_mut(0, 2)[PAGE_SIZE - 1..=PAGE_SIZE], *b"ab");
    }
}
