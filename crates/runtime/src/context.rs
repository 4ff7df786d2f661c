use cloister_api::Limits;
use cloister_platform::{Caller, PlatformSettings};
use cloister_wasi::{LogSink, Preopen, Storage};
use cloister_wasi_http::HttpSettings;
use std::fmt;
use std::sync::Arc;

/// What a guest sees and what bounds it, whatever of it is called. A clone costs a few reference counts.
#[derive(Clone)]
pub struct Context<'a> {
    pub limits: &'a Limits,
    /// The guest's environment variables.
    pub environment: Arc<[(String, String)]>,
    /// What `wasi:config/store` answers.
    pub config: Arc<[(String, String)]>,
    /// Takes the guest's standard output and error and the lines of `wasi:logging`, as far as [`Limits::log`] goes.
    pub log: Arc<dyn LogSink>,
    /// What the guest keeps between calls. Whoever answers the call commits it first, where [`Storage::used`] says so.
    pub storage: Option<Storage>,
    /// Directories that are open at the start; none: the storage's own as `/`.
    pub preopens: Arc<[Preopen]>,
    /// What the guest may do on the network, by sockets too, and what records it.
    pub network: HttpSettings,
    /// The app's keys, and what else the platform keeps or knows of it.
    pub platform: PlatformSettings,
    /// Who calls, where they showed who they are.
    pub caller: Option<Caller>,
}

impl<'a> Context<'a> {
    /// No environment, nothing kept, nobody in particular who calls.
    pub fn new(limits: &'a Limits, log: Arc<dyn LogSink>, network: HttpSettings) -> Self {
        Self {
            limits,
            environment: Arc::default(),
            config: Arc::default(),
            log,
            storage: None,
            preopens: Arc::default(),
            network,
            platform: PlatformSettings::none(),
            caller: None,
        }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("limits", self.limits).finish_non_exhaustive()
    }
}
