use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sgx_isa::Sigstruct;

use crate::HostError;
use crate::device::{Device, DeviceKind, Loaded};
use crate::disk::{Disk, DiskSettings};
use crate::enclave::{Enclave, Exit};
use crate::error::SIGSTRUCT_LEN;
use crate::interference::Interference;
use crate::listening::Progress;
use crate::log::LogSink;
use crate::memory::Memory;
use crate::quoting::QuotingSettings;
use crate::service::{Configuration, Quotes};
use crate::statistics::Statistics;
use crate::streams::{Offer, Streams};
use crate::tpm::{Tpm, TpmPath};
use crate::usercalls::Host;

/// What to run, and on what.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The image, an SGXS stream.
    pub image: PathBuf,
    /// Its signature, a SIGSTRUCT.
    pub sigstruct: PathBuf,
    /// What runs it.
    pub device: DeviceKind,
    /// The folder of the soft platform's secrets, made on first use. Hardware does not use it.
    pub state: PathBuf,
    /// The only address at which the enclave may listen. Its configuration must name the same. Port 0 leaves the
    /// choice to the kernel.
    pub listen: SocketAddr,
    /// The boot configuration, at most [`cloister_frames::MAX_FRAME`] bytes. The host does not look at it.
    pub configuration: Vec<u8>,
    /// The file that is lent as the disk of the sealed volume.
    pub disk: DiskSettings,
    /// The TPM that is lent, if any.
    pub tpm: Option<TpmPath>,
    /// Where quotes come from. A soft platform has its own, unless a service is named.
    pub quoting: QuotingSettings,
    /// Where lines go.
    pub log: LogSink,
    /// How long the enclave gets to finish when it is asked to. More than its own configuration gives to calls under
    /// way, since a last commit follows.
    pub grace: Duration,
    /// A host that lies, for tests.
    pub interference: Option<Arc<dyn Interference>>,
}

impl Launch {
    /// A launch on the best device there is, at a loopback port of the kernel's choice, with an empty configuration,
    /// the volume in the state folder, and no TPM.
    pub fn new(image: impl Into<PathBuf>, sigstruct: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        let state = state.into();
        Self {
            image: image.into(),
            sigstruct: sigstruct.into(),
            device: DeviceKind::detect(),
            disk: DiskSettings::in_folder(&state),
            tpm: None,
            quoting: QuotingSettings::default(),
            state,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            configuration: Vec::new(),
            log: LogSink::stderr(),
            grace: DEFAULT_GRACE,
            interference: None,
        }
    }

    /// Loads the image and starts its `main` on a thread of its own.
    ///
    /// # Errors
    /// Where a file is missing or corrupted, the signature is not the image's, the device, the state folder, the volume
    /// or the TPM cannot be used, or the configuration is too long.
    pub fn start(self) -> Result<Running, HostError> {
        let started = Instant::now();
        allow_descriptors();
        let length = self.configuration.len();
        let configuration =
            Configuration::new(self.configuration).ok_or(HostError::ConfigurationTooLong(length))?;
        let sigstruct = read_sigstruct(&self.sigstruct)?;
        let tpm =
            self.tpm.map(|path| Tpm::open(path, self.log.clone(), self.interference.clone())).transpose()?;
        let disk = Disk::open(self.disk, self.log.clone(), self.interference.clone())?;
        let device =
            Device { kind: self.device, state: &self.state, quoting: self.quoting, log: self.log.clone() };
        let loaded = device.load(&self.image, &sigstruct)?;
        let load_time = started.elapsed();
        let Loaded { base, size, mut threads, mapping, quoting, soft_root } = loaded;
        let offer = Offer {
            listen: self.listen,
            configuration: Arc::new(configuration),
            quotes: Arc::new(Quotes(quoting)),
            disk: Arc::new(disk),
            tpm: tpm.map(Arc::new),
        };
        let streams = Streams::new(offer, &self.log, self.interference.clone())
            .map_err(|source| HostError::System { action: "open the readiness queue", source })?;
        let memory = Memory::new(base..base.saturating_add(size));
        let addresses: Vec<_> = threads.iter().map(|tcs| tcs.address()).collect();
        let host = Host::new(memory, streams, addresses, self.interference);
        let main = threads.remove(0);
        let enclave = Enclave::new(host, threads, mapping);
        enclave.start_main(main)?;
        let stopper = Stopper(Arc::new(Stopping {
            enclave,
            grace: self.grace,
            log: self.log,
            requested: AtomicBool::new(false),
        }));
        Ok(Running { stopper, measurement: sigstruct.enclavehash, soft_root, load_time, listen: self.listen })
    }
}

/// An enclave that was started. Dropping it ends the enclave at once.
#[derive(Debug)]
pub struct Running {
    stopper: Stopper,
    measurement: [u8; 32],
    soft_root: Option<[u8; 32]>,
    load_time: Duration,
    listen: SocketAddr,
}

impl Running {
    /// The measurement that the image was signed and loaded with.
    pub fn mrenclave(&self) -> [u8; 32] {
        self.measurement
    }

    /// SHA-256 of the soft platform's root certificate; none on hardware.
    pub fn soft_root_fingerprint(&self) -> Option<[u8; 32]> {
        self.soft_root
    }

    /// Where the enclave listens. Blocks until it does, for `timeout` at most.
    ///
    /// # Errors
    /// Where the address cannot be used, or the enclave ends or takes too long before it listens.
    pub fn local_addr(&self, timeout: Duration) -> Result<SocketAddr, HostError> {
        let listening = self.enclave().host.streams.listening();
        let found = listening.wait(timeout, |progress| match progress {
            Progress::Bound(address, _) => Some(Ok(*address)),
            Progress::Failed(error) => Some(Err(self.cannot_listen(copy(error)))),
            Progress::NotYet => self.enclave().has_ended().then_some(Err(HostError::EndedEarly)),
        });
        found.unwrap_or(Err(HostError::NotListening(timeout)))
    }

    /// How often the enclave's threads crossed the boundary and used the disk so far, and how long the image took to
    /// load.
    pub fn statistics(&self) -> Statistics {
        let host = &self.enclave().host;
        let counts = host.slots().iter().map(|slot| &slot.counts);
        Statistics::new(counts, self.load_time, host.streams.disk_statistics())
    }

    /// Something that can end the enclave from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// See [`Stopper::shutdown`].
    pub fn shutdown(&self) {
        self.stopper.shutdown();
    }

    /// Blocks until the enclave has ended.
    ///
    /// # Errors
    /// Where it ended by a fault or broke the usercall ABI, or failed because it could not listen.
    pub fn wait(self) -> Result<Exit, HostError> {
        let exit = self.enclave().take_ending()?;
        if let Exit::Failure { .. } = exit
            && let Some(source) = self.enclave().host.streams.listening().take_failure()
        {
            return Err(self.cannot_listen(source));
        }
        Ok(exit)
    }

    fn cannot_listen(&self, source: io::Error) -> HostError {
        HostError::Listen { address: self.listen, source }
    }

    fn enclave(&self) -> &Arc<Enclave> {
        &self.stopper.0.enclave
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.enclave().end(Ok(Exit::Forced));
    }
}

/// Ends a running enclave.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Stopping>);

impl Stopper {
    /// Refuses new connections, asks the enclave to finish its work, and ends it where it has not after the grace
    /// period. Returns at once.
    pub fn shutdown(&self) {
        if self.0.requested.swap(true, Ordering::AcqRel) {
            return;
        }
        self.0.enclave.host.streams.request_shutdown();
        let theirs = self.clone();
        let started = thread::Builder::new().name("grace".into()).spawn(move || {
            if !theirs.0.enclave.wait_for_end(Some(theirs.0.grace)) {
                theirs.0.log.host("the enclave did not finish in time and is stopped");
                theirs.force();
            }
        });
        if started.is_err() {
            self.force();
        }
    }

    /// Ends the enclave at once.
    pub fn force(&self) {
        self.0.enclave.end(Ok(Exit::Forced));
    }

    pub(crate) fn log(&self) -> &LogSink {
        &self.0.log
    }
}

#[derive(Debug)]
struct Stopping {
    enclave: Arc<Enclave>,
    grace: Duration,
    log: LogSink,
    requested: AtomicBool,
}

/// Lets the process have as many descriptors as it may: sockets of apps must not keep connections from being accepted.
fn allow_descriptors() {
    let allowed = getrlimit(Resource::Nofile);
    // Where it fails, there are as many as before.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed });
}

fn read_sigstruct(path: &Path) -> Result<Sigstruct, HostError> {
    let bytes = fs::read(path).map_err(|source| HostError::Read {
        what: "enclave signature",
        path: path.to_owned(),
        source,
    })?;
    let wrong = || HostError::Sigstruct { path: path.to_owned(), length: bytes.len() };
    if bytes.len() != SIGSTRUCT_LEN {
        return Err(wrong());
    }
    Sigstruct::try_copy_from(&bytes).ok_or_else(wrong)
}

/// `io::Error` does not clone; its kind and text do.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Default of [`Launch::grace`].
const DEFAULT_GRACE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(folder: &Path) -> Launch {
        let mut launch =
            Launch::new(folder.join("image.sgxs"), folder.join("image.sig"), folder.join("state"));
        launch.device = DeviceKind::Soft;
        launch.log = LogSink::discard();
        launch
    }

    #[test]
    fn missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = launch(folder.path()).start().unwrap_err();
        assert!(error.to_string().contains("image.sig"), "{error}");
        fs::write(folder.path().join("image.sig"), [0; SIGSTRUCT_LEN]).unwrap();
        let error = launch(folder.path()).start().unwrap_err();
        assert!(error.to_string().contains("image.sgxs"), "{error}");
    }

    #[test]
    fn a_short_signature_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.sig"), [0; 100]).unwrap();
        let error = launch(folder.path()).start().unwrap_err();
        assert!(matches!(error, HostError::Sigstruct { length: 100, .. }), "{error}");
    }

    #[test]
    fn an_image_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.sig"), [0; SIGSTRUCT_LEN]).unwrap();
        fs::write(folder.path().join("image.sgxs"), b"not an image").unwrap();
        let error = launch(folder.path()).start().unwrap_err();
        assert!(matches!(error, HostError::Soft(_)), "{error}");
    }

    #[test]
    fn a_configuration_that_is_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut launch = launch(folder.path());
        launch.configuration = vec![b' '; cloister_frames::MAX_FRAME + 1];
        assert!(matches!(launch.start().unwrap_err(), HostError::ConfigurationTooLong(_)));
    }

    #[cfg(feature = "hardware")]
    #[test]
    fn a_machine_without_the_driver_is_told() {
        if Path::new(DeviceKind::DRIVER).exists() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("image.sig"), [0; SIGSTRUCT_LEN]).unwrap();
        let mut launch = launch(folder.path());
        launch.device = DeviceKind::Hardware;
        let error = launch.start().unwrap_err();
        assert!(matches!(error, HostError::NoDevice(_)), "{error}");
        assert!(error.to_string().contains(DeviceKind::DRIVER), "{error}");
    }
}
