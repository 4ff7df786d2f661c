//! Rust guests: `cargo build --target wasm32-wasip2`.
//!
//! Where the toolchain has no `std` for that target, cargo compiles it from source, and the C library below `std` is Zig's copy of
//! wasi-libc. All Rust guests share one build folder, so that happens once.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Guest;
use crate::context::{self, Context};
use crate::process;
use crate::setup::python;
use crate::setup::toolchain::{self, GUEST_TARGET, Toolchain, ToolchainChoice};

/// Builds the crate in the guest's folder and puts its component at `output`.
///
/// # Errors
/// The crate does not compile, or the toolchain is not what `setup` noted.
pub(crate) fn build(context: &Context, guest: Guest, output: &Path) -> Result<()> {
    let name = match guest {
        Guest::HospitalEvil => Guest::Hospital.name(),
        other => other.name(),
    };
    let built = compile_with(context, &guest.source(context), guest.features())?
        .join(format!("{}_example.wasm", name.replace('-', "_")));
    fs::copy(&built, output).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(())
}

/// Builds the crate or workspace in `source`, and gives the folder with its components.
///
/// # Errors
/// It does not compile, or the toolchain is not what `setup` noted.
pub(super) fn compile(context: &Context, source: &Path) -> Result<PathBuf> {
    compile_with(context, source, &[])
}

/// The same with arguments that choose features.
fn compile_with(context: &Context, source: &Path, features: &[&str]) -> Result<PathBuf> {
    let toolchain = Toolchain::load(context)?;
    let folder = context.examples().join("build").join(toolchain.choice.to_string());
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--release", "--locked", "--target", GUEST_TARGET]);
    cargo.args(features);
    cargo.current_dir(source).env("CARGO_TARGET_DIR", &folder);
    let settings = settings(context, &toolchain)?;
    process::run(cargo.args(&settings.flags).envs(settings.environment))?;
    Ok(folder.join(GUEST_TARGET).join("release"))
}

/// What cargo has to be told to build for the guests' target, beside its own defaults.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Arguments of `cargo build`.
    pub(super) flags: Vec<String>,
    /// Environment variables.
    pub(super) environment: Vec<(&'static str, OsString)>,
}

/// Names for paths, since clients pin the code hash, and it has to be the same wherever somebody builds. Where the toolchain has no
/// `std` for the target, also how that is compiled.
///
/// # Errors
/// The tools for that are not installed.
pub(super) fn settings(context: &Context, toolchain: &Toolchain) -> Result<Settings> {
    let mut settings = Settings::default();
    let mut compiler = toolchain.path_flags(context)?;
    if toolchain.choice == ToolchainChoice::Debian {
        compiler.push(" ");
        compiler.push(link_flags(&c_library(context)?));
        settings.flags.push("-Zbuild-std=std,panic_abort".to_owned());
        settings.environment.push(("RUSTC_BOOTSTRAP", "1".into()));
        let linker = toolchain::guest_linker(context)?;
        settings.environment.push(("CARGO_TARGET_WASM32_WASIP2_LINKER", linker.into()));
    }
    settings.environment.push(("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", compiler));
    Ok(settings)
}

/// What `std` for Wasm needs below it, in a folder: `libc.a` and the linker `wasm-ld`.
#[derive(Debug)]
struct CLibrary {
    folder: PathBuf,
}

impl CLibrary {
    fn archive(&self) -> PathBuf {
        self.folder.join("libc.a")
    }

    fn linker(&self) -> PathBuf {
        self.folder.join("wasm-ld")
    }
}

/// Takes the C library out of Zig: it compiles one for the target when it links a program, and says so when asked to be verbose.
fn c_library(context: &Context) -> Result<CLibrary> {
    let library = CLibrary { folder: context.tools().join("c-library") };
    if library.archive().is_file() && library.linker().is_file() {
        return Ok(library);
    }
    println!("examples: compiling a C library for Rust guests, once");
    let zig = python::zig(context)?;
    let program = library.folder.join("program.c");
    context::write(&program, "int main(void) { return 0; }\n")?;
    let said = verbose_link(&zig, &program)?;
    let linked = linked(&said);
    ensure!(!linked.is_empty(), "zig links no C library: {said}");

    let mut script = format!("CREATE {}\n", library.archive().display());
    for file in &linked {
        let command = if file.ends_with(".a") { "ADDLIB" } else { "ADDMOD" };
        script.push_str(&format!("{command} {file}\n"));
    }
    script.push_str("SAVE\nEND\n");
    merge(&zig, &library.folder, &script)?;
    context::write(&library.linker(), format!("#!/bin/sh\nexec '{}' wasm-ld \"$@\"\n", zig.display()))?;
    make_executable(&library.linker())?;
    Ok(library)
}

fn verbose_link(zig: &Path, program: &Path) -> Result<String> {
    let output = process::command(zig)
        .args(["cc", "--target=wasm32-wasi", "-Os", "--verbose"])
        .arg(program)
        .arg("-o")
        .arg(program.with_extension("wasm"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "zig cc failed: {said}");
    Ok(said)
}

/// The archives, and the object with the entry point of programs, in the command line of the linker that a verbose compiler prints.
fn linked(said: &str) -> Vec<&str> {
    let Some(link) = said.lines().rev().find(|line| line.contains("wasm-ld") || line.contains(".a ")) else {
        return Vec::new();
    };
    link.split_whitespace().filter(|word| word.ends_with(".a") || word.ends_with(ENTRY_POINT)).collect()
}

fn merge(zig: &Path, folder: &Path, script: &str) -> Result<()> {
    let file = folder.join("merge");
    context::write(&file, script)?;
    let input = fs::File::open(&file)?;
    process::run(process::command(zig).args(["ar", "-M"]).stdin(input))
}

pub(super) fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn link_flags(library: &CLibrary) -> String {
    let folder = library.folder.display();
    let linker = library.linker();
    format!("-Clink-self-contained=no -Lnative={folder} -Clink-arg=--wasm-ld-path={}", linker.display())
}

const ENTRY_POINT: &str = "/crt1-command.o";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_in_the_linkers_command_line() {
        let said =
            "compiling\nwasm-ld -o x.wasm /cache/crt1-command.o a.o /cache/libc.a /cache/libcompiler_rt.a\n";
        assert_eq!(linked(said), ["/cache/crt1-command.o", "/cache/libc.a", "/cache/libcompiler_rt.a"]);
        assert!(linked("nothing").is_empty());
    }
}
