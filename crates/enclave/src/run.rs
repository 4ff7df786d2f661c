//! Apps that are commands: standard input in, standard output and error out, and an exit code at the end.

use crate::access::Caller;
use crate::admission::{Entry, admit};
use crate::app::App;
use crate::body::Body;
use crate::calls::check_expected_code;
use crate::invocation::{Invocation, place};
use crate::state::Enclave;
use bytes::{BufMut, Bytes, BytesMut};
use cloister_api::{
    AppName, Code, EnvironmentVariable, MAX_RUN_REQUEST, Problem, RUN, RUN_FRAME_HEAD, RUN_HEADER, RunEnd,
    RunRequest, RunTag,
};
use cloister_runtime::{
    Input, InputFailed, InputSource, LogSink, OutputReceiver, Run, Stdio, output_channel,
};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Begins a run for `caller`, and answers with what it writes while it goes on. A client that goes away ends it.
///
/// # Errors
/// A [`Problem`]: of the request. Those of the guest come in the answer's last frame.
pub(crate) async fn serve<B>(
    enclave: &Arc<Enclave>,
    caller: &Caller,
    name: &AppName,
    request: Request<B>,
) -> Result<Response<Body>, Problem>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    let app = enclave.app(name)?;
    if !app.program.runs() {
        return Err(Problem::new(
            Code::NotACommand,
            format!("the app '{name}' does not export wasi:cli/run"),
        ));
    }
    check_expected_code(request.headers(), &app)?;
    let caller = admit(enclave, &app, Entry::Run, caller).await?;
    let asked = asked(request.headers())?;
    let environment = environment(&app, asked.environment)?;
    let arguments = std::iter::once(name.to_string()).chain(asked.arguments).collect();
    let invocation = Invocation::new(enclave, app, COUNTED, caller, &place(enclave)?);
    let (output, receiver) = output_channel(OUTPUT);
    let (end, ended) = oneshot::channel();
    let log = LoggedOutput::new(&invocation.app);
    let stdin = Input::stream(Stdin(request.into_body()));
    let running = async move {
        // Nobody listens any more where this fails.
        let _ = end.send(run(invocation, arguments, environment, stdin, output).await);
    };
    let guest = Guest(tokio::spawn(running).abort_handle());
    let state = Running { output: Some(receiver), log, ended: Some(ended), _guest: guest };
    let mut response = Response::new(Body::unfold(state, next_frame));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(RUN));
    Ok(response)
}

type Environment = Arc<[(String, String)]>;

/// Runs the guest to its end, and keeps what it wrote.
async fn run(
    mut invocation: Invocation,
    arguments: Arc<[String]>,
    environment: Environment,
    stdin: Input,
    output: cloister_runtime::OutputSender,
) -> Result<RunEnd, Problem> {
    let app = Arc::clone(&invocation.app);
    let mut context = invocation.context();
    context.environment = environment;
    let ran = app.program.run(Run { arguments, stdin, output: Some(output), context }).await;
    let ended = invocation.ended(ran.as_ref().map(|ran| ran.usage));
    let epoch = invocation.keep(ended).await?;
    let ran = ran.map_err(|failure| failure.into_problem())?;
    Ok(RunEnd {
        exit_code: ran.exit_code,
        fuel: ran.usage.fuel,
        wall_us: u64::try_from(ran.usage.wall.as_micros()).unwrap_or(u64::MAX),
        code_hash: hex::encode(app.program.code_hash()),
        epoch,
    })
}

/// A run as its client sees it.
struct Running {
    output: Option<OutputReceiver>,
    log: LoggedOutput,
    ended: Option<oneshot::Receiver<Result<RunEnd, Problem>>>,
    _guest: Guest,
}

/// The guest's task. It ends when its client goes.
struct Guest(AbortHandle);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn next_frame(mut running: Running) -> Option<(Bytes, Running)> {
    if let Some(output) = &mut running.output {
        if let Some((stream, bytes)) = output.next().await {
            running.log.write(stream, &bytes);
            let tag = match stream {
                Stdio::Stdout => RunTag::Stdout,
                Stdio::Stderr => RunTag::Stderr,
            };
            return Some((frame(tag, &bytes), running));
        }
        running.output = None;
    }
    let internal = || Problem::new(Code::Internal, "the run failed inside the enclave, which goes on");
    let ended = running.ended.take()?.await.unwrap_or_else(|_| Err(internal()));
    let last = match ended {
        Ok(end) => frame(RunTag::End, &serde_json::to_vec(&end).unwrap_or_default()),
        Err(problem) => frame(RunTag::Problem, &serde_json::to_vec(&problem).unwrap_or_default()),
    };
    Some((last, running))
}

fn frame(tag: RunTag, contents: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(RUN_FRAME_HEAD + contents.len());
    // Pieces of output are a few KiB, and so are problems.
    frame.put_slice(&tag.head(u32::try_from(contents.len()).unwrap_or(u32::MAX)));
    frame.put_slice(contents);
    frame.freeze()
}

/// What goes to the client goes to the app's log too, as far as the app's limit allows.
struct LoggedOutput {
    app: Arc<App>,
    left: u64,
}

impl LoggedOutput {
    fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), left: app.record.limits.log }
    }

    fn write(&mut self, stream: Stdio, bytes: &[u8]) {
        let kept = usize::try_from(self.left).map_or(bytes, |left| &bytes[..left.min(bytes.len())]);
        self.left -= kept.len() as u64;
        if !kept.is_empty() {
            self.app.log.write(stream, kept);
        }
    }
}

/// The request's body as standard input.
struct Stdin<B>(B);

impl<B> InputSource for Stdin<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, InputFailed>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.0).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(_)) => return Poll::Ready(Some(Err(InputFailed))),
                Some(Ok(frame)) => frame,
            };
            // Trailers are not input.
            if let Ok(bytes) = frame.into_data() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

fn asked(headers: &HeaderMap) -> Result<RunRequest, Problem> {
    let Some(value) = headers.get(RUN_HEADER) else { return Ok(RunRequest::default()) };
    let invalid = |why: String| Problem::new(Code::BadRequest, format!("{RUN_HEADER}: {why}"));
    if value.len() > MAX_RUN_REQUEST {
        return Err(invalid(format!("it is longer than {MAX_RUN_REQUEST} bytes")));
    }
    let asked: RunRequest =
        serde_json::from_slice(value.as_bytes()).map_err(|error| invalid(error.to_string()))?;
    if asked.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(invalid("an argument has a byte 0".to_owned()));
    }
    Ok(asked)
}

/// The app's own environment, and what the request adds or sets anew.
fn environment(app: &App, asked: Vec<EnvironmentVariable>) -> Result<Environment, Problem> {
    if asked.is_empty() {
        return Ok(Arc::clone(&app.environment));
    }
    let mut environment = app.environment.to_vec();
    for EnvironmentVariable { name, value } in asked {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let why = format!("{RUN_HEADER}: '{}' cannot be an environment variable", name.escape_debug());
            return Err(Problem::new(Code::BadRequest, why));
        }
        match environment.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => environment.push((name, value)),
        }
    }
    Ok(environment.into())
}

/// The name of a run in the app's counters.
const COUNTED: &str = "wasi:cli/run#run";
/// Bytes of output of each stream that wait for the client.
const OUTPUT: usize = 64 << 10;
