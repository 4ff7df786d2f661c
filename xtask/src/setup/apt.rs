//! System packages, by Debian's package manager.

use anyhow::{Context as _, Result, bail};

use super::announce;
use crate::process;

/// Something that the system must provide.
#[derive(Debug)]
pub(crate) struct Requirement {
    means: Means,
    packages: &'static [&'static str],
    why: &'static str,
}

#[derive(Debug)]
enum Means {
    Program(&'static str),
    Package(&'static str),
    Missing,
}

impl Requirement {
    /// A program of `PATH`, wherever it came from.
    pub(crate) fn program(name: &'static str, packages: &'static [&'static str], why: &'static str) -> Self {
        Self { means: Means::Program(name), packages, why }
    }

    /// A library or a set of files that only a package brings.
    pub(crate) fn package(name: &'static str, why: &'static str) -> Self {
        Self { means: Means::Package(name), packages: &[], why }
    }

    /// Something that was looked for and is not there.
    pub(crate) fn missing(packages: &'static [&'static str], why: &'static str) -> Self {
        Self { means: Means::Missing, packages, why }
    }

    fn is_met(&self) -> bool {
        match self.means {
            Means::Program(name) => process::find(name).is_some(),
            Means::Package(name) => is_installed(name),
            Means::Missing => false,
        }
    }

    fn packages(&self) -> Vec<&'static str> {
        match self.means {
            Means::Package(name) => vec![name],
            Means::Program(_) | Means::Missing => self.packages.to_vec(),
        }
    }
}

/// Installs the packages of all requirements that are not met, in one go.
///
/// # Errors
/// There is no `apt-get`, or it fails: the message lists the packages.
pub(crate) fn ensure(requirements: &[Requirement]) -> Result<()> {
    let unmet: Vec<_> = requirements.iter().filter(|requirement| !requirement.is_met()).collect();
    if unmet.is_empty() {
        return Ok(());
    }
    for requirement in &unmet {
        announce(&requirement.packages().join(" "), requirement.why);
    }
    let packages: Vec<_> = unmet.iter().flat_map(|requirement| requirement.packages()).collect();
    if process::find("apt-get").is_none() {
        bail!(
            "there is no apt-get here: install what these Debian packages hold yourself: {}",
            packages.join(" ")
        );
    }
    process::with_retries(|| process::run(apt_get()?.args(["update", "--quiet"])))?;
    process::with_retries(|| {
        process::run(
            apt_get()?.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&packages),
        )
    })
    .with_context(|| format!("cannot install {}", packages.join(" ")))
}

/// Whether dpkg knows the package as installed.
pub(crate) fn is_installed(package: &str) -> bool {
    process::capture(process::command("dpkg-query").args([
        "--show",
        "--showformat=${db:Status-Status}",
        package,
    ]))
    .is_ok_and(|status| status == "installed")
}

fn apt_get() -> Result<std::process::Command> {
    let root = process::capture(process::command("id").arg("--user"))?.trim() == "0";
    let mut command = process::command(if root { "env" } else { "sudo" });
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_met_needs_no_package_manager() {
        ensure(&[Requirement::program("sh", &["dash"], "to test")]).unwrap();
    }

    #[test]
    fn a_program_names_its_packages() {
        let requirement = Requirement::program("no-such-program-here", &["one", "two"], "to test");
        assert!(!requirement.is_met());
        assert_eq!(requirement.packages(), ["one", "two"]);
    }

    #[test]
    fn an_unknown_package_is_not_installed() {
        assert!(!is_installed("no-such-package-here"));
    }
}
