//! A block of the map of used blocks.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_volume::fuzz::bitmap(bytes));
