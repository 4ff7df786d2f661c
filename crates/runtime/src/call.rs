use crate::exports::Export;
use crate::failure::{CallFailure, FailureReason, Limited, backtrace, classify, encoding_failed};
use crate::guest::{Guest, HOST_CALL_BYTES, LimitedLog, cross};
use crate::heap::Claim;
use crate::limits::{Bounds, LimitExceeded};
use crate::program::Program;
use cloister_api::Limits;
use cloister_values::{
    argument_cost, arguments_from_json, arguments_from_wave, result_to_json, result_to_wave,
};
use cloister_wasi::{LogSink, Storage, WasiCtx};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wasmtime::Store;
use wasmtime::component::{ResourceTable, Val};

/// One invocation of one export.
#[derive(Clone)]
pub struct Call<'a> {
    /// The full name or a short one, see [`Program::export_name`].
    pub export: &'a str,
    pub arguments: Arguments<'a>,
    pub limits: &'a Limits,
    /// The guest's environment variables.
    pub environment: Arc<[(String, String)]>,
    /// Takes the guest's standard output and error, as far as [`Limits::log`] goes.
    pub log: Arc<dyn LogSink>,
    /// What the guest keeps between calls. Whoever answers the call commits it first, where [`Storage::used`] says so.
    pub storage: Option<Storage>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("export", &self.export).finish_non_exhaustive()
    }
}

/// Arguments as the caller sent them. The result comes in the same notation.
#[derive(Clone, Copy, Debug)]
pub enum Arguments<'a> {
    /// An object by parameter name or an array by position; empty for none.
    Json(&'a [u8]),
    /// One WAVE text for each parameter.
    Wave(&'a [String]),
}

/// What a call returned and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// JSON derived from the result's WIT type, or a string of WAVE; `null` where the function returns nothing.
    pub result: serde_json::Value,
    /// Fuel units burnt, host calls included.
    pub fuel: u64,
    /// From reading the arguments to the encoded result, by the host's clock.
    pub wall: Duration,
}

impl Program {
    /// Calls an export in a fresh store and instance, of which nothing is left afterwards.
    ///
    /// The future lets other tasks run after every [`YIELD_FUEL`] units, and dropping it ends the call. It needs a tokio
    /// runtime with time enabled.
    ///
    /// # Errors
    ///
    /// Every way in which the guest, its caller or the enclave can end the call. No failure harms the program or
    /// another call.
    pub async fn call(&self, call: Call<'_>) -> Result<Outcome, CallFailure> {
        let started = Instant::now();
        let failed_before =
            |reason| CallFailure { reason, fuel: 0, wall: started.elapsed(), backtrace: Vec::new() };
        let export = self.find(call.export).map_err(failed_before)?;
        let limits = call.limits;
        let deadline = started + Duration::from_millis(limits.wall_time_ms).min(LONGEST_CALL);
        let claim = self.claim(&call, deadline).await.map_err(failed_before)?;
        let arguments = read_arguments(export, call.arguments).map_err(failed_before)?;

        let mut store = self.store(&call, claim).map_err(|_| failed_before(FailureReason::Internal))?;
        let ended = timeout_at(deadline, caught(self.run(&mut store, export, &arguments))).await;

        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        let failed = |reason, backtrace| CallFailure { reason, fuel, wall: started.elapsed(), backtrace };
        let result = match ended {
            Ok(Ok(Ok(result))) => result,
            Ok(Ok(Err(error))) => {
                let reason = classify(&error, limited(limits, store.data()));
                return Err(failed(reason, backtrace(&error)));
            }
            Ok(Err(Panicked)) => return Err(failed(FailureReason::Internal, Vec::new())),
            Err(_) => {
                return Err(failed(FailureReason::TimedOut { limit_ms: limits.wall_time_ms }, Vec::new()));
            }
        };
        let result = encode(result.as_ref(), call.arguments, limits.result)
            .map_err(|reason| failed(reason, Vec::new()))?;
        Ok(Outcome { result, fuel, wall: started.elapsed() })
    }

    fn find(&self, name: &str) -> Result<&Export, FailureReason> {
        let unknown = |suggestions| FailureReason::UnknownExport { name: shortened(name), suggestions };
        let export = self.parts.exports.find(name).map_err(unknown)?;
        match &export.description.not_callable {
            None => Ok(export),
            Some(why) => {
                Err(FailureReason::NotCallable { name: export.description.name.clone(), why: why.clone() })
            }
        }
    }

    /// Heap for everything that the call may come to hold but its memories and tables, which claim as they grow.
    async fn claim(&self, call: &Call<'_>, deadline: Instant) -> Result<Claim, FailureReason> {
        let text = match call.arguments {
            Arguments::Json(body) => body.len(),
            Arguments::Wave(texts) => texts.iter().map(String::len).sum(),
        };
        // The result is held lifted, as JSON, and as text.
        let result = lifted_bytes(call.limits).saturating_mul(2);
        let fixed = argument_cost(text).saturating_add(result).saturating_add(CALL_AT_LEAST);
        let memory = usize::try_from(call.limits.memory).unwrap_or(usize::MAX).min(SURE_MEMORY);
        let limit_ms = call.limits.wall_time_ms;
        let claim = timeout_at(deadline, self.parts.heap.claim(fixed, memory)).await;
        claim.map_err(|_| FailureReason::TimedOut { limit_ms })?.ok_or_else(|| {
            let limit = LimitExceeded::Heap;
            FailureReason::LimitExceeded { limit, what: "before it began".to_owned() }
        })
    }

    /// A store with every bound of the call in force.
    fn store(&self, call: &Call<'_>, claim: Claim) -> wasmtime::Result<Store<Guest>> {
        let limits = call.limits;
        let handles = usize::try_from(limits.handles).unwrap_or(usize::MAX);
        let log = LimitedLog::new(Arc::clone(&call.log), limits.log);
        let wasi = WasiCtx::builder()
            .environment(Arc::clone(&call.environment))
            .output(Arc::new(log))
            .storage(call.storage.clone())
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        let bounds = Bounds::new(limits, claim);
        let guest = Guest { wasi, table, bounds, result_bytes: lifted_bytes(limits) };
        let mut store = Store::new(self.parts.pre.engine(), guest);
        store.limiter(|guest| &mut guest.bounds);
        store.set_max_component_handles(handles);
        store.set_fuel(limits.fuel)?;
        store.fuel_async_yield_interval(Some(YIELD_FUEL))?;
        store.call_hook(cross);
        Ok(store)
    }

    /// Instantiates and calls, the function's own post-return included.
    async fn run(
        &self,
        store: &mut Store<Guest>,
        export: &Export,
        arguments: &[Val],
    ) -> wasmtime::Result<Option<Val>> {
        let instance = self.parts.pre.instantiate_async(&mut *store).await?;
        let function = instance
            .get_func(&mut *store, export.index)
            .ok_or_else(|| wasmtime::Error::msg("the export is not a function of the instance"))?;
        let mut results = vec![Val::Bool(false); usize::from(export.result.is_some())];
        function.call_async(&mut *store, arguments, &mut results).await?;
        Ok(results.pop())
    }
}

/// Bytes that the host may hold of a lifted result.
fn lifted_bytes(limits: &Limits) -> usize {
    let result = usize::try_from(limits.result).unwrap_or(usize::MAX);
    result.saturating_mul(LIFTED_PER_RESULT_BYTE).saturating_add(LIFTED_AT_LEAST)
}

fn read_arguments(export: &Export, arguments: Arguments<'_>) -> Result<Vec<Val>, FailureReason> {
    let parameters = export.parameters();
    Ok(match arguments {
        Arguments::Json(body) => arguments_from_json(body, &parameters)?,
        Arguments::Wave(texts) => arguments_from_wave(texts, &parameters)?,
    })
}

fn encode(result: Option<&Val>, like: Arguments<'_>, limit: u64) -> Result<serde_json::Value, FailureReason> {
    let bytes = usize::try_from(limit).unwrap_or(usize::MAX);
    let encoded = match (like, result) {
        (Arguments::Json(_), _) => result_to_json(result, bytes),
        (Arguments::Wave(_), None) => Ok(serde_json::Value::Null),
        (Arguments::Wave(_), Some(_)) => result_to_wave(result, bytes).map(serde_json::Value::String),
    };
    encoded.map_err(|error| encoding_failed(error, limit))
}

fn limited(limits: &Limits, guest: &Guest) -> Limited {
    Limited {
        fuel: limits.fuel,
        instances: limits.instances,
        handles: limits.handles,
        result: limits.result,
        host_call_bytes: HOST_CALL_BYTES,
        refused: guest.bounds.refused(),
    }
}

/// Turns a panic while polling into a value. Wasmtime carries a host function's panic across the guest's frames to here.
async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.map_or(std::task::Poll::Ready(Err(Panicked)), |poll| poll.map(Ok))
    })
    .await
}

struct Panicked;

/// A caller's words, cut to what is worth repeating.
fn shortened(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

/// Fuel after which a call lets other tasks run, and can be cancelled: about a tenth of a millisecond.
pub const YIELD_FUEL: u64 = 100_000;
/// However long an app allows.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_NAME: usize = 200;
/// Bytes that the host may hold of a lifted result for each byte that its text may have. A number in a list takes 2
/// bytes of JSON or more, and 32 or more lifted: a list of mostly one-digit numbers reaches this bound a little
/// before its text reaches the limit.
const LIFTED_PER_RESULT_BYTE: usize = 8;
const LIFTED_AT_LEAST: usize = 64 << 10;
/// Bytes that every call takes: the stack of its fiber, the store, its handles.
const CALL_AT_LEAST: usize = 2 << 20;
/// Bytes of memory that a call has for sure, whatever others hold.
const SURE_MEMORY: usize = 2 << 20;
