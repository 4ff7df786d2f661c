//! A file's attributes, as the volume keeps them with an object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_filesystem::fuzz::attributes(bytes));
