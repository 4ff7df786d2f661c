//! The JavaScript example's tools, from the npm registry, as its lock file names them.

use anyhow::{Context as _, Result, ensure};

use super::announce;
use crate::context::Context;
use crate::process;
use crate::stamp::Inputs;
use crate::versions::NODE_MAJOR;

/// Installs exactly what `examples/javascript/package-lock.json` names.
///
/// # Errors
/// Node.js is too old, or a package cannot be fetched.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    let folder = context.root().join("examples/javascript");
    let modules = folder.join("node_modules/.package-lock.json");
    let wanted = Inputs::default().files(&folder.join("package-lock.json"))?.stamp();
    if wanted.is_on(&modules) {
        return Ok(());
    }
    announce("componentize-js", "turns JavaScript into components");
    let version = process::capture(process::command("node").arg("--version"))?;
    let major = major(&version).with_context(|| format!("cannot read Node.js's version {version:?}"))?;
    ensure!(major >= NODE_MAJOR, "Node.js {} is too old: {NODE_MAJOR} or newer is needed", version.trim());
    process::with_retries(|| {
        process::run(process::command("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))
    })?;
    wanted.put_on(&modules)
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major("v"), None);
    }
}
