//! One call of a guest, and what it does in several steps.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloister_api::NetworkPolicy;
use cloister_wasi::HostFuel;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError};

use crate::bindings::wasi::http::outgoing_handler::Host as _;
use crate::bindings::wasi::http::types::{self, ErrorCode, Method, Scheme};
use crate::body::{IncomingBody, OutgoingBody};
use crate::error::Failure;
use crate::fields::Fields;
use crate::options::RequestOptions;
use crate::outgoing::OutgoingRequest;
use crate::response::{FutureIncomingResponse, IncomingResponse};
use crate::{Client, EgressLog, EgressRequest, HttpCtx, HttpCtxView, HttpSettings, Roots};

/// The state of a store.
pub(super) struct Call {
    pub(super) ctx: HttpCtx,
    pub(super) fuel: HostFuel,
    pub(super) table: ResourceTable,
    pub(super) log: Arc<Log>,
}

#[derive(Default)]
pub(super) struct Log(Mutex<Vec<EgressRequest>>);

impl EgressLog for Log {
    fn record(&self, request: EgressRequest) {
        self.0.lock().unwrap().push(request);
    }
}

/// A request as a guest writes it down.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: &'a str,
    pub(super) path: Option<&'a str>,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) options: [Option<Duration>; 3],
}

impl<'a> Ask<'a> {
    pub(super) fn get(authority: &'a str) -> Self {
        Self {
            method: Method::Get,
            scheme: Some(Scheme::Https),
            authority,
            path: Some("/"),
            headers: &[],
            options: [None; 3],
        }
    }

    pub(super) fn post(authority: &'a str, path: &'a str) -> Self {
        Self { method: Method::Post, path: Some(path), ..Self::get(authority) }
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<Vec<(String, String)>>,
}

impl Call {
    pub(super) fn new(rules: &[&str], roots: Roots) -> Self {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let log = Arc::new(Log::default());
        let settings = HttpSettings {
            policy: Arc::new(NetworkPolicy::new(rules).unwrap()),
            client: Client::new(roots).unwrap(),
            egress: Arc::clone(&log) as _,
        };
        let table = ResourceTable::new();
        Self { ctx: HttpCtx::new(settings), fuel: HostFuel::default(), table, log }
    }

    /// Another call of the same app.
    pub(super) fn another(&self) -> Self {
        let log = Arc::clone(&self.log);
        let ctx = HttpCtx::new(self.ctx.settings.clone());
        Self { ctx, fuel: HostFuel::default(), table: ResourceTable::new(), log }
    }

    /// A call that may send nothing.
    pub(super) fn offline() -> Self {
        Self::new(&[], Roots::These(Vec::new()))
    }

    pub(super) fn view(&mut self) -> HttpCtxView<'_> {
        HttpCtxView { ctx: &mut self.ctx, fuel: &mut self.fuel, table: &mut self.table }
    }

    pub(super) fn logged(&self) -> Vec<EgressRequest> {
        self.log.0.lock().unwrap().clone()
    }

    /// What the log has once there is something.
    pub(super) async fn one_logged(&self) -> EgressRequest {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.logged().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let logged = self.logged();
        assert_eq!(logged.len(), 1, "{logged:?}");
        logged.into_iter().next().unwrap()
    }

    pub(super) async fn fields(&mut self, entries: &[(&str, &str)]) -> Resource<Fields> {
        let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        types::HostFields::from_list(&mut self.view(), entries.collect()).await.unwrap()
    }

    pub(super) async fn entries(&mut self, fields: Resource<Fields>) -> Vec<(String, String)> {
        let entries = types::HostFields::entries(&mut self.view(), again(&fields)).await.unwrap();
        types::HostFields::drop(&mut self.view(), fields).await.unwrap();
        entries.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    pub(super) async fn request(&mut self, ask: &Ask<'_>) -> Resource<OutgoingRequest> {
        use types::HostOutgoingRequest as Host;
        let headers = self.fields(ask.headers).await;
        let mut view = self.view();
        let request = Host::new(&mut view, headers).await.unwrap();
        let it = || again(&request);
        Host::set_method(&mut view, it(), ask.method.clone()).await.unwrap().unwrap();
        Host::set_scheme(&mut view, it(), ask.scheme.clone()).await.unwrap().unwrap();
        Host::set_authority(&mut view, it(), Some(ask.authority.to_owned())).await.unwrap().unwrap();
        Host::set_path_with_query(&mut view, it(), ask.path.map(str::to_owned)).await.unwrap().unwrap();
        request
    }

    pub(super) async fn options(&mut self, timeouts: [Option<Duration>; 3]) -> Resource<RequestOptions> {
        use types::HostRequestOptions as Host;
        let [connect, first, between] = timeouts.map(|limit| limit.map(|limit| limit.as_nanos() as u64));
        let mut view = self.view();
        let options = Host::new(&mut view).await.unwrap();
        Host::set_connect_timeout(&mut view, again(&options), connect).await.unwrap().unwrap();
        Host::set_first_byte_timeout(&mut view, again(&options), first).await.unwrap().unwrap();
        Host::set_between_bytes_timeout(&mut view, again(&options), between).await.unwrap().unwrap();
        options
    }

    pub(super) async fn handle(
        &mut self,
        request: Resource<OutgoingRequest>,
        timeouts: [Option<Duration>; 3],
    ) -> Result<Resource<FutureIncomingResponse>, ErrorCode> {
        let options = self.options(timeouts).await;
        self.view().handle(request, Some(options)).await.map_err(code)
    }

    /// Sends a request without a body.
    pub(super) async fn send(
        &mut self,
        ask: &Ask<'_>,
    ) -> Result<Resource<FutureIncomingResponse>, ErrorCode> {
        let request = self.request(ask).await;
        self.handle(request, ask.options).await
    }

    /// Sends a request with a body that is still to be written.
    pub(super) async fn send_open(
        &mut self,
        ask: &Ask<'_>,
    ) -> (Resource<FutureIncomingResponse>, Resource<OutgoingBody>) {
        let request = self.request(ask).await;
        let body = types::HostOutgoingRequest::body(&mut self.view(), again(&request)).await;
        let body = body.unwrap().unwrap();
        (self.handle(request, ask.options).await.unwrap(), body)
    }

    pub(super) async fn stream_to(&mut self, body: &Resource<OutgoingBody>) -> Resource<DynOutputStream> {
        types::HostOutgoingBody::write(&mut self.view(), again(body)).await.unwrap().unwrap()
    }

    /// Writes all of it, waiting where there is no room.
    pub(super) async fn write(
        &mut self,
        stream: &Resource<DynOutputStream>,
        mut bytes: Bytes,
    ) -> Result<(), StreamError> {
        let stream = self.table.get_mut(stream).unwrap();
        while !bytes.is_empty() {
            let room = stream.write_ready().await?;
            stream.write(bytes.split_to(room.min(bytes.len())))?;
        }
        Ok(())
    }

    /// Writes a body whole and finishes it.
    pub(super) async fn write_body(
        &mut self,
        body: Resource<OutgoingBody>,
        bytes: &[u8],
        trailers: Option<&[(&str, &str)]>,
    ) -> Result<(), ErrorCode> {
        let stream = self.stream_to(&body).await;
        self.write(&stream, Bytes::copy_from_slice(bytes)).await.unwrap();
        self.table.delete(stream).unwrap();
        self.finish(body, trailers).await
    }

    pub(super) async fn finish(
        &mut self,
        body: Resource<OutgoingBody>,
        trailers: Option<&[(&str, &str)]>,
    ) -> Result<(), ErrorCode> {
        let trailers = match trailers {
            Some(trailers) => Some(self.fields(trailers).await),
            None => None,
        };
        types::HostOutgoingBody::finish(&mut self.view(), body, trailers).await.map_err(code)
    }

    /// Waits for the head of a response.
    pub(super) async fn response(
        &mut self,
        future: &Resource<FutureIncomingResponse>,
    ) -> Result<Resource<IncomingResponse>, ErrorCode> {
        self.table.get_mut(future).unwrap().ready().await;
        types::HostFutureIncomingResponse::get(&mut self.view(), again(future))
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }

    pub(super) async fn body_of(&mut self, response: &Resource<IncomingResponse>) -> Resource<IncomingBody> {
        types::HostIncomingResponse::consume(&mut self.view(), again(response)).await.unwrap().unwrap()
    }

    pub(super) async fn stream_of(&mut self, body: &Resource<IncomingBody>) -> Resource<DynInputStream> {
        types::HostIncomingBody::stream(&mut self.view(), again(body)).await.unwrap().unwrap()
    }

    /// Reads a body to its end, and its trailers.
    pub(super) async fn read_body(
        &mut self,
        body: Resource<IncomingBody>,
    ) -> Result<(Vec<u8>, Option<Vec<(String, String)>>), ErrorCode> {
        let stream = self.stream_of(&body).await;
        let mut bytes = Vec::new();
        let outcome = loop {
            match self.table.get_mut(&stream).unwrap().blocking_read(64 << 10).await {
                Ok(more) => bytes.extend_from_slice(&more),
                Err(StreamError::Closed) => break Ok(()),
                Err(StreamError::LastOperationFailed(error)) => {
                    break Err(error.downcast::<ErrorCode>().unwrap());
                }
                Err(StreamError::Trap(error)) => panic!("{error:?}"),
            }
        };
        self.table.delete(stream).unwrap();
        let trailers = self.trailers_of(body).await;
        outcome?;
        Ok((bytes, trailers?))
    }

    pub(super) async fn trailers_of(
        &mut self,
        body: Resource<IncomingBody>,
    ) -> Result<Option<Vec<(String, String)>>, ErrorCode> {
        let future = types::HostIncomingBody::finish(&mut self.view(), body).await.unwrap();
        self.table.get_mut(&future).unwrap().ready().await;
        let trailers = types::HostFutureTrailers::get(&mut self.view(), again(&future)).await.unwrap();
        let trailers = match trailers.unwrap().unwrap()? {
            Some(trailers) => Some(self.entries(trailers).await),
            None => None,
        };
        self.table.delete(future).unwrap();
        Ok(trailers)
    }

    /// Waits for a response and reads it whole.
    pub(super) async fn receive(
        &mut self,
        future: Resource<FutureIncomingResponse>,
    ) -> Result<Received, ErrorCode> {
        let response = self.response(&future).await;
        self.table.delete(future).unwrap();
        let response = response?;
        let status = types::HostIncomingResponse::status(&mut self.view(), again(&response)).await.unwrap();
        let headers = types::HostIncomingResponse::headers(&mut self.view(), again(&response)).await.unwrap();
        let headers = self.entries(headers).await;
        let body = self.body_of(&response).await;
        let read = self.read_body(body).await;
        self.table.delete(response).unwrap();
        let (body, trailers) = read?;
        Ok(Received { status, headers, body, trailers })
    }

    /// Sends a request without a body, and reads the response whole.
    pub(super) async fn fetch(&mut self, ask: &Ask<'_>) -> Result<Received, ErrorCode> {
        let future = self.send(ask).await?;
        self.receive(future).await
    }
}

impl Received {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// The same resource, borrowed.
pub(super) fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

pub(super) fn code(failure: Failure) -> ErrorCode {
    match failure {
        Failure::Error(error) => error,
        Failure::Trap(error) => panic!("{error:?}"),
    }
}

/// The same resource, owned, for what is going to be refused.
pub(super) fn owned<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_own(resource.rep())
}
