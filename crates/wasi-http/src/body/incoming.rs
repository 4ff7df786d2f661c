//! `incoming-body` and `future-trailers` of `wasi:http/types`.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Body;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, InputStream, StreamError, StreamResult};

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::{ErrorCode, HostFutureTrailers, HostIncomingBody};
use crate::fields::Fields;

/// A body that a guest reads: pulled from the connection only as the guest asks for it.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct IncomingBody {
    reader: Arc<Mutex<Reader>>,
    streamed: bool,
}

impl IncomingBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = ErrorCode> + Send + 'static,
    {
        let reader = Reader { body: body.boxed_unsync(), buffer: Bytes::new(), end: None, drained: 0 };
        Self { reader: Arc::new(Mutex::new(reader)), streamed: false }
    }
}

/// The body, and how far it is read. Its stream and its future of trailers are never alive at the same time.
struct Reader {
    body: UnsyncBoxBody<Bytes, ErrorCode>,
    /// Received, and not read by the guest yet.
    buffer: Bytes,
    end: Option<Result<Option<HeaderMap>, ErrorCode>>,
    /// Bytes thrown away on the way to the trailers, and not charged yet.
    drained: u64,
}

impl Reader {
    /// Ends when there is something in the buffer, or there will be no more.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.buffer.is_empty() && self.end.is_none() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.end = Some(Ok(None)),
                Some(Err(error)) => self.end = Some(Err(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.buffer = bytes,
                    Err(frame) => self.end = frame.into_trailers().ok().map(|trailers| Ok(Some(trailers))),
                },
            }
        }
        Poll::Ready(())
    }

    /// Ends when all of the body was received.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() {
            self.buffer = Bytes::new();
            ready!(self.poll_fill(cx));
            self.drained += self.buffer.len() as u64;
        }
        self.buffer = Bytes::new();
        Poll::Ready(())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("end", &self.end).finish_non_exhaustive()
    }
}

/// The stream of an [`IncomingBody`].
#[derive(Debug)]
struct BodyReader {
    reader: Arc<Mutex<Reader>>,
    /// The error of the body was told once: from then on the stream is closed.
    failed: bool,
}

#[async_trait]
impl Pollable for BodyReader {
    async fn ready(&mut self) {
        poll_fn(|cx| lock(&self.reader).poll_fill(cx)).await;
    }
}

#[async_trait]
impl InputStream for BodyReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut reader = lock(&self.reader);
        let _ = reader.poll_fill(&mut Context::from_waker(Waker::noop()));
        if !reader.buffer.is_empty() {
            let length = size.min(reader.buffer.len());
            return Ok(reader.buffer.split_to(length));
        }
        match &reader.end {
            None => Ok(Bytes::new()),
            Some(Err(error)) if !self.failed => {
                self.failed = true;
                Err(StreamError::LastOperationFailed(error.clone().into()))
            }
            Some(_) => Err(StreamError::Closed),
        }
    }
}

/// What follows a body.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct FutureTrailers {
    reader: Arc<Mutex<Reader>>,
    given: bool,
}

#[async_trait]
impl Pollable for FutureTrailers {
    async fn ready(&mut self) {
        if !self.given {
            poll_fn(|cx| lock(&self.reader).poll_end(cx)).await;
        }
    }
}

impl HostIncomingBody for HttpCtxView<'_> {
    async fn stream(
        &mut self,
        body: Resource<IncomingBody>,
    ) -> wasmtime::Result<Result<Resource<DynInputStream>, ()>> {
        self.charge(0).await?;
        let IncomingBody { reader, streamed } = self.table.get_mut(&body)?;
        if std::mem::replace(streamed, true) {
            return Ok(Err(()));
        }
        let stream = BodyReader { reader: Arc::clone(reader), failed: false };
        Ok(Ok(self.table.push_child(Box::new(stream) as DynInputStream, &body)?))
    }

    async fn finish(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<Resource<FutureTrailers>> {
        self.charge(0).await?;
        let body = self.table.delete(body)?;
        Ok(self.table.push(FutureTrailers { reader: body.reader, given: false })?)
    }

    async fn drop(&mut self, body: Resource<IncomingBody>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        Ok(())
    }
}

/// The trailers of a body, or that it has none, or why nobody knows.
type Trailers = Result<Option<Resource<Fields>>, ErrorCode>;

impl HostFutureTrailers for HttpCtxView<'_> {
    async fn subscribe(
        &mut self,
        future: Resource<FutureTrailers>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, future)
    }

    async fn get(
        &mut self,
        future: Resource<FutureTrailers>,
    ) -> wasmtime::Result<Option<Result<Trailers, ()>>> {
        self.charge(0).await?;
        let FutureTrailers { reader, given } = self.table.get_mut(&future)?;
        if *given {
            return Ok(Some(Err(())));
        }
        let (end, drained) = {
            let mut reader = lock(reader);
            let _ = reader.poll_end(&mut Context::from_waker(Waker::noop()));
            (reader.end.clone(), std::mem::take(&mut reader.drained))
        };
        *given = end.is_some();
        self.fuel.charge_bytes(drained).await?;
        let trailers = match end {
            None => return Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) => Ok(None),
            Some(Ok(Some(trailers))) => {
                let trailers = Fields::received(trailers, &self.ctx.fields)?;
                Ok(Some(self.push_headers(trailers, &future)?))
            }
        };
        Ok(Some(Ok(trailers)))
    }

    async fn drop(&mut self, future: Resource<FutureTrailers>) -> wasmtime::Result<()> {
        self.table.delete(future)?;
        Ok(())
    }
}

fn lock(reader: &Mutex<Reader>) -> MutexGuard<'_, Reader> {
    reader.lock().unwrap_or_else(PoisonError::into_inner)
}
