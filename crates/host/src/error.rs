use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::enter::Fault;
use crate::memory::Breach;
use crate::tpm::TpmPath;

/// Why the enclave could not be started, or did not end by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// a file cannot be read
    #[error("cannot read the {what} {}: {source}; `cargo xtask image` makes it", path.display())]
    Read {
        /// What the file is for.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// the signature file is not a SIGSTRUCT
    #[error("{} is {length} bytes long and so no SIGSTRUCT, which has {SIGSTRUCT_LEN}", path.display())]
    Sigstruct {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// the image has no thread control structure
    #[error("the image {} has no thread that could be entered", .0.display())]
    NoThreads(PathBuf),
    /// software SGX refuses the image or its state folder
    #[error(transparent)]
    Soft(#[from] cloister_soft_sgx::Error),
    /// the SGX device cannot be used
    #[error("the SGX device cannot be used: {0}")]
    NoDevice(String),
    /// the SGX driver or the CPU refuses the image
    #[error("the image cannot be loaded: {0:#}")]
    Load(anyhow::Error),
    /// the configuration does not fit a frame
    #[error("the configuration is {0} bytes long, and the limit is {limit}", limit = cloister_frames::MAX_FRAME)]
    ConfigurationTooLong(usize),
    /// the operating system refuses something that the host needs
    #[error("cannot {action}: {source}")]
    System {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// the volume's file cannot be used
    #[error("cannot {action} the volume {}: {source}", path.display())]
    Volume {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// another process has the volume
    #[error("the volume {} is in use: another enclave runs on it", .0.display())]
    VolumeInUse(PathBuf),
    /// the TPM cannot be opened
    #[error("cannot use the TPM {path}: {source}")]
    Tpm {
        /// The device or socket.
        path: TpmPath,
        /// The operating system's reason.
        source: io::Error,
    },
    /// the enclave cannot listen
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// the enclave did not listen in time
    #[error("the enclave did not listen within {0:?}")]
    NotListening(Duration),
    /// the enclave ended before it listened
    #[error("the enclave ended before it listened")]
    EndedEarly,
    /// an exception in the enclave
    #[error("the enclave was aborted by a fault: {0}")]
    Fault(Fault),
    /// the CPU does not let the host enter
    #[error("the enclave cannot be entered: {0}")]
    NotEntered(io::Error),
    /// the enclave broke the usercall ABI
    #[error("the enclave was ended because {0}")]
    Breach(#[from] Breach),
    /// the host itself failed
    #[error("a thread of the host failed; this is a bug in the host")]
    HostPanicked,
}

/// Bytes of a SIGSTRUCT (Intel SDM volume 3D, table 38-23).
pub(crate) const SIGSTRUCT_LEN: usize = 1808;
