//! `cargo xtask bench`: calls inside the image beside native wasmtime.
//!
//! What is measured, and how, is in `tests/benches/calls`; this builds what that needs.

use anyhow::Result;

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::image;
use crate::process;
use crate::setup::{self, Need};
use crate::test;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What takes about two minutes.
    Quick,
    /// Also compiling the JavaScript example.
    All,
}

/// Measures both and prints them side by side.
///
/// # Errors
/// The first step that fails.
pub(crate) fn run(context: &Context, scope: Scope) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    guests::build(context, guests_of(scope))?;
    let image = image::build(context)?;
    let mut bench = process::cargo();
    bench.args(["bench", "--package", "cloister-tests", "--bench", "calls"]);
    if scope == Scope::All {
        bench.args(["--", "--all"]);
    }
    bench.envs(test::environment(context, &image)?);
    process::run(bench.current_dir(context.root()))
}

fn guests_of(scope: Scope) -> &'static [Guest] {
    match scope {
        Scope::Quick => &[Guest::Rust, Guest::Benchmark, Guest::HttpBenchmark, Guest::C],
        Scope::All => &Guest::ALL,
    }
}
