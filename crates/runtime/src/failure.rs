use crate::limits::LimitExceeded;
use cloister_api::{Code, Problem, Trap, TrapFrame};
use cloister_values::{ArgumentError, EncodeError};
use cloister_wasi::Exit;
use std::time::Duration;
use wasmtime::WasmBacktrace;

/// How a call ended without a result. Nothing of it is left in the enclave.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct CallFailure {
    pub reason: FailureReason,
    /// Fuel units burnt until then. After a trap, what the innermost functions had burnt since they last called another
    /// is missing: it was in a register.
    pub fuel: u64,
    /// Time since the call began.
    pub wall: Duration,
    /// The guest's frames, innermost first, where it was running.
    pub backtrace: Vec<TrapFrame>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FailureReason {
    #[error("there is no export `{name}`, or the name means several")]
    UnknownExport { name: String, suggestions: Vec<String> },
    #[error("`{name}` cannot be called: {why}")]
    NotCallable { name: String, why: String },
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    #[error("the guest burnt its {limit} units of fuel; the app's owner can allow more")]
    OutOfFuel { limit: u64 },
    #[error("the guest trapped: {what}")]
    Trapped { what: String },
    #[error("the guest reached {limit}, and ended: {what}")]
    LimitExceeded { limit: LimitExceeded, what: String },
    #[error("the result is larger than the app's limit of {limit} bytes")]
    ResultTooLarge { limit: u64 },
    #[error("the call took longer than the app's limit of {limit_ms} ms")]
    TimedOut { limit_ms: u64 },
    #[error("the guest ended the call itself, by exiting with code {code}")]
    Exited { code: u8 },
    /// A panic or a broken promise of our own code. Details go to the enclave's own log, never to the caller.
    #[error("the call failed inside the enclave, which goes on")]
    Internal,
}

impl CallFailure {
    /// The failure as the protocol carries it.
    pub fn into_problem(self) -> Problem {
        let problem = Problem::new(self.reason.code(), self.to_string());
        let suggestions = match &self.reason {
            FailureReason::UnknownExport { suggestions, .. } => suggestions.clone(),
            FailureReason::Arguments(error) => error.suggestions().to_vec(),
            _ => Vec::new(),
        };
        let problem = problem.with_suggestions(suggestions);
        match self.reason.ended_the_guest() {
            true => {
                let reason = match self.reason {
                    FailureReason::Trapped { what } | FailureReason::LimitExceeded { what, .. } => what,
                    other => other.to_string(),
                };
                problem.with_trap(Trap { reason, fuel: self.fuel, backtrace: self.backtrace })
            }
            false => problem,
        }
    }
}

impl FailureReason {
    fn code(&self) -> Code {
        match self {
            Self::UnknownExport { .. } => Code::UnknownExport,
            Self::NotCallable { .. } => Code::UnsupportedType,
            Self::Arguments(error) if error.is_malformed() => Code::MalformedArguments,
            Self::Arguments(_) => Code::WrongArguments,
            Self::OutOfFuel { .. } => Code::OutOfFuel,
            Self::Trapped { .. } => Code::GuestTrapped,
            Self::LimitExceeded { .. } => Code::LimitExceeded,
            Self::ResultTooLarge { .. } => Code::ResultTooLarge,
            Self::TimedOut { .. } => Code::TimedOut,
            Self::Exited { .. } => Code::GuestExited,
            Self::Internal => Code::Internal,
        }
    }

    /// Whether the guest had begun, so that fuel and backtrace mean something.
    fn ended_the_guest(&self) -> bool {
        !matches!(
            self,
            Self::UnknownExport { .. } | Self::NotCallable { .. } | Self::Arguments(_) | Self::Internal
        )
    }
}

/// The bounds of a call that an error may be about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limited {
    pub fuel: u64,
    pub instances: u32,
    pub handles: u32,
    pub result: u64,
    pub host_call_bytes: usize,
    /// Whether the heap had room for as large a result as the app allows.
    pub room_for_result: bool,
    /// A growth that was answered with -1 before.
    pub refused: Option<LimitExceeded>,
}

/// Says what an error of Wasmtime means for the caller.
pub(crate) fn classify(error: &wasmtime::Error, limited: Limited) -> FailureReason {
    if let Some(Exit { code }) = error.downcast_ref::<Exit>() {
        return FailureReason::Exited { code: *code };
    }
    if let Some(wasmtime::Trap::OutOfFuel) = error.downcast_ref::<wasmtime::Trap>() {
        return FailureReason::OutOfFuel { limit: limited.fuel };
    }
    let what = what(error);
    if what.contains(HOST_CALL_FUEL) && error.downcast_ref::<WasmBacktrace>().is_none() {
        return match limited.room_for_result {
            true => FailureReason::ResultTooLarge { limit: limited.result },
            false => FailureReason::LimitExceeded { limit: LimitExceeded::Heap, what: RESULT.to_owned() },
        };
    }
    match limit_of(error, &what, limited).or(limited.refused) {
        Some(limit) => FailureReason::LimitExceeded { limit, what },
        None => FailureReason::Trapped { what },
    }
}

/// Innermost first, as far as Wasmtime recorded them.
pub(crate) fn backtrace(error: &wasmtime::Error) -> Vec<TrapFrame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let frame = |frame: &wasmtime::FrameInfo| TrapFrame {
        function: frame.func_name().map(demangled),
        index: frame.func_index(),
        offset: frame.module_offset().map(|offset| offset as u64),
    };
    backtrace.frames().iter().take(MAX_FRAMES).map(frame).collect()
}

pub(crate) fn encoding_failed(error: EncodeError, limit: u64) -> FailureReason {
    match error {
        EncodeError::TooLarge { .. } => FailureReason::ResultTooLarge { limit },
        EncodeError::Unsupported { kind } => {
            FailureReason::NotCallable { name: "the result".to_owned(), why: format!("it holds a {kind}") }
        }
    }
}

/// Bounds that Wasmtime keeps itself. It has no types for these errors, so its texts tell; a test holds each of them.
fn limit_of(error: &wasmtime::Error, what: &str, limited: Limited) -> Option<LimitExceeded> {
    let table_full = matches!(
        error.downcast_ref::<wasmtime::component::ResourceTableError>(),
        Some(wasmtime::component::ResourceTableError::Full)
    );
    if table_full || what.contains(HANDLES) {
        return Some(LimitExceeded::Handles { limit: limited.handles });
    }
    if what.contains(INSTANCES) {
        return Some(LimitExceeded::Instances { limit: limited.instances });
    }
    if what.contains(HOST_CALL_FUEL) {
        return Some(LimitExceeded::HostCallBytes { limit: limited.host_call_bytes });
    }
    error.root_cause().is::<wasmtime::OutOfMemory>().then_some(LimitExceeded::Heap)
}

/// The innermost cause, which is the trap or the host function's own words.
fn what(error: &wasmtime::Error) -> String {
    let mut what = error.root_cause().to_string();
    if let Some((end, _)) = what.char_indices().nth(MAX_REASON) {
        what.truncate(end);
    }
    what
}

/// Rust's names are made readable; other languages' are left as they are.
fn demangled(name: &str) -> String {
    let name = name.char_indices().nth(MAX_NAME).map_or(name, |(end, _)| &name[..end]);
    match rustc_demangle::try_demangle(name) {
        // The alternate form leaves out the hash.
        Ok(demangled) => {
            let mut text = format!("{demangled:#}");
            if let Some((end, _)) = text.char_indices().nth(MAX_NAME) {
                text.truncate(end);
            }
            text
        }
        Err(_) => name.to_owned(),
    }
}

const HANDLES: &str = "store handle limit exceeded";
const INSTANCES: &str = "resource limit exceeded";
const HOST_CALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";
const RESULT: &str = "other calls hold the memory that its result takes; it may fit later";
/// Letters of a reason, of a function's name, and frames of a backtrace that are passed on.
const MAX_REASON: usize = 1000;
const MAX_NAME: usize = 500;
const MAX_FRAMES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_readable_and_kept_short() {
        assert_eq!(demangled("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(demangled("plain_c_name"), "plain_c_name");
        assert_eq!(demangled(&"x".repeat(10_000)).len(), MAX_NAME);
    }

    #[test]
    fn what_happened_before_the_guest_ran_has_no_trap() {
        let failure = CallFailure {
            reason: FailureReason::UnknownExport { name: "x".into(), suggestions: vec!["y".into()] },
            fuel: 0,
            wall: Duration::ZERO,
            backtrace: Vec::new(),
        };
        let problem = failure.into_problem();
        assert_eq!(
            (problem.code, problem.trap, problem.suggestions),
            (Code::UnknownExport, None, vec!["y".into()])
        );
    }
}
