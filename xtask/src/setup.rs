//! `cargo xtask setup`: what this repository needs and the machine lacks.
//!
//! System packages come from Debian, programs from the Cargo, Python and npm registries into this checkout's `target/tools`. Nothing is
//! fetched or started over when it is already there in the version that is asked for.

mod apt;
mod cargo_tools;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod toolchain;

use anyhow::Result;

use crate::context::Context;
use crate::process;
use crate::versions::{CARGO_DENY, ELF2SGXS};

pub(crate) use self::apt::Requirement;
pub(crate) use self::toolchain::{Toolchain, ToolchainChoice};

/// What a task needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Building the enclave image.
    Image,
    /// Building the example guests and running them outside the enclave.
    Guests,
    /// Formatting, lints, licences.
    Check,
    /// Programs that tests talk to.
    Tests,
}

impl Need {
    /// Everything.
    pub(crate) const ALL: [Self; 4] = [Self::Image, Self::Guests, Self::Check, Self::Tests];
}

/// Sees to it that everything in `needs` is there. `choice` settles where the standard library comes from; without one, an earlier
/// choice stays, and the first time rustup is asked before Debian.
///
/// # Errors
/// Something that is missing cannot be installed: the message says what and from where.
pub(crate) fn ensure(context: &Context, needs: &[Need], choice: Option<ToolchainChoice>) -> Result<()> {
    let image = needs.contains(&Need::Image);
    let guests = needs.contains(&Need::Guests);
    let check = needs.contains(&Need::Check);

    let mut system = vec![Requirement::program("cc", &["gcc", "libc6-dev"], "links Rust programs")];
    if image {
        system.push(Requirement::program("ld.lld", &["lld"], "links the enclave"));
        system.push(Requirement::program("clang", &["clang"], "compiles C for the enclave"));
        if !cargo_tools::is_installed(context, &ELF2SGXS) {
            system.push(Requirement::package("protobuf-compiler", "to build ftxsgx-elf2sgxs"));
            system.push(Requirement::package("libssl-dev", "to build ftxsgx-elf2sgxs"));
            system.push(Requirement::package("pkg-config", "to build ftxsgx-elf2sgxs"));
        }
    }
    let tests = needs.contains(&Need::Tests);
    if guests || tests {
        system.extend(python::requirement(context));
    }
    if tests {
        system.push(Requirement::program("swtpm", &["swtpm"], "stands for a TPM 2.0 in tests"));
        system.push(Requirement::package("softhsm2", "keeps a key that signs images in tests"));
        system.push(Requirement::program("chromium", &["chromium"], "opens a guest's page in tests"));
        system.push(Requirement::program("curl", &["curl"], "calls guests that are web services in tests"));
        system.push(Requirement::program("openssl", &["openssl"], "pins the enclave's certificate in tests"));
    }
    apt::ensure(&system)?;

    if image || guests {
        toolchain::ensure(context, choice)?;
    }
    if image {
        cargo_tools::ensure(context, &ELF2SGXS)?;
    }
    if guests {
        python::ensure(context)?;
        node::ensure(context)?;
        toolchain::ensure_guest_linker(context)?;
    }
    if tests {
        python::ensure_schemathesis(context)?;
    }
    if check {
        ensure_components(&["rustfmt", "clippy"])?;
        cargo_tools::ensure(context, &CARGO_DENY)?;
    }
    Ok(())
}

/// Says what is about to be installed, and why.
fn announce(what: &str, why: &str) {
    println!("setup: {what} ({why})");
}

fn ensure_components(names: &[&str]) -> Result<()> {
    for name in names {
        let program = if *name == "clippy" { "clippy" } else { "fmt" };
        if process::capture(process::cargo().args([program, "--version"])).is_err() {
            announce(name, "for `cargo xtask check`");
            process::run(process::command("rustup").args(["component", "add", name]))?;
        }
    }
    Ok(())
}
