//! `future-incoming-response` and `incoming-response` of `wasi:http/types`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use crate::bindings::wasi::http::types::{ErrorCode, HostFutureIncomingResponse, HostIncomingResponse};
use crate::body::IncomingBody;
use crate::budget::Share;
use crate::connection::Lane;
use crate::exchange::Exchange;
use crate::failure;
use crate::fields::Fields;
use crate::tasks::Tasks;
use crate::{EgressOutcome, HttpCtxView};

/// The response to a request that is under way. Dropping it ends the request.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct FutureIncomingResponse(State);

#[derive(Debug)]
enum State {
    Pending { answer: oneshot::Receiver<Result<Arrived, ErrorCode>>, request: Alive },
    Ready(Result<Box<(Arrived, Alive)>, ErrorCode>),
    Given,
}

/// A response of which the body is still to come.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    pub(crate) between_bytes: Duration,
    pub(crate) lane: Lane,
}

/// What a request holds until it is over.
#[derive(Debug)]
pub(crate) struct Alive {
    exchange: Arc<Exchange>,
    _tasks: Tasks,
    _share: Share,
}

impl Alive {
    pub(crate) fn new(exchange: Arc<Exchange>, tasks: Tasks, share: Share) -> Self {
        Self { exchange, _tasks: tasks, _share: share }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.exchange.end_as_it_is();
    }
}

impl FutureIncomingResponse {
    pub(crate) fn new(answer: oneshot::Receiver<Result<Arrived, ErrorCode>>, request: Alive) -> Self {
        Self(State::Pending { answer, request })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Pending { answer, .. } = &mut self.0 else { return Poll::Ready(()) };
        let Poll::Ready(answer) = Pin::new(answer).poll(cx) else { return Poll::Pending };
        if let State::Pending { request, .. } = std::mem::replace(&mut self.0, State::Given) {
            // Its task ends without an answer only where the runtime ends.
            let answer = answer.unwrap_or(Err(ErrorCode::InternalError(None)));
            self.0 = State::Ready(answer.map(|arrived| Box::new((arrived, request))));
        }
        Poll::Ready(())
    }
}

#[async_trait]
impl Pollable for FutureIncomingResponse {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }
}

/// A response that a guest received.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct IncomingResponse {
    status: u16,
    headers: Fields,
    body: Option<IncomingBody>,
}

/// The body of a response. It holds the request, and lets go of it at its end.
#[derive(Debug)]
struct ResponseBody {
    incoming: Incoming,
    exchange: Arc<Exchange>,
    /// None once the request is over.
    connection: Option<(Alive, Lane)>,
    between_bytes: Duration,
    /// Runs while the guest waits for bytes.
    silence: Option<Silence>,
    /// There is no more to come.
    ended: bool,
}

#[derive(Debug)]
struct Silence {
    timer: Pin<Box<Sleep>>,
    /// Bytes of the request that were sent when it began.
    sent: u64,
}

impl ResponseBody {
    fn new(incoming: Incoming, between_bytes: Duration, request: Alive, lane: Lane) -> Self {
        let exchange = Arc::clone(&request.exchange);
        let connection = Some((request, lane));
        let mut body = Self { incoming, exchange, connection, between_bytes, silence: None, ended: false };
        if body.incoming.is_end_stream() {
            body.end(None);
        }
        body
    }

    fn end(&mut self, error: Option<&ErrorCode>) {
        self.silence = None;
        self.ended = true;
        match error {
            Some(error) => self.exchange.end(EgressOutcome::Failed(failure::name(error))),
            None => self.exchange.end_as_it_is(),
        }
        // A server may answer before it has read the whole request. The guest then goes on writing.
        if error.is_some() || self.exchange.upload_ended() {
            self.connection = None;
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let sent = self.exchange.sent();
            let limit = self.between_bytes;
            let silence = self
                .silence
                .get_or_insert_with(|| Silence { timer: Box::pin(tokio::time::sleep(limit)), sent });
            std::task::ready!(silence.timer.as_mut().poll(cx));
            let began_at = silence.sent;
            self.silence = None;
            if !self.exchange.excuses_silence(began_at) {
                return Poll::Ready(());
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let body = &mut *self;
        if body.ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut body.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                body.silence = None;
                body.exchange.add_received(frame.data_ref().map_or(0, Bytes::len));
                if frame.is_trailers() || body.incoming.is_end_stream() {
                    body.end(None);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let upload = body.exchange.upload_error().map(failure::of_upload);
                let error = upload.unwrap_or_else(|| failure::of_response_body(&error));
                body.end(Some(&error));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                body.end(None);
                Poll::Ready(None)
            }
            Poll::Pending => {
                std::task::ready!(body.poll_silence(cx));
                let error = ErrorCode::ConnectionReadTimeout;
                body.end(Some(&error));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl HostFutureIncomingResponse for HttpCtxView<'_> {
    async fn subscribe(
        &mut self,
        future: Resource<FutureIncomingResponse>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, future)
    }

    async fn get(
        &mut self,
        future: Resource<FutureIncomingResponse>,
    ) -> wasmtime::Result<Option<Result<Result<Resource<IncomingResponse>, ErrorCode>, ()>>> {
        self.charge(0).await?;
        let future = self.table.get_mut(&future)?;
        if future.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending() {
            return Ok(None);
        }
        let arrived = match std::mem::replace(&mut future.0, State::Given) {
            State::Ready(Ok(arrived)) => arrived,
            State::Ready(Err(error)) => return Ok(Some(Ok(Err(error)))),
            State::Given | State::Pending { .. } => return Ok(Some(Err(()))),
        };
        let (Arrived { head, body, between_bytes, lane }, request) = *arrived;
        let headers = Fields::received(head.headers, &self.ctx.fields)?;
        self.fuel.charge_bytes(headers.size() as u64).await?;
        let body = IncomingBody::new(ResponseBody::new(body, between_bytes, request, lane));
        let response = IncomingResponse { status: head.status.as_u16(), headers, body: Some(body) };
        Ok(Some(Ok(Ok(self.table.push(response)?))))
    }

    async fn drop(&mut self, future: Resource<FutureIncomingResponse>) -> wasmtime::Result<()> {
        self.table.delete(future)?;
        Ok(())
    }
}

impl HostIncomingResponse for HttpCtxView<'_> {
    async fn status(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<u16> {
        self.charge(0).await?;
        Ok(self.table.get(&response)?.status)
    }

    async fn headers(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        let headers = self.table.get(&response)?.headers.clone();
        Ok(self.push_headers(headers, &response)?)
    }

    async fn consume(
        &mut self,
        response: Resource<IncomingResponse>,
    ) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        self.charge(0).await?;
        match self.table.get_mut(&response)?.body.take() {
            Some(body) => Ok(Ok(self.table.push(body)?)),
            None => Ok(Err(())),
        }
    }

    async fn drop(&mut self, response: Resource<IncomingResponse>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}
