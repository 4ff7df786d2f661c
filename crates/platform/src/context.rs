use std::fmt;
use std::sync::Arc;

use cloister_egress::HttpSettings;
use cloister_volume::kv::Namespace;
use cloister_wasi::{HostFuel, Storage};

use crate::app::NoApp;
use crate::https::HttpsCtx;
use crate::{App, Caller, Keystore};

/// What an app has of the platform. Keep one per app; a clone costs reference counts.
#[derive(Clone)]
pub struct PlatformSettings {
    /// The app's keys in memory. Clones share them.
    pub keys: Keystore,
    /// Where persisted keys and roles lie: a namespace that the app has for nothing else. Without it neither can be kept.
    pub vault: Option<Namespace>,
    /// What only the enclave can do.
    pub app: Arc<dyn App>,
    /// Roots of quotes, as X.509 in DER, that a policy of `https` accepts beside Intel's.
    pub quote_roots: Arc<[Vec<u8>]>,
}

impl PlatformSettings {
    /// No keys, no vault, and an enclave that refuses everything.
    pub fn none() -> Self {
        Self { keys: Keystore::default(), vault: None, app: Arc::new(NoApp), quote_roots: Arc::default() }
    }
}

impl fmt::Debug for PlatformSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformSettings")
            .field("keys", &self.keys)
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// What one call of a guest has of the platform.
#[derive(Debug)]
pub struct PlatformCtx {
    pub(crate) settings: PlatformSettings,
    pub(crate) caller: Option<Caller>,
    pub(crate) storage: Option<Storage>,
    pub(crate) https: HttpsCtx,
}

impl PlatformCtx {
    /// A context for one store. `storage` is told when the vault is used; `http` is what the app's requests share.
    pub fn new(
        settings: PlatformSettings,
        caller: Option<Caller>,
        storage: Option<Storage>,
        http: HttpSettings,
    ) -> Self {
        let https = HttpsCtx::new(http, Arc::clone(&settings.quote_roots));
        Self { settings, caller, storage, https }
    }
}

/// Access to the platform's state in a store's data.
pub trait PlatformView: Send {
    /// Both halves at once, so that they can be borrowed together.
    fn platform(&mut self) -> PlatformCtxView<'_>;
}

/// The platform's state of a store.
#[derive(Debug)]
pub struct PlatformCtxView<'a> {
    pub ctx: &'a mut PlatformCtx,
    /// What host functions charge: [`WasiCtx::host_fuel`](cloister_wasi::WasiCtx::host_fuel).
    pub fuel: &'a mut HostFuel,
}
