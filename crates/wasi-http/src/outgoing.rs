//! `outgoing-request`, `outgoing-response` and `response-outparam` of `wasi:http/types`.

use http::uri::{Authority, PathAndQuery};
use http::{Response, StatusCode};
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::{
    ErrorCode, HostOutgoingRequest, HostOutgoingResponse, HostResponseOutparam, Method, Scheme,
};
use crate::body::{GuestBody, Message, OutgoingBody, new_body};
use crate::error::Failure;
use crate::fields::Fields;

/// A request that a guest makes.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct OutgoingRequest {
    pub(crate) method: Method,
    pub(crate) path_with_query: Option<String>,
    pub(crate) scheme: Option<Scheme>,
    pub(crate) authority: Option<String>,
    pub(crate) headers: Fields,
    pub(crate) body: Option<GuestBody>,
}

impl HostOutgoingRequest for HttpCtxView<'_> {
    async fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingRequest>> {
        self.charge(0).await?;
        let headers = self.table.delete(headers)?.frozen();
        Ok(self.table.push(OutgoingRequest {
            method: Method::Get,
            path_with_query: None,
            scheme: None,
            authority: None,
            headers,
            body: None,
        })?)
    }

    async fn body(
        &mut self,
        request: Resource<OutgoingRequest>,
    ) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        self.charge(0).await?;
        let OutgoingRequest { headers, body: taken @ None, .. } = self.table.get_mut(&request)? else {
            return Ok(Err(()));
        };
        let (body, source) = new_body(Message::Request, headers, &self.ctx.bodies)?;
        *taken = Some(source);
        Ok(Ok(self.table.push(body)?))
    }

    async fn method(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Method> {
        self.charge(0).await?;
        Ok(self.table.get(&request)?.method.clone())
    }

    async fn set_method(
        &mut self,
        request: Resource<OutgoingRequest>,
        method: Method,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        if let Method::Other(name) = &method
            && (name.len() > MAX_METHOD_BYTES || http::Method::from_bytes(name.as_bytes()).is_err())
        {
            return Ok(Err(()));
        }
        self.table.get_mut(&request)?.method = method;
        Ok(Ok(()))
    }

    async fn path_with_query(
        &mut self,
        request: Resource<OutgoingRequest>,
    ) -> wasmtime::Result<Option<String>> {
        let path = self.table.get(&request)?.path_with_query.clone();
        self.fuel.charge_call(path.as_ref().map_or(0, String::len) as u64).await?;
        Ok(path)
    }

    async fn set_path_with_query(
        &mut self,
        request: Resource<OutgoingRequest>,
        path: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(path.as_ref().map_or(0, String::len)).await?;
        if path.as_ref().is_some_and(|path| path_and_query(path).is_none()) {
            return Ok(Err(()));
        }
        self.table.get_mut(&request)?.path_with_query = path;
        Ok(Ok(()))
    }

    async fn scheme(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<Scheme>> {
        self.charge(0).await?;
        Ok(self.table.get(&request)?.scheme.clone())
    }

    async fn set_scheme(
        &mut self,
        request: Resource<OutgoingRequest>,
        scheme: Option<Scheme>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        // `http` bounds a scheme to 64 bytes, and knows not that RFC 3986, section 3.1 has it begin with a letter.
        if let Some(Scheme::Other(name)) = &scheme
            && (!name.starts_with(|first: char| first.is_ascii_alphabetic())
                || http::uri::Scheme::try_from(&**name).is_err())
        {
            return Ok(Err(()));
        }
        self.table.get_mut(&request)?.scheme = scheme;
        Ok(Ok(()))
    }

    async fn authority(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Option<String>> {
        let authority = self.table.get(&request)?.authority.clone();
        self.fuel.charge_call(authority.as_ref().map_or(0, String::len) as u64).await?;
        Ok(authority)
    }

    async fn set_authority(
        &mut self,
        request: Resource<OutgoingRequest>,
        authority: Option<String>,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(authority.as_ref().map_or(0, String::len)).await?;
        let refused =
            |text: &String| text.len() > MAX_AUTHORITY_BYTES || Authority::try_from(&**text).is_err();
        if authority.as_ref().is_some_and(refused) {
            return Ok(Err(()));
        }
        self.table.get_mut(&request)?.authority = authority;
        Ok(Ok(()))
    }

    async fn headers(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        let headers = self.table.get(&request)?.headers.clone();
        Ok(self.push_headers(headers, &request)?)
    }

    async fn drop(&mut self, request: Resource<OutgoingRequest>) -> wasmtime::Result<()> {
        self.table.delete(request)?;
        Ok(())
    }
}

/// The path and query of a request to an authority: RFC 3986, section 3.3 lets such a path be empty or begin with a
/// slash. Anything else would stand in the request line as it is, and could name another host.
pub(crate) fn path_and_query(text: &str) -> Option<PathAndQuery> {
    if text.is_empty() || text.starts_with('?') {
        return PathAndQuery::try_from(format!("/{text}")).ok();
    }
    if text.starts_with('/') { PathAndQuery::try_from(text).ok() } else { None }
}

/// A response that a guest makes.
#[derive(Debug)]
pub struct OutgoingResponse {
    status: StatusCode,
    headers: Fields,
    body: Option<GuestBody>,
}

impl HostOutgoingResponse for HttpCtxView<'_> {
    async fn new(&mut self, headers: Resource<Fields>) -> wasmtime::Result<Resource<OutgoingResponse>> {
        self.charge(0).await?;
        let headers = self.table.delete(headers)?.frozen();
        Ok(self.table.push(OutgoingResponse { status: StatusCode::OK, headers, body: None })?)
    }

    async fn status_code(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<u16> {
        self.charge(0).await?;
        Ok(self.table.get(&response)?.status.as_u16())
    }

    async fn set_status_code(
        &mut self,
        response: Resource<OutgoingResponse>,
        status: u16,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        // RFC 9110, section 15.2: 1xx is no response yet, and another one has to follow.
        let status = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational());
        let Some(status) = status else { return Ok(Err(())) };
        self.table.get_mut(&response)?.status = status;
        Ok(Ok(()))
    }

    async fn headers(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<Resource<Fields>> {
        self.charge(0).await?;
        let headers = self.table.get(&response)?.headers.clone();
        Ok(self.push_headers(headers, &response)?)
    }

    async fn body(
        &mut self,
        response: Resource<OutgoingResponse>,
    ) -> wasmtime::Result<Result<Resource<OutgoingBody>, ()>> {
        self.charge(0).await?;
        let OutgoingResponse { headers, body: taken @ None, .. } = self.table.get_mut(&response)? else {
            return Ok(Err(()));
        };
        let (body, source) = new_body(Message::Response, headers, &self.ctx.bodies)?;
        *taken = Some(source);
        Ok(Ok(self.table.push(body)?))
    }

    async fn drop(&mut self, response: Resource<OutgoingResponse>) -> wasmtime::Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}

impl From<OutgoingResponse> for Response<GuestBody> {
    fn from(response: OutgoingResponse) -> Self {
        let mut made = Response::new(response.body.unwrap_or_else(GuestBody::empty));
        *made.status_mut() = response.status;
        *made.headers_mut() = response.headers.into_map();
        made
    }
}

/// Where a guest's handler puts its response.
#[derive(Debug)]
pub struct ResponseOutparam {
    answer: oneshot::Sender<Result<Response<GuestBody>, ErrorCode>>,
}

/// Makes `answer` a resource that a guest's handler takes.
///
/// The head of the response comes when the guest sets it, with a body that the guest may write from then on; or an error
/// in place of a response, where the guest says so. `answer` is dropped where the guest sets neither.
///
/// # Errors
/// When the table is full.
pub fn push_response_outparam(
    view: HttpCtxView<'_>,
    answer: oneshot::Sender<Result<Response<GuestBody>, ErrorCode>>,
) -> wasmtime::Result<Resource<ResponseOutparam>> {
    Ok(view.table.push(ResponseOutparam { answer })?)
}

impl HostResponseOutparam for HttpCtxView<'_> {
    async fn set(
        &mut self,
        outparam: Resource<ResponseOutparam>,
        response: Result<Resource<OutgoingResponse>, ErrorCode>,
    ) -> wasmtime::Result<()> {
        self.charge(0).await?;
        let outparam = self.table.delete(outparam)?;
        let response = match response {
            Ok(response) => {
                let response = self.table.delete(response)?;
                self.fuel.charge_bytes(response.headers.size() as u64).await?;
                Ok(response.into())
            }
            Err(error) => Err(error),
        };
        // Nobody waits for it where the client has gone.
        let _ = outparam.answer.send(response);
        Ok(())
    }

    async fn send_informational(
        &mut self,
        _outparam: Resource<ResponseOutparam>,
        _status: u16,
        headers: Resource<Fields>,
    ) -> Result<(), Failure> {
        self.charge(0).await?;
        self.table.delete(headers)?;
        Err(ErrorCode::InternalError(Some("informational responses are not supported".to_owned())).into())
    }

    async fn drop(&mut self, outparam: Resource<ResponseOutparam>) -> wasmtime::Result<()> {
        self.table.delete(outparam)?;
        Ok(())
    }
}

/// Of a method that is none of the usual ones.
const MAX_METHOD_BYTES: usize = 64;
/// A DNS name of 253 bytes, or an address, and a port; and some more for what is refused later.
const MAX_AUTHORITY_BYTES: usize = 1_024;
