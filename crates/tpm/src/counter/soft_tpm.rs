//! A software TPM for tests: a process of its own, in a folder of its own.

use crate::{MAX_MESSAGE, TpmError, Transport};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// A running `swtpm`. It ends with this value; what it keeps outlives [`SoftTpm::restart`].
#[derive(Debug)]
pub(super) struct SoftTpm {
    folder: tempfile::TempDir,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    process: Child,
    stream: UnixStream,
}

impl SoftTpm {
    /// Needs Debian's `swtpm`, which `cargo xtask test` installs.
    pub(super) fn start() -> Self {
        let tpm = Self { folder: tempfile::tempdir().unwrap(), running: Mutex::new(None) };
        tpm.restart();
        tpm
    }

    /// Cuts its power, and starts it again.
    pub(super) fn restart(&self) {
        self.stop();
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate", "--flags", "not-need-init,startup-clear"])
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--tpmstate")
            .arg(format!("dir={}", self.folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm can be run: `cargo xtask setup` installs it");
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "swtpm does not listen: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        *self.running.lock().unwrap() = Some(Running { process, stream });
    }

    /// Cuts its power.
    pub(super) fn stop(&self) {
        if let Some(mut running) = self.running.lock().unwrap().take() {
            running.process.kill().unwrap();
            running.process.wait().unwrap();
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Transport for SoftTpm {
    fn transact(&self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let mut running = self.running.lock().unwrap();
        let running = running.as_mut().ok_or(TpmError::Unreachable(io::ErrorKind::NotConnected))?;
        let mut exchange = || {
            running.stream.write_all(command)?;
            let mut response = vec![0; 10];
            running.stream.read_exact(&mut response)?;
            let size = u32::from_be_bytes(response[2..6].try_into().unwrap()) as usize;
            assert!((10..=MAX_MESSAGE).contains(&size));
            response.resize(size, 0);
            running.stream.read_exact(&mut response[10..])?;
            Ok(response)
        };
        exchange().map_err(|error: io::Error| TpmError::Unreachable(error.kind()))
    }
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        self.stop();
    }
}
