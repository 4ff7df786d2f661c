//! `cargo xtask image`: the enclave as an ELF file, as the measured `.sgxs`, and signed.
//!
//! One recipe for both toolchains. Paths of this machine are mapped to fixed names, so that a checkout in another folder
//! gives the same measurement. `docs/design/image.md` says why each flag is there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::process;
use crate::setup::{self, Need, Toolchain};
use crate::stamp::Inputs;
use crate::versions::ELF2SGXS;

/// A built image.
#[derive(Debug)]
pub(crate) struct Image {
    /// The stream of measured records; its SHA-256 is MRENCLAVE.
    pub(crate) sgxs: PathBuf,
    /// SIGSTRUCT.
    pub(crate) sigstruct: PathBuf,
    /// What the `.sgxs` was made of.
    pub(crate) elf: PathBuf,
    /// MRENCLAVE in hexadecimal.
    pub(crate) mrenclave: String,
}

/// Builds the image and prints its MRENCLAVE.
///
/// # Errors
/// It does not build.
pub(crate) fn run(context: &Context) -> Result<()> {
    let image = build(context)?;
    println!("image      {}", image.sgxs.display());
    println!("signature  {}", image.sigstruct.display());
    println!("ELF        {}", image.elf.display());
    println!("MRENCLAVE  {}", image.mrenclave);
    Ok(())
}

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// What is shipped.
    Shipped,
    /// For tests alone: its code panics where a guest's output says so, to show what a panic harms.
    Provoked,
    /// For tests alone: what is shipped with one thread more, so that its measurement is another.
    Next,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Shipped => "cloister",
            Self::Provoked => "provoked",
            Self::Next => "next",
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Shipped | Self::Next => &[],
            Self::Provoked => &["--features", "provocations"],
        }
    }

    fn layout(self) -> [(&'static str, &'static str); 3] {
        let [heap, stack, (threads, number)] = LAYOUT;
        [heap, stack, (threads, if self == Self::Next { ONE_MORE_THREAD } else { number })]
    }
}

/// Builds the image that is shipped. An image whose ELF file did not change is left as it is.
///
/// # Errors
/// It does not build, or holds instructions that an enclave may not execute.
pub(crate) fn build(context: &Context) -> Result<Image> {
    build_variant(context, Variant::Shipped)
}

/// Builds an image.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_variant(context: &Context, variant: Variant) -> Result<Image> {
    setup::ensure(context, &[Need::Image], None)?;
    let folder = context.target().join("image");
    fs::create_dir_all(&folder)?;
    let elf = folder.join(variant.name()).with_extension("elf");
    let compiled = compile(context, &Toolchain::load(context)?, variant)?;
    fs::copy(&compiled, &elf).with_context(|| format!("cannot copy {}", compiled.display()))?;
    let cloister = tool(context)?;
    let image = |mrenclave| Image {
        sgxs: elf.with_extension("sgxs"),
        sigstruct: elf.with_extension("sigstruct"),
        elf: elf.clone(),
        mrenclave,
    };
    let layout = variant.layout();
    let stamp = layout
        .iter()
        .fold(Inputs::default().text("elf2sgxs", ELF2SGXS.version), |inputs, (flag, value)| {
            inputs.text(flag, value)
        })
        .files(&elf)?
        .stamp();
    let made = image(String::new());
    if !(stamp.is_on(&made.sgxs) && made.sigstruct.is_file()) {
        process::run(process::command(&cloister).args(["image", "check"]).arg(&elf))?;
        let mut convert = process::command(context.cargo_tool(ELF2SGXS.program));
        convert
            .arg(&elf)
            .args(layout.iter().flat_map(|(flag, value)| [flag, value]))
            .arg("--output")
            .arg(&made.sgxs);
        process::run(&mut convert)?;
        let key = folder.join("signing-key.pem");
        process::run(
            process::command(&cloister)
                .args(["image", "sign"])
                .arg(&made.sgxs)
                .arg("--key")
                .arg(&key)
                .arg("--out")
                .arg(&made.sigstruct),
        )?;
        stamp.put_on(&made.sgxs)?;
    }
    let mrenclave = sha256(&made.sgxs)?;
    Ok(image(mrenclave))
}

/// The program `cloister`, which checks and signs images.
fn tool(context: &Context) -> Result<PathBuf> {
    process::run(
        process::cargo().args(["build", "--quiet", "--package", "cloister"]).current_dir(context.root()),
    )?;
    Ok(context.workspace_program("cloister"))
}

fn compile(context: &Context, toolchain: &Toolchain, variant: Variant) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo();
    cargo
        .args(["build", "--release", "--locked", "--package", "cloister-enclave", "--target", TARGET])
        .args(variant.features())
        .args(["-Zbuild-std=std,panic_unwind", "-Zbuild-std-features=panic-unwind"])
        // `std` from its own source, on a compiler that calls itself stable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", context.cargo_target())
        .env("CARGO_TARGET_X86_64_FORTANIX_UNKNOWN_SGX_LINKER", "ld.lld")
        .env("CARGO_TARGET_X86_64_FORTANIX_UNKNOWN_SGX_RUSTFLAGS", flags(context, toolchain)?)
        .current_dir(context.root());
    process::run(&mut cargo)?;
    let elf = context.cargo_target().join(TARGET).join("release/cloister-enclave");
    ensure!(elf.is_file(), "{} was not made", elf.display());
    Ok(elf)
}

fn flags(context: &Context, toolchain: &Toolchain) -> Result<OsString> {
    let mut flags = OsString::from(format!("-Ctarget-feature={FEATURES} "));
    flags.push(toolchain.path_flags(context)?);
    Ok(flags)
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

const TARGET: &str = "x86_64-fortanix-unknown-sgx";

/// CPUID cannot be asked in an enclave, so what is used is named: every CPU with DCAP and a large EPC (Ice Lake SP and
/// later) has these. The target's LVI hardening is off: those CPUs are not affected, and it costs a factor of three.
const FEATURES: &str = "-lvi-cfi,-lvi-load-hardening,+aes,+pclmulqdq,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,\
+bmi1,+bmi2,+lzcnt,+adx,+movbe,+sha";

/// Compiling a Go guest of 5 MB takes 2.4 GiB of heap, and a JavaScript guest goes deep; a thousand calls that wait take 2.5 GiB.
/// `docs/design/image.md` adds it up. Threads: `main`, the reactor, 16
/// workers, 6 that block.
const LAYOUT: [(&str, &str); 3] =
    [("--heap-size", "0x1d8000000"), ("--stack-size", "0x200000"), ("--threads", "24")];
const ONE_MORE_THREAD: &str = "25";
