//! A block of the catalog of datasets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_volume::fuzz::catalog(bytes));
