//! From WIT to C bindings, and from core modules of C and Go to components: what the programs `wit-bindgen c` and
//! `wasm-tools component new --adapt` do, as calls of the libraries that this workspace depends on anyway.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

/// Components from C and Go.
#[derive(Debug, Parser)]
enum Step {
    /// Write the C files, and the object file that describes the world, for the only world of a WIT folder.
    Bindings { wit: PathBuf, folder: PathBuf },
    /// Make a component of a core module that was linked with those.
    Component { module: PathBuf, output: PathBuf },
    /// Make a component that exports `wasi:cli/run` of a core module with a `main`.
    Command { module: PathBuf, output: PathBuf },
}

fn main() -> Result<()> {
    match Step::parse() {
        Step::Bindings { wit, folder } => write_bindings(&wit, &folder),
        Step::Component { module, output } => {
            write_component(&module, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER, &output)
        }
        Step::Command { module, output } => {
            write_component(&module, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, &output)
        }
    }
}

fn write_bindings(wit: &Path, folder: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(folder)?;
    for (name, content) in files.iter() {
        write(&folder.join(name), content)?;
    }
    Ok(())
}

fn write_component(module: &Path, adapter: &[u8], output: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)?
        .encode()?;
    write(output, &component)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
