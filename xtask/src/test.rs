//! `cargo xtask test`: everything, from a fresh clone.
//!
//! Tests that need built things find them by these variables, which [`environment`] sets and `cargo test` alone does not:
//!
//! | variable | value |
//! |---|---|
//! | `CLOISTER_IMAGE` | the image, `.sgxs` |
//! | `CLOISTER_SIGSTRUCT` | its SIGSTRUCT |
//! | `CLOISTER_PROVOKED_IMAGE`, `CLOISTER_PROVOKED_SIGSTRUCT` | the same for an image that panics on request |
//! | `CLOISTER_NEXT_IMAGE`, `CLOISTER_NEXT_SIGSTRUCT` | the same for an image with another measurement, which takes a volume over |
//! | `CLOISTER_BIN` | the program `cloister` |
//! | `CLOISTER_EXAMPLES` | the folder with the examples, `NAME.wasm` |
//! | `CLOISTER_CONFORMANCE` | the folder with the components of the conformance suite, `NAME.wasm` |
//! | `CLOISTER_PLATFORM_GUESTS` | the folder with the guests of `privasys:enclave-os`, `NAME.wasm` |
//! | `CLOISTER_VECTORS` | the folder with test vectors of cryptography |
//! | `CLOISTER_SCHEMATHESIS` | the program that makes requests out of `docs/openapi.json` |
//! | `CLOISTER_WASMTIME` | wasmtime's own command line, to compare with |
//! | `CLOISTER_CARGO` and others | see [`guests::sdk`]: what `cloister build` runs |

use std::path::PathBuf;

use anyhow::Result;

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::image::{self, Image, Variant};
use crate::phases::Phases;
use crate::process;
use crate::setup::{self, Need, python};

/// Sets up, builds, tests, and prints how long each part took. `arguments` go to `cargo test`.
///
/// # Errors
/// Something cannot be built, or a test fails.
pub(crate) fn run(context: &Context, arguments: &[String]) -> Result<()> {
    let mut phases = Phases::default();
    let outcome = perform(context, arguments, &mut phases);
    phases.print();
    outcome
}

fn perform(context: &Context, arguments: &[String], phases: &mut Phases) -> Result<()> {
    phases.run("setup", || setup::ensure(context, &[Need::Image, Need::Guests, Need::Tests], None))?;
    phases.run("examples", || guests::build(context, &Guest::ALL).map(drop))?;
    let conformance = phases.run("conformance suite", || guests::conformance::build(context))?;
    let platform = phases.run("platform guests", || guests::platform::build(context))?;
    let image = phases.run("image", || image::build(context))?;
    let provoked = phases.run("provoked image", || image::build_variant(context, Variant::Provoked))?;
    let next = phases.run("next image", || image::build_variant(context, Variant::Next))?;
    phases.run("programs", || process::run(process::cargo().args(["build", "--package", "cloister"])))?;
    phases.run("tests", || {
        let mut tests = process::cargo();
        tests.args(["test", "--workspace"]).args(arguments).envs(environment(context, &image)?);
        tests
            .envs(guests::sdk::environment(context)?)
            .env("CLOISTER_CONFORMANCE", &conformance)
            .env("CLOISTER_VECTORS", python::vectors(context)?)
            .env("CLOISTER_SCHEMATHESIS", python::schemathesis(context)?)
            .env("CLOISTER_PLATFORM_GUESTS", &platform)
            .env("CLOISTER_PROVOKED_IMAGE", &provoked.sgxs)
            .env("CLOISTER_PROVOKED_SIGSTRUCT", &provoked.sigstruct)
            .env("CLOISTER_NEXT_IMAGE", &next.sgxs)
            .env("CLOISTER_NEXT_SIGSTRUCT", &next.sigstruct);
        // The enclave that tests share takes two deploys at a time, and refuses a third, on machines with more cores too.
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            tests.env("RUST_TEST_THREADS", "2");
        }
        process::run(tests.current_dir(context.root()))
    })
}

/// Where tests find what was built.
///
/// # Errors
/// `setup` did not run.
pub(crate) fn environment(context: &Context, image: &Image) -> Result<[(&'static str, PathBuf); 5]> {
    Ok([
        ("CLOISTER_IMAGE", image.sgxs.clone()),
        ("CLOISTER_SIGSTRUCT", image.sigstruct.clone()),
        ("CLOISTER_BIN", context.workspace_program("cloister")),
        ("CLOISTER_EXAMPLES", context.examples()),
        ("CLOISTER_WASMTIME", python::wasmtime(context)?),
    ])
}
