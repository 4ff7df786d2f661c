use crate::Context;
use crate::execution::{Clock, Sure};
use crate::exports::Export;
use crate::failure::{CallFailure, FailureReason, encoding_failed};
use crate::guest::Guest;
use crate::limits::ResultRoom;
use crate::program::Program;
use cloister_api::Limits;
use cloister_values::{
    argument_cost, arguments_from_json, arguments_from_wave, result_to_json, result_to_wave,
};
use cloister_wasi::WasiCtx;
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::Val;

/// One invocation of one export.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The full name or a short one, see [`Program::export_name`].
    pub export: &'a str,
    pub arguments: Arguments<'a>,
    pub context: Context<'a>,
}

/// Arguments as the caller sent them. The result comes in the same notation.
#[derive(Clone, Copy)]
pub enum Arguments<'a> {
    /// An object by parameter name or an array by position; empty for none.
    Json(&'a [u8]),
    /// One WAVE text for each parameter.
    Wave(&'a [String]),
}

impl std::fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::Wave(_) => "Wave",
        })
    }
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
    /// The future lets other tasks run after every [`YIELD_FUEL`](crate::YIELD_FUEL) units, and dropping it ends the call.
    /// It needs a tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// Every way in which the guest, its caller or the enclave can end the call. No failure harms the program or
    /// another call.
    pub async fn call(&self, call: Call<'_>) -> Result<Outcome, CallFailure> {
        let Call { export, arguments: given, context } = call;
        let limits = context.limits;
        let clock = Clock::start(limits);
        let export = self.find(export).map_err(|reason| clock.failed(reason))?;
        let result = result_room(export, limits);
        let sure = Sure { bytes: text_bytes(given).map_or(0, argument_cost), result };
        let mut claim = self.claim(&context, sure, &clock).await.map_err(|reason| clock.failed(reason))?;
        let arguments = read_arguments(export, given).map_err(|reason| clock.failed(reason))?;
        claim.give_back(sure.bytes.saturating_sub(arguments.iter().map(held_by).sum()));

        let store = self.store(context, WasiCtx::builder(), claim, result);
        let mut store = store.map_err(|_| clock.failed(FailureReason::Internal))?;
        let ended = clock.run(self.invoke(&mut store, export, &arguments)).await;
        let (result, fuel) = ended.settle(&store, limits, &clock)?;
        let result = encode(result.as_ref(), given, limits.result).map_err(|reason| CallFailure {
            reason,
            fuel,
            wall: clock.elapsed(),
            backtrace: Vec::new(),
        })?;
        Ok(Outcome { result, fuel, wall: clock.elapsed() })
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

    /// Instantiates and calls, the function's own post-return included.
    async fn invoke(
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
fn result_room(export: &Export, limits: &Limits) -> ResultRoom {
    if export.result.is_none() {
        return ResultRoom { sure: LIFTED_AT_LEAST, most: LIFTED_AT_LEAST };
    }
    let result = usize::try_from(limits.result).unwrap_or(usize::MAX);
    let most = result.saturating_mul(LIFTED_PER_RESULT_BYTE).saturating_add(LIFTED_AT_LEAST);
    ResultRoom { sure: LIFTED_AT_LEAST, most }
}

/// `None`: there are no arguments to read.
fn text_bytes(arguments: Arguments<'_>) -> Option<usize> {
    let bytes = match arguments {
        Arguments::Json(body) => body.len(),
        Arguments::Wave(texts) => texts.iter().map(String::len).sum(),
    };
    (bytes > 0).then_some(bytes)
}

/// Bytes that a value takes, from above.
fn held_by(value: &Val) -> usize {
    const SLOT: usize = 2 * size_of::<(String, Val)>();
    let inner = match value {
        Val::String(text) | Val::Enum(text) => text.capacity(),
        Val::List(values) | Val::Tuple(values) => values.iter().map(held_by).sum(),
        Val::Record(fields) => fields.iter().map(|(name, value)| name.capacity() + held_by(value)).sum(),
        Val::Variant(name, value) => name.capacity() + value.as_deref().map_or(0, held_by),
        Val::Option(value) | Val::Result(Ok(value) | Err(value)) => value.as_deref().map_or(0, held_by),
        Val::Flags(names) => names.iter().map(|name| SLOT + name.capacity()).sum(),
        _ => 0,
    };
    SLOT + inner
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

/// A caller's words, cut to what is worth repeating.
fn shortened(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

const LONGEST_NAME: usize = 200;
/// Bytes that the host may hold of a lifted result for each byte that its text may have. A number in a list takes 2
/// bytes of JSON or more, and 32 or more lifted: a list of mostly one-digit numbers reaches this bound a little
/// before its text reaches the limit.
const LIFTED_PER_RESULT_BYTE: usize = 8;
const LIFTED_AT_LEAST: usize = 64 << 10;
