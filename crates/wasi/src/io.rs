//! `wasi:io`: the resources are those of `wasmtime-wasi-io`; here every function is charged, every length that a guest
//! names is bounded, and what blocks goes on waiting however often a stream says too early that it is ready.

use bytes::Bytes;
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
        let text = debug_text(self.table.get(&error)?);
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
        let bytes = read_when_ready(self.table.get_mut(&stream)?, clamped(len)).await?;
        self.charge_moved(bytes.len() as u64).await?;
        Ok(bytes.into())
    }

    async fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let skipped = upstream::streams::HostInputStream::skip(self.table, stream, len.min(MAX_READ_BYTES))?;
        self.charge_moved(skipped).await?;
        Ok(skipped)
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.charge_stream(0).await?;
        let bytes = read_when_ready(self.table.get_mut(&stream)?, clamped(len)).await?;
        self.charge_moved(bytes.len() as u64).await?;
        Ok(bytes.len() as u64)
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
        write_and_flush(self.table.get_mut(&stream)?, bytes.into()).await
    }

    async fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge_stream(0).await?;
        upstream::streams::HostOutputStream::flush(self.table, stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge_stream(0).await?;
        let stream = self.table.get_mut(&stream)?;
        stream.flush()?;
        permit_when_ready(stream).await?;
        Ok(())
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
        let zeroes = usize::try_from(len).ok().and_then(|len| ZEROES.get(..len));
        let zeroes = zeroes.ok_or_else(|| StreamError::trap(BLOCKING_WRITE_TOO_LONG))?;
        write_and_flush(self.table.get_mut(&stream)?, Bytes::from_static(zeroes)).await
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
        let permit = permit_when_ready(self.table.get_mut(&to)?).await?;
        let bytes = read_when_ready(self.table.get_mut(&from)?, clamped(len).min(permit)).await?;
        let moved = bytes.len() as u64;
        if moved > 0 {
            self.table.get_mut(&to)?.write(bytes)?;
        }
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

/// Waits until there is something to read, or the end.
async fn read_when_ready(stream: &mut DynInputStream, len: usize) -> StreamResult<Bytes> {
    loop {
        stream.ready().await;
        let bytes = stream.read(len)?;
        if len == 0 || !bytes.is_empty() {
            return Ok(bytes);
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until something may be written, and what was flushed before is out.
async fn permit_when_ready(stream: &mut DynOutputStream) -> StreamResult<usize> {
    loop {
        stream.ready().await;
        match stream.check_write()? {
            0 => tokio::task::yield_now().await,
            permit => return Ok(permit),
        }
    }
}

/// A stream that closes while it is flushed has taken everything.
async fn write_and_flush(stream: &mut DynOutputStream, mut bytes: Bytes) -> StreamResult<()> {
    if bytes.len() > MAX_BLOCKING_WRITE {
        return Err(StreamError::trap(BLOCKING_WRITE_TOO_LONG));
    }
    loop {
        let permit = permit_when_ready(stream).await?;
        stream.write(bytes.split_to(bytes.len().min(permit)))?;
        if bytes.is_empty() {
            break;
        }
    }
    let flushed = match stream.flush() {
        Ok(()) => permit_when_ready(stream).await,
        Err(error) => Err(error),
    };
    match flushed {
        Ok(_) | Err(StreamError::Closed) => Ok(()),
        Err(error) => Err(error),
    }
}

fn clamped(len: u64) -> usize {
    usize::try_from(len.min(MAX_READ_BYTES)).unwrap_or(usize::MAX)
}

/// What happened and why, on one line.
fn debug_text(error: &IoError) -> String {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

/// Bytes that one read, skip or splice moves at most, whatever length the guest names.
pub const MAX_READ_BYTES: u64 = 64 << 10;
/// Pollables of one `poll`.
pub const MAX_POLLABLES_PER_POLL: usize = 4_096;
/// Asking one pollable is as dear as moving this many bytes.
const POLLABLE_PRICE: u64 = 200;
/// "Perform a write of up to 4096 bytes, and then flush the stream."
const MAX_BLOCKING_WRITE: usize = 4096;
const ZEROES: &[u8; MAX_BLOCKING_WRITE] = &[0; MAX_BLOCKING_WRITE];
const BLOCKING_WRITE_TOO_LONG: &str = "the guest wanted to write more than 4096 bytes blocking";

#[cfg(test)]
mod tests {
    use wasmtime::component::ResourceTable;
    use wasmtime_wasi_io::async_trait;
    use wasmtime_wasi_io::poll::Pollable;
    use wasmtime_wasi_io::streams::{InputStream, OutputStream};

    use super::streams::{HostInputStream as _, HostOutputStream as _};
    use super::*;
    use crate::WasiCtx;

    /// Says a hundred times that it is ready when it is not, and is closed once it has seven bytes.
    struct Hasty {
        early: u32,
        written: Vec<u8>,
    }

    #[async_trait]
    impl Pollable for Hasty {
        async fn ready(&mut self) {}
    }

    #[async_trait]
    impl InputStream for Hasty {
        fn read(&mut self, size: usize) -> StreamResult<Bytes> {
            self.early = self.early.saturating_sub(1);
            Ok(if self.early == 0 { Bytes::from(vec![1; size.min(3)]) } else { Bytes::new() })
        }
    }

    #[async_trait]
    impl OutputStream for Hasty {
        fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
            assert_eq!(self.early, 0);
            self.early = 100;
            self.written.extend_from_slice(&bytes);
            Ok(())
        }

        fn flush(&mut self) -> StreamResult<()> {
            Ok(())
        }

        fn check_write(&mut self) -> StreamResult<usize> {
            self.early = self.early.saturating_sub(1);
            match self.early {
                _ if self.written.len() == 7 => Err(StreamError::Closed),
                0 => Ok(2),
                _ => Ok(0),
            }
        }
    }

    #[tokio::test]
    async fn what_blocks_waits_however_often_a_stream_is_hasty() {
        let (mut ctx, mut table) = (WasiCtx::builder().build(), ResourceTable::new());
        let hasty = || Hasty { early: 100, written: Vec::new() };
        let input = table.push::<DynInputStream>(Box::new(hasty())).unwrap().rep();
        let output = table.push::<DynOutputStream>(Box::new(hasty())).unwrap().rep();
        let (input, output) = (|| Resource::new_borrow(input), || Resource::new_borrow(output));
        let mut view = WasiCtxView { ctx: &mut ctx, table: &mut table };
        assert_eq!(view.blocking_read(input(), 9).await.unwrap(), [1; 3]);
        assert_eq!(view.blocking_skip(input(), 2).await.unwrap(), 2);
        view.blocking_write_and_flush(output(), vec![1; 3]).await.unwrap();
        view.blocking_flush(output()).await.unwrap();
        assert_eq!(view.blocking_splice(output(), input(), 9).await.unwrap(), 2);
        view.blocking_write_and_flush(output(), vec![1; 2]).await.expect("closed by what it took");
        let closed = view.blocking_write_and_flush(output(), vec![]).await;
        assert!(matches!(closed, Err(StreamError::Closed)), "{closed:?}");
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = IoError::msg("the disk").context("the file");
        assert_eq!(debug_text(&error), "the file: the disk");
    }
}
