//! `outgoing-body` of `wasi:http/types`.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use cloister_egress::{Budget, Share};
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynOutputStream, OutputStream, StreamError, StreamResult};

use super::pipe::{GuestBody, Pipe, Refused};
use crate::bindings::wasi::http::types::{ErrorCode, HostOutgoingBody};
use crate::error::Failure;
use crate::fields::Fields;
use crate::{Error, HttpCtxView};

/// A body that a guest writes.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OutgoingBody {
    message: Message,
    pipe: Arc<Pipe>,
    stream: Given,
    _share: Share,
}

/// What a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Request,
    Response,
}

/// Whether the guest has what it gets once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    No,
    Yes,
}

/// Both ends of the body of a message with these headers.
pub(crate) fn new_body(
    message: Message,
    headers: &Fields,
    budget: &Budget,
) -> Result<(OutgoingBody, GuestBody), Error> {
    let share = budget.take(1).ok_or(Error::TooManyBodies)?;
    let pipe = Arc::new(Pipe::new(headers.content_length()));
    let body = OutgoingBody { message, pipe: Arc::clone(&pipe), stream: Given::No, _share: share };
    Ok((body, GuestBody::of(pipe)))
}

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        self.pipe.abandon();
    }
}

impl Message {
    /// The error of a body of this many bytes, which is not what the headers say.
    fn wrong_size(self, written: u64) -> ErrorCode {
        match self {
            Self::Request => ErrorCode::HttpRequestBodySize(Some(written)),
            Self::Response => ErrorCode::HttpResponseBodySize(Some(written)),
        }
    }
}

/// The stream of an [`OutgoingBody`].
#[derive(Debug)]
struct BodyWriter {
    message: Message,
    pipe: Arc<Pipe>,
}

#[async_trait]
impl Pollable for BodyWriter {
    async fn ready(&mut self) {
        poll_fn(|cx| self.pipe.poll_room(cx)).await;
    }
}

#[async_trait]
impl OutputStream for BodyWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.pipe.write(bytes).map_err(|refused| self.stream_error(refused))
    }

    /// What is written is on its way already.
    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.pipe.room().map_err(|refused| self.stream_error(refused))
    }
}

impl BodyWriter {
    fn stream_error(&self, refused: Refused) -> StreamError {
        match refused {
            Refused::Closed => StreamError::Closed,
            Refused::NoRoom => StreamError::trap("the guest wrote more than check-write allowed"),
            Refused::TooLong(written) => {
                StreamError::LastOperationFailed(self.message.wrong_size(written).into())
            }
        }
    }
}

impl HostOutgoingBody for HttpCtxView<'_> {
    async fn write(
        &mut self,
        body: Resource<OutgoingBody>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        self.charge(0).await?;
        let OutgoingBody { message, pipe, stream, .. } = self.table.get_mut(&body)?;
        if std::mem::replace(stream, Given::Yes) == Given::Yes {
            return Ok(Err(()));
        }
        let writer = BodyWriter { message: *message, pipe: Arc::clone(pipe) };
        Ok(Ok(self.table.push_child(Box::new(writer) as DynOutputStream, &body)?))
    }

    async fn finish(
        &mut self,
        body: Resource<OutgoingBody>,
        trailers: Option<Resource<Fields>>,
    ) -> Result<(), Failure> {
        self.charge(0).await?;
        let body = self.table.delete(body)?;
        let trailers = trailers.map(|trailers| self.table.delete(trailers)).transpose()?;
        if let Some(trailers) = &trailers {
            self.fuel.charge_bytes(trailers.size() as u64).await?;
        }
        let trailers = trailers.map(Fields::into_map).filter(|trailers| !trailers.is_empty());
        body.pipe.finish(trailers).map_err(|written| body.message.wrong_size(written).into())
    }

    async fn drop(&mut self, body: Resource<OutgoingBody>) -> wasmtime::Result<()> {
        self.table.delete(body)?;
        Ok(())
    }
}
