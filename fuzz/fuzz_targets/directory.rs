//! A block of a directory.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_filesystem::fuzz::directory(bytes));
