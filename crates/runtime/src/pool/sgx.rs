//! The image's region, and the C symbols through which Wasmtime's custom platform layer uses it
//! (`wasmtime/src/runtime/vm/sys/custom/capi.rs`).
//!
//! Needed: an enclave has no `mmap`, and thread-local storage must be lent to Wasmtime.
#![allow(unsafe_code)]

use super::{PAGE_BYTES, POOL_BYTES, PageAllocator, lock};
use std::arch::global_asm;
use std::cell::Cell;
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex};

// A section of its own with these flags becomes a segment of its own, and elf2sgxs adds its pages as RWX.
global_asm!(
    ".pushsection .cloister.code_pool,\"awx\",@nobits",
    ".p2align 12",
    ".globl cloister_code_pool",
    ".hidden cloister_code_pool",
    ".type cloister_code_pool,@object",
    ".size cloister_code_pool, {bytes}",
    "cloister_code_pool:",
    ".skip {bytes}",
    ".popsection",
    bytes = const POOL_BYTES,
);

unsafe extern "C" {
    static mut cloister_code_pool: [u8; POOL_BYTES];
}

/// The books of the region. Every page of it that is free is zero.
pub(super) fn region_pages() -> &'static Arc<Mutex<PageAllocator>> {
    static PAGES: LazyLock<Arc<Mutex<PageAllocator>>> =
        LazyLock::new(|| Arc::new(Mutex::new(PageAllocator::new(POOL_BYTES))));
    &PAGES
}

fn region() -> *mut u8 {
    (&raw mut cloister_code_pool).cast()
}

/// Offset of a range in the region, where all of it lies inside.
fn offset_of(start: *const u8, bytes: usize) -> Option<usize> {
    let offset = start.addr().checked_sub(region().addr())?;
    let end = offset.checked_add(bytes)?;
    (end <= POOL_BYTES).then_some(offset)
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_mmap_new(bytes: usize, _protection: u32, out: &mut *mut u8) -> i32 {
    match lock(region_pages()).allocate(bytes) {
        Ok(offset) => {
            // SAFETY: the allocator answers offsets inside the region only.
            *out = unsafe { region().add(offset) };
            DONE
        }
        Err(_) => NO_MEMORY,
    }
}

/// Blanks a mapping that stays mapped.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_mmap_remap(start: *mut u8, bytes: usize, _protection: u32) -> i32 {
    if offset_of(start, bytes).is_none() {
        return INVALID;
    }
    // SAFETY: the range lies in the region, and by the symbol's contract is a mapping of the caller's.
    unsafe { ptr::write_bytes(start, 0, bytes) };
    DONE
}

/// Zeroes the pages before they are free again: no code of a removed app stays executable, and new mappings are blank.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_munmap(start: *mut u8, bytes: usize) -> i32 {
    let Some(offset) = offset_of(start, bytes) else {
        return INVALID;
    };
    // Held over the zeroing, so that nobody is handed a page that is not yet zero.
    let mut pages = lock(region_pages());
    if pages.free(offset, bytes).is_err() {
        return INVALID;
    }
    let whole = bytes.next_multiple_of(PAGE_BYTES);
    // SAFETY: `free` checked that these whole pages lie in the region and were in use, and by the symbol's contract
    // the caller no longer uses them.
    unsafe { ptr::write_bytes(start, 0, whole) };
    DONE
}

/// All pages are RWX, which cannot be changed in an enclave without EDMM.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_mprotect(start: *mut u8, bytes: usize, _protection: u32) -> i32 {
    if offset_of(start, bytes).is_some() { DONE } else { INVALID }
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_page_size() -> usize {
    PAGE_BYTES
}

/// No copy-on-write images: a null image tells Wasmtime to copy.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_new(_start: *const u8, _bytes: usize, out: &mut *mut u8) -> i32 {
    *out = ptr::null_mut();
    DONE
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_map_at(_image: *mut u8, _start: *mut u8, _bytes: usize) -> i32 {
    INVALID
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_free(_image: *mut u8) {}

thread_local! {
    /// Slot 0 is the runtime's, slot 1 that of asynchronous components.
    static SLOTS: [Cell<*mut u8>; 2] = const { [Cell::new(ptr::null_mut()), Cell::new(ptr::null_mut())] };
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_get(slot: usize) -> *mut u8 {
    SLOTS.with(|slots| slots.get(slot).map_or(ptr::null_mut(), Cell::get))
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_set(slot: usize, pointer: *mut u8) {
    SLOTS.with(|slots| {
        if let Some(slot) = slots.get(slot) {
            slot.set(pointer);
        }
    });
}

const DONE: i32 = 0;
/// Linux's ENOMEM and EINVAL: what Wasmtime shows as "os error N".
const NO_MEMORY: i32 = 12;
const INVALID: i32 = 22;
