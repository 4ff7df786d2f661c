//! A command as Rust's `std` makes it: its first argument says how to end.

use std::io::{Read as _, Write as _};
use std::process::{ExitCode, exit};
use std::{env, fs, io};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("success") => ExitCode::SUCCESS,
        Some("failure") => ExitCode::FAILURE,
        Some("code") => ExitCode::from(operand(&mut arguments)),
        Some("exit") => exit(operand(&mut arguments).into()),
        Some("panic") => panic!("as asked"),
        Some("arguments") => report(writeln!(io::stdout(), "{:?}", arguments.collect::<Vec<_>>())),
        Some("variable") => {
            report(writeln!(io::stdout(), "{:?}", env::var(arguments.next().unwrap_or_default())))
        }
        Some("upper-case") => report(upper_case()),
        Some("file") => report(file()),
        Some("errors") => report(writeln!(io::stderr(), "on standard error")),
        _ => ExitCode::from(64),
    }
}

fn operand(arguments: &mut impl Iterator<Item = String>) -> u8 {
    arguments.next().and_then(|operand| operand.parse().ok()).unwrap_or(64)
}

fn upper_case() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    io::stdout().write_all(text.to_uppercase().as_bytes())
}

/// Writes a file, reads it back and prints it.
fn file() -> io::Result<()> {
    fs::write("/std-command.txt", "a file\n")?;
    let text = fs::read_to_string("/std-command.txt")?;
    fs::remove_file("/std-command.txt")?;
    io::stdout().write_all(text.as_bytes())
}

fn report(result: io::Result<()>) -> ExitCode {
    result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
