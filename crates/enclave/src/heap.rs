//! The image's allocator: the standard library's, of which the lock is not held while memory is cleared or copied.
//!
//! All threads share one heap under a spin lock. Whoever clears a guest's memory under it keeps every other thread spinning,
//! for milliseconds where the host takes the CPU away from it meanwhile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

#[global_allocator]
static HEAP: Heap = Heap;

struct Heap;

// SAFETY: all memory is the system allocator's, which gets back what it gave, with the layout that it was asked for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the system allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            // SAFETY: the allocation has this many bytes, and nobody else knows it yet.
            unsafe { ptr::write_bytes(memory, 0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() < COPIED_OUTSIDE || size < layout.size() {
            // SAFETY: as in `alloc`.
            return unsafe { System.realloc(memory, layout, size) };
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, is within what a layout may have.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as in `alloc`.
        let moved = unsafe { System.alloc(larger) };
        if !moved.is_null() {
            // SAFETY: both have this many bytes at least and do not overlap; the old one is the caller's to give back.
            unsafe {
                ptr::copy_nonoverlapping(memory, moved, layout.size());
                System.dealloc(memory, layout);
            }
        }
        moved
    }
}

/// Bytes from which copying takes longer than another turn of the lock.
const COPIED_OUTSIDE: usize = 16 << 10;
