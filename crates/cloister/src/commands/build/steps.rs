//! Running a project's own commands.

use super::project::Step;
use super::{BuildError, Project, tools};
use crate::output::Printer;
use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, absolute};
use std::process::{Command, ExitStatus, Stdio};

/// Runs the commands in the project's folder, one after the other. What they print goes to standard error; with `--quiet`, only
/// where one fails.
pub(super) fn run(project: &Project, steps: &[Step], printer: &Printer) -> Result<(), BuildError> {
    for step in steps {
        let shown = step.run.join(" ");
        printer.hint(&format!("  $ {shown}"));
        let mut command = command(project.directory(), step)?;
        let ended = if printer.quiet { quietly(&mut command) } else { openly(&mut command) };
        let status = ended.map_err(|source| BuildError::NotStarted { command: shown.clone(), source })?;
        if !status.success() {
            let help = tools::advice(project.language());
            return Err(BuildError::Failed { command: shown, status: status.to_string(), help });
        }
    }
    Ok(())
}

fn command(directory: &Path, step: &Step) -> Result<Command, BuildError> {
    let (program, arguments) =
        step.run.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let found = tools::find(program, directory)?;
    // The folder changes before the program is looked for.
    let found = absolute(&found).unwrap_or(found);
    let mut command = Command::new(&found);
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    if let Some(path) = beside(&found) {
        command.env("PATH", path);
    }
    command.envs(&step.environment);
    Ok(command)
}

/// `PATH` with the folder of `program` first: what it starts is often its neighbour.
fn beside(program: &Path) -> Option<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(program.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path))).ok()
}

fn openly(command: &mut Command) -> io::Result<ExitStatus> {
    command.stdout(io::stderr()).status()
}

fn quietly(command: &mut Command) -> io::Result<ExitStatus> {
    let output = command.output()?;
    if !output.status.success() {
        let mut shown = io::stderr().lock();
        shown.write_all(&output.stdout)?;
        shown.write_all(&output.stderr)?;
    }
    Ok(output.status)
}
