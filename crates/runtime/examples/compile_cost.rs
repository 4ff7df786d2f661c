//! Prints what compiling components costs: `cargo run --release --example compile_cost -- app.wasm…`
//!
//! The runtime refuses before it compiles what this image could not compile; its estimates come from these figures.

use cloister_runtime::{Runtime, Settings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

fn main() {
    let settings = Settings {
        max_component: usize::MAX,
        max_function: usize::MAX,
        compile_heap: u64::MAX,
        code_pool: 4 << 30,
        ..Settings::default()
    };
    let runtime = Runtime::new(settings).expect("the engine starts");
    println!("{:>12} {:>12} {:>12} {:>9}  file", "wasm", "native", "heap peak", "seconds");
    for path in std::env::args().skip(1) {
        let wasm = std::fs::read(&path).expect("the file can be read");
        let before = IN_USE.load(Relaxed);
        PEAK.store(before, Relaxed);
        let start = Instant::now();
        match runtime.prepare(&wasm, &()) {
            Ok(program) => println!(
                "{:>12} {:>12} {:>12} {:>9.1}  {path}",
                wasm.len(),
                program.code_bytes(),
                PEAK.load(Relaxed) - before,
                start.elapsed().as_secs_f32()
            ),
            Err(error) => println!("{path}: {error}"),
        }
    }
}

struct Counting;

// SAFETY: every request goes to the system's allocator unchanged; only the counters are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
