//! `incoming-request` of `wasi:http/types`.

use bytes::Bytes;
use http::Method as HttpMethod;
use http_body_util::BodyExt;
use hyper::body::Body;
use wasmtime::component::Resource;

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::{HostIncomingRequest, Method, Scheme};
use crate::body::IncomingBody;
use crate::failure;
use crate::fields::Fields;

/// A request that a client sent to the guest.
#[derive(Debug)]
pub struct IncomingRequest {
    method: HttpMethod,
    path_with_query: Option<String>,
    scheme: Scheme,
    authority: String,
    headers: Fields,
    body: Option<IncomingBody>,
}

/// Makes a request a resource that a guest's handler takes.
///
/// The guest sees the path and query of the request's URI, and its headers without those that are about the connection.
/// The body is asked for no more than the guest reads.
///
/// # Errors
/// When the table is full, or the headers are too large for a fresh context: more than
/// [`MAX_HELD_FIELDS_BYTES`](crate::MAX_HELD_FIELDS_BYTES).
pub fn push_incoming_request<B>(
    view: HttpCtxView<'_>,
    request: http::Request<B>,
    scheme: Scheme,
    authority: String,
) -> wasmtime::Result<Resource<IncomingRequest>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let body = body.map_err(|error| failure::of_incoming_request(&*error.into()));
    let request = IncomingRequest {
        method: parts.method,
        path_with_query: parts.uri.path_and_query().map(ToString::to_string),
        scheme,
        authority,
        headers: Fields::received(parts.headers, &view.ctx.fields)?,
        body: Some(IncomingBody::new(body)),
    };
    Ok(view.table.push(request)?)
}

impl HostIncomingRequest for HttpCtxView<'_> {
    async fn method(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Method> {
        self.charge(0).await?;
        Ok(Method::from(&self.table.get(&request)?.method))
    }

    async fn path_with_query(
        &mut self,
        request: Resource<IncomingRequest>,
    ) -> wasmtime::Result<Option<String>> {
        let path = self.table.get(&request)?.path_with_query.clone();
        self.fuel.charge_call(path.as_ref().map_or(0, String::len) as u64).await?;
        Ok(path)
    }

    async fn scheme(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Option<Scheme>> {
        self.charge(0).await?;
        Ok(Some(self.table.get(&request)?.scheme.clone()))
    }

    async fn authority(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Option<String>> {
        let authority = self.table.get(&request)?.authority.clone();
        self.fuel.charge_call(authority.len() as u64).await?;
        Ok(Some(authority))
    }

    async fn headers(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        let headers = self.table.get(&request)?.headers.clone();
        Ok(self.push_headers(headers, &request)?)
    }

    async fn consume(
        &mut self,
        request: Resource<IncomingRequest>,
    ) -> wasmtime::Result<Result<Resource<IncomingBody>, ()>> {
        self.charge(0).await?;
        match self.table.get_mut(&request)?.body.take() {
            Some(body) => Ok(Ok(self.table.push(body)?)),
            None => Ok(Err(())),
        }
    }

    async fn drop(&mut self, request: Resource<IncomingRequest>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        Ok(())
    }
}

impl From<&HttpMethod> for Method {
    fn from(method: &HttpMethod) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "CONNECT" => Self::Connect,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "PATCH" => Self::Patch,
            other => Self::Other(other.to_owned()),
        }
    }
}
