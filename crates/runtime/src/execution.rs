//! What every way of running a guest shares: a claim, a store with all bounds, and what its end means.

use crate::failure::{CallFailure, FailureReason, Limited, backtrace, classify};
use crate::guest::{Guest, HOST_CALL_BYTES, LimitedLog, cross};
use crate::heap::Claim;
use crate::limits::{Bounds, LimitExceeded, ResultRoom};
use crate::program::Program;
use crate::{Context, engine};
use cloister_api::Limits;
use cloister_platform::PlatformCtx;
use cloister_wasi::WasiCtxBuilder;
use cloister_wasi_http::HttpCtx;
use cloister_wasi_sockets::SocketsCtx;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wasmtime::Store;
use wasmtime::component::ResourceTable;

/// The time that a guest has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    deadline: Instant,
    limit_ms: u64,
}

impl Clock {
    pub(crate) fn start(limits: &Limits) -> Self {
        let started = Instant::now();
        let limit_ms = limits.wall_time_ms;
        Self { started, deadline: started + Duration::from_millis(limit_ms).min(LONGEST_CALL), limit_ms }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// A failure before the guest began.
    pub(crate) fn failed(&self, reason: FailureReason) -> CallFailure {
        CallFailure { reason, fuel: 0, wall: self.elapsed(), backtrace: Vec::new() }
    }

    fn timed_out(&self) -> FailureReason {
        FailureReason::TimedOut { limit_ms: self.limit_ms }
    }

    /// Runs what the guest does, until the time is over or our own code panics.
    pub(crate) async fn run<T>(&self, guest: impl Future<Output = wasmtime::Result<T>>) -> Ended<T> {
        match timeout_at(self.deadline, caught(guest)).await {
            Ok(Ok(result)) => Ended::Itself(result),
            Ok(Err(Panicked)) => Ended::Panicked,
            Err(_) => Ended::OutOfTime,
        }
    }
}

/// How what a guest did came to its end.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    Itself(wasmtime::Result<T>),
    Panicked,
    OutOfTime,
}

impl<T> Ended<T> {
    /// What the guest answered and the fuel that it burnt, or why it did not answer.
    pub(crate) fn settle(
        self,
        store: &Store<Guest>,
        limits: &Limits,
        clock: &Clock,
    ) -> Result<(T, u64), CallFailure> {
        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let (reason, backtrace) = match self {
            Self::Itself(Ok(answer)) => return Ok((answer, fuel)),
            Self::Itself(Err(error)) => {
                (classify(&error, limited(limits, &store.data().bounds)), backtrace(&error))
            }
            Self::Panicked => (FailureReason::Internal, Vec::new()),
            Self::OutOfTime => (clock.timed_out(), Vec::new()),
        };
        Err(CallFailure { reason, fuel, wall: clock.elapsed(), backtrace })
    }
}

/// Bytes of heap that a guest is sure of, beside what every guest is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sure {
    /// Of arguments, and buffers of streams.
    pub bytes: usize,
    /// Of a lifted result.
    pub result: ResultRoom,
}

impl Program {
    /// Waits for heap for everything that the guest holds for sure. Its memories and tables claim more as they grow.
    pub(crate) async fn claim(
        &self,
        context: &Context<'_>,
        sure: Sure,
        clock: &Clock,
    ) -> Result<Claim, FailureReason> {
        // The result is held lifted and in its notation.
        let result = sure.result.sure.min(sure.result.most).saturating_mul(2);
        let fixed = engine::FIBER_STACK + CALL_AT_LEAST + result;
        let initial = usize::try_from(self.parts.initial_memory).unwrap_or(usize::MAX);
        let memory = usize::try_from(context.limits.memory).unwrap_or(usize::MAX);
        let memory = memory.min(initial.saturating_add(SURE_GROWTH));
        let claim = self.parts.heap.claim(fixed.saturating_add(sure.bytes), memory);
        let claim = timeout_at(clock.deadline, claim).await.map_err(|_| clock.timed_out())?;
        claim.ok_or_else(|| FailureReason::LimitExceeded {
            limit: LimitExceeded::Heap,
            what: "before it began".to_owned(),
        })
    }

    /// A store with every bound in force.
    pub(crate) fn store(
        &self,
        context: Context<'_>,
        wasi: WasiCtxBuilder,
        claim: Claim,
        result: ResultRoom,
    ) -> wasmtime::Result<Store<Guest>> {
        let limits = context.limits;
        let handles = usize::try_from(limits.handles).unwrap_or(usize::MAX);
        let platform = PlatformCtx::new(
            context.platform,
            context.caller,
            context.storage.clone(),
            context.network.clone(),
        );
        let wasi = wasi
            .environment(context.environment)
            .config(context.config)
            .output(Arc::new(LimitedLog::new(context.log, limits.log)))
            .storage(context.storage)
            .preopens(context.preopens)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let guest = Guest {
            wasi,
            sockets: SocketsCtx::new(Arc::clone(&context.network.policy)),
            http: HttpCtx::new(context.network),
            platform,
            table,
            bounds: Bounds::new(limits, claim, result),
        };
        let mut store = Store::new(self.parts.pre.engine(), guest);
        store.limiter(|guest| &mut guest.bounds);
        store.set_max_component_handles(handles);
        store.set_fuel(limits.fuel)?;
        store.fuel_async_yield_interval(Some(YIELD_FUEL))?;
        store.call_hook(cross);
        Ok(store)
    }
}

fn limited(limits: &Limits, bounds: &Bounds) -> Limited {
    Limited {
        fuel: limits.fuel,
        instances: limits.instances,
        handles: limits.handles,
        result: limits.result,
        host_call_bytes: HOST_CALL_BYTES,
        room_for_result: bounds.has_room_for_result(),
        refused: bounds.refused(),
    }
}

/// Turns a panic while polling into a value. Wasmtime carries a host function's panic across the guest's frames to here.
async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(Poll::Ready(Err(Panicked)), |poll| poll.map(Ok))
    })
    .await
}

struct Panicked;

/// Fuel after which a call lets other tasks run, and can be cancelled: about a tenth of a millisecond.
pub const YIELD_FUEL: u64 = 100_000;
/// However long an app allows.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes that every call takes beside its stack and memories: the store, its instances, some handles.
const CALL_AT_LEAST: usize = 128 << 10;
/// Bytes by which memories and tables can grow for sure, whatever others hold.
const SURE_GROWTH: usize = 128 << 10;
