//! The conformance suite's components: the workspace `tests/guests/conformance`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::rust;
use crate::context::Context;
use crate::setup::Toolchain;
use crate::stamp::Inputs;

/// Builds the components, if their inputs changed, and gives the folder in which they lie as `NAME.wasm`. Needs what
/// `setup` installs for [`Need::Guests`](crate::setup::Need::Guests).
///
/// # Errors
/// A component does not compile.
pub(crate) fn build(context: &Context) -> Result<PathBuf> {
    let source = context.root().join("tests").join("guests").join("conformance");
    let folder = context.target().join("guests").join("conformance");
    let toolchain = Toolchain::load(context)?;
    let toolchain = format!("{} {}", toolchain.choice, toolchain.version);
    let stamp = Inputs::default().files(&source)?.text("toolchain", &toolchain).stamp();
    let complete = folder.join("complete");
    if !stamp.is_on(&complete) {
        println!("guests: building the conformance suite");
        let built = rust::compile(context, &source)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for name in COMPONENTS {
            let file = built.join(file_name(name));
            let output = folder.join(name).with_extension("wasm");
            fs::copy(&file, &output).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
        stamp.put_on(&complete)?;
    }
    Ok(folder)
}

/// What cargo calls the component of a crate: a program keeps the dashes of its name, a library does not.
fn file_name(name: &str) -> String {
    match name {
        "std-command" => "conformance-std-command.wasm".to_owned(),
        library => format!("conformance_{}.wasm", library.replace('-', "_")),
    }
}

/// The crates of the workspace that are components.
const COMPONENTS: [&str; 14] = [
    "cli",
    "clocks",
    "command",
    "config",
    "filesystem",
    "http-client",
    "http-server",
    "io",
    "keyvalue",
    "logging",
    "probe",
    "random",
    "sockets",
    "std-command",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_keep_their_dashes() {
        assert_eq!(file_name("std-command"), "conformance-std-command.wasm");
        assert_eq!(file_name("io"), "conformance_io.wasm");
    }
}
