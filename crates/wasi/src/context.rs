use std::sync::Arc;

use wasmtime::component::ResourceTable;

use crate::filesystem::Preopen;
use crate::input::{Input, Stdin};
use crate::log::LogSink;
use crate::output::{Output, OutputSender};
use crate::storage::Storage;
use crate::{HostFuel, Stdio};

/// What one call of a guest sees through WASI: arguments, environment, configuration, standard streams, directories, and
/// what it keeps. There is no terminal.
#[derive(Debug)]
pub struct WasiCtx {
    pub(crate) arguments: Arc<[String]>,
    pub(crate) environment: Arc<[(String, String)]>,
    pub(crate) config: Arc<[(String, String)]>,
    pub(crate) initial_directory: Option<Arc<str>>,
    pub(crate) stdin: Stdin,
    pub(crate) stdio: Output,
    pub(crate) log: Output,
    pub(crate) storage: Option<Storage>,
    pub(crate) preopens: Arc<[Preopen]>,
    pub(crate) host_fuel: HostFuel,
}

impl WasiCtx {
    /// Starts from no arguments, an empty environment and configuration, no working directory, an empty standard input,
    /// discarded output and no storage.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder {
            arguments: Arc::default(),
            environment: Arc::default(),
            config: Arc::default(),
            initial_directory: None,
            stdin: Input::Empty,
            stdio: Output::Discarded,
            log: Output::Discarded,
            storage: None,
            preopens: Arc::default(),
        }
    }

    /// The meter of host functions, for host functions of other crates to charge.
    pub fn host_fuel(&mut self) -> &mut HostFuel {
        &mut self.host_fuel
    }

    /// Where a standard stream goes.
    pub(crate) fn output(&self, stream: Stdio) -> Output {
        match (&self.stdio, stream) {
            (Output::Discarded, Stdio::Stdout | Stdio::Stderr) => self.log.clone(),
            (stdio, Stdio::Stdout | Stdio::Stderr) => stdio.clone(),
        }
    }
}

/// Settings of a [`WasiCtx`]. A clone costs a few reference counts: keep one per app, build one context per call.
#[derive(Clone, Debug)]
pub struct WasiCtxBuilder {
    arguments: Arc<[String]>,
    environment: Arc<[(String, String)]>,
    config: Arc<[(String, String)]>,
    initial_directory: Option<Arc<str>>,
    stdin: Input,
    stdio: Output,
    log: Output,
    storage: Option<Storage>,
    preopens: Arc<[Preopen]>,
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

    /// What `wasi:config/store` gives, as key and value, in this order. Of two equal keys the first counts.
    #[must_use]
    pub fn config(self, config: impl Into<Arc<[(String, String)]>>) -> Self {
        Self { config: config.into(), ..self }
    }

    /// The path that the guest's relative paths start from, as the guest sees it.
    #[must_use]
    pub fn initial_directory(self, initial_directory: Option<Arc<str>>) -> Self {
        Self { initial_directory, ..self }
    }

    /// What the guest reads from standard input.
    #[must_use]
    pub fn stdin(self, stdin: impl Into<Input>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    /// The app's log. It takes standard output and error, where [`stdio`](Self::stdio) does not, and the lines of
    /// `wasi:logging` as standard error.
    #[must_use]
    pub fn output(self, log: Arc<dyn LogSink>) -> Self {
        Self { log: Output::Log(log), ..self }
    }

    /// Takes standard output and error instead of the app's log.
    #[must_use]
    pub fn stdio(self, sender: OutputSender) -> Self {
        Self { stdio: Output::Channel(sender), ..self }
    }

    /// What the guest keeps between calls. Without it nothing can be written and no bucket can be opened.
    #[must_use]
    pub fn storage(self, storage: Option<Storage>) -> Self {
        Self { storage, ..self }
    }

    /// The directories that are open when the guest starts. Where there is none, it is the root of [`Storage`]'s
    /// filesystem, as `/`.
    #[must_use]
    pub fn preopens(self, preopens: Arc<[Preopen]>) -> Self {
        Self { preopens, ..self }
    }

    /// A context for one store.
    pub fn build(self) -> WasiCtx {
        WasiCtx {
            arguments: self.arguments,
            environment: self.environment,
            config: self.config,
            initial_directory: self.initial_directory,
            stdin: Stdin::new(self.stdin),
            stdio: self.stdio,
            log: self.log,
            storage: self.storage,
            preopens: self.preopens,
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
