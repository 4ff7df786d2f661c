use crate::execution::{Clock, Sure};
use crate::failure::{CallFailure, FailureReason};
use crate::guest::Guest;
use crate::limits::ResultRoom;
use crate::program::Program;
use crate::{Context, Usage};
use cloister_wasi::{Input, OutputSender, WasiCtx};
use std::fmt;
use std::sync::Arc;
use wasmtime::Store;

/// One run of a guest that is a command.
pub struct Run<'a> {
    /// By convention the first is the program's name.
    pub arguments: Arc<[String]>,
    pub stdin: Input,
    /// Where standard output and error go instead of the context's log.
    pub output: Option<OutputSender>,
    pub context: Context<'a>,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("context", &self.context).finish_non_exhaustive()
    }
}

/// How a run ended, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// 0 is success: the guest returned `ok`, or exited with it. 1 is failure where the guest said no more.
    pub exit_code: u8,
    pub usage: Usage,
}

impl Program {
    /// Whether the component exports `wasi:cli/run@0.2`.
    pub fn runs(&self) -> bool {
        self.parts.exports.run.is_some()
    }

    /// Runs the command in a fresh store and instance.
    ///
    /// # Errors
    ///
    /// Every way in which the guest or the enclave can end it but an exit, whatever its code.
    pub async fn run(&self, run: Run<'_>) -> Result<Ran, CallFailure> {
        let Run { arguments, stdin, output, context } = run;
        let limits = context.limits;
        let clock = Clock::start(limits);
        let export = self.parts.exports.run.ok_or_else(|| {
            clock.failed(FailureReason::UnknownExport { name: RUN.to_owned(), suggestions: Vec::new() })
        })?;
        let sure = Sure { bytes: STREAMS, result: ResultRoom::NOTHING };
        let claim = self.claim(&context, sure, &clock).await.map_err(|reason| clock.failed(reason))?;
        let mut wasi = WasiCtx::builder().arguments(arguments).stdin(stdin);
        if let Some(output) = output {
            wasi = wasi.stdio(output);
        }
        let store = self.store(context, wasi, claim, sure.result);
        let mut store = store.map_err(|_| clock.failed(FailureReason::Internal))?;
        let running = async |store: &mut Store<Guest>| {
            let instance = self.parts.pre.instantiate_async(&mut *store).await?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, export)?;
            let (result,) = run.call_async(&mut *store, ()).await?;
            Ok(u8::from(result.is_err()))
        };
        let ended = clock.run(running(&mut store)).await;
        let (exit_code, fuel) = match ended.settle(&store, limits, &clock) {
            Err(CallFailure { reason: FailureReason::Exited { code }, fuel, .. }) => (code, fuel),
            settled => settled?,
        };
        Ok(Ran { exit_code, usage: Usage { fuel, wall: clock.elapsed() } })
    }
}

const RUN: &str = "wasi:cli/run";
/// Bytes of standard streams that wait to be read.
const STREAMS: usize = 128 << 10;
