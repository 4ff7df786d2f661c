//! `cargo xtask bench`: calls inside the image, or what apps keep there, beside native wasmtime; cryptography and requests of guests beside
//! the same libraries natively; what each example costs; or attested sessions beside plain ones.
//!
//! What is measured, and how, is in `tests/benches` and, for the sealed volume and its filesystem alone, in their own `benches`;
//! this builds what that needs.

use std::process::Command;

use anyhow::Result;

use crate::context::Context;
use crate::guests::{self, Guest, sqlite};
use crate::image;
use crate::process;
use crate::setup::{self, Need};
use crate::test;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Small sizes, to see that it works.
    Quick,
    /// What takes a few minutes.
    Usual,
    /// Also compiling the JavaScript example, and mounting a large volume.
    All,
}

/// Measures calls.
///
/// # Errors
/// The first step that fails.
pub(crate) fn calls(context: &Context, scope: Scope) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    let guests: &[Guest] = match scope {
        Scope::Quick | Scope::Usual => &[Guest::Rust, Guest::Benchmark, Guest::HttpBenchmark, Guest::C],
        Scope::All => &Guest::ALL,
    };
    guests::build(context, guests)?;
    let image = image::build(context)?;
    let mut bench = bench("cloister-tests", "calls", arguments(scope, &[Scope::All]));
    process::run(bench.envs(test::environment(context, &image)?).current_dir(context.root()))
}

/// Measures the sealed volume, its filesystem, and both through the image.
///
/// # Errors
/// The first step that fails.
pub(crate) fn storage(context: &Context, scope: Scope) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    guests::build(
        context,
        if scope == Scope::All { &[Guest::Files, Guest::Javascript] } else { &[Guest::Files] },
    )?;
    let sqlite = sqlite::build(context)?;
    let image = image::build(context)?;
    let mut volume = bench("cloister-volume", "volume", arguments(scope, &[Scope::All]));
    process::run(volume.current_dir(context.root()))?;
    process::run(bench("cloister-filesystem", "filesystem", &[]).current_dir(context.root()))?;
    let mut image_bench = bench("cloister-tests", "storage", arguments(scope, &[Scope::Quick]));
    image_bench.envs(test::environment(context, &image)?).env("CLOISTER_SQLITE", sqlite);
    process::run(image_bench.current_dir(context.root()))
}

/// Measures cryptography and requests of guests in the image, and the same natively.
///
/// # Errors
/// The first step that fails.
pub(crate) fn platform(context: &Context) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    let guests = guests::platform::build(context)?;
    let image = image::build(context)?;
    let mut bench = bench("cloister-tests", "platform", &[]);
    bench.envs(test::environment(context, &image)?).env("CLOISTER_PLATFORM_GUESTS", guests);
    process::run(bench.current_dir(context.root()))
}

/// Measures attested sessions with the image, and plain ones with a native server.
///
/// # Errors
/// The first step that fails.
pub(crate) fn sessions(context: &Context) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    let image = image::build(context)?;
    let mut bench = bench("cloister-tests", "sessions", &[]);
    process::run(bench.envs(test::environment(context, &image)?).current_dir(context.root()))
}

/// Measures every example in the image.
///
/// # Errors
/// The first step that fails.
pub(crate) fn guests(context: &Context) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    guests::build(context, &Guest::ALL)?;
    let image = image::build(context)?;
    let mut bench = bench("cloister-tests", "guests", &[]);
    process::run(bench.envs(test::environment(context, &image)?).current_dir(context.root()))
}

fn bench(package: &str, name: &str, arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.args(["bench", "--package", package, "--bench", name, "--"]).args(arguments);
    cargo
}

/// What a benchmark is told, which knows only some scopes.
fn arguments(scope: Scope, known: &[Scope]) -> &'static [&'static str] {
    match scope {
        Scope::All if known.contains(&scope) => &["--all"],
        Scope::Quick if known.contains(&scope) => &["--quick"],
        _ => &[],
    }
}
