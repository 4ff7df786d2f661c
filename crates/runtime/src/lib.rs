//! Components: validate, compile, introspect, instantiate, call, meter.
//!
//! [`Runtime::prepare`] makes a [`Program`] of a component's bytes, [`Runtime::restore`] makes it again without compiling,
//! and [`Program::call`] runs one export of it in a fresh instance that is bounded in fuel, memory, handles, result and
//! time. Whatever a guest does ends its own call only. `docs/design/runtime.md` has the bounds and where each is kept.
#![deny(unsafe_code)]

mod artifact;
mod call;
mod deploy_error;
mod engine;
mod exports;
mod failure;
mod guest;
mod heap;
mod imports;
mod inspect;
mod limits;
mod nearest;
pub mod pool;
mod program;
mod runtime;
mod wit_text;

pub use artifact::{Artifact, ArtifactError, ArtifactSeal, RestoreError};
pub use call::{Arguments, Call, Outcome, YIELD_FUEL};
pub use cloister_wasi::{
    BoundedLog, CapturedLog, Durability, LogSink, Stdio, Storage, Unavailable, supported_interfaces,
};
pub use deploy_error::DeployError;
pub use failure::{CallFailure, FailureReason};
pub use imports::UnsupportedImport;
pub use limits::LimitExceeded;
pub use nearest::nearest;
pub use program::Program;
pub use runtime::{Progress, Runtime, Settings, StartError, Statistics};
