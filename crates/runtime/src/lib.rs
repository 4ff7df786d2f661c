//! Components: validate, compile, introspect, instantiate, call, meter.
//!
//! [`Runtime::prepare`] makes a [`Program`] of a component's bytes, [`Runtime::restore`] makes it again without compiling,
//! and [`Program::call`], [`Program::handle`] and [`Program::run`] run it in a fresh instance that is bounded in fuel, memory,
//! handles, result and time. Whatever a guest does ends its own call only. `docs/design/runtime.md` has the bounds and where each is kept.
#![deny(unsafe_code)]

mod artifact;
mod call;
mod context;
mod deploy_error;
mod engine;
mod execution;
mod exports;
mod failure;
mod guest;
mod handle;
mod heap;
mod imports;
mod inspect;
mod limits;
mod nearest;
pub mod pool;
mod program;
mod run;
mod runtime;
mod wit_text;

pub use artifact::{Artifact, ArtifactError, ArtifactSeal, RestoreError};
pub use call::{Arguments, Call, Outcome};
pub use cloister_platform as platform;
pub use cloister_wasi::{
    Access, BoundedLog, CapturedLog, Durability, Input, InputFailed, InputSource, LogSink, OutputReceiver,
    OutputSender, Preopen, Stdio, Storage, Unavailable, output_channel,
};
pub use cloister_wasi_http::{
    BodyError, Client, EgressLog, EgressOutcome, EgressRequest, ErrorCode, GuestBody, HttpSettings,
    InvalidRoots, Roots, TlsVersion,
};
pub use context::Context;
pub use deploy_error::DeployError;
pub use execution::YIELD_FUEL;
pub use failure::{CallFailure, FailureReason};
pub use guest::supported_interfaces;
pub use handle::{Answer, Handle};
pub use heap::CallHeapBytes;
pub use imports::{UnsupportedImport, UnsupportedImports};
pub use limits::LimitExceeded;
pub use nearest::nearest;
pub use program::{Program, Usage};
pub use run::{Ran, Run};
pub use runtime::{Progress, Runtime, Settings, StartError, Statistics};
