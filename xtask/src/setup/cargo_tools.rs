//! Programs from the Cargo registry, in `target/tools/bin`.

use std::fs;

use anyhow::{Context as _, Result};

use super::announce;
use crate::context::Context;
use crate::process;
use crate::versions::CargoTool;

/// Whether the tool is there in exactly this version.
pub(crate) fn is_installed(context: &Context, tool: &CargoTool) -> bool {
    let noted = fs::read_to_string(context.tools().join(".crates.toml")).unwrap_or_default();
    context.cargo_tool(tool.program).is_file() && lists(&noted, tool)
}

/// Builds and installs the tool unless it is there.
///
/// # Errors
/// Its crates cannot be fetched or built.
pub(crate) fn ensure(context: &Context, tool: &CargoTool) -> Result<()> {
    if is_installed(context, tool) {
        return Ok(());
    }
    announce(&format!("{} {}, takes some minutes once", tool.package, tool.version), tool.why);
    process::with_retries(|| {
        let mut install = process::cargo();
        install.args([
            "install",
            "--quiet",
            "--locked",
            tool.package,
            "--version",
            tool.version,
            "--bin",
            tool.program,
        ]);
        install.arg("--root").arg(context.tools()).arg("--target-dir").arg(context.tools().join("build"));
        install.env_remove("RUSTFLAGS");
        process::run(&mut install)
    })
    .with_context(|| format!("cannot install {} {}", tool.package, tool.version))?;
    fs::remove_dir_all(context.tools().join("build")).ok();
    Ok(())
}

/// Whether cargo's own list of what it installed names the tool in this version: `"NAME VERSION (SOURCE)" = [PROGRAMS]`.
fn lists(noted: &str, tool: &CargoTool) -> bool {
    let start = format!("\"{} {} (", tool.package, tool.version);
    noted.lines().any(|line| line.starts_with(&start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::ELF2SGXS;

    #[test]
    fn another_version_does_not_count() {
        let line = |version| {
            format!("[v1]\n\"fortanix-sgx-tools {version} (registry+somewhere)\" = [\"ftxsgx-elf2sgxs\"]\n")
        };
        assert!(lists(&line(ELF2SGXS.version), &ELF2SGXS));
        assert!(!lists(&line("0.0.1"), &ELF2SGXS));
        assert!(!lists("", &ELF2SGXS));
    }
}
