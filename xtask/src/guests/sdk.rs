//! What `cloister build` is told in tests: where the languages' own programs are, since none of them has to be in `PATH`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::rust;
use crate::context::{self, Context};
use crate::setup::Toolchain;
use crate::setup::python;
use crate::setup::toolchain::GUEST_TARGET;

/// The variables of `cloister build`, and two for tests: `CLOISTER_SDK_MODULES`, packages of npm that a project in JavaScript can
/// share, and `CLOISTER_SDK_TARGET`, a folder in which the crates of a project in Rust are compiled already. Needs what `setup`
/// installs for [`Need::Guests`](crate::setup::Need::Guests).
///
/// # Errors
/// `setup` did not run.
pub(crate) fn environment(context: &Context) -> Result<[(&'static str, PathBuf); 8]> {
    let target = context.examples().join("build").join(Toolchain::load(context)?.choice.to_string());
    fs::create_dir_all(&target)?;
    Ok([
        ("CLOISTER_CARGO", cargo(context)?),
        ("CLOISTER_NODE", python::node(context)?),
        ("CLOISTER_PYTHON", context.python_tool("python3")),
        ("CLOISTER_COMPONENTIZE_PY", context.python_tool("componentize-py")),
        ("CLOISTER_ZIG", python::zig(context)?),
        ("CLOISTER_GO", python::go(context)?),
        ("CLOISTER_SDK_MODULES", context.root().join("examples/javascript/node_modules")),
        ("CLOISTER_SDK_TARGET", target),
    ])
}

/// A program that is cargo as guests are built by it.
fn cargo(context: &Context) -> Result<PathBuf> {
    let toolchain = Toolchain::load(context)?;
    let path = context.notes().join("guest-cargo");
    context::write(&path, script(&toolchain.cargo(), &rust::settings(context, &toolchain)?))?;
    rust::make_executable(&path)?;
    Ok(path)
}

/// A shell script that runs `cargo` with its environment. What `settings` add goes to builds for the guests' target, and not to a
/// project's own tests.
fn script(cargo: &Command, settings: &rust::Settings) -> String {
    let export = |name: &OsStr, value: Option<&OsStr>| match value {
        Some(value) => format!("export {}={}\n", name.to_string_lossy(), quoted(value)),
        None => format!("unset {}\n", name.to_string_lossy()),
    };
    let environment: String = cargo.get_envs().map(|(name, value)| export(name, value)).collect();
    let added: String =
        settings.environment.iter().map(|(name, value)| export(OsStr::new(name), Some(value))).collect();
    let (program, flags) = (quoted(cargo.get_program()), settings.flags.join(" "));
    format!(
        "#!/bin/sh\n{environment}case \" $* \" in *' {GUEST_TARGET} '*)\n{added}exec {program} \"$@\" {flags}\nesac\nexec \
         {program} \"$@\"\n"
    )
}

fn quoted(text: &OsStr) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_builds_for_the_guests_target_get_its_settings() {
        let mut cargo = Command::new("/bin/sh");
        cargo.env("RUSTC", "it's here").env_remove("HOME");
        let settings =
            rust::Settings { flags: vec!["-Zflag".to_owned()], environment: vec![("LINKER", "ld x".into())] };
        let text = script(&cargo, &settings);
        let run = |arguments: &[&str]| {
            // The script's cargo is a shell, which shows what it was given.
            let show = ["-c", "echo \"$RUSTC|$LINKER|${HOME-none}|$0 $*\""];
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &text, "cargo"]).args(show).args(arguments).env_remove("LINKER");
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        assert_eq!(run(&["test", "--lib"]), "it's here||none|test --lib\n");
        let built = run(&["build", "--target", "wasm32-wasip2", "--locked"]);
        assert_eq!(built, "it's here|ld x|none|build --target wasm32-wasip2 --locked -Zflag\n");
    }
}
