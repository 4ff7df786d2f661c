//! The JavaScript examples' tools, from the npm registry, as their lock files name them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{announce, python};
use crate::context::Context;
use crate::process;
use crate::stamp::Inputs;
use crate::versions::PYTHON_PACKAGES;

/// Installs exactly what `package-lock.json` in each of the folders names.
///
/// # Errors
/// A package cannot be fetched.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    FOLDERS.iter().try_for_each(|folder| ensure_in(context, &context.root().join(folder)))
}

fn ensure_in(context: &Context, folder: &Path) -> Result<()> {
    let modules = folder.join("node_modules/.package-lock.json");
    // What npm leaves out depends on the version of Node.js.
    let wanted = Inputs::default()
        .text("python packages", &format!("{PYTHON_PACKAGES:?}"))
        .files(&folder.join("package-lock.json"))?
        .stamp();
    if wanted.is_on(&modules) {
        return Ok(());
    }
    announce("componentize-js", "turns JavaScript into components");
    process::with_retries(|| {
        let mut npm = command(context)?;
        npm.arg(python::npm(context)?).args(["ci", "--no-audit", "--no-fund"]);
        process::run(npm.current_dir(folder))
    })?;
    wanted.put_on(&modules)
}

/// Node.js, which programs that it starts find as well.
///
/// # Errors
/// It is not installed.
pub(crate) fn command(context: &Context) -> Result<Command> {
    let node = python::node(context)?;
    let mut folders: Vec<PathBuf> = node.parent().map(Path::to_owned).into_iter().collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let mut command = process::command(node);
    command.env("PATH", env::join_paths(folders).context("a folder of PATH has a ':' in its name")?);
    Ok(command)
}

const FOLDERS: [&str; 2] = ["examples/javascript", "examples/web-javascript"];
