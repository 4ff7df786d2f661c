use crate::execution::{Clock, Sure};
use crate::failure::{CallFailure, FailureReason};
use crate::guest::Guest;
use crate::limits::ResultRoom;
use crate::program::Program;
use crate::{Context, Usage};
use bytes::Bytes;
use cloister_wasi::WasiCtx;
use cloister_wasi_http::{
    ErrorCode, GuestBody, HandlerParameters, HttpView, Scheme, push_incoming_request, push_response_outparam,
};
use std::error::Error;
use std::fmt;
use tokio::sync::oneshot;
use wasmtime::Store;

/// One HTTP request for a guest that serves them.
pub struct Handle<'a, B> {
    /// Its URI's path and query are what the guest sees.
    pub request: http::Request<B>,
    /// The host name that the client asked for, and its port where it named one.
    pub authority: String,
    /// Takes the head of the answer as soon as the guest has set it. It is dropped where the guest ends without one.
    pub answer: oneshot::Sender<Answer>,
    pub context: Context<'a>,
}

/// What the guest answered: a response whose body comes as the guest writes it, or why there is none.
pub type Answer = Result<http::Response<GuestBody>, ErrorCode>;

impl<B> fmt::Debug for Handle<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("context", &self.context).finish_non_exhaustive()
    }
}

impl Program {
    /// Whether the component exports `wasi:http/incoming-handler@0.2`.
    pub fn handles_http(&self) -> bool {
        self.parts.exports.handler.is_some()
    }

    /// Lets the guest answer a request, in a fresh store and instance. Resolves when the guest has ended, which may be long
    /// after it set the answer: it is to be polled for as long as the answer's body is read. Dropping it ends the guest.
    ///
    /// # Errors
    ///
    /// Every way in which the guest or the enclave can end it. An answer that the guest has begun breaks off then.
    pub async fn handle<B>(&self, handle: Handle<'_, B>) -> Result<Usage, CallFailure>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Handle { request, authority, answer, context } = handle;
        let limits = context.limits;
        let clock = Clock::start(limits);
        let handler = self.parts.exports.handler.ok_or_else(|| {
            let name = cloister_wasi_http::HANDLER.to_owned();
            clock.failed(FailureReason::UnknownExport { name, suggestions: Vec::new() })
        })?;
        let sure = Sure { bytes: BODIES, result: ResultRoom::NOTHING };
        let claim = self.claim(&context, sure, &clock).await.map_err(|reason| clock.failed(reason))?;
        let store = self.store(context, WasiCtx::builder(), claim, sure.result);
        let mut store = store.map_err(|_| clock.failed(FailureReason::Internal))?;
        let serving = async |store: &mut Store<Guest>| {
            let request = push_incoming_request(store.data_mut().http(), request, Scheme::Https, authority)?;
            let answer = push_response_outparam(store.data_mut().http(), answer)?;
            let instance = self.parts.pre.instantiate_async(&mut *store).await?;
            let handler = instance.get_typed_func::<HandlerParameters, ()>(&mut *store, handler)?;
            handler.call_async(&mut *store, (request, answer)).await
        };
        let ended = clock.run(serving(&mut store)).await;
        match ended.settle(&store, limits, &clock) {
            Ok(((), fuel)) => Ok(Usage { fuel, wall: clock.elapsed() }),
            // It said all that it wanted to say.
            Err(CallFailure { reason: FailureReason::Exited { code: 0 }, fuel, wall, .. }) => {
                Ok(Usage { fuel, wall })
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Bytes of both bodies that wait to be read, while a guest waits. One that writes faster than its client reads can hold
/// [`BODY_BUFFER_BYTES`](cloister_wasi_http::BODY_BUFFER_BYTES).
const BODIES: usize = 128 << 10;
