//! The command line: for operators, app owners and callers.
//!
//! `arguments` is the grammar, `settings` what options, environment and profile say together, `commands` does the
//! work, `output` and `progress` show it, `failure` says why it did not happen and gives the exit code.
#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod failure;
mod output;
mod profile;
mod progress;
mod quantity;
mod settings;

use arguments::{Cli, Format, GlobalArguments};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use failure::Failure;
use output::{Paint, Printer};
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = Cli::command().try_get_matches();
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return misused(&error),
    };
    let printer = Printer::new(&cli.global);
    match commands::run(&cli, &typed(&cli.global, &matches), &printer) {
        Ok(code) => code,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.exit() as u8)
        }
    }
}

/// Help and version are no errors; anything else is told in the format that was asked for, as far as that is known.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = {
        let arguments: Vec<_> = std::env::args_os().collect();
        arguments.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
            || arguments.iter().any(|argument| argument == "--format=json")
            || std::env::var_os("CLOISTER_FORMAT").is_some_and(|format| format == "json")
    };
    if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        let what = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
        let printer =
            Printer { format: Format::Json, quiet: true, paint: Paint::PLAIN, error_paint: Paint::PLAIN };
        printer.failure(&Failure::usage(what));
    } else {
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { failure::Exit::Usage as u8 } else { 0 })
}

/// The options that stand on the command line itself, without those from the environment.
fn typed(global: &GlobalArguments, matches: &ArgMatches) -> GlobalArguments {
    let mut deepest = matches;
    while let Some((_, inner)) = deepest.subcommand() {
        deepest = inner;
    }
    let is_typed = |id: &str| deepest.value_source(id) == Some(ValueSource::CommandLine);
    let mut typed = global.clone();
    if !is_typed("host") {
        typed.host = None;
    }
    if !is_typed("key") {
        typed.key = None;
    }
    if !is_typed("token") {
        typed.token = None;
    }
    if !is_typed("policy") {
        typed.policy = None;
    }
    if !is_typed("mrenclave") {
        typed.mrenclave.clear();
    }
    if !is_typed("identity") {
        typed.identity = None;
    }
    if !is_typed("code_hash") {
        typed.code_hash = None;
    }
    if !is_typed("allow_simulated") {
        typed.allow_simulated = None;
    }
    if !is_typed("collateral") {
        typed.collateral = None;
    }
    if !is_typed("min_epoch") {
        typed.min_epoch = None;
    }
    if !is_typed("volume_root") {
        typed.volume_root = None;
    }
    if !is_typed("freshness") {
        typed.freshness = None;
    }
    typed
}
