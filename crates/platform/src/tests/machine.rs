use std::borrow::Cow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloister_api::NetworkPolicy;
use cloister_egress::{Client, EgressLog, EgressRequest, HttpSettings, Roots};
use cloister_filesystem::Filesystem;
use cloister_volume::kv::{KeyValue, Namespace};
use cloister_volume::{MemoryDisk, Options, Quota, SealingError, SealingKey, Volume};
use cloister_wasi::{Durability, HostFuel, Storage, Unavailable};
use zeroize::Zeroizing;

use crate::{
    Answer, App, Caller, CallerId, Keystore, PlatformCtx, PlatformCtxView, PlatformSettings, Refusal,
};

/// One app, and a call of it.
pub(crate) struct Machine {
    pub(crate) settings: PlatformSettings,
    pub(crate) app: Arc<TestApp>,
    storage: Storage,
    pub(crate) commits: Arc<AtomicUsize>,
    keys: KeyValue,
    ctx: PlatformCtx,
    fuel: HostFuel,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::with_quota(4 << 20)
    }

    /// The app's vault may take so many bytes.
    pub(crate) fn with_quota(quota: u64) -> Self {
        let disk = Arc::new(MemoryDisk::new(1 << 16));
        let volume = Volume::create(disk, &FixedKey, Options::default()).unwrap();
        let dataset = |name| volume.create_dataset(&volume.begin(), name, DATASET).unwrap();
        let keys = KeyValue::open(&dataset("keys")).unwrap();
        let commits = Arc::new(AtomicUsize::new(0));
        let storage = Storage {
            filesystem: Filesystem::open(dataset("app")).unwrap(),
            keys: None,
            durability: Arc::new(Commit { volume: volume.clone(), commits: Arc::clone(&commits) }),
            used: Arc::new(AtomicBool::new(false)),
        };
        let app = Arc::new(TestApp::default());
        let settings = PlatformSettings {
            keys: Keystore::default(),
            vault: Some(vault(&keys, quota)),
            app: Arc::clone(&app) as Arc<dyn App>,
            quote_roots: Arc::default(),
        };
        let ctx = context(&settings, None, &storage);
        Self { settings, app, storage, commits, keys, ctx, fuel: HostFuel::default() }
    }

    /// An app that nothing is kept for.
    pub(crate) fn without_vault() -> Self {
        let mut machine = Self::new();
        machine.settings.vault = None;
        machine.call(None);
        machine
    }

    /// Another call begins, of this caller.
    pub(crate) fn call(&mut self, caller: Option<CallerId>) -> &mut Self {
        self.call_of(caller.map(Caller::from))
    }

    /// As [`call`](Self::call), with what their token says of them.
    pub(crate) fn call_of(&mut self, caller: Option<Caller>) -> &mut Self {
        self.ctx = context(&self.settings, caller, &self.storage);
        self
    }

    /// As after a restart of the enclave: what was kept is there, and nothing else.
    pub(crate) fn restart(&mut self) {
        self.settings.keys = Keystore::default();
        self.settings.vault = Some(vault(&self.keys, 4 << 20));
        self.call(None);
    }

    /// As after a replacement of the app.
    pub(crate) fn replace(&mut self) {
        self.settings.keys = self.settings.keys.successor();
        self.call(None);
    }

    pub(crate) fn view(&mut self) -> PlatformCtxView<'_> {
        PlatformCtxView { ctx: &mut self.ctx, fuel: &mut self.fuel }
    }

    pub(crate) fn vault(&self) -> Namespace {
        self.settings.vault.clone().unwrap()
    }

    pub(crate) fn remove_vault(&self) {
        self.keys.remove_namespace("keystore:app").unwrap();
    }

    /// Whether the call has to wait for a commit.
    pub(crate) fn has_used_storage(&self) -> bool {
        self.storage.used.swap(false, Ordering::Relaxed)
    }
}

/// An enclave of which everything can be seen.
#[derive(Debug, Default)]
pub(crate) struct TestApp {
    pub(crate) extensions: Mutex<Vec<(u32, Vec<u8>)>>,
    pub(crate) configured: AtomicBool,
    owner: Mutex<Option<[u8; 32]>>,
}

impl TestApp {
    pub(crate) const OWNER: CallerId = CallerId::Key([1; 32]);
    pub(crate) const CODE_HASH: [u8; 32] = [2; 32];
    pub(crate) const SEAL_KEY: [u8; 32] = [3; 32];

    /// Somebody else than [`Self::OWNER`] deployed it.
    pub(crate) fn set_owner(&self, principal: [u8; 32]) {
        *self.owner.lock().unwrap() = Some(principal);
    }
}

impl App for TestApp {
    fn seal_key(&self) -> Result<Zeroizing<[u8; 32]>, Refusal> {
        Ok(Zeroizing::new(Self::SEAL_KEY))
    }

    fn code_hash(&self) -> [u8; 32] {
        Self::CODE_HASH
    }

    fn owner(&self) -> [u8; 32] {
        self.owner.lock().unwrap().unwrap_or(Self::OWNER.principal())
    }

    fn set_extension(&self, suffix: u32, value: Vec<u8>) -> Answer<()> {
        self.extensions.lock().unwrap().push((suffix, value));
        Box::pin(std::future::ready(Ok(())))
    }

    fn complete_configuration(&self) -> Answer<()> {
        let was_complete = self.configured.swap(true, Ordering::Relaxed);
        let answer = if was_complete { Err(Refusal(Cow::Borrowed("it is configured"))) } else { Ok(()) };
        Box::pin(std::future::ready(answer))
    }
}

pub(crate) fn http() -> HttpSettings {
    HttpSettings {
        policy: Arc::new(NetworkPolicy::default()),
        client: Client::new(Roots::These(Vec::new())).unwrap(),
        egress: Arc::new(NoLog),
    }
}

fn context(settings: &PlatformSettings, caller: Option<Caller>, storage: &Storage) -> PlatformCtx {
    PlatformCtx::new(settings.clone(), caller, Some(storage.clone()), http())
}

fn vault(keys: &KeyValue, quota: u64) -> Namespace {
    keys.namespace("keystore:app", &[7; 8], Zeroizing::new([5; 32]), quota).unwrap()
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

struct Commit {
    volume: Volume,
    commits: Arc<AtomicUsize>,
}

impl Durability for Commit {
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { self.volume.commit().map(drop).map_err(|_| Unavailable) })
    }
}

struct NoLog;

impl EgressLog for NoLog {
    fn record(&self, _: EgressRequest) {}
}

const DATASET: Quota = Quota { bytes: 1 << 28, objects: 1000 };
