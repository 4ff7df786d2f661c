//! What every way of running an app shares: a place among the calls under way, counting, and keeping what was written.

use crate::app::{App, Ended, Outcome};
use crate::state::Enclave;
use cloister_api::{Code, Problem};
use cloister_runtime::platform::Caller;
use cloister_runtime::{CallFailure, Context, Usage};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// One run of a guest. It counts when it is dropped, also where its client went away.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) app: Arc<App>,
    enclave: Arc<Enclave>,
    caller: Option<Caller>,
    /// What the counters name.
    function: String,
    began: Instant,
    ended: Option<Ended>,
    used: Arc<AtomicBool>,
    _place: Place,
}

/// A place among the calls under way. Its answer holds it too, until the client has taken that.
pub(crate) type Place = Arc<OwnedSemaphorePermit>;

impl Invocation {
    /// Begins a run of `function` that `caller` asked for.
    pub(crate) fn new(
        enclave: &Arc<Enclave>,
        app: Arc<App>,
        function: impl Into<String>,
        caller: Option<Caller>,
        place: &Place,
    ) -> Self {
        Self {
            app,
            enclave: Arc::clone(enclave),
            caller,
            function: function.into(),
            began: Instant::now(),
            ended: None,
            used: Arc::default(),
            _place: Arc::clone(place),
        }
    }

    /// What the guest sees.
    pub(crate) fn context(&self) -> Context<'_> {
        self.app.context(&self.enclave, self.caller.clone(), &self.used)
    }

    /// Notes how the guest ended.
    pub(crate) fn ended(&mut self, ended: Result<Usage, &CallFailure>) -> Outcome {
        let (outcome, fuel, wall) = match ended {
            Ok(usage) => (Outcome::Returned, usage.fuel, usage.wall),
            Err(failure) => (Outcome::Failed, failure.fuel, failure.wall),
        };
        self.ended = Some(Ended { outcome, fuel, wall });
        outcome
    }

    /// For whoever has to keep what the guest wrote while it still runs.
    pub(crate) fn keeper(&self) -> Keeper {
        Keeper { enclave: Arc::clone(&self.enclave), used: Arc::clone(&self.used) }
    }

    /// Waits until what the guest wrote is on the disk, where it looked at what the app keeps, and says in which epoch.
    /// What it wrote before it failed is kept as well.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`].
    pub(crate) async fn keep(&self, ended: Outcome) -> Result<Option<u64>, Problem> {
        if !self.used.load(Ordering::Acquire) {
            return Ok(None);
        }
        let committed = self.enclave.storage.commit().await;
        committed.map(|state| Some(state.epoch)).map_err(|error| {
            let ended = match ended {
                Outcome::Returned => "returned",
                Outcome::Failed => "ended without a result",
            };
            Problem::new(
                Code::StorageUnavailable,
                format!(
                    "the call {ended}, but {error}: it may be there or not after a restart, and is there until then"
                ),
            )
        })
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        let abandoned = || Ended { outcome: Outcome::Failed, fuel: 0, wall: self.began.elapsed() };
        self.app.counters.record(&self.function, self.ended.unwrap_or_else(abandoned));
    }
}

/// Keeps what a guest has written so far.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    enclave: Arc<Enclave>,
    used: Arc<AtomicBool>,
}

impl Keeper {
    /// Whether there may be anything to keep.
    pub(crate) fn is_needed(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// Whether it is on the disk now.
    pub(crate) async fn keep(self) -> bool {
        self.enclave.storage.commit().await.is_ok()
    }
}

/// Takes a place among the calls under way.
///
/// # Errors
/// [`Code::Busy`].
pub(crate) fn place(enclave: &Enclave) -> Result<Place, Problem> {
    Arc::clone(&enclave.calls).try_acquire_owned().map(Arc::new).map_err(|_| {
        let most = enclave.configuration.max_concurrent_calls;
        Problem::new(Code::Busy, format!("{most} calls are under way, the most that this enclave takes"))
    })
}
