//! `cargo xtask check`: what can be found without running the project.

use std::time::Duration;

use anyhow::Result;

use crate::context::Context;
use crate::phases::Phases;
use crate::process;
use crate::setup::{self, Need};
use crate::versions::CARGO_DENY;

/// Formatting, clippy with warnings denied, licences and advisories, documentation.
///
/// # Errors
/// The first of them that finds something.
pub(crate) fn run(context: &Context) -> Result<()> {
    let mut phases = Phases::default();
    let outcome = perform(context, &mut phases);
    phases.print();
    outcome
}

fn perform(context: &Context, phases: &mut Phases) -> Result<()> {
    let cargo = |arguments: &[&str]| {
        let mut cargo = process::cargo();
        cargo.args(arguments).current_dir(context.root());
        cargo
    };
    phases.run("setup", || setup::ensure(context, &[Need::Check], None))?;
    phases.run("format", || process::run(&mut cargo(&["fmt", "--all", "--check"])))?;
    phases.run("clippy", || {
        process::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
    })?;
    phases.run("deny", || deny(context))?;
    phases.run("docs", || {
        process::run(
            cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"])
                .env("RUSTDOCFLAGS", "--deny warnings"),
        )
    })
}

/// Licences, sources and versions always; advisories when their database can be had.
fn deny(context: &Context) -> Result<()> {
    let cargo_deny = |arguments: &[&str]| {
        let mut deny = process::command(context.cargo_tool(CARGO_DENY.program));
        deny.args(arguments).current_dir(context.root());
        deny
    };
    process::run(&mut cargo_deny(&["check", "bans", "licenses", "sources"]))?;
    match process::run_within(&mut cargo_deny(&["fetch", "db"]), DATABASE_LIMIT) {
        Ok(()) => process::run(&mut cargo_deny(&["check", "advisories"])),
        Err(error) => {
            println!("warning: advisories are NOT checked, their database cannot be fetched: {error:#}");
            Ok(())
        }
    }
}

/// Enough for the advisory database, some megabytes, on a slow line.
const DATABASE_LIMIT: Duration = Duration::from_secs(120);
