//! A guest under native Wasmtime, on a plain directory.

use crate::wasmtime::{RESTRAINED, Wasmtime};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A compiled component and the directory that is its `/`.
#[derive(Debug)]
pub(crate) struct Native<'a> {
    wasmtime: &'a Wasmtime,
    settings: &'static [&'static str],
    compiled: PathBuf,
    directory: PathBuf,
    _folder: TempDir,
}

impl<'a> Native<'a> {
    /// With Wasmtime's own settings.
    pub(crate) fn stock(wasmtime: &'a Wasmtime, component: &Path) -> Result<Self> {
        Self::new(wasmtime, component, &[])
    }

    /// With the settings that an enclave forces on the image: what is left between the two is not the compiler's.
    pub(crate) fn restrained(wasmtime: &'a Wasmtime, component: &Path) -> Result<Self> {
        Self::new(wasmtime, component, &RESTRAINED)
    }

    fn new(wasmtime: &'a Wasmtime, component: &Path, settings: &'static [&'static str]) -> Result<Self> {
        let folder = TempDir::new()?;
        let (compiled, directory) = (folder.path().join("compiled"), folder.path().join("directory"));
        std::fs::create_dir(&directory)?;
        wasmtime.compile(component, &compiled, settings)?;
        Ok(Self { wasmtime, settings, compiled, directory, _folder: folder })
    }

    /// Calls an export in a process of its own; says what it answered and how long the process ran.
    pub(crate) fn invoke(&self, call: &str) -> Result<(String, Duration)> {
        let directory = format!("{}::/", self.directory.to_str().context("a path is not UTF-8")?);
        let settings = [self.settings, &["-S", "keyvalue", "--dir", &directory]].concat();
        self.wasmtime.invoke(&self.compiled, call, &settings)
    }
}
