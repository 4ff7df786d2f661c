//! `future-incoming-response` and `incoming-response` of `wasi:http/types`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use cloister_egress::{EgressError, Exchange, ResponseBody as Received, Share};
use http::Response;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::{ErrorCode, HostFutureIncomingResponse, HostIncomingResponse};
use crate::body::IncomingBody;
use crate::fields::Fields;
use crate::tasks::Task;

/// The response to a request that is under way. Dropping it ends the request.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct FutureIncomingResponse(State);

#[derive(Debug)]
enum State {
    Pending { answer: oneshot::Receiver<Arrived>, request: Alive },
    Ready(Result<Box<(Response<Received>, Alive)>, EgressError>),
    Given,
}

/// A response of which the body is still to come, or why there is none.
type Arrived = Result<Response<Received>, EgressError>;

/// What a request holds until it is over.
#[derive(Debug)]
pub(crate) struct Alive {
    exchange: Arc<Exchange>,
    _task: Task,
    _share: Share,
}

impl Alive {
    pub(crate) fn new(exchange: Arc<Exchange>, task: Task, share: Share) -> Self {
        Self { exchange, _task: task, _share: share }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.exchange.end_as_it_is();
    }
}

impl FutureIncomingResponse {
    pub(crate) fn new(answer: oneshot::Receiver<Arrived>, request: Alive) -> Self {
        Self(State::Pending { answer, request })
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Pending { answer, .. } = &mut self.0 else { return Poll::Ready(()) };
        let Poll::Ready(answer) = Pin::new(answer).poll(cx) else { return Poll::Pending };
        if let State::Pending { request, .. } = std::mem::replace(&mut self.0, State::Given) {
            // Its task ends without an answer only where the runtime ends.
            let answer = answer.unwrap_or(Err(EgressError::Internal));
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
    received: Received,
    /// None once the request is over.
    request: Option<Alive>,
}

impl ResponseBody {
    fn new(received: Received, request: Alive) -> Self {
        let request = (!received.is_over()).then_some(request);
        Self { received, request }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ErrorCode;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ErrorCode>>> {
        let frame = ready!(Pin::new(&mut self.received).poll_frame(cx));
        if self.received.is_over() {
            self.request = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(ErrorCode::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.received.size_hint()
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
            State::Ready(Err(error)) => return Ok(Some(Ok(Err(error.into())))),
            State::Given | State::Pending { .. } => return Ok(Some(Err(()))),
        };
        let (response, request) = *arrived;
        let (head, body) = response.into_parts();
        let headers = Fields::received(head.headers, &self.ctx.fields)?;
        self.fuel.charge_bytes(headers.size() as u64).await?;
        let body = IncomingBody::new(ResponseBody::new(body, request));
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
