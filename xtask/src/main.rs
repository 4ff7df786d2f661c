//! Every task of this repository: `cargo xtask help` lists them.
//!
//! One module is one task (`setup`, `guests`, `image`, `demo`, `hospital`, `test`, `check`, `bench`); the rest is what tasks stand on:
//! where things are (`context`), which versions (`versions`), how programs are run (`process`), when to rebuild (`stamp`).

#![forbid(unsafe_code)]

mod bench;
mod check;
mod context;
mod demo;
mod guests;
mod hospital;
mod image;
mod phases;
mod process;
mod setup;
mod stamp;
mod test;
mod versions;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::guests::Guest;
use crate::setup::{Need, ToolchainChoice};

/// Cloister's tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what is missing; say each step and why. Changes nothing when nothing is missing.
    Setup {
        /// Where the standard library's source and the Wasm target come from; kept until changed.
        #[arg(long, value_enum)]
        toolchain: Option<ToolchainChoice>,
    },
    /// Build the example guests into target/examples.
    Examples {
        /// Which ones; all when none is named.
        #[arg(value_enum)]
        guests: Vec<Guest>,
    },
    /// Build the enclave image and print its MRENCLAVE.
    Image,
    /// Set up, build, start the image, deploy the Rust example, verify it, call it, stop.
    Demo,
    /// Why the whole system exists, as a story: a hospital, a second opinion, and a thief. See examples/hospital.
    Hospital,
    /// Set up, build the examples and the image, and run all tests.
    Test {
        /// Passed on to `cargo test --workspace`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Formatting, clippy with warnings denied, cargo-deny, documentation.
    Check,
    /// Compare calls inside the image with native wasmtime.
    Bench {
        /// What apps keep instead: the sealed volume, its filesystem, and both through the image.
        #[arg(long)]
        storage: bool,
        /// What each example costs instead: compiling it, memory, the first call and later ones. Takes about five minutes.
        #[arg(long, conflicts_with_all = ["storage", "all"])]
        guests: bool,
        /// Cryptography and https requests of guests instead, beside the same libraries natively.
        #[arg(long, conflicts_with_all = ["storage", "guests", "all"])]
        platform: bool,
        /// Attested sessions instead, beside plain handshakes of rustls, on one core for each side.
        #[arg(long, conflicts_with_all = ["storage", "guests", "platform", "all"])]
        sessions: bool,
        /// Also compile the JavaScript example, which takes minutes; with --storage, also mount 10 GiB.
        #[arg(long)]
        all: bool,
        /// With --storage: sizes so small that the figures only show that everything works.
        #[arg(long, requires = "storage", conflicts_with = "all")]
        quick: bool,
    },
}

fn main() -> ExitCode {
    match perform(&Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task) -> Result<()> {
    let context = Context::locate()?;
    match task {
        Task::Setup { toolchain } => setup::ensure(&context, &Need::ALL, *toolchain),
        Task::Examples { guests } => guests::run(&context, guests),
        Task::Image => image::run(&context),
        Task::Demo => demo::run(&context),
        Task::Hospital => hospital::run(&context),
        Task::Test { arguments } => test::run(&context, arguments),
        Task::Check => check::run(&context),
        Task::Bench { guests: true, .. } => bench::guests(&context),
        Task::Bench { platform: true, .. } => bench::platform(&context),
        Task::Bench { sessions: true, .. } => bench::sessions(&context),
        Task::Bench { storage, all, quick, .. } => {
            let scope = match (all, quick) {
                (true, _) => bench::Scope::All,
                (false, true) => bench::Scope::Quick,
                (false, false) => bench::Scope::Usual,
            };
            if *storage { bench::storage(&context, scope) } else { bench::calls(&context, scope) }
        }
    }
}
