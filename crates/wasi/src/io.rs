//! `wasi:io`: the resources and their behaviour are those of `wasmtime-wasi-io`; here every function is charged and
//! every length that a guest names is bounded.

use wasmtime::component::Resource;
use wasmtime_wasi_io::bindings::wasi::io as upstream;
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{
    DynInputStream, DynOutputStream, Error as IoError, StreamError, StreamResult,
};

use crate::bindings::wasi::io::{error, poll, streams};
use crate::{Error, WasiCtxView};

impl error::Host for WasiCtxView<'_> {}

impl error::HostError for WasiCtxView<'_> {
    async fn to_debug_string(&mut self, error: Resource<IoError>) -> wasmtime::Result<String> {
        self.charge(0).await?;
        let text = upstream::error::HostError::to_debug_string(self.table, error)?;
        self.ctx.host_fuel.charge_bytes(text.len() as u64).await?;
        Ok(text)
    }

    async fn drop(&mut self, error: Resource<IoError>) -> wasmtime::Result<()> {
        upstream::error::HostError::drop(self.table, error)
    }
}

impl poll::Host for WasiCtxView<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        match pollables.len() {
            0 => return Err(Error::EmptyPoll.into()),
            asked if asked > MAX_POLLABLES_PER_POLL => return Err(Error::TooManyPollables { asked }.into()),
            asked => self.charge(POLLABLE_PRICE.saturating_mul(asked as u64)).await?,
        }
        upstream::poll::Host::poll(self.table, pollables).await
    }
}

impl poll::HostPollable for WasiCtxView<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.charge(POLLABLE_PRICE).await?;
        upstream::poll::HostPollable::ready(self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.charge(POLLABLE_PRICE).await?;
        upstream::poll::HostPollable::block(self.table, pollable).await
    }

    async fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        upstream::poll::HostPollable::drop(self.table, pollable)
    }
}

impl streams::Host for WasiCtxView<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) => {
                Ok(streams::StreamError::LastOperationFailed(self.table.push(error)?))
            }
            StreamError::Trap(error) => Err(error),
        }
    }
}

impl streams::HostInputStream for WasiCtxView<'_> {
    async fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.charge_stream(0).await?;
        let bytes = upstream::streams::HostInputStream::read(self.table, stream, len.min(MAX_READ_BYTES))?;
        self.charge_moved(bytes.len() as u64).await?;
        Ok(bytes)
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        self.charge_stream(0).await?;
        let len = len.min(MAX_READ_BYTES);
        let bytes = upstream::streams::HostInputStream::blocking_read(self.table, stream, len).await?;
        self.charge_moved(bytes.len() as u64).await?;
        Ok(bytes)
    }

    async fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let skipped = upstream::streams::HostInputStream::skip(self.table, stream, len.min(MAX_READ_BYTES))?;
        self.charge_moved(skipped).await?;
        Ok(skipped)
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let len = len.min(MAX_READ_BYTES);
        let skipped = upstream::streams::HostInputStream::blocking_skip(self.table, stream, len).await?;
        self.charge_moved(skipped).await?;
        Ok(skipped)
    }

    async fn subscribe(
        &mut self,
        stream: Resource<DynInputStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.ctx.host_fuel.charge_call(0).await?;
        upstream::streams::HostInputStream::subscribe(self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        upstream::streams::HostInputStream::drop(self.table, stream).await
    }
}

impl streams::HostOutputStream for WasiCtxView<'_> {
    async fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        upstream::streams::HostOutputStream::check_write(self.table, stream)
    }

    async fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.charge_stream(bytes.len() as u64).await?;
        upstream::streams::HostOutputStream::write(self.table, stream, bytes)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.charge_stream(bytes.len() as u64).await?;
        upstream::streams::HostOutputStream::blocking_write_and_flush(self.table, stream, bytes).await
    }

    async fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge_stream(0).await?;
        upstream::streams::HostOutputStream::flush(self.table, stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge_stream(0).await?;
        upstream::streams::HostOutputStream::blocking_flush(self.table, stream).await
    }

    async fn subscribe(
        &mut self,
        stream: Resource<DynOutputStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.ctx.host_fuel.charge_call(0).await?;
        upstream::streams::HostOutputStream::subscribe(self.table, stream)
    }

    async fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.charge_stream(len).await?;
        upstream::streams::HostOutputStream::write_zeroes(self.table, stream, len)
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        self.charge_stream(len).await?;
        upstream::streams::HostOutputStream::blocking_write_zeroes_and_flush(self.table, stream, len).await
    }

    async fn splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let moved =
            upstream::streams::HostOutputStream::splice(self.table, to, from, len.min(MAX_READ_BYTES))?;
        self.charge_moved(moved).await?;
        Ok(moved)
    }

    async fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let len = len.min(MAX_READ_BYTES);
        let moved = upstream::streams::HostOutputStream::blocking_splice(self.table, to, from, len).await?;
        self.charge_moved(moved).await?;
        Ok(moved)
    }

    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        upstream::streams::HostOutputStream::drop(self.table, stream).await
    }
}

impl WasiCtxView<'_> {
    /// Charges a stream's function and the bytes that it is known to move.
    async fn charge_stream(&mut self, bytes: u64) -> StreamResult<()> {
        self.ctx.host_fuel.charge_call(bytes).await.map_err(StreamError::Trap)
    }

    /// Charges bytes of which the number is known only after they moved: [`MAX_READ_BYTES`] at most.
    async fn charge_moved(&mut self, bytes: u64) -> StreamResult<()> {
        self.ctx.host_fuel.charge_bytes(bytes).await.map_err(StreamError::Trap)
    }
}

/// Bytes that one read, skip or splice moves at most, whatever length the guest names.
pub const MAX_READ_BYTES: u64 = 64 << 10;
/// Pollables of one `poll`.
pub const MAX_POLLABLES_PER_POLL: usize = 4_096;
/// Asking one pollable is as dear as moving this many bytes.
const POLLABLE_PRICE: u64 = 200;
