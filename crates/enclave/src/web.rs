//! Apps that are web services: requests in, responses out, both as streams.

use crate::access::Caller;
use crate::admission::{Entry, admit};
use crate::app::App;
use crate::body::{self, Body, Broken};
use crate::calls::check_expected_code;
use crate::invocation::{Invocation, Keeper, Place, place};
use crate::state::Enclave;
use answer::GuestAnswer;
use cloister_api::{AppName, Code, Problem};
use cloister_runtime::{Answer, CallFailure, GuestBody, Handle, LogSink, Stdio};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header, uri};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use request_body::{Readable, RequestBody};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

mod answer;
mod request_body;

/// A request that is for a guest.
#[derive(Debug)]
pub(crate) struct ForGuest {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Caller,
    /// The host name and port that the client asked for.
    pub(crate) authority: String,
    /// Path and query as the guest is to see them.
    pub(crate) target: String,
}

impl ForGuest {
    /// The app that a path of the form `/apps/<name>/…` names, and the rest of the path: nothing where the name ends it.
    pub(crate) fn in_path(path: &str) -> Option<(&str, &str)> {
        let rest = path.strip_prefix("/apps/")?;
        let (name, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        (!name.is_empty()).then_some((name, path))
    }
}

/// Lets the guest answer.
///
/// # Errors
/// A [`Problem`]: of the request, or of a guest that gave no answer.
pub(crate) async fn serve<B: Readable>(
    enclave: &Arc<Enclave>,
    for_guest: ForGuest,
    request: Request<B>,
) -> Result<Response<Body>, Problem> {
    let ForGuest { app, caller, authority, target } = for_guest;
    if !app.program.handles_http() {
        return Err(no_service(&app.name));
    }
    if request.method() == Method::CONNECT {
        return Err(Problem::new(Code::MethodNotAllowed, "no app takes CONNECT"));
    }
    check_expected_code(request.headers(), &app)?;
    let caller = admit(enclave, &app, Entry::Web, &caller).await?;
    let place = place(enclave)?;
    let is_head = request.method() == Method::HEAD;
    let request = rewritten(request, &target)?;
    let invocation = Invocation::new(enclave, Arc::clone(&app), COUNTED, caller, &place);
    let keeper = invocation.keeper();
    let answered: Arc<AtomicBool> = Arc::default();
    let (answer, head) = oneshot::channel();
    let guest = guest(invocation, request, authority, answer, Arc::clone(&answered));
    let (answer, guest) = match first(guest, head).await {
        Ok(first) => first,
        Err(problem) => return Err(if keeper.is_needed() { kept(keeper, problem).await } else { problem }),
    };
    let response = answer.map_err(|error| {
        app.log.write(Stdio::Stderr, format!("the guest answered with an error: {error}\n").as_bytes());
        no_response("with an error, which is in the app's log")
    })?;
    let response = without_hop_by_hop(response);
    if response.status().is_informational() {
        return Err(no_response("with an informational status"));
    }
    Ok(respond(response, is_head, GuestEnd { keeper, guest, answered, _place: place }).await)
}

/// The problem of an app that is none.
pub(crate) fn no_service(name: &AppName) -> Problem {
    Problem::new(Code::NotAService, format!("the app '{name}' does not export wasi:http/incoming-handler"))
}

/// Runs the guest to its end.
async fn guest<B: Readable>(
    mut invocation: Invocation,
    request: Request<RequestBody<B>>,
    authority: String,
    answer: oneshot::Sender<Answer>,
    answered: Arc<AtomicBool>,
) -> Result<(), CallFailure> {
    let app = Arc::clone(&invocation.app);
    let context = invocation.context();
    let handled = app.program.handle(Handle { request, authority, answer, context }).await;
    let ended = invocation.ended(handled.as_ref().copied());
    // What it wrote before the end of its answer was kept with that; the rest is now.
    if answered.load(Ordering::Acquire) {
        let _ = invocation.keep(ended).await;
    }
    handled.map(|_| ())
}

/// What the guest answers, and its task where it goes on.
///
/// Most guests end before their answer is sent: those never become a task of their own.
async fn first(
    guest: impl Future<Output = Result<(), CallFailure>> + Send + 'static,
    mut head: oneshot::Receiver<Answer>,
) -> Result<(Answer, Option<AbortHandle>), Problem> {
    let mut guest = Box::pin(guest);
    let ended = tokio::select! {
        biased;
        ended = &mut guest => ended,
        answer = &mut head => match answer {
            Ok(answer) => return Ok((answer, Some(tokio::spawn(guest).abort_handle()))),
            // It goes on, though it gave away its chance to answer.
            Err(_) => guest.await,
        },
    };
    match (head.try_recv(), ended) {
        // Nothing of it was sent, so nobody has to meet half an answer.
        (Ok(Ok(response)), Err(failure)) if !is_complete(&response) => Err(failure.into_problem()),
        (Ok(answer), _) => Ok((answer, None)),
        (Err(_), Ok(())) => Err(no_response("without setting a response")),
        (Err(_), Err(failure)) => Err(failure.into_problem()),
    }
}

/// Whether a guest that has ended had finished its answer: its length is known then, though the guest did not tell it.
fn is_complete(response: &Response<GuestBody>) -> bool {
    let body = response.body();
    body.is_end_stream()
        || body.size_hint().exact().is_some() && !response.headers().contains_key(header::CONTENT_LENGTH)
}

/// A failure is told when what the guest wrote before is on the disk.
async fn kept(keeper: Keeper, problem: Problem) -> Problem {
    match keeper.keep().await {
        true => problem,
        false => not_kept(),
    }
}

/// What ends with the answer.
struct GuestEnd {
    keeper: Keeper,
    guest: Option<AbortHandle>,
    answered: Arc<AtomicBool>,
    _place: Place,
}

async fn respond(response: Response<GuestBody>, is_head: bool, end: GuestEnd) -> Response<Body> {
    let (mut parts, guest_body) = response.into_parts();
    let has_no_body = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    // Where nothing follows the head, the head is the end.
    if (has_no_body || answer::is_over(&guest_body))
        && end.keeper.is_needed()
        && !end.keeper.clone().keep().await
    {
        return body::problem(&not_kept());
    }
    let length = guest_body.size_hint().exact();
    let mut answer = GuestAnswer::new(guest_body, end);
    if has_no_body {
        // What a GET would get (RFC 9110, section 9.3.2), where that is known.
        if is_head && let Some(length) = length {
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
        }
        // The guest may finish what nobody reads.
        tokio::spawn(async move { while let Some(Ok(_)) = answer.frame().await {} });
        return Response::from_parts(parts, Body::Whole(Default::default()));
    }
    Response::from_parts(parts, Body::Made(Box::pin(answer)))
}

/// The request as the guest is to see it.
fn rewritten<B: Readable>(request: Request<B>, target: &str) -> Result<Request<RequestBody<B>>, Problem> {
    let (mut parts, body) = request.into_parts();
    let bad = || Problem::new(Code::BadRequest, "the request's target is no path");
    let target: uri::PathAndQuery = target.parse().map_err(|_| bad())?;
    let mut uri = uri::Parts::default();
    uri.path_and_query = Some(target);
    parts.uri = Uri::from_parts(uri).map_err(|_| bad())?;
    let body = RequestBody::new(body, &parts);
    Ok(Request::from_parts(parts, body))
}

/// RFC 9110, section 7.6.1: what is between two neighbours only is not the guest's to say.
fn without_hop_by_hop(mut response: Response<GuestBody>) -> Response<GuestBody> {
    let headers: &mut HeaderMap = response.headers_mut();
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
    response
}

fn no_response(how: &str) -> Problem {
    Problem::new(Code::NoResponse, format!("the guest ended {how}"))
}

fn not_kept() -> Problem {
    Problem::new(
        Code::StorageUnavailable,
        "the guest answered, but the volume could not be written: what it wrote may be there or not after a restart",
    )
}

impl From<cloister_runtime::BodyError> for Broken {
    fn from(_: cloister_runtime::BodyError) -> Self {
        Self
    }
}

/// The name of such requests in the app's counters.
const COUNTED: &str = "wasi:http/incoming-handler#handle";
const HOP_BY_HOP: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_app_and_has_a_rest() {
        for (path, expected) in [
            ("/apps/hello/", Some(("hello", "/"))),
            ("/apps/hello", Some(("hello", ""))),
            ("/apps/hello/a/b", Some(("hello", "/a/b"))),
            ("/apps/hello//a", Some(("hello", "//a"))),
            ("/apps//a", None),
            ("/apps/", None),
            ("/app/hello", None),
            ("/v1/apps/hello", None),
        ] {
            assert_eq!(ForGuest::in_path(path), expected, "{path}");
        }
    }
}
