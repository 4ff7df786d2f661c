//! Guests made from WAT, run against the real linker and store.

mod cli;
mod clocks;
mod filesystem;
mod guest;
mod keyvalue;
mod metering;
mod poll;
mod random;
mod stdio;
mod versions;
