use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::ResourceTable;

use crate::HostFuel;
use crate::log::{Discard, LogSink};
use crate::stdio::Stdin;
use crate::storage::Storage;

/// What one call of a guest sees through WASI: arguments, environment, standard streams, and what it keeps.
///
/// There is no initial working directory and no terminal. The one preopened directory is [`Storage`]'s, `/`.
#[derive(Debug)]
pub struct WasiCtx {
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) stdin: Stdin,
    pub(crate) output: Output,
    pub(crate) storage: Option<Storage>,
    pub(crate) host_fuel: HostFuel,
}

impl WasiCtx {
    /// Starts from no arguments, an empty environment, an empty standard input, discarded output and no storage.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder {
            arguments: Arc::default(),
            environment: Arc::default(),
            stdin: Bytes::new(),
            output: Output(Arc::new(Discard)),
            storage: None,
        }
    }

    /// The meter of host functions, for host functions of other crates to charge.
    pub fn host_fuel(&mut self) -> &mut HostFuel {
        &mut self.host_fuel
    }
}

/// Settings of a [`WasiCtx`]. A clone costs a few reference counts: keep one per app, build one context per call.
#[derive(Clone, Debug)]
pub struct WasiCtxBuilder {
    arguments: Arc<[String]>,
    environment: Arc<[(String, String)]>,
    stdin: Bytes,
    output: Output,
    storage: Option<Storage>,
}

impl WasiCtxBuilder {
    /// The guest's arguments. By convention the first is the program's name.
    #[must_use]
    pub fn arguments(self, arguments: impl Into<Arc<[String]>>) -> Self {
        Self { arguments: arguments.into(), ..self }
    }

    /// The guest's environment variables, as name and value, in this order.
    #[must_use]
    pub fn environment(self, environment: impl Into<Arc<[(String, String)]>>) -> Self {
        Self { environment: environment.into(), ..self }
    }

    /// All that the guest can read from standard input; the stream is closed after it.
    #[must_use]
    pub fn stdin(self, stdin: impl Into<Bytes>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    /// Where standard output and error go.
    #[must_use]
    pub fn output(self, output: Arc<dyn LogSink>) -> Self {
        Self { output: Output(output), ..self }
    }

    /// What the guest keeps between calls. Without it no directory is open and no bucket can be opened.
    #[must_use]
    pub fn storage(self, storage: Option<Storage>) -> Self {
        Self { storage, ..self }
    }

    /// A context for one store.
    pub fn build(self) -> WasiCtx {
        WasiCtx {
            arguments: self.arguments,
            environment: self.environment,
            stdin: Stdin::new(self.stdin),
            output: self.output,
            storage: self.storage,
            host_fuel: HostFuel::default(),
        }
    }
}

/// Access to the WASI state in a store's data.
pub trait WasiView: Send {
    /// Both halves at once, so that they can be borrowed together.
    fn wasi(&mut self) -> WasiCtxView<'_>;
}

/// The WASI state of a store.
#[derive(Debug)]
pub struct WasiCtxView<'a> {
    pub ctx: &'a mut WasiCtx,
    /// Streams, pollables and errors that the guest holds. Give it a maximal capacity: a pollable of a clock takes
    /// two entries, everything else one.
    pub table: &'a mut ResourceTable,
}

impl WasiCtxView<'_> {
    /// Charges a host function that moves `bytes` in or out, see [`HostFuel::charge`].
    pub(crate) async fn charge(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.ctx.host_fuel.charge_call(bytes).await
    }
}

/// A sink shared by the streams of a context.
#[derive(Clone)]
pub(crate) struct Output(pub(crate) Arc<dyn LogSink>);

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
