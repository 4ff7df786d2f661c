//! The image's heap: blocks that a thread frees are kept by that thread for its next allocations.
//!
//! `std`'s allocator on this target is one heap behind one spin lock. A thread that the host takes off its CPU while it
//! holds the lock leaves the others spinning until it is back, for whole time slices of the host's scheduler. So most
//! allocations must not take it: blocks of up to [`LARGEST`] bytes go to lists of the thread that frees them, by size, and
//! come from there. The lock is taken where such a list is empty or full, and for larger blocks.
//!
//! A *slot* stands for a thread: on SGX one thread control structure, of which the image has a fixed number. A thread that
//! begins on the slot of one that ended takes over its lists, so nothing has to be given back when threads end.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

/// An allocator in front of another one that keeps freed blocks by thread.
#[derive(Debug)]
pub struct ThreadHeap<A, T> {
    inner: A,
    threads: T,
    /// The thread that has the lists of the same number; 0 for none yet.
    owners: [AtomicUsize; SLOTS],
    lists: [Lists; SLOTS],
}

/// Tells threads apart.
///
/// # Safety
/// [`current`](Self::current) gives the calling thread a number, not 0, that stays the same and that no other running
/// thread has. It does not allocate.
pub unsafe trait Threads {
    /// The calling thread's number.
    fn current(&self) -> usize;
}

impl<A, T> ThreadHeap<A, T> {
    /// In front of `inner`.
    pub const fn new(inner: A, threads: T) -> Self {
        Self {
            inner,
            threads,
            owners: [const { AtomicUsize::new(0) }; SLOTS],
            lists: [const { Lists([const { UnsafeCell::new(List::EMPTY) }; CLASSES]) }; SLOTS],
        }
    }
}

impl<A, T: Threads> ThreadHeap<A, T> {
    /// The calling thread's list of blocks of this class. `None` where more threads came than there are slots.
    fn list(&self, class: usize) -> Option<*mut List> {
        let thread = self.threads.current();
        let first = slot_of(thread);
        for distance in 0..SLOTS {
            let slot = (first + distance) % SLOTS;
            let owner = &self.owners[slot];
            let found = owner.load(Ordering::Relaxed);
            let is_ours = found == thread
                || found == 0
                    && owner.compare_exchange(0, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok();
            if is_ours {
                return Some(self.lists[slot].0[class].get());
            }
        }
        None
    }
}

// SAFETY: every block comes from `inner`, with the layout of its class, and goes back with the same one. In between it is
// either the caller's or in one list: `list` gives each thread its own, so no two threads ever touch the same, and a thread
// touches it only inside of these functions, which do not call each other while they hold it.
unsafe impl<A: GlobalAlloc, T: Threads> GlobalAlloc for ThreadHeap<A, T> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Class::of(layout) else {
            // SAFETY: the caller's contract.
            return unsafe { self.inner.alloc(layout) };
        };
        if let Some(list) = self.list(class.number()) {
            // SAFETY: this thread's own list, whose blocks are free and hold the next one's address.
            if let Some(block) = unsafe { (*list).pop() } {
                return block.as_ptr().cast();
            }
        }
        // SAFETY: the class's layout has a size.
        unsafe { self.inner.alloc(class.layout()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = Class::of(layout) else {
            // SAFETY: the caller's contract; `alloc` took it from there with this layout.
            return unsafe { self.inner.dealloc(block, layout) };
        };
        if let Some(list) = self.list(class.number())
            && let Some(free) = NonNull::new(block.cast())
        {
            // SAFETY: this thread's own list; the block is the caller's to give, and holds an address, aligned.
            if unsafe { (*list).push(free, class.most()) } {
                return;
            }
        }
        // SAFETY: `alloc` took it from there with the class's layout.
        unsafe { self.inner.dealloc(block, class.layout()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // Cleared here and not by `inner`, which would hold its lock meanwhile.
            // SAFETY: the block has this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else { return ptr::null_mut() };
        match (Class::of(layout), Class::of(new)) {
            // SAFETY: the caller's contract; it was taken from there with this layout.
            (None, None) => unsafe { self.inner.realloc(block, layout, size) },
            (Some(before), Some(after)) if before == after => block,
            _ => {
                // SAFETY: both blocks have at least the bytes that are copied, and are not the same.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// The lists of one thread.
#[derive(Debug)]
#[repr(align(64))]
struct Lists([UnsafeCell<List>; CLASSES]);

// SAFETY: `ThreadHeap::list` gives them to one thread at a time.
unsafe impl Sync for Lists {}

/// Free blocks of one class.
#[derive(Debug)]
struct List {
    first: Option<NonNull<Free>>,
    length: usize,
}

// SAFETY: it owns its blocks, which are plain memory.
unsafe impl Send for List {}

/// A free block: its first bytes lead to the next one.
#[derive(Debug)]
struct Free {
    next: Option<NonNull<Free>>,
}

impl List {
    const EMPTY: Self = Self { first: None, length: 0 };

    /// # Safety
    /// Every block in the list was pushed, and is untouched since.
    unsafe fn pop(&mut self) -> Option<NonNull<Free>> {
        let block = self.first?;
        // SAFETY: see above.
        self.first = unsafe { (*block.as_ptr()).next };
        self.length -= 1;
        Some(block)
    }

    /// Whether there was room.
    ///
    /// # Safety
    /// The block is nobody else's, and large and aligned enough for a [`Free`].
    unsafe fn push(&mut self, block: NonNull<Free>, most: usize) -> bool {
        if self.length >= most {
            return false;
        }
        // SAFETY: see above.
        unsafe { block.as_ptr().write(Free { next: self.first }) };
        self.first = Some(block);
        self.length += 1;
        true
    }
}

/// Blocks of one size: multiples of [`STEP`] up to [`SMALL`], then four sizes to each doubling up to [`LARGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class(usize);

impl Class {
    /// The smallest that has room for it.
    fn of(layout: Layout) -> Option<Self> {
        let size = layout.size();
        if size > LARGEST || layout.align() > STEP {
            return None;
        }
        let last = size.saturating_sub(1);
        if size <= SMALL {
            return Some(Self(last / STEP));
        }
        let doubling = last.ilog2() as usize;
        let quarter = last >> (doubling - 2) & 3;
        Some(Self(SMALL / STEP + (doubling - SMALL.ilog2() as usize) * 4 + quarter))
    }

    fn number(self) -> usize {
        self.0
    }

    /// Bytes of a block.
    fn size(self) -> usize {
        match self.0.checked_sub(SMALL / STEP) {
            None => (self.0 + 1) * STEP,
            Some(above) => (SMALL << (above / 4)) / 4 * (5 + above % 4),
        }
    }

    fn layout(self) -> Layout {
        match Layout::from_size_align(self.size(), STEP) {
            Ok(layout) => layout,
            Err(_) => unreachable!(),
        }
    }

    /// Blocks that a list holds.
    fn most(self) -> usize {
        (KEPT / self.size()).clamp(LEAST_KEPT, MOST_KEPT)
    }
}

/// Neighbouring thread structures are neighbouring pages: Fibonacci hashing spreads them.
fn slot_of(thread: usize) -> usize {
    (thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize >> (usize::BITS - SLOTS.ilog2())
}

/// Bytes; also the alignment that blocks have.
const STEP: usize = 16;
const SMALL: usize = 1 << 10;
/// Bytes of the largest blocks that are kept.
pub const LARGEST: usize = 64 << 10;
const CLASSES: usize = SMALL / STEP + (LARGEST / SMALL).ilog2() as usize * 4;
/// Threads that have lists of their own; the image has 24.
const SLOTS: usize = 64;
/// Bytes that one list holds.
const KEPT: usize = 32 << 10;
const LEAST_KEPT: usize = 4;
const MOST_KEPT: usize = 256;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::alloc::System;
    use std::sync::mpsc;
    use std::vec::Vec;

    /// Counts what reaches the inner allocator.
    #[derive(Debug, Default)]
    struct Counted {
        taken: AtomicUsize,
        given: AtomicUsize,
    }

    // SAFETY: the system's allocator.
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.taken.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the caller's contract.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.given.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the caller's contract.
            unsafe { System.dealloc(block, layout) }
        }
    }

    #[derive(Debug)]
    struct ByAddress;

    // SAFETY: each running thread has a variable of its own.
    unsafe impl Threads for ByAddress {
        fn current(&self) -> usize {
            std::thread_local!(static HERE: u64 = const { 0 });
            HERE.with(|here| ptr::from_ref(here) as usize)
        }
    }

    type Heap = ThreadHeap<Counted, ByAddress>;

    fn heap() -> Heap {
        ThreadHeap::new(Counted::default(), ByAddress)
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn classes_have_room_and_waste_no_more_than_a_quarter() {
        let mut last = None;
        for size in 1..=LARGEST {
            let class = Class::of(layout(size)).unwrap();
            assert!(class.number() < CLASSES && class.size() >= size, "{size}: {class:?}");
            assert!(size <= SMALL || (class.size() - size) * 4 < size, "{size}: {}", class.size());
            assert!(class.size().is_multiple_of(STEP) && last <= Some(class.number()));
            last = Some(class.number());
        }
        assert_eq!(last, Some(CLASSES - 1));
        assert_eq!(Class::of(layout(LARGEST + 1)), None);
        assert_eq!(Class::of(Layout::from_size_align(8, 32).unwrap()), None);
    }

    #[test]
    fn a_freed_block_is_the_next_one_of_its_size() {
        let heap = heap();
        for size in [1, 16, 17, 100, 1024, 1025, 5000, LARGEST] {
            // SAFETY: each block is used with the layout that it was taken with.
            unsafe {
                let block = heap.alloc(layout(size));
                block.write_bytes(0xa5, size);
                heap.dealloc(block, layout(size));
                let zeroed = heap.alloc_zeroed(layout(size));
                assert_eq!(zeroed, block);
                assert!(core::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
                heap.dealloc(zeroed, layout(size));
            }
        }
        assert_eq!(heap.inner.taken.load(Ordering::Relaxed), 7, "1 and 16 are of one class");
        assert_eq!(heap.inner.given.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn lists_are_bounded() {
        let heap = heap();
        let (small, large) = (layout(64), layout(LARGEST));
        // SAFETY: each block is used with the layout that it was taken with.
        unsafe {
            let blocks: Vec<_> = (0..1000).map(|_| heap.alloc(small)).collect();
            blocks.into_iter().for_each(|block| heap.dealloc(block, small));
            assert_eq!(heap.inner.given.load(Ordering::Relaxed), 1000 - MOST_KEPT);
            let blocks: Vec<_> = (0..10).map(|_| heap.alloc(large)).collect();
            blocks.into_iter().for_each(|block| heap.dealloc(block, large));
        }
        assert_eq!(heap.inner.given.load(Ordering::Relaxed), 1000 - MOST_KEPT + 10 - LEAST_KEPT);
    }

    #[test]
    fn growing_and_shrinking_keeps_the_contents() {
        let heap = heap();
        // SAFETY: each block is used with the layout that it has.
        unsafe {
            let mut size = 24;
            let mut block = heap.alloc(layout(size));
            for (at, byte) in (0..24).enumerate() {
                block.add(at).write(byte);
            }
            for next in [25, 32, 33, 2000, LARGEST, LARGEST + 1, 3 * LARGEST, 40, 24] {
                block = heap.realloc(block, layout(size), next);
                size = next;
                assert!((0..24).all(|at| block.add(usize::from(at)).read() == at), "{next}");
            }
            heap.dealloc(block, layout(size));
        }
    }

    #[test]
    fn blocks_go_from_thread_to_thread() {
        static HEAP: Heap =
            ThreadHeap::new(Counted { taken: AtomicUsize::new(0), given: AtomicUsize::new(0) }, ByAddress);
        std::thread::scope(|scope| {
            for seed in 0..8_u8 {
                let (send, receive) = mpsc::channel::<(usize, usize)>();
                scope.spawn(move || {
                    for round in 0..2000_usize {
                        let size = 1 + (round * 37 + usize::from(seed) * 101) % 3000;
                        // SAFETY: it has this size.
                        let block = unsafe {
                            let block = HEAP.alloc(layout(size));
                            block.write_bytes(seed, size);
                            block
                        };
                        send.send((block as usize, size)).unwrap();
                    }
                });
                scope.spawn(move || {
                    for (block, size) in receive {
                        let block = block as *mut u8;
                        // SAFETY: the other thread gave it away.
                        unsafe {
                            let bytes = core::slice::from_raw_parts(block, size);
                            assert!(bytes.iter().all(|&byte| byte == seed), "somebody else has it too");
                            HEAP.dealloc(block, layout(size));
                        }
                    }
                });
            }
        });
        assert!(HEAP.inner.given.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn more_threads_than_slots_are_served() {
        #[derive(Debug)]
        struct Numbered(AtomicUsize);
        // SAFETY: the one thread here acts as several, one after the other.
        unsafe impl Threads for Numbered {
            fn current(&self) -> usize {
                self.0.load(Ordering::Relaxed)
            }
        }
        let heap = ThreadHeap::new(Counted::default(), Numbered(AtomicUsize::new(1)));
        for number in 1..=SLOTS + 10 {
            heap.threads.0.store(number << 12, Ordering::Relaxed);
            // SAFETY: the block is used with the layout that it was taken with.
            unsafe {
                let block = heap.alloc(layout(10));
                heap.dealloc(block, layout(10));
            }
        }
        assert_eq!(heap.inner.taken.load(Ordering::Relaxed), SLOTS + 10);
        assert_eq!(heap.inner.given.load(Ordering::Relaxed), 10);
    }
}
