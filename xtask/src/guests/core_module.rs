//! From core modules to components: this package's second program, which is built when it is first needed.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use crate::context::Context;
use crate::process;

/// Writes C bindings for the only world of a WIT folder.
///
/// # Errors
/// The WIT is invalid.
pub(crate) fn bindings(context: &Context, wit: &Path, folder: &Path) -> Result<()> {
    componentize(context, "bindings", wit, folder)
}

/// Makes a component of a module whose exports were linked with such bindings.
///
/// # Errors
/// The module does not fit its world.
pub(crate) fn to_component(context: &Context, module: &Path, output: &Path) -> Result<()> {
    componentize(context, "component", module, output)
}

/// Makes a component of a program with a `main`.
///
/// # Errors
/// The module is no such program.
pub(crate) fn to_command(context: &Context, module: &Path, output: &Path) -> Result<()> {
    componentize(context, "command", module, output)
}

fn componentize(context: &Context, step: &str, input: &Path, output: &Path) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "xtask", "--features", "componentize-c"]);
    cargo.args(["--bin", "componentize-c", "--"]);
    cargo.args([OsStr::new(step), input.as_os_str(), output.as_os_str()]);
    process::run(cargo.current_dir(context.root()))
}
