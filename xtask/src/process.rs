//! Running other programs: what is run is shown, a failure says which command failed.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// A command that does not inherit what cargo and rustup told *this* program about itself.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| OWN_ENVIRONMENT.iter().any(|own| name.starts_with(own))) {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that called this program, so that `cargo +toolchain xtask` keeps its meaning.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end, output shown.
///
/// # Errors
/// The command cannot be started or ends with a status other than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", rendered(command));
    }
    Ok(())
}

/// Runs a command to its end, output shown, and gives how it ended.
///
/// # Errors
/// The command cannot be started.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    println!("    $ {}", rendered(command));
    command.status().with_context(|| format!("cannot start {}", program(command)))
}

/// Runs a command quietly and returns what it printed on standard output.
///
/// # Errors
/// The command cannot be started, ends with a status other than 0 (its error output is in the message), or prints no UTF-8.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", program(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", rendered(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", program(command)))
}

/// Runs a command quietly, at most for `limit`; what it printed is shown only in the error.
///
/// # Errors
/// As [`run`], and when the time is over: the command is then ended.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    println!("    $ {}", rendered(command));
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program(command)))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() {
                Ok(())
            } else {
                Err(anyhow!("`{}` ended with {status}", rendered(command)))
            };
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("`{}` did not end within {} s", rendered(command), limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Does what may fail because a registry hiccups, again after a pause that grows.
///
/// # Errors
/// The last attempt's.
pub(crate) fn with_retries<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for pause in RETRY_PAUSES {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => {
                println!("    {error:#}; again in {} s", pause.as_secs());
                thread::sleep(pause);
            }
        }
    }
    attempt()
}

/// Where a program of `PATH` lies.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn rendered(command: &Command) -> String {
    let mut text = program(command);
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&quoted(&argument.to_string_lossy()));
    }
    text
}

/// The argument as a shell would have to be told it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match argument {
        "" => "''".to_owned(),
        _ if argument.chars().all(plain) => argument.to_owned(),
        _ => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

/// Starts of the names of variables that describe this program, or flags meant for the host's own builds.
const OWN_ENVIRONMENT: [&str; 3] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_PACKAGE"];

const POLL: Duration = Duration::from_millis(50);

/// Pauses before the second, third and fourth attempt.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(20)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command() {
        let error = run(command("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c 'exit 3'"), "{error}");
        assert!(error.contains('3'), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = capture(&mut command("no-such-program-here")).unwrap_err().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn the_error_output_is_in_the_message() {
        let error =
            capture(command("sh").args(["-c", "echo out of paper >&2; exit 1"])).unwrap_err().to_string();
        assert!(error.contains("out of paper"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let started = Instant::now();
        let error =
            run_within(command("sleep").arg("60"), Duration::from_millis(100)).unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn find_looks_in_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-here").is_none());
    }

    #[test]
    fn children_do_not_see_this_package() {
        let seen = capture(command("sh").args(["-c", "echo ${CARGO_PKG_NAME:-none}"])).unwrap();
        assert_eq!(seen.trim(), "none");
    }
}
