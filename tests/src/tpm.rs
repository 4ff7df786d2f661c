use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Debian's `swtpm`, as the machine's TPM 2.0. Dropping it ends it.
#[derive(Debug)]
pub struct SoftTpm {
    child: Child,
    socket: PathBuf,
    /// Its own folder: a machine's is moved about.
    _state: tempfile::TempDir,
}

impl SoftTpm {
    /// A new TPM.
    ///
    /// # Panics
    /// Where `swtpm`, which `cargo xtask test` installs, is not there or does not answer.
    pub fn start() -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let socket = state.path().join("tpm.sock");
        let child = command(state.path(), &socket).spawn().expect("swtpm can be run: `cargo xtask setup`");
        let deadline = Instant::now() + Duration::from_secs(60);
        // It listens some time after the socket is there.
        while UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, socket, _state: state }
    }

    /// The argument of `cloister serve --tpm`.
    pub fn argument(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(state: &Path, socket: &Path) -> Command {
    let mut command = Command::new("swtpm");
    command
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
        .arg(format!("dir={}", state.display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
