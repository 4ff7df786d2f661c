//! The guests that tests and benchmarks of `privasys:enclave-os` call: `tests/guests/{platform,platform-c,platform-bench,facts}`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{c, core_module, rust};
use crate::context::{self, Context};
use crate::setup::Toolchain;
use crate::stamp::Inputs;
use crate::versions::PYTHON_PACKAGES;

/// Builds the components whose inputs changed, and gives the folder in which they lie as `NAME.wasm`. Needs what `setup` installs
/// for [`Need::Guests`](crate::setup::Need::Guests).
///
/// # Errors
/// A component does not compile.
pub(crate) fn build(context: &Context) -> Result<PathBuf> {
    let folder = context.target().join("guests").join("platform");
    for name in RUST {
        build_rust(context, name, &folder.join(name).with_extension("wasm"))?;
    }
    build_c(context, &folder.join(C).with_extension("wasm"))?;
    Ok(folder)
}

fn build_rust(context: &Context, name: &str, output: &Path) -> Result<()> {
    let source = source(context, name);
    let toolchain = Toolchain::load(context)?;
    let toolchain = format!("{} {}", toolchain.choice, toolchain.version);
    let stamp =
        Inputs::default().files(&source)?.files(&interfaces(context))?.text("toolchain", &toolchain).stamp();
    if stamp.is_on(output) {
        return Ok(());
    }
    println!("guests: building {name}");
    let crate_name = name.replace('-', "_");
    let built = rust::compile(context, &source)?.join(format!("{crate_name}_guest.wasm"));
    context::write(output, fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?)?;
    stamp.put_on(output)
}

/// The C guest is of the Rust guest's world.
fn build_c(context: &Context, output: &Path) -> Result<()> {
    let (source, world) = (source(context, C), source(context, "platform").join("wit"));
    let stamp = Inputs::default()
        .files(&source)?
        .files(&world)?
        .files(&interfaces(context))?
        .text("python packages", &format!("{PYTHON_PACKAGES:?}"))
        .stamp();
    if stamp.is_on(output) {
        return Ok(());
    }
    println!("guests: building {C}");
    let folder = context.target().join("guests").join("build").join(C);
    let (wit, module) = (folder.join("wit"), folder.join("module.wasm"));
    copy_wit(&world, &wit)?;
    copy_wit(&interfaces(context), &wit.join("deps").join("enclave-os"))?;
    core_module::bindings(context, &wit, &folder)?;
    c::compile(context, &source, &folder, "platform", &module)?;
    context::write(output, "")?;
    core_module::to_component(context, &module, output)?;
    stamp.put_on(output)
}

/// Copies the WIT files of one package, and leaves nothing else there.
fn copy_wit(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).with_context(|| format!("cannot empty {}", to.display()))?;
    }
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wit") {
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            context::write(&to.join(path.file_name().unwrap_or_default()), text)?;
        }
    }
    Ok(())
}

fn source(context: &Context, name: &str) -> PathBuf {
    context.root().join("tests").join("guests").join(name)
}

/// The package itself.
fn interfaces(context: &Context) -> PathBuf {
    context.root().join("wit")
}

/// Crates, whose components are called `NAME_guest.wasm`.
const RUST: [&str; 3] = ["platform", "platform-bench", "facts"];
const C: &str = "platform-c";
