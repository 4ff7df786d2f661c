//! The volume against what a host, a disk and a power cut can do to it.
//!
//! `CLOISTER_SEED` repeats a randomized run, whose seed is printed; `CLOISTER_THOROUGH=1` tries many times more.
#![forbid(unsafe_code)]

mod adoption;
mod anchor;
mod concurrency;
mod counter;
mod disk_errors;
mod keys;
mod model;
mod power_cuts;
mod random;
mod recording;
mod tampering;
