//! `cargo xtask hospital`: why the whole system exists, as a story. Every command is one that a user could type.
//!
//! The parts are in `examples/hospital`, whose README says what each step proves and what it does not.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::context::Context;
use crate::demo::Served;
use crate::guests::{self, Built, Guest};
use crate::image::{self, Image};
use crate::process;
use crate::setup::{self, Need};

/// Sets up, builds, starts the image and the world outside, and tells the story.
///
/// # Errors
/// A step fails, or a refusal that must happen does not.
pub(crate) fn run(context: &Context) -> Result<()> {
    setup::ensure(context, &[Need::Image, Need::Guests], None)?;
    let guests = guests::build(context, &[Guest::Hospital, Guest::HospitalEvil])?;
    let [honest, evil] = guests.as_slice() else { bail!("two guests were asked for") };
    let image = image::build(context)?;
    process::run(process::cargo().args(["build", "--package", "cloister-hospital"]))?;
    let folder = context.target().join("hospital");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let programs = Programs {
        cloister: context.workspace_program("cloister"),
        hospital: context.workspace_program("hospital"),
        folder,
    };
    tell(&programs, &image, honest, evil)
}

fn tell(programs: &Programs, image: &Image, honest: &Built, evil: &Built) -> Result<()> {
    let Programs { folder, .. } = programs;
    chapter(
        "The parts",
        "A hospital wants a second opinion on biopsies from a model that somebody else runs, on a machine that somebody else \
         owns. It has read the source of the component, built it, and noted two numbers: the measurement of the image, and the \
         hash of the component. The thief's version is the same source with one feature more, and cannot have the same hash.",
    );
    println!("  image          MRENCLAVE {}", image.mrenclave);
    println!("  the component  {}", honest.code_hash);
    println!("  the thief's    {}", evil.code_hash);
    for key in ["owner.pem", "doctor.pem"] {
        programs.run(programs.cloister().args(["keygen", "--out"]).arg(folder.join(key)))?;
    }

    chapter(
        "The world outside",
        "A medical API with reference ranges, and the thief's server, which would take anything. One throw-away authority \
         vouches for both, so that TLS alone would not keep them apart.",
    );
    let world = World::start(programs)?;
    println!("  medical API  {}", world.places.api);
    println!("  thief        https://{}", world.places.thief);

    chapter(
        "An enclave",
        "On this machine's SGX, or its software stand-in. All that the operator sees of it is kept: its log, and its disk.",
    );
    let enclave = Enclave::start(programs, image)?;
    let Enclave { served, .. } = &enclave;
    println!("  ready on {} as {}", served.ready.address, served.ready.device);
    if served.ready.simulated_root.is_some() {
        println!(
            "  This machine has no SGX: the evidence is SIMULATED, and accepted below by that one root only."
        );
    }

    chapter(
        "Deploy",
        "It may talk to the medical API, whose authority comes with it, and to nobody else. Until it is set up it answers nothing \
         but `setup`, and its owner alone.",
    );
    programs.run(&mut deploy(programs, &world, honest, "diagnosis"))?;
    chapter("A hospital that comes too early", "The evidence says that the app awaits its configuration.");
    refused(&mut enclave.ask(programs, &world, "diagnosis", honest, ADA))?;
    chapter(
        "Set up",
        "The component makes its signing key. The private half stays in the enclave, sealed on the disk under the enclave's own \
         key. The public half goes into the certificate, and its hash into the claims that the quote covers.",
    );
    programs.run(programs.cloister().args(["call", "diagnosis", "setup"]))?;

    chapter(
        "Verify",
        "Anybody can, before anything is sent: which code, from whom, and where it may talk to.",
    );
    let mut verify = programs.cloister();
    verify.args([
        "verify",
        "--app",
        "diagnosis",
        "--code-hash",
        &honest.code_hash,
        "--allow",
        &world.places.api,
    ]);
    programs.run(&mut verify)?;

    chapter(
        "A second opinion",
        "The hospital verifies, sends the record, and believes the answer because of its signature. The program is in \
         examples/hospital/clinic; `SecondOpinion` is what a hospital would write.",
    );
    let first = folder.join("first");
    programs.run(enclave.ask(programs, &world, "diagnosis", honest, ADA).arg("--out").arg(&first))?;
    println!("\n  What any program can check later, such as openssl where it is installed:");
    check_with_openssl(&first)?;

    chapter(
        "A hospital that expects other code",
        "Pinned to another hash, the second hospital hangs up after the evidence. It never got to sending.",
    );
    refused(enclave.ask(programs, &world, "diagnosis", evil, BEN).arg("--brief"))?;

    chapter(
        "The thief's version",
        "It looks the same from outside: same exports, same rules, same set-up. The hospital that pinned the hash refuses it. This \
         is the wall that counts: whoever runs other code gets no record.",
    );
    let mut thieves = deploy(programs, &world, evil, "research");
    programs.run(thieves.args(["--env", &format!("THIEF={}", world.places.thief)]))?;
    programs.run(programs.cloister().args(["call", "research", "setup"]))?;
    refused(enclave.ask(programs, &world, "research", honest, ADA).arg("--brief"))?;

    chapter(
        "A hospital that does not look",
        "It takes the thief's hash for good, and sends Ben's record. Now only the second wall is left: what the enclave lets an app \
         do. The thief's log, which the app's owner can read, says what came of each attempt.",
    );
    programs.run(enclave.ask(programs, &world, "research", evil, BEN).arg("--brief"))?;
    programs.run(programs.cloister().args(["logs", "research"]))?;
    programs.run(programs.cloister().args(["egress", "research"]))?;

    chapter(
        "What the outside saw",
        "The thief's server got nothing. But look at the medical API: an app can tell whatever it knows to those it may talk to, \
         to whoever calls it, in its certificate, and in its log. Nothing but reading the code keeps it from that. So hospitals \
         pin the hash.",
    );
    let seen = world.seen()?;
    print!("{seen}");
    ensure!(!seen.contains(THIEF_GOT), "the thief got something");

    chapter(
        "What the operator has",
        "The enclave's disk, and all that its process logged: searched for the names of both patients, and for Ben's in hexadecimal \
         as the thief wrote it. (Like everybody he can connect, and read what the thief put into his app's certificate.)",
    );
    search_what_the_operator_has(programs)?;

    chapter(
        "The audit log",
        "A file of the component, sealed on the disk. For the owner, and not for the doctor.",
    );
    programs.run(programs.cloister().args(["call", "diagnosis", "audit", "10"]))?;
    let doctor = folder.join("doctor.pem");
    programs.run(programs.cloister().args(["call", "diagnosis", "audit", "10", "--key"]).arg(doctor))?;
    programs.run(programs.cloister().args(["describe", "diagnosis"]))?;

    chapter(
        "A restart",
        "The enclave stops and starts again. Nobody sets anything up anew, and the key is the same.",
    );
    enclave.served.stop()?;
    let enclave = Enclave::start(programs, image)?;
    let second = folder.join("second");
    let mut again = enclave.ask(programs, &world, "diagnosis", honest, CLEO);
    programs.run(again.arg("--brief").arg("--out").arg(&second))?;
    let key = |of: &Path| fs::read(of.join("key.der")).context("the diagnosis has no key beside it");
    ensure!(key(&first)? == key(&second)?, "the key is another one after the restart");
    println!("  the same key as before the restart");
    enclave.served.stop()?;

    chapter("The end", "examples/hospital/README.md says what all this proves, and what it does not.");
    Ok(())
}

/// Title, and what there is to understand.
fn chapter(title: &str, text: &str) {
    println!("\n== {title}\n");
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + word.len() > WIDTH {
            println!("  {}", line.trim_end());
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    println!("  {}\n", line.trim_end());
}

/// What is run, and where.
#[derive(Debug)]
struct Programs {
    cloister: PathBuf,
    hospital: PathBuf,
    folder: PathBuf,
}

impl Programs {
    /// With a profile file of the story's own.
    fn cloister(&self) -> Command {
        let mut command = process::command(&self.cloister);
        command.env("CLOISTER_CONFIG", self.folder.join("config.toml"));
        command
    }

    fn hospital(&self) -> Command {
        process::command(&self.hospital)
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        process::run(command)
    }

    fn roots(&self) -> PathBuf {
        self.folder.join("medical-authority.pem")
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What the enclave's process says.
    fn operators_log(&self) -> PathBuf {
        self.folder.join("operator.log")
    }
}

/// A component as an app that may talk to the medical API.
fn deploy(programs: &Programs, world: &World, component: &Built, app: &str) -> Command {
    let api = &world.places.api;
    let mut command = programs.cloister();
    command.arg("deploy").arg(&component.path).args(["--name", app, "--public", "--fuel", "1G"]);
    command.args(["--allow", api, "--env", &format!("MEDICAL_API={api}"), "--roots"]).arg(programs.roots());
    command.args(["--configure-with", "setup"]);
    command
}

/// A running enclave, whose operator keeps what it says.
#[derive(Debug)]
struct Enclave {
    served: Served,
}

impl Enclave {
    fn start(programs: &Programs, image: &Image) -> Result<Self> {
        let key = programs.folder.join("owner.pem");
        let mut serve = programs.cloister();
        serve.args(["serve", "--format", "json", "--listen", "127.0.0.1:0", "--image"]).arg(&image.sgxs);
        serve
            .arg("--sigstruct")
            .arg(&image.sigstruct)
            .arg("--state")
            .arg(programs.state())
            .arg("--owner")
            .arg(&key);
        let log = File::options().append(true).create(true).open(programs.operators_log())?;
        let served = Served::start(serve.stderr(log))?;
        ensure!(
            served.ready.mrenclave == image.mrenclave,
            "the enclave that runs is not the image that was built"
        );
        let mut profile = programs.cloister();
        profile.args([
            "profile",
            "set",
            "default",
            "--quiet",
            "--host",
            &served.ready.address,
            "--mrenclave",
        ]);
        profile.arg(&image.mrenclave).arg("--key").arg(&key);
        if let Some(root) = &served.ready.simulated_root {
            profile.args(["--allow-simulated", root]);
        }
        process::capture(&mut profile)?;
        Ok(Self { served })
    }

    /// A hospital that takes this component for good, and would send this patient's record.
    fn ask(&self, programs: &Programs, world: &World, app: &str, expected: &Built, patient: &str) -> Command {
        let ready = &self.served.ready;
        let mut ask = programs.hospital();
        ask.args(["ask", "--host", &ready.address, "--mrenclave", &ready.mrenclave]);
        if let Some(root) = &ready.simulated_root {
            ask.args(["--allow-simulated", root]);
        }
        ask.args(["--app", app, "--code-hash", &expected.code_hash, "--allow", &world.places.api]);
        ask.arg("--key").arg(programs.folder.join("doctor.pem")).args(["--patient", patient]);
        ask
    }
}

/// Runs a hospital that has to refuse.
fn refused(command: &mut Command) -> Result<()> {
    let status = process::status(command)?;
    ensure!(status.code() == Some(REFUSED), "this was not refused: {status}");
    Ok(())
}

/// The medical API and the thief. Dropping them ends them.
#[derive(Debug)]
struct World {
    child: Child,
    places: Places,
    log: PathBuf,
}

/// The line that `hospital outside` prints.
#[derive(Debug, Deserialize)]
struct Places {
    api: String,
    thief: String,
}

impl World {
    fn start(programs: &Programs) -> Result<Self> {
        let log = programs.folder.join("outside.log");
        let mut command = programs.hospital();
        command.arg("outside").arg("--roots").arg(programs.roots()).arg("--log").arg(&log);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the world outside")?;
        let mut line = String::new();
        let output = child.stdout.take().context("it has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let places = serde_json::from_str(&line);
        let places = places.with_context(|| format!("the world outside does not start, and said {line:?}"));
        if places.is_err() {
            let _ = child.kill();
        }
        Ok(Self { child, places: places?, log })
    }

    /// What reached anybody.
    fn seen(&self) -> Result<String> {
        let lines = fs::read_to_string(&self.log).context("the world outside has no log")?;
        Ok(lines.lines().map(|line| format!("  {line}\n")).collect())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn check_with_openssl(folder: &Path) -> Result<()> {
    if process::find("openssl").is_none() {
        println!("  it is not, here");
        return Ok(());
    }
    let mut openssl = process::command("openssl");
    openssl.current_dir(folder).args(["dgst", "-sha256", "-keyform", "DER", "-verify", "key.der"]);
    process::run(openssl.args(["-signature", "signature.der", "statement.txt"]))
}

fn search_what_the_operator_has(programs: &Programs) -> Result<()> {
    let in_hexadecimal: String = BEN.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut files = vec![programs.operators_log()];
    for entry in fs::read_dir(programs.state())? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    for path in files {
        let mut grep = process::command("grep");
        grep.args(["--text", "--count", "--fixed-strings"]);
        grep.args([ADA, BEN, &in_hexadecimal].iter().flat_map(|name| ["-e", name])).arg(&path);
        let status = process::status(&mut grep)?;
        ensure!(status.code() == Some(NOT_FOUND), "{} has a patient in it: {status}", path.display());
    }
    Ok(())
}

/// Patients of `examples/hospital/patients.json`.
const ADA: &str = "Ada Example";
const BEN: &str = "Ben Example";
const CLEO: &str = "Cleo Example";

/// How a line begins that says the thief got something.
const THIEF_GOT: &str = "THE THIEF GOT";

/// Exit status of a refused verification, see `docs/cli.md`.
const REFUSED: i32 = 4;

/// Exit status of `grep` where nothing was found.
const NOT_FOUND: i32 = 1;

/// Characters a line of the story.
const WIDTH: usize = 100;
