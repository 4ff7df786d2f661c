//! Where things are in this checkout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The checkout that the task works on.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    root: PathBuf,
    cargo_target: PathBuf,
}

impl Context {
    /// The checkout that `cargo xtask` was called in.
    pub(crate) fn locate() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent folder")?.to_owned();
        ensure!(root.join("Cargo.lock").is_file(), "{} is not the root of the checkout", root.display());
        let cargo_target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir()?.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, cargo_target })
    }

    /// The root of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub(crate) fn cargo_target(&self) -> &Path {
        &self.cargo_target
    }

    /// What tasks make and keep: `target/`, whatever `CARGO_TARGET_DIR` says, so that tools are installed once.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Tools that `setup` installs for this checkout alone.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    /// A program that `cargo install` put into this checkout.
    pub(crate) fn cargo_tool(&self, name: &str) -> PathBuf {
        self.tools().join("bin").join(name)
    }

    /// A program of the Python environment.
    pub(crate) fn python_tool(&self, name: &str) -> PathBuf {
        self.tools().join("venv").join("bin").join(name)
    }

    /// What `setup` decided and noted: `target/xtask`.
    pub(crate) fn notes(&self) -> PathBuf {
        self.target().join("xtask")
    }

    /// Where built guests lie: `target/examples/NAME.wasm`.
    pub(crate) fn examples(&self) -> PathBuf {
        self.target().join("examples")
    }

    /// Where cargo puts a program of this workspace (dev profile).
    pub(crate) fn workspace_program(&self, name: &str) -> PathBuf {
        self.cargo_target.join("debug").join(name)
    }
}

/// Writes a file, and its folder when that is missing.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
