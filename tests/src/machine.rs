use crate::given;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;

/// `cloister serve` in a process of its own, and a profile that accepts it.
#[derive(Debug)]
pub struct Machine {
    child: Child,
    ready: Value,
    /// Dropped last: the process works in it.
    folder: TempDir,
}

impl Machine {
    /// A new soft platform with a new owner and an empty disk.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), &[])
    }

    /// The platform, owner and disk that are in `folder`, which are made where they are not, with more arguments for
    /// `serve`.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_in(folder: TempDir, arguments: &[&str]) -> Self {
        let mut child = serve(folder.path(), arguments).stderr(Stdio::null()).spawn().expect("it can be run");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it is text");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        let machine = Self { child, ready, folder };
        let key = machine.key();
        machine.succeeds(&[
            "profile",
            "set",
            "default",
            "--host",
            &machine.text("address"),
            "--mrenclave",
            &machine.text("mrenclave"),
            "--allow-simulated",
            &machine.text("simulated_root"),
            "--key",
            key.to_str().expect("the path is text"),
        ]);
        machine
    }

    /// What `serve` says where it does not start.
    ///
    /// # Panics
    /// Where it does.
    pub fn refuses_to_start(folder: &Path, arguments: &[&str]) -> String {
        let output = serve(folder, arguments).stderr(Stdio::piped()).output().expect("it can be run");
        assert!(!output.status.success(), "it started and ended");
        error(&output)
    }

    /// Where the platform, the owner's key and the disk are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The owner's key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("owner.pem")
    }

    /// A field of the line that `serve` prints when it answers.
    ///
    /// # Panics
    /// Where there is none.
    pub fn text(&self, field: &str) -> String {
        self.ready[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.ready)).to_owned()
    }

    /// `cloister` with this machine's profile, to be run.
    pub fn cloister(&self, arguments: &[&str]) -> Command {
        let mut command = cloister(self.folder.path());
        command.args(arguments);
        command
    }

    /// Runs `cloister` with this machine's profile.
    ///
    /// # Panics
    /// Where it cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.cloister(arguments).output().expect("it can be run")
    }

    /// The output of a command that has to succeed.
    ///
    /// # Panics
    /// Where it does not.
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(status(&output), 0, "{arguments:?}: {}", error(&output));
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// The same as JSON.
    ///
    /// # Panics
    /// Where it does not succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeeds(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// Asks the process to end, as a service manager does, and gives how it ended.
    ///
    /// # Panics
    /// Where it cannot be asked.
    pub fn terminate(mut self) -> (ExitStatus, TempDir) {
        self.signal("TERM");
        let status = self.child.wait().expect("it is our child");
        (status, self.into_folder())
    }

    /// Ends the process as a power cut would: with SIGKILL.
    ///
    /// # Panics
    /// Where it has ended before.
    pub fn kill(mut self) -> TempDir {
        self.signal("KILL");
        let status = self.child.wait().expect("it is our child");
        assert!(status.code().is_none(), "it had ended by itself: {status}");
        self.into_folder()
    }

    /// Sends the process a signal, such as `KILL`.
    ///
    /// # Panics
    /// Where it cannot be sent.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success());
    }

    /// The most memory that the process ever held, the enclave's included, in bytes.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    /// Runs `cloister` with the profile of a machine that is off.
    ///
    /// # Panics
    /// Where it cannot be run.
    pub fn command(folder: &TempDir, arguments: &[&str]) -> Output {
        cloister(folder.path()).args(arguments).output().expect("it can be run")
    }

    fn into_folder(mut self) -> TempDir {
        let empty = tempfile::tempdir().expect("a temporary folder");
        std::mem::replace(&mut self.folder, empty)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit status of a command.
///
/// # Panics
/// Where a signal ended it.
pub fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

/// What a command wrote to standard error.
pub fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let key = folder.join("owner.pem");
    if !key.exists() {
        let made = cloister(folder).args(["keygen", "--out"]).arg(&key).output().expect("it can be run");
        assert_eq!(status(&made), 0, "{}", error(&made));
    }
    let mut command = cloister(folder);
    command
        .args(["serve", "--format", "json", "--device", "soft", "--listen", "127.0.0.1:0", "--grace", "30"])
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--owner")
        .arg(&key)
        .args(arguments)
        .stdout(Stdio::piped());
    // The image under test, unless the arguments name another.
    if !arguments.contains(&"--image") {
        command.arg("--image").arg(given("CLOISTER_IMAGE"));
        command.arg("--sigstruct").arg(given("CLOISTER_SIGSTRUCT"));
    }
    command
}

/// The command line without this process's own settings.
fn cloister(folder: &Path) -> Command {
    let mut command = Command::new(given("CLOISTER_BIN"));
    for (variable, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOISTER_"))
    {
        command.env_remove(variable);
    }
    command.env("CLOISTER_CONFIG", folder.join("config.toml")).stdin(Stdio::null());
    command
}
