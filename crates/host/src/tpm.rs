//! The TPM that is lent to the enclave: commands go to it as they are, and its responses come back as they are.

use std::convert::Infallible;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_frames::MAX_TPM_MESSAGE;

use crate::HostError;
use crate::abi::UsercallError;
use crate::interference::Interference;
use crate::log::LogSink;
use crate::service::{Answer, Service};
use crate::sync::lock;

/// Where a TPM is: a device as `/dev/tpmrm0`, or the socket of a software TPM as `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TpmPath {
    /// A character device of the Linux driver. `tpmrm0` keeps what this process has in the TPM apart from what others
    /// have.
    Device(PathBuf),
    /// The data socket of `swtpm socket --server type=unixio`.
    Socket(PathBuf),
}

impl FromStr for TpmPath {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix(SOCKET_PREFIX) {
            Some(path) => Self::Socket(path.into()),
            None => Self::Device(text.into()),
        })
    }
}

impl fmt::Display for TpmPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => path.display().fmt(f),
            Self::Socket(path) => write!(f, "{SOCKET_PREFIX}{}", path.display()),
        }
    }
}

/// The TPM service.
#[derive(Debug)]
pub(crate) struct Tpm {
    path: TpmPath,
    /// `None` after a failure: the next command opens it again.
    connection: Mutex<Option<Connection>>,
    log: LogSink,
    /// The last failure was logged, and nothing has gone well since.
    failing: AtomicBool,
    interference: Option<Arc<dyn Interference>>,
}

impl Tpm {
    pub(crate) fn open(
        path: TpmPath,
        log: LogSink,
        interference: Option<Arc<dyn Interference>>,
    ) -> Result<Self, HostError> {
        match Connection::open(&path) {
            Ok(connection) => Ok(Self {
                path,
                connection: Mutex::new(Some(connection)),
                log,
                failing: AtomicBool::new(false),
                interference,
            }),
            Err(source) => Err(HostError::Tpm { path, source }),
        }
    }

    /// The response to a command; empty where the TPM cannot be reached.
    fn transact(&self, command: &[u8]) -> Vec<u8> {
        let mut connection = lock(&self.connection);
        let response = match &mut *connection {
            Some(open) => open.transact(command),
            closed => Connection::open(&self.path)
                .and_then(|connection| closed.insert(connection).transact(command)),
        };
        match response {
            Ok(response) => {
                self.failing.store(false, Ordering::Relaxed);
                response
            }
            Err(error) => {
                // What it says later could be the answer to this command.
                *connection = None;
                if !self.failing.swap(true, Ordering::Relaxed) {
                    self.log.host(&format!("the TPM {} fails: {error}", self.path));
                }
                Vec::new()
            }
        }
    }
}

impl Service for Tpm {
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
        if !(HEADER..=MAX_TPM_MESSAGE).contains(&request.len()) {
            return Err(UsercallError::InvalidData);
        }
        let told = self
            .interference
            .as_ref()
            .and_then(|interference| interference.tpm(request, &|command| self.transact(command)));
        answer.put(&told.unwrap_or_else(|| self.transact(request)));
        Ok(())
    }
}

#[derive(Debug)]
enum Connection {
    Device(File),
    Socket(UnixStream),
}

impl Connection {
    fn open(path: &TpmPath) -> io::Result<Self> {
        match path {
            TpmPath::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(Self::Device),
            TpmPath::Socket(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Socket(socket))
            }
        }
    }

    fn transact(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            // The driver takes a command in one write, and gives its response in one read.
            Self::Device(file) => {
                if file.write(command)? != command.len() {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                let mut response = vec![0; MAX_TPM_MESSAGE];
                let length = file.read(&mut response)?;
                response.truncate(length);
                Ok(response)
            }
            Self::Socket(socket) => {
                socket.write_all(command)?;
                let mut header = [0; HEADER];
                socket.read_exact(&mut header)?;
                // Tag (2 bytes), size of all (4), response code (4); big-endian (TPM 2.0 part 1, section 18).
                let size = u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize;
                if !(HEADER..=MAX_TPM_MESSAGE).contains(&size) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let mut response = header.to_vec();
                response.resize(size, 0);
                socket.read_exact(&mut response[HEADER..])?;
                Ok(response)
            }
        }
    }
}

const SOCKET_PREFIX: &str = "unix:";

/// Bytes of the header of commands and responses.
const HEADER: usize = 10;

/// How long a software TPM may take. Hardware's own times are in its driver.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
