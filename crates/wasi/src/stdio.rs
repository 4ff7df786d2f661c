//! The standard streams of a guest, as streams of `wasi:io`.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::context::Output;
use crate::log::Stdio;

/// Standard input: bytes known beforehand. Clones read from the same position.
#[derive(Clone, Debug)]
pub(crate) struct Stdin(Arc<Mutex<Bytes>>);

impl Stdin {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }
}

#[async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {}
}

#[async_trait]
impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.is_empty() {
            return Err(StreamError::Closed);
        }
        let len = size.min(rest.len());
        Ok(rest.split_to(len))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.read(size)
    }
}

/// Standard output or error. It is always ready: its sink takes everything.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    stream: Stdio,
    output: Output,
}

impl OutputPipe {
    pub(crate) fn new(stream: Stdio, output: Output) -> Self {
        Self { stream, output }
    }
}

#[async_trait]
impl Pollable for OutputPipe {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for OutputPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_PERMIT {
            return Err(StreamError::trap("the guest wrote more than check-write allowed"));
        }
        self.output.0.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_PERMIT)
    }
}

/// Bytes that a guest may write at once.
const WRITE_PERMIT: usize = 64 << 10;
