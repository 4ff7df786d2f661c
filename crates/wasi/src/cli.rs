//! `wasi:cli`: environment, exit, standard streams. Terminals are absent.

use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use crate::WasiCtxView;
use crate::bindings::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use crate::log::Stdio;
use crate::output::OutputPipe;

/// The guest ended its call through `wasi:cli/exit`. It is the error of the call, found with
/// [`wasmtime::Error::downcast_ref`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest exited with code {code}")]
pub struct Exit {
    /// 0 is success. `exit(err)` is 1.
    pub code: u8,
}

impl environment::Host for WasiCtxView<'_> {
    async fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let environment = self.ctx.environment.clone();
        self.charge(list_bytes(environment.iter().map(|(name, value)| name.len() + value.len()))).await?;
        Ok(environment.to_vec())
    }

    async fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        let arguments = self.ctx.arguments.clone();
        self.charge(list_bytes(arguments.iter().map(String::len))).await?;
        Ok(arguments.to_vec())
    }

    async fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        let directory = self.ctx.initial_directory.clone();
        self.charge(directory.as_ref().map_or(0, |path| path.len() as u64)).await?;
        Ok(directory.map(|path| path.as_ref().to_owned()))
    }
}

impl exit::Host for WasiCtxView<'_> {
    async fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Exit { code: status.is_err().into() }.into())
    }

    async fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(Exit { code }.into())
    }
}

impl stdin::Host for WasiCtxView<'_> {
    async fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.charge(0).await?;
        let stream: DynInputStream = Box::new(self.ctx.stdin.clone());
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for WasiCtxView<'_> {
    async fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Stdio::Stdout).await
    }
}

impl stderr::Host for WasiCtxView<'_> {
    async fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Stdio::Stderr).await
    }
}

impl WasiCtxView<'_> {
    async fn output(&mut self, stream: Stdio) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.charge(0).await?;
        let stream: DynOutputStream = Box::new(OutputPipe::new(stream, self.ctx.output(stream)));
        Ok(self.table.push(stream)?)
    }
}

/// There is none.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum TerminalInput {}

/// There is none.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum TerminalOutput {}

impl terminal_input::Host for WasiCtxView<'_> {}
impl terminal_output::Host for WasiCtxView<'_> {}

impl terminal_input::HostTerminalInput for WasiCtxView<'_> {
    async fn drop(&mut self, terminal: Resource<TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::HostTerminalOutput for WasiCtxView<'_> {
    async fn drop(&mut self, terminal: Resource<TerminalOutput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for WasiCtxView<'_> {
    async fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<TerminalInput>>> {
        self.charge(0).await?;
        Ok(None)
    }
}

impl terminal_stdout::Host for WasiCtxView<'_> {
    async fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.charge(0).await?;
        Ok(None)
    }
}

impl terminal_stderr::Host for WasiCtxView<'_> {
    async fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.charge(0).await?;
        Ok(None)
    }
}

/// Bytes that a list of strings takes in the guest, its pointers included.
pub(crate) fn list_bytes(items: impl Iterator<Item = usize>) -> u64 {
    items.fold(0u64, |sum, len| sum.saturating_add(len as u64).saturating_add(LIST_ITEM_BYTES))
}

/// Two strings' pointers and lengths.
const LIST_ITEM_BYTES: u64 = 16;
