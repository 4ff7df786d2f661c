//! `cargo xtask examples`: the guests of `examples/`, built into `target/examples/NAME.wasm`.

mod c;
pub(crate) mod conformance;
mod core_module;
mod go;
mod javascript;
pub(crate) mod platform;
mod python;
mod rust;
pub(crate) mod sdk;
pub(crate) mod sqlite;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::setup::{self, Need, Toolchain};
use crate::stamp::Inputs;
use crate::versions::PYTHON_PACKAGES;

/// A guest in `examples/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guest {
    /// Sensor readings, dice and the time, in Rust.
    Rust,
    /// Text statistics and canonical JSON, in JavaScript.
    Javascript,
    /// Laboratory values and their statistics, in Python.
    Python,
    /// Bank account and card numbers, in C.
    C,
    /// A journal that shows whether somebody changed it: a job in Go.
    Go,
    /// Notes, streams and a clock as a web service, in Rust.
    WebRust,
    /// A guest book as a web service, in JavaScript.
    WebJavascript,
    /// Takes account numbers and addresses out of texts: a job in Rust.
    JobRust,
    /// Files through `std::fs`, keys through `wasi:keyvalue`.
    Files,
    /// A second opinion on a biopsy, which signs what it says.
    Hospital,
    /// The same, which also tries to steal each record it sees.
    HospitalEvil,
    /// Work for the processor, to measure with.
    Benchmark,
    /// A `wasi:http` server for `wasmtime serve`, to compare with.
    HttpBenchmark,
}

impl Guest {
    /// All guests, the quick ones first.
    pub(crate) const ALL: [Self; 13] = [
        Self::Rust,
        Self::Files,
        Self::JobRust,
        Self::WebRust,
        Self::Hospital,
        Self::HospitalEvil,
        Self::Benchmark,
        Self::HttpBenchmark,
        Self::C,
        Self::Go,
        Self::Python,
        Self::Javascript,
        Self::WebJavascript,
    ];

    /// The name of its component.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::C => "c",
            Self::Go => "go",
            Self::WebRust => "web-rust",
            Self::WebJavascript => "web-javascript",
            Self::JobRust => "job-rust",
            Self::Files => "files",
            Self::Hospital => "hospital",
            Self::HospitalEvil => "hospital-evil",
            Self::Benchmark => "benchmark",
            Self::HttpBenchmark => "http-benchmark",
        }
    }

    fn tools(self) -> Tools {
        match self {
            Self::Rust
            | Self::Files
            | Self::JobRust
            | Self::WebRust
            | Self::Hospital
            | Self::HospitalEvil
            | Self::Benchmark
            | Self::HttpBenchmark => Tools::Rust,
            Self::Javascript | Self::WebJavascript => Tools::Javascript,
            Self::Python => Tools::Python,
            Self::C => Tools::C,
            Self::Go => Tools::Go,
        }
    }

    /// Where its source lies.
    pub(crate) fn source(self, context: &Context) -> PathBuf {
        let folder = match self {
            Self::Hospital | Self::HospitalEvil => "hospital/diagnosis",
            other => other.name(),
        };
        context.root().join("examples").join(folder)
    }

    /// Features of its crate, where it is in Rust.
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::HospitalEvil => &["--features", "evil"],
            _ => &[],
        }
    }

    /// Where its component lies once built.
    pub(crate) fn component(self, context: &Context) -> PathBuf {
        context.examples().join(self.name()).with_extension("wasm")
    }
}

/// What builds a guest.
#[derive(Debug, Clone, Copy)]
enum Tools {
    Rust,
    Javascript,
    Python,
    C,
    Go,
}

/// A guest that is up to date.
#[derive(Debug)]
pub(crate) struct Built {
    /// Which one.
    pub(crate) guest: Guest,
    /// Its component.
    pub(crate) path: PathBuf,
    /// The component's size in bytes.
    pub(crate) size: u64,
    /// SHA-256 of the component in hexadecimal: what the enclave will call its code hash.
    pub(crate) code_hash: String,
    /// How long building took; `None` when nothing had changed.
    pub(crate) took: Option<Duration>,
}

/// Sets up, builds, and prints what was built. All guests when none is named.
///
/// # Errors
/// Something cannot be installed, or a guest does not build.
pub(crate) fn run(context: &Context, guests: &[Guest]) -> Result<()> {
    setup::ensure(context, &[Need::Guests], None)?;
    let guests = if guests.is_empty() { &Guest::ALL[..] } else { guests };
    for built in build(context, guests)? {
        let took = built.took.map_or("up to date".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        let path = built.path.strip_prefix(context.root()).unwrap_or(&built.path).display();
        println!("{:<14} {:>9} bytes  {}  {path} ({took})", built.guest.name(), built.size, built.code_hash);
    }
    Ok(())
}

/// Builds those guests whose inputs changed. Needs what `setup` installs for [`Need::Guests`].
///
/// # Errors
/// A guest does not build.
pub(crate) fn build(context: &Context, guests: &[Guest]) -> Result<Vec<Built>> {
    guests.iter().map(|guest| build_one(context, *guest)).collect()
}

fn build_one(context: &Context, guest: Guest) -> Result<Built> {
    let path = guest.component(context);
    let stamp = inputs(context, guest)?.stamp();
    let mut took = None;
    if !stamp.is_on(&path) {
        println!("examples: building {}", guest.name());
        let started = Instant::now();
        match guest.tools() {
            Tools::Rust => rust::build(context, guest, &path),
            Tools::Javascript => javascript::build(context, guest, &path),
            Tools::Python => python::build(context, &path),
            Tools::C => c::build(context, &path),
            Tools::Go => go::build(context, &path),
        }
        .with_context(|| format!("cannot build the guest `{}`", guest.name()))?;
        stamp.put_on(&path)?;
        took = Some(started.elapsed());
    }
    let component = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let code_hash = Sha256::digest(&component).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Built { guest, path, size: component.len() as u64, code_hash, took })
}

fn inputs(context: &Context, guest: Guest) -> Result<Inputs> {
    let inputs = Inputs::default().files(&guest.source(context))?;
    Ok(match guest.tools() {
        Tools::Rust => {
            let toolchain = Toolchain::load(context)?;
            let inputs = inputs.text("toolchain", &format!("{} {}", toolchain.choice, toolchain.version));
            match guest {
                // They take the interfaces from where everybody finds them.
                Guest::Hospital | Guest::HospitalEvil => inputs.files(&context.root().join("wit"))?,
                _ => inputs,
            }
        }
        Tools::C | Tools::Go | Tools::Python => {
            inputs.text("python packages", &format!("{PYTHON_PACKAGES:?}"))
        }
        Tools::Javascript => inputs,
    })
}
