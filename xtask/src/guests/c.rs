//! The C guest: bindings from its WIT, a core module by Zig's C compiler, a component of both.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Guest, core_module};
use crate::context::Context;
use crate::process;
use crate::setup::python;

/// Builds the component at `output`.
///
/// # Errors
/// The WIT is invalid, the source does not compile, or does not fit the WIT.
pub(crate) fn build(context: &Context, output: &Path) -> Result<()> {
    let source = Guest::C.source(context);
    let folder = context.examples().join("build").join("c");
    let module = folder.join("module.wasm");
    core_module::bindings(context, &source.join("wit"), &folder)?;
    compile(context, &source, &folder, "numbers", &module)?;
    core_module::to_component(context, &module, output)
}

/// Makes a core module of the C files of a folder and the bindings for a world.
///
/// # Errors
/// The source does not compile.
pub(super) fn compile(
    context: &Context,
    source: &Path,
    bindings: &Path,
    world: &str,
    module: &Path,
) -> Result<()> {
    let mut compiler = process::command(python::zig(context)?);
    compiler.args([
        "cc",
        "--target=wasm32-wasi",
        "-mexec-model=reactor",
        "-Os",
        "-s",
        STACK_SIZE,
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    compiler.arg("-I").arg(bindings);
    for name in sources(source)? {
        compiler.arg(source.join(name));
    }
    compiler.arg(bindings.join(format!("{world}.c"))).arg(bindings.join(format!("{world}_component_type.o")));
    process::run(compiler.arg("-o").arg(module))
}

fn sources(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "c") {
            names.push(entry.file_name());
        }
    }
    names.sort();
    Ok(names)
}

/// 128 KiB, of the linker's default of 16 MiB: each call gets a fresh memory.
const STACK_SIZE: &str = "-Wl,-z,stack-size=131072";
