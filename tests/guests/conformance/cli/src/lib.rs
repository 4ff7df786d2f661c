//! `wasi:cli` but `run` and `exit`, which `command` is for: environment, standard streams, terminals.
//!
//! The app has these environment variables, and no more: `GREETING=hello`, `EMPTY=`, `UNICODE=grüße-世界`.

use conformance_suite::{Cases, Failure, Outcome, functions, holds, same};
use wasi::cli::environment::{get_arguments, get_environment, initial_cwd};
use wasi::cli::terminal_stderr::get_terminal_stderr;
use wasi::cli::terminal_stdin::get_terminal_stdin;
use wasi::cli::terminal_stdout::get_terminal_stdout;
use wasi::cli::{stderr::get_stderr, stdin::get_stdin, stdout::get_stdout};
use wasi::io::streams::{OutputStream, StreamError};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/cli", generate_all });

conformance_suite::component!(cases, observing observe);

fn cases() -> Cases {
    Cases::default()
        .with(
            "get-environment",
            functions![
                has_a_value,
                has_an_empty_value,
                has_a_value_of_any_text,
                has_nothing_else,
                is_the_same_again
            ],
        )
        .with("get-arguments", functions![has_no_arguments_of_its_own, arguments_are_the_same_again])
        .with("initial-cwd", functions![is_a_path_if_there_is_one, cwd_is_the_same_again])
        .with("get-stdin", functions![is_empty, is_ready, again_is_empty, many_at_once, dropped_and_again])
        .with(
            "get-stdout",
            functions![takes_text, takes_much, takes_lines_in_parts, is_ready_for_more, stdout_many_at_once],
        )
        .with("get-stderr", functions![stderr_takes_text, stderr_takes_much, stderr_beside_stdout])
        .with("get-terminal-stdin", functions![no_terminal_for_stdin])
        .with("get-terminal-stdout", functions![no_terminal_for_stdout])
        .with("get-terminal-stderr", functions![no_terminal_for_stderr])
}

fn observe() -> Vec<(String, String)> {
    let mut observed: Vec<_> =
        get_environment().into_iter().map(|(name, value)| (format!("environment.{name}"), value)).collect();
    observed.push(("arguments".into(), format!("{:?}", get_arguments())));
    observed.push(("initial-cwd".into(), format!("{:?}", initial_cwd())));
    observed
}

fn has_a_value() -> Outcome {
    same(variable("GREETING")?, "hello")
}

fn has_an_empty_value() -> Outcome {
    same(variable("EMPTY")?, "")
}

fn has_a_value_of_any_text() -> Outcome {
    same(variable("UNICODE")?, "grüße-世界")
}

fn has_nothing_else() -> Outcome {
    let mut names: Vec<_> = get_environment().into_iter().map(|(name, _)| name).collect();
    names.sort();
    same(names, ["EMPTY", "GREETING", "UNICODE"])
}

fn is_the_same_again() -> Outcome {
    same(get_environment(), get_environment())
}

/// Before them, the program's name may stand.
fn has_no_arguments_of_its_own() -> Outcome {
    holds("there is nothing but a name", get_arguments().len() <= 1)
}

fn arguments_are_the_same_again() -> Outcome {
    same(get_arguments(), get_arguments())
}

fn is_a_path_if_there_is_one() -> Outcome {
    holds("it is not empty", initial_cwd().is_none_or(|path| !path.is_empty()))
}

fn cwd_is_the_same_again() -> Outcome {
    same(initial_cwd(), initial_cwd())
}

fn is_empty() -> Outcome {
    match get_stdin().blocking_read(1) {
        Err(StreamError::Closed) => Ok(()),
        other => Err(Failure::new(format!("{other:?} instead of closed"))),
    }
}

fn is_ready() -> Outcome {
    let stdin = get_stdin();
    let pollable = stdin.subscribe();
    pollable.block();
    holds("it is ready", pollable.ready())
}

fn again_is_empty() -> Outcome {
    is_empty()?;
    is_empty()
}

fn many_at_once() -> Outcome {
    let streams: Vec<_> = (0..100).map(|_| get_stdin()).collect();
    for stream in &streams {
        holds("it is closed", matches!(stream.blocking_read(1), Err(StreamError::Closed)))?;
    }
    Ok(())
}

fn dropped_and_again() -> Outcome {
    drop(get_stdin());
    is_empty()
}

fn takes_text() -> Outcome {
    Ok(get_stdout().blocking_write_and_flush("grüße\n".as_bytes())?)
}

fn takes_much() -> Outcome {
    write_much(&get_stdout())
}

fn takes_lines_in_parts() -> Outcome {
    for part in ["a ", "line ", "in ", "parts\n"] {
        get_stdout().blocking_write_and_flush(part.as_bytes())?;
    }
    Ok(())
}

fn is_ready_for_more() -> Outcome {
    let stdout = get_stdout();
    stdout.blocking_write_and_flush(b".\n")?;
    stdout.subscribe().block();
    holds("there is a permit", stdout.check_write()? > 0)
}

fn stdout_many_at_once() -> Outcome {
    let streams: Vec<_> = (0..100).map(|_| get_stdout()).collect();
    streams.iter().try_for_each(|stream| Ok(stream.blocking_write_and_flush(b".\n")?))
}

fn stderr_takes_text() -> Outcome {
    Ok(get_stderr().blocking_write_and_flush("grüße\n".as_bytes())?)
}

fn stderr_takes_much() -> Outcome {
    write_much(&get_stderr())
}

fn stderr_beside_stdout() -> Outcome {
    let (stdout, stderr) = (get_stdout(), get_stderr());
    for _ in 0..10 {
        stdout.blocking_write_and_flush(b"stdout\n")?;
        stderr.blocking_write_and_flush(b"stderr\n")?;
    }
    Ok(())
}

fn no_terminal_for_stdin() -> Outcome {
    holds("there is none", get_terminal_stdin().is_none())
}

fn no_terminal_for_stdout() -> Outcome {
    holds("there is none", get_terminal_stdout().is_none())
}

fn no_terminal_for_stderr() -> Outcome {
    holds("there is none", get_terminal_stderr().is_none())
}

fn variable(name: &str) -> Outcome<String> {
    let value = get_environment().into_iter().find(|(candidate, _)| candidate == name);
    value.map(|(_, value)| value).ok_or_else(|| Failure::new(format!("{name} is not set")))
}

fn write_much(stream: &OutputStream) -> Outcome {
    (0..50).try_for_each(|_| Ok(stream.blocking_write_and_flush(&[b'.'; 4_096])?))
}
