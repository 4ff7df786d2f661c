//! The Python guest: componentize-py puts the interpreter, the library and the source into one component.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Guest;
use crate::context::Context;
use crate::process;

/// Builds the component at `output`.
///
/// # Errors
/// The WIT is invalid, or the source does not fit it.
pub(crate) fn build(context: &Context, output: &Path) -> Result<()> {
    let source = Guest::Python.source(context);
    // The interpreter leaves compiled modules beside those that it loads: not in the checkout.
    let folder = context.examples().join("build").join("python");
    fs::create_dir_all(&folder)?;
    let copied = source.join("app.py");
    fs::copy(&copied, folder.join("app.py")).with_context(|| format!("cannot copy {}", copied.display()))?;
    let mut componentize = process::command(context.python_tool("componentize-py"));
    componentize.arg("--wit-path").arg(source.join("wit")).args([
        "--world",
        "laboratory",
        "componentize",
        "app",
    ]);
    process::run(componentize.arg("--output").arg(output).current_dir(&folder))
}
