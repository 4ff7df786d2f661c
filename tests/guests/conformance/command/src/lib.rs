//! A command by hand: its first argument says what to do, and `wasi:cli/run` does it.

use std::process::abort;
use wasi::cli::environment::{get_arguments, get_environment, initial_cwd};
use wasi::cli::exit::{exit, exit_with_code};
use wasi::cli::{stderr::get_stderr, stdin::get_stdin, stdout::get_stdout};
use wasi::io::streams::{OutputStream, StreamError};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/command", generate_all });

struct Command;

export!(Command);

impl exports::wasi::cli::run::Guest for Command {
    fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let (instruction, operands) = match &arguments[..] {
            [_, instruction, operands @ ..] => (&**instruction, operands),
            _ => return Err(()),
        };
        match instruction {
            "return-ok" => Ok(()),
            "return-err" => Err(()),
            "exit-ok" => end(Ok(())),
            "exit-err" => end(Err(())),
            "exit-with-code" => end_with_code(number(operands)? as u8),
            "exit-after-output" => {
                write(&get_stdout(), b"said before the end\n")?;
                end_with_code(7)
            }
            "trap" => abort(),
            "panic" => panic!("as asked"),
            "arguments" => write(&get_stdout(), format!("{:?}\n", operands).as_bytes()),
            "program" => write(&get_stdout(), format!("{}\n", arguments[0]).as_bytes()),
            "environment" => print_environment(),
            "cwd" => write(&get_stdout(), format!("{:?}\n", initial_cwd()).as_bytes()),
            "copy" => copy(&get_stdout()),
            "copy-to-stderr" => copy(&get_stderr()),
            "count" => count(),
            "fill-stdout" => fill(&get_stdout(), number(operands)?),
            "fill-stderr" => fill(&get_stderr(), number(operands)?),
            "both" => both(),
            _ => Err(()),
        }
    }
}

fn end(status: Result<(), ()>) -> ! {
    exit(status);
    unreachable!("exit came back")
}

fn end_with_code(code: u8) -> ! {
    exit_with_code(code);
    unreachable!("exit-with-code came back")
}

fn number(operands: &[String]) -> Result<u64, ()> {
    operands.first().ok_or(())?.parse().map_err(drop)
}

fn print_environment() -> Result<(), ()> {
    let mut environment = get_environment();
    environment.sort();
    let lines: String = environment.into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    write(&get_stdout(), lines.as_bytes())
}

/// Standard input to `output`, until it ends.
fn copy(output: &OutputStream) -> Result<(), ()> {
    let stdin = get_stdin();
    loop {
        match stdin.blocking_read(4_096) {
            Ok(bytes) => write(output, &bytes)?,
            Err(StreamError::Closed) => return Ok(()),
            Err(StreamError::LastOperationFailed(_)) => return Err(()),
        }
    }
}

/// Prints how many bytes standard input has.
fn count() -> Result<(), ()> {
    let stdin = get_stdin();
    let mut count = 0;
    loop {
        match stdin.blocking_skip(1 << 16) {
            Ok(skipped) => count += skipped,
            Err(StreamError::Closed) => return write(&get_stdout(), format!("{count}\n").as_bytes()),
            Err(StreamError::LastOperationFailed(_)) => return Err(()),
        }
    }
}

/// So many bytes, as fast as the stream takes them.
fn fill(output: &OutputStream, mut bytes: u64) -> Result<(), ()> {
    while bytes > 0 {
        match output.check_write().map_err(drop)?.min(bytes).min(1 << 16) {
            0 => output.subscribe().block(),
            permit => {
                output.write(&vec![b'.'; permit as usize]).map_err(drop)?;
                bytes -= permit;
            }
        }
    }
    output.blocking_flush().map_err(drop)
}

fn both() -> Result<(), ()> {
    for _ in 0..3 {
        write(&get_stdout(), b"out\n")?;
        write(&get_stderr(), b"err\n")?;
    }
    Ok(())
}

fn write(output: &OutputStream, bytes: &[u8]) -> Result<(), ()> {
    bytes.chunks(4_096).try_for_each(|chunk| output.blocking_write_and_flush(chunk).map_err(drop))
}
