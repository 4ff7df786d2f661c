//! The image's heap.

use cloister_heap::{ThreadHeap, Threads};
use std::alloc::System;
use std::os::fortanix_sgx::thread;

#[global_allocator]
static HEAP: ThreadHeap<System, ThreadControl> = ThreadHeap::new(System, ThreadControl);

/// Threads are told apart by the thread control structure (TCS) that they run on.
#[derive(Debug)]
struct ThreadControl;

// SAFETY: the CPU lets one thread at a time into a TCS, whose address is never 0 and is read from the thread's own segment.
unsafe impl Threads for ThreadControl {
    fn current(&self) -> usize {
        thread::current().as_ptr() as usize
    }
}
