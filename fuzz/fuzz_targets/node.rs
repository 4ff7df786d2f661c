//! A node of a tree: pointers to blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_volume::fuzz::node(bytes));
