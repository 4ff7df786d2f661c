//! JavaScript guests: `build.mjs` in each guest's folder calls componentize-js, which puts the engine and the source into one component.

use std::path::Path;

use anyhow::Result;

use super::Guest;
use crate::context::Context;
use crate::process;
use crate::setup::node;

/// Builds the guest's component at `output`.
///
/// # Errors
/// componentize-js refuses the source.
pub(crate) fn build(context: &Context, guest: Guest, output: &Path) -> Result<()> {
    process::run(node::command(context)?.arg("build.mjs").arg(output).current_dir(guest.source(context)))
}
