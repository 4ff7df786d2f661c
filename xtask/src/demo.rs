//! `cargo xtask demo`: the main job, once, in the open: every command is the one that a user would type.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::context::Context;
use crate::guests::{self, Guest};
use crate::image;
use crate::process;
use crate::setup::{self, Need};

/// Sets up, builds, starts the image, deploys the Rust example, verifies it, calls it, keeps a file
/// over a restart, and stops.
///
/// # Errors
/// A step fails, or a refusal that must happen does not.
pub(crate) fn run(context: &Context) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    let guests = guests::build(context, &[Guest::Rust, Guest::Files])?;
    let [guest, files] = guests.as_slice() else { bail!("two guests were asked for") };
    let image = image::build(context)?;
    let folder = context.target().join("demo");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let cloister = context.workspace_program("cloister");
    let key = folder.join("owner.pem");

    step("An owner's key: who may deploy");
    show(command(&cloister, &folder).args(["keygen", "--out"]).arg(&key))?;

    step("The enclave, on this machine's SGX or its software stand-in");
    let serve = || {
        let mut serve = command(&cloister, &folder);
        serve.args(["serve", "--format", "json", "--listen", "127.0.0.1:0", "--image"]).arg(&image.sgxs);
        serve.arg("--sigstruct").arg(&image.sigstruct);
        serve.arg("--state").arg(folder.join("state")).arg("--owner").arg(&key);
        Served::start(&mut serve)
    };
    let served = serve()?;
    ensure!(
        served.ready.mrenclave == image.mrenclave,
        "the enclave that runs is not the image that was built"
    );
    println!("  ready on {} as {}", served.ready.address, served.ready.device);
    println!("  MRENCLAVE {}", served.ready.mrenclave);

    step("What this client accepts: one image, one code hash");
    let mut profile = command(&cloister, &folder);
    profile.args([
        "profile",
        "set",
        "default",
        "--host",
        &served.ready.address,
        "--mrenclave",
        &image.mrenclave,
    ]);
    profile.args(["--pin", &format!("hello={}", guest.code_hash), "--key"]).arg(&key);
    if let Some(root) = &served.ready.simulated_root {
        println!(
            "  This machine has no SGX: the evidence is SIMULATED, and accepted here by the root's fingerprint only."
        );
        profile.args(["--allow-simulated", root]);
    }
    show(&mut profile)?;

    step("Deploy: uploaded over attested TLS, compiled inside the enclave");
    show(command(&cloister, &folder).arg("deploy").arg(&guest.path).args(["--name", "hello", "--public"]))?;

    step("Verify: what was proven, and what was not");
    show(command(&cloister, &folder).args(["verify", "--app", "hello"]))?;

    step("Call: typed arguments, a metered result");
    show(command(&cloister, &folder).args(["call", "hello", "greet", "\"world\"", "--stats"]))?;
    show(command(&cloister, &folder).args(["call", "hello", "summarize", READINGS, "--stats"]))?;

    step("Another code hash than the one pinned: refused before anything is sent");
    let other = "0".repeat(64);
    let mut refused = command(&cloister, &folder);
    refused.args(["call", "hello", "greet", "\"world\"", "--code-hash", &other]);
    let status = refused.status().context("cannot start cloister")?;
    ensure!(status.code() == Some(REFUSED), "a wrong code hash was not refused: {status}");

    step("Describe: what the app is, and what its calls cost");
    show(command(&cloister, &folder).args(["describe", "hello"]))?;

    step("Keep: a file and a key, sealed on the host's disk before the answer comes");
    show(
        command(&cloister, &folder).arg("deploy").arg(&files.path).args(["--name", "notes", "--fuel", "1G"]),
    )?;
    let note = ["call", "notes", "put", "\"todo.txt\"", "\"water the plants\"", "--stats"];
    show(command(&cloister, &folder).args(note))?;
    show(command(&cloister, &folder).args(["call", "notes", "set-key", "\"owner\"", "\"Ada\""]))?;
    show(command(&cloister, &folder).args(["volume", "stats"]))?;

    step("Another key than the owner's: an app answers nobody whom its owner did not name");
    let stranger = folder.join("stranger.pem");
    show(command(&cloister, &folder).args(["keygen", "--out"]).arg(&stranger))?;
    let mut forbidden = command(&cloister, &folder);
    forbidden.args(["call", "notes", "get", "\"todo.txt\"", "--key"]).arg(&stranger);
    let status = forbidden.status().context("cannot start cloister")?;
    ensure!(status.code() == Some(FORBIDDEN), "a stranger's call was not refused: {status}");

    step("Stop, and start again: nothing is deployed or compiled anew");
    served.stop()?;
    let served = serve()?;
    let here = ["--host", &served.ready.address];
    show(command(&cloister, &folder).args(["apps"]).args(here))?;
    show(command(&cloister, &folder).args(["call", "notes", "get", "\"todo.txt\""]).args(here))?;
    show(command(&cloister, &folder).args(["call", "notes", "get-key", "\"owner\""]).args(here))?;

    step("Stop");
    served.stop()?;
    println!(
        "  stopped in order\n\nDone. The same commands work by hand; `{} help` lists them.",
        cloister.display()
    );
    Ok(())
}

fn step(title: &str) {
    println!("\n== {title}");
}

/// A command whose profile file is the demo's own.
fn command(cloister: &Path, folder: &Path) -> Command {
    let mut command = process::command(cloister);
    command.env("CLOISTER_CONFIG", folder.join("config.toml"));
    command
}

fn show(command: &mut Command) -> Result<()> {
    process::run(command)
}

/// A running enclave. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Served {
    child: Child,
    pub(crate) ready: Ready,
}

/// The line that `cloister serve --format json` prints when it answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    pub(crate) mrenclave: String,
    pub(crate) address: String,
    pub(crate) device: String,
    pub(crate) simulated_root: Option<String>,
}

impl Served {
    /// Starts `cloister serve --format json …` and waits until it answers.
    ///
    /// # Errors
    /// It ends before it answers.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cloister serve")?;
        let mut line = String::new();
        let output = child.stdout.take().context("cloister serve has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Self { child, ready }),
            Err(error) => {
                let _ = child.kill();
                let status = child.wait()?;
                Err(error).with_context(|| format!("cloister serve ended with {status} and said {line:?}"))
            }
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It ends with a status other than 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        process::capture(process::command("kill").args(["-TERM", &self.child.id().to_string()]))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "cloister serve ended with {status}");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exit status of a refused verification, see `docs/cli.md`.
const REFUSED: i32 = 4;
/// Exit status of a request that the enclave refuses.
const FORBIDDEN: i32 = 5;

const READINGS: &str = r#"[{sensor: "attic", at: 1767225600, measurement: temperature(3.5)}, {sensor: "attic", at: 1767229200, measurement: temperature(4.5)}, {sensor: "door", at: 1767229200, measurement: contact(open)}]"#;
