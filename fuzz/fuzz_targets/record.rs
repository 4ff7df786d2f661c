//! A block of a dataset's table of objects.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_volume::fuzz::record(bytes));
