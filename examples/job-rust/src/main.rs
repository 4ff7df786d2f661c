//! Takes account numbers, telephone numbers and e-mail addresses out of texts: a job in Rust.
//!
//! An ordinary program: standard input to standard output, arguments, environment, a file, an exit status. `std` does all of it
//! through WASI.

mod redact;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redact::Redactor;

const USAGE: &str = "\
usage: redact [--check] < TEXT
  replaces numbers of nine and more digits, and e-mail addresses
  --check   prints nothing, and fails where there is something to replace
environment:
  REDACT_LOG   the file that gets a line for each run, /redact/log.csv by default";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let mode = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Mode::Replace,
        ["--check"] => Mode::Check,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match run(mode) {
        Ok(found) if mode == Mode::Check && found > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("redact: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Replace,
    Check,
}

/// Works through standard input line by line, and returns how many numbers and addresses were found.
fn run(mode: Mode) -> io::Result<usize> {
    let started = Instant::now();
    let redactor = Redactor::new();
    let mut output = BufWriter::new(io::stdout().lock());
    let (mut lines, mut found) = (0_u64, 0);
    for line in io::stdin().lock().lines() {
        let (text, replaced) = redactor.redact(&line?);
        if mode == Mode::Replace {
            writeln!(output, "{text}")?;
        }
        lines += 1;
        found += replaced;
    }
    output.flush()?;
    log(&format!("{lines},{found},{}", started.elapsed().as_micros()))?;
    eprintln!("{lines} lines, {found} numbers and addresses");
    Ok(found)
}

/// Adds a line to the log: seconds since 1970, lines, found, microseconds.
fn log(figures: &str) -> io::Result<()> {
    let path = env::var("REDACT_LOG").unwrap_or_else(|_| "/redact/log.csv".to_owned());
    if let Some(folder) = Path::new(&path).parent() {
        fs::create_dir_all(folder)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
    writeln!(file, "{},{figures}", now.as_secs())
}
