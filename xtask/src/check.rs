//! `cargo xtask check`: what can be found without running the project.

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
    phases.run("deny", || {
        let mut deny = process::command(context.cargo_tool(CARGO_DENY.program));
        process::with_retries(|| process::run(deny.args(["check"]).current_dir(context.root())))
    })?;
    phases.run("docs", || {
        process::run(cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "--deny warnings"))
    })
}
