//! The JavaScript guest: `examples/javascript/build.mjs` calls componentize-js, which puts the engine and the source into one component.

use std::path::Path;

use anyhow::Result;

use super::Guest;
use crate::context::Context;
use crate::process;
use crate::setup::node;

/// Builds the component at `output`.
///
/// # Errors
/// componentize-js refuses the source.
pub(crate) fn build(context: &Context, output: &Path) -> Result<()> {
    process::run(
        node::command(context)?.arg("build.mjs").arg(output).current_dir(Guest::Javascript.source(context)),
    )
}
