//! The Go guest: a core module for WASI 0.1 by the Go compiler, a component of it and the adapter to WASI 0.2.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use super::{Guest, core_module};
use crate::context::{self, Context};
use crate::process;
use crate::setup::python;

/// Builds the component at `output`.
///
/// # Errors
/// The source does not compile.
pub(crate) fn build(context: &Context, output: &Path) -> Result<()> {
    let source = Guest::Go.source(context);
    let folder = context.examples().join("build").join("go");
    let module = folder.join("module.wasm");
    let go = python::go(context)?;
    let overlay = write_overlay(&go, &source, &folder)?;
    let mut compiler = process::command(&go);
    compiler.args(["build", "-trimpath", "-ldflags=-s -w", "-overlay"]).arg(&overlay).arg("-o").arg(&module);
    compiler.envs([("GOOS", "wasip1"), ("GOARCH", "wasm")]);
    // Nothing of the user's settings, nothing from the network, nothing outside this checkout.
    compiler.envs([
        ("GOENV", "off"),
        ("GOFLAGS", ""),
        ("GOTOOLCHAIN", "local"),
        ("GOPROXY", "off"),
        ("GOWORK", "off"),
    ]);
    compiler.env_remove("GOROOT").env("GOCACHE", folder.join("cache")).env("GOPATH", folder.join("path"));
    process::run(compiler.current_dir(&source))?;
    core_module::to_command(context, &module, output)
}

/// Tells the compiler to take the guest's own `mem_wasm.go` for Go's.
fn write_overlay(go: &Path, source: &Path, folder: &Path) -> Result<PathBuf> {
    let root = process::capture(
        process::command(go).args(["env", "GOROOT"]).env_remove("GOROOT").env("GOENV", "off"),
    )?;
    let replaced = Path::new(root.trim()).join("src/runtime/mem_wasm.go");
    let overlay = folder.join("overlay.json");
    let replacement = source.join("_runtime").join("mem_wasm.go");
    context::write(&overlay, json!({ "Replace": { replaced.to_string_lossy(): replacement } }).to_string())?;
    Ok(overlay)
}
