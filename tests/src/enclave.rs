use cloister_api::{Configuration, KeyFingerprint};
use cloister_client::{Client, ClientError, Endpoint, Identity, Measurement, Policy, Session, TrustAnchor};
use cloister_host::{DeviceKind, HostError, Launch, LogSink, Running};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The image under test.
pub fn image() -> PathBuf {
    crate::given("CLOISTER_IMAGE")
}

/// Its signature.
pub fn sigstruct() -> PathBuf {
    crate::given("CLOISTER_SIGSTRUCT")
}

/// An enclave that many tests share. Each uses app names of its own.
pub fn shared() -> &'static Enclave {
    static SHARED: LazyLock<Enclave> = LazyLock::new(|| Setup::new().start());
    &SHARED
}

/// How to start an enclave.
#[derive(Debug)]
pub struct Setup {
    pub launch: Launch,
    pub configuration: Configuration,
    identity: Identity,
    log: Arc<Mutex<Vec<String>>>,
    state: TempDir,
}

impl Setup {
    /// The real image on a new soft platform, at a free loopback port, with one owner.
    pub fn new() -> Self {
        let state = TempDir::new().expect("a temporary folder");
        let identity = Identity::generate().expect("randomness");
        let owner: KeyFingerprint = identity.fingerprint().parse().expect("a fingerprint");
        let log = Arc::new(Mutex::new(Vec::new()));
        let launch = launch(state.path(), &log);
        let configuration = Configuration {
            listen: launch.listen.to_string(),
            owners: vec![owner],
            // What a slow machine needs for an honest client.
            header_timeout_ms: 60_000,
            body_timeout_ms: 60_000,
            grace_ms: 30_000,
            ..Configuration::default()
        };
        Self { launch, configuration, identity, log, state }
    }

    /// The folder of the soft platform and of its disk.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// Starts it.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(self) -> Enclave {
        self.try_start().unwrap_or_else(|error| panic!("the enclave does not start: {error}"))
    }

    /// Starts it.
    ///
    /// # Errors
    /// Why it does not start.
    pub fn try_start(mut self) -> Result<Enclave, HostError> {
        self.launch.configuration = serde_json::to_vec(&self.configuration).expect("it is JSON");
        let running = self.launch.start()?;
        let address = running.local_addr(START_TIMEOUT)?;
        let Self { configuration, identity, log, state, .. } = self;
        Ok(Enclave { running, address, configuration, identity, log, state })
    }
}

fn launch(state: &Path, log: &Arc<Mutex<Vec<String>>>) -> Launch {
    let mut launch = Launch::new(image(), sigstruct(), state);
    launch.device = DeviceKind::Soft;
    launch.grace = Duration::from_secs(60);
    let lines = Arc::clone(log);
    launch.log = LogSink::new(move |source, line| {
        lines.lock().expect("no test panics while logging").push(format!("{source:?} {line}"));
    });
    launch
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A running enclave.
#[derive(Debug)]
pub struct Enclave {
    running: Running,
    address: SocketAddr,
    configuration: Configuration,
    identity: Identity,
    log: Arc<Mutex<Vec<String>>>,
    state: TempDir,
}

impl Enclave {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The folder of the soft platform.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The owner's key.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Every line that the host process logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no test panics while logging").clone()
    }

    /// Accepts this image on this soft platform, and nothing else.
    pub fn policy(&self) -> Policy {
        let root_fingerprint = self.running.soft_root_fingerprint().expect("it is a soft platform");
        Policy::new(
            TrustAnchor::Simulated { root_fingerprint },
            Measurement::Exactly(vec![self.running.mrenclave()]),
        )
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address.to_string(), server_name: "localhost".into() }
    }

    /// A verified session of the owner's.
    ///
    /// # Panics
    /// Where the enclave does not verify.
    pub async fn owner(&self) -> Session {
        let client = Client::new(self.policy()).with_identity(self.copy_of_identity());
        client.connect(&self.endpoint()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A verified session of a caller without a key.
    ///
    /// # Panics
    /// Where the enclave does not verify.
    pub async fn caller(&self) -> Session {
        self.connect(self.policy()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A session under a policy.
    ///
    /// # Errors
    /// Why the client refuses.
    pub async fn connect(&self, policy: Policy) -> Result<Session, ClientError> {
        Client::new(policy).connect(&self.endpoint()).await
    }

    /// What starts its twin: another enclave of the same image on the same platform, with the same owner and configuration, and
    /// with a disk of its own.
    pub fn twin(&self) -> Setup {
        let mut twin = Setup::new();
        twin.launch.state = self.state().to_owned();
        twin.configuration = self.configuration.clone();
        twin.identity = self.copy_of_identity();
        twin
    }

    /// Asks the enclave to end, and waits for it.
    ///
    /// # Errors
    /// How it ended, where not as asked.
    pub fn stop(self) -> Result<cloister_host::Exit, HostError> {
        self.running.shutdown();
        self.running.wait()
    }

    /// Asks the enclave to end, waits for it, and gives what starts it again: on the same platform and disk, with the same
    /// owner and configuration.
    ///
    /// # Panics
    /// Where it does not end as asked.
    pub fn stop_and_keep(self) -> Setup {
        self.running.shutdown();
        self.ended(|exit| matches!(exit, cloister_host::Exit::Success))
    }

    /// Ends the enclave at once, in the middle of whatever it does, and gives what starts it again.
    ///
    /// # Panics
    /// Where it had ended before.
    pub fn kill_and_keep(self) -> Setup {
        self.running.stopper().force();
        self.ended(|exit| matches!(exit, cloister_host::Exit::Forced))
    }

    fn ended(self, expected: impl FnOnce(&cloister_host::Exit) -> bool) -> Setup {
        let exit = self.running.wait().unwrap_or_else(|error| panic!("the enclave does not end: {error}"));
        assert!(expected(&exit), "{exit:?}");
        until_nobody_has(&self.state.path().join("volume"));
        let launch = launch(self.state.path(), &self.log);
        let Self { configuration, identity, log, state, .. } = self;
        Setup { launch, configuration, identity, log, state }
    }

    fn copy_of_identity(&self) -> Identity {
        Identity::from_pem(&self.identity.to_pem().expect("a key is PEM")).expect("and back")
    }
}

/// The disk of an enclave that ended is locked until the last of its threads has left it, which nobody else waits for.
fn until_nobody_has(volume: &Path) {
    let file = File::open(volume).expect("the enclave had a disk");
    let deadline = Instant::now() + Duration::from_secs(60);
    while file.try_lock().is_err() {
        assert!(Instant::now() < deadline, "threads of the enclave do not leave it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(120);
