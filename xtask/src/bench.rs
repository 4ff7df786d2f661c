//! `cargo xtask bench`: calls inside the image beside native wasmtime.

use anyhow::{Result, bail};

use crate::context::Context;

/// Measures both and prints them side by side.
///
/// # Errors
/// The first step that fails.
pub(crate) fn run(_context: &Context) -> Result<()> {
    bail!("the benchmark is not here yet")
}
