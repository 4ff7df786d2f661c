//! A superblock: its plaintext header as the host gives it, and its body after decryption.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloister_volume::fuzz::superblock(bytes));
