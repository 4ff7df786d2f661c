//! Guests made from WAT, run against the real linker and store.

mod cli;
mod clocks;
mod config;
mod filesystem;
mod guest;
mod io;
mod keyvalue;
mod logging;
mod metering;
mod poll;
mod random;
mod stdio;
mod versions;
