//! Requests one after the other, until one has a response that leads nowhere else.

use std::sync::Arc;
use std::time::Duration;

use cloister_egress::{
    EgressError, EgressOutcome, Exchange, Payload, Request, ResponseBody, Share, Timeouts, Turn,
};
use http::HeaderMap;
use http::header::HeaderValue;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::check::begin;
use super::error::FetchError;
use super::request::{FRAMING, Fetch};
use super::{HttpsCtx, MAX_REDIRECTS, MAX_RESPONSE_BYTES, REQUEST_FUEL};
use crate::PlatformCtxView;
use crate::bindings::privasys::enclave_os::https::Response;
use crate::error::Failure;

/// Charges for each request before it is sent, and for the bytes of the response after.
pub(super) async fn run(mut fetch: Fetch, view: &mut PlatformCtxView<'_>) -> Result<Response, Failure> {
    let deadline = Instant::now() + view.ctx.https.limit;
    let _upload = view.ctx.https.bodies.take(fetch.body.len()).ok_or(FetchError::Busy)?;
    let mut redirects = 0;
    loop {
        view.pay(REQUEST_FUEL.saturating_add(fetch.len() as u64)).await?;
        let arrived = Arrived::send(&fetch, &view.ctx.https, deadline).await?;
        if fetch.follow(arrived.head.status, &arrived.head.headers)? {
            if redirects == MAX_REDIRECTS {
                return Err(FetchError::TooManyRedirects.into());
            }
            redirects += 1;
            arrived.discard().await;
            continue;
        }
        let mut held = view.ctx.https.bodies.take(0).ok_or(FetchError::Busy)?;
        let response = arrived.receive(&mut held).await?;
        view.fuel.charge_bytes(response_bytes(&response)).await.map_err(Failure::Trap)?;
        return Ok(response);
    }
}

/// A response of which the body is still to come.
struct Arrived {
    head: Parts,
    body: ResponseBody,
    told: Told,
    deadline: Instant,
    server: String,
}

impl Arrived {
    async fn send(fetch: &Fetch, https: &HttpsCtx, deadline: Instant) -> Result<Self, FetchError> {
        let server = fetch.url.server();
        let told = Told(Arc::new(begin(&https.settings, &fetch.url, &fetch.method)?));
        let mut message = http::Request::new(Payload::Whole(fetch.body.clone()));
        *message.method_mut() = fetch.method.clone();
        *message.uri_mut() = fetch.url.uri()?;
        *message.headers_mut() = fetch.headers();
        let (target, trust) = (fetch.url.target().clone(), fetch.trust.clone());
        let request = Request { message, target, trust, timeouts: Timeouts::default() };
        let sending = https.settings.client.send(request, Turn::Alone, Arc::clone(&told.0));
        let Ok(response) = timeout_at(deadline, sending).await else { return Err(told.late()) };
        let (head, body) = response.map_err(|error| FetchError::failed(&server, error))?.into_parts();
        Ok(Self { head, body, told, deadline, server })
    }

    /// Reads what little there is of the body, so that the connection can be used again.
    async fn discard(mut self) {
        let mut left = MAX_DISCARDED;
        let rest = async {
            while let Some(Ok(frame)) = self.body.frame().await {
                match left.checked_sub(frame.data_ref().map_or(0, |bytes| bytes.len())) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        // What does not come at once is not worth waiting for.
        let _ = timeout(DISCARD_TIMEOUT, rest).await;
    }

    /// The whole response, of which `held` counts the body.
    async fn receive(mut self, held: &mut Share) -> Result<Response, FetchError> {
        let Ok(body) = timeout_at(self.deadline, collect(&mut self.body, held)).await else {
            return Err(self.told.late());
        };
        let body = body.map_err(|unread| match unread {
            Unread::Failed(error) => {
                self.told.0.end(EgressOutcome::Failed(error.name()));
                FetchError::failed(&self.server, error)
            }
            Unread::NoRoom => FetchError::Busy,
        })?;
        Ok(Response { status: self.head.status.as_u16(), headers: headers(&self.head.headers), body })
    }
}

/// Tells the log that a request is over, when it is dropped at the latest.
struct Told(Arc<Exchange>);

impl Told {
    fn late(&self) -> FetchError {
        self.0.end(EgressOutcome::Failed(EgressError::ResponseTimeout.name()));
        FetchError::TimedOut
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.end_as_it_is();
    }
}

/// Why there is no whole body.
enum Unread {
    Failed(EgressError),
    /// Others hold too much.
    NoRoom,
}

async fn collect(body: &mut ResponseBody, held: &mut Share) -> Result<Vec<u8>, Unread> {
    const TOO_LONG: Unread = Unread::Failed(EgressError::ResponseBodySize { most: MAX_RESPONSE_BYTES });
    if body.size_hint().lower() > MAX_RESPONSE_BYTES as u64 {
        return Err(TOO_LONG);
    }
    // Room is made as bytes come, and never for more than the server says.
    let most = body.size_hint().upper().and_then(|upper| usize::try_from(upper).ok());
    let most = most.unwrap_or(MAX_RESPONSE_BYTES).min(MAX_RESPONSE_BYTES);
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::Failed)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > MAX_RESPONSE_BYTES {
            return Err(TOO_LONG);
        }
        if length > whole.capacity() {
            let capacity = (2 * whole.capacity()).min(most).max(length);
            if !held.resize(capacity) {
                return Err(Unread::NoRoom);
            }
            whole.reserve_exact(capacity - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

/// Those that are about the message, and not about the connection that carried it.
fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let kept =
        headers.iter().filter(|(name, _)| **name == http::header::CONTENT_LENGTH || !FRAMING.contains(name));
    kept.map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// UTF-8, or else Latin-1: RFC 9110, section 5.5.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

fn response_bytes(response: &Response) -> u64 {
    let headers = response.headers.iter().map(|(name, value)| name.len() + value.len());
    (headers.sum::<usize>() + response.body.len()) as u64
}

/// Bytes of a redirect's body that are read for nothing.
const MAX_DISCARDED: usize = 16 << 10;
/// How long a redirect's body is read for nothing.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);
