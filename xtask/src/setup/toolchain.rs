//! Where the standard library for the enclave and for Wasm guests comes from, decided once.
//!
//! Both targets need more than a plain Rust installation has: the enclave's `std` is compiled with the image, so its source must
//! be there; guests need `std` for `wasm32-wasip2`. A rustup that reaches its server adds both to the active toolchain. Otherwise
//! Debian's compiler comes with its library source, and `std` for both targets is compiled from that.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{Requirement, announce, apt, cargo_tools};
use crate::context::{self, Context};
use crate::process;
use crate::versions::WASM_COMPONENT_LD;

/// Where the standard library's source and the Wasm target come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ToolchainChoice {
    /// The active toolchain, to which rustup adds `rust-src` and `wasm32-wasip2`.
    Rustup,
    /// Debian's `rustc-web`, with the library source from `rust-web-src`.
    Debian,
}

impl fmt::Display for ToolchainChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        })
    }
}

/// The toolchain that builds the enclave and the Rust guests: `target/xtask/toolchain.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toolchain {
    /// Where it came from.
    pub(crate) choice: ToolchainChoice,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// The cargo that belongs to it.
    pub(crate) cargo: PathBuf,
    /// What `rustc --print sysroot` says.
    pub(crate) sysroot: PathBuf,
    /// What `rustc --version` says: part of every product's inputs.
    pub(crate) version: String,
}

impl Toolchain {
    /// The toolchain that `setup` noted.
    ///
    /// # Errors
    /// `setup` did not run yet.
    pub(crate) fn load(context: &Context) -> Result<Self> {
        let text = fs::read_to_string(note(context))
            .context("no toolchain is chosen yet: run `cargo xtask setup`")?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged: delete it", note(context).display()))
    }

    /// This toolchain's cargo with this toolchain's compiler, free of flags and settings that were meant for the host's builds.
    ///
    /// `RUSTC_BOOTSTRAP` is left to the caller, who knows whether `-Zbuild-std` is needed.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = process::command(&self.cargo);
        cargo.env("RUSTC", &self.rustc);
        for name in HOST_SETTINGS {
            cargo.env_remove(name);
        }
        cargo
    }

    /// Flags by which what is compiled has fixed names for paths of this machine: the same bytes in whichever folder the checkout,
    /// cargo's registry and the toolchain are.
    ///
    /// # Errors
    /// One of the folders is not there.
    pub(crate) fn path_flags(&self, context: &Context) -> Result<OsString> {
        let source = self.sysroot.join("lib/rustlib/src/rust");
        let real_source =
            fs::canonicalize(&source).with_context(|| format!("there is no {}", source.display()))?;
        let registry = match env::var_os("CARGO_HOME") {
            Some(folder) => PathBuf::from(folder),
            None => Path::new(&env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
        };
        let folders = [
            (context.root(), "/cloister"),
            (&registry, "/cargo"),
            (&source, "/rust"),
            (&real_source, "/rust"),
        ];
        let flag = |(folder, name): (&Path, &str)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(folder);
            flag.push("=");
            flag.push(name);
            flag
        };
        Ok(folders.map(flag).join(OsStr::new(" ")))
    }

    fn at(choice: ToolchainChoice, rustc: PathBuf, cargo: PathBuf) -> Result<Self> {
        let sysroot = process::capture(process::command(&rustc).args(["--print", "sysroot"]))?.trim().into();
        let version = process::capture(process::command(&rustc).arg("--version"))?.trim().to_owned();
        Ok(Self { choice, rustc, cargo, sysroot, version })
    }

    fn active() -> Result<Self> {
        let cargo = env::var_os("CARGO")
            .map(PathBuf::from)
            .or_else(|| process::find("cargo"))
            .context("there is no cargo")?;
        let rustc = cargo.with_file_name("rustc");
        Self::at(ToolchainChoice::Rustup, rustc, cargo)
    }

    fn debian() -> Result<Self> {
        Self::at(ToolchainChoice::Debian, "/usr/bin/rustc".into(), "/usr/bin/cargo".into())
    }

    fn has_library_source(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").is_file()
    }

    fn has_guest_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(GUEST_TARGET).join("lib").is_dir()
    }

    fn is_complete(&self) -> bool {
        let guests = self.choice == ToolchainChoice::Debian || self.has_guest_target();
        guests && self.rustc.is_file() && self.cargo.is_file() && self.has_library_source()
    }
}

/// The target of Rust guests.
pub(crate) const GUEST_TARGET: &str = "wasm32-wasip2";

/// Decides, installs what the decision needs, and notes it.
///
/// # Errors
/// Neither rustup nor Debian can provide it.
pub(crate) fn ensure(context: &Context, choice: Option<ToolchainChoice>) -> Result<()> {
    let noted = Toolchain::load(context)
        .ok()
        .filter(|toolchain| choice.is_none_or(|choice| toolchain.choice == choice));
    if let Some(toolchain) = &noted
        && toolchain.is_complete()
        && is_current(toolchain)
    {
        return Ok(());
    }
    let toolchain = match choice.or(noted.map(|toolchain| toolchain.choice)) {
        Some(ToolchainChoice::Rustup) => from_rustup()?,
        Some(ToolchainChoice::Debian) => from_debian()?,
        None => match from_rustup() {
            Ok(toolchain) => toolchain,
            Err(error) => {
                println!("setup: {error:#}; taking Debian's compiler instead");
                from_debian()?
            }
        },
    };
    println!("setup: enclave and Rust guests are built by {} ({})", toolchain.version, toolchain.choice);
    context::write(&note(context), serde_json::to_string_pretty(&toolchain)?)
}

/// Where Rust guests' linker `wasm-component-ld` lies.
///
/// # Errors
/// It is neither in the active toolchain nor installed.
pub(crate) fn guest_linker(context: &Context) -> Result<PathBuf> {
    let installed = context.cargo_tool(WASM_COMPONENT_LD.program);
    let brought = Toolchain::active()?.sysroot.join(BROUGHT_PROGRAMS).join(WASM_COMPONENT_LD.program);
    [brought, installed]
        .into_iter()
        .find(|path| path.is_file())
        .context("wasm-component-ld is not installed: run `cargo xtask setup`")
}

/// Installs Rust guests' linker where the chosen toolchain needs one and none is there.
///
/// # Errors
/// It cannot be built.
pub(crate) fn ensure_guest_linker(context: &Context) -> Result<()> {
    if Toolchain::load(context)?.choice == ToolchainChoice::Debian && guest_linker(context).is_err() {
        cargo_tools::ensure(context, &WASM_COMPONENT_LD)?;
    }
    Ok(())
}

/// A toolchain that rustup updated since has the same path and another version.
fn is_current(toolchain: &Toolchain) -> bool {
    process::capture(process::command(&toolchain.rustc).arg("--version"))
        .is_ok_and(|version| version.trim() == toolchain.version)
}

fn from_rustup() -> Result<Toolchain> {
    let toolchain = Toolchain::active()?;
    if !toolchain.has_library_source() {
        announce("rust-src", "the enclave's std is compiled with the image");
        rustup(&["component", "add", "rust-src"])?;
    }
    if !toolchain.has_guest_target() {
        announce(GUEST_TARGET, "Rust guests are built for it");
        rustup(&["target", "add", GUEST_TARGET])?;
    }
    anyhow::ensure!(toolchain.is_complete(), "rustup added nothing to {}", toolchain.sysroot.display());
    Ok(toolchain)
}

fn rustup(arguments: &[&str]) -> Result<()> {
    process::run_within(process::command("rustup").args(arguments), RUSTUP_LIMIT)
}

fn from_debian() -> Result<Toolchain> {
    apt::ensure(&[
        Requirement::package("rustc-web", "compiler that matches the library source"),
        Requirement::package("cargo-web", "belongs to that compiler"),
        Requirement::package("libstd-rust-web-dev", "build scripts need the host's std"),
        Requirement::package("rust-web-src", "source of std for the enclave and for guests"),
    ])?;
    let toolchain = Toolchain::debian()?;
    anyhow::ensure!(toolchain.is_complete(), "no library source below {}", toolchain.sysroot.display());
    Ok(toolchain)
}

fn note(context: &Context) -> PathBuf {
    Path::new(&context.notes()).join("toolchain.json")
}

/// Variables that steer the host's own builds, and what cargo tells the programs that it runs.
const HOST_SETTINGS: [&str; 6] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOC", "RUSTUP_TOOLCHAIN", "CARGO", "LD_LIBRARY_PATH"];

/// Programs that a rustup toolchain brings for its own use, below its sysroot.
const BROUGHT_PROGRAMS: &str = "lib/rustlib/x86_64-unknown-linux-gnu/bin";

/// Enough for some 30 MB on a slow line; a server that cannot be reached should not hold the work up for long.
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_plain_json() {
        let toolchain = Toolchain {
            choice: ToolchainChoice::Debian,
            rustc: "/usr/bin/rustc".into(),
            cargo: "/usr/bin/cargo".into(),
            sysroot: "/usr".into(),
            version: "rustc 1.96.0".into(),
        };
        let text = serde_json::to_string(&toolchain).unwrap();
        assert!(text.contains(r#""choice":"debian""#), "{text}");
        assert_eq!(serde_json::from_str::<Toolchain>(&text).unwrap(), toolchain);
    }

    #[test]
    fn a_toolchain_that_is_not_there_is_not_complete() {
        let toolchain = Toolchain {
            choice: ToolchainChoice::Rustup,
            rustc: "/nowhere/rustc".into(),
            cargo: "/nowhere/cargo".into(),
            sysroot: "/nowhere".into(),
            version: String::new(),
        };
        assert!(!toolchain.is_complete());
    }
}
