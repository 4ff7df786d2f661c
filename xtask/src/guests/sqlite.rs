//! SQLite and its speed test as a guest: `tests/guests/sqlite/build.sh` makes it of packages.

use std::path::PathBuf;

use anyhow::Result;

use crate::context::Context;
use crate::process;
use crate::setup::python;
use crate::stamp::Inputs;
use crate::versions::PYTHON_PACKAGES;

/// Builds the component, if its inputs changed, and says where it lies. Needs what `setup` installs for
/// [`Need::Guests`](crate::setup::Need::Guests).
///
/// # Errors
/// A package cannot be fetched, or does not compile.
pub(crate) fn build(context: &Context) -> Result<PathBuf> {
    let source = context.root().join("tests").join("guests").join("sqlite");
    let folder = context.target().join("guests");
    let output = folder.join("sqlite.wasm");
    let packages = format!("{PYTHON_PACKAGES:?}");
    let stamp = Inputs::default().files(&source)?.text("python packages", &packages).stamp();
    if !stamp.is_on(&output) {
        println!("guests: building SQLite's speed test");
        let mut script = process::command(source.join("build.sh"));
        script.arg(&output).env("BUILD", folder.join("sqlite")).env("ZIG", python::zig(context)?);
        process::run(script.current_dir(context.root()))?;
        stamp.put_on(&output)?;
    }
    Ok(output)
}
