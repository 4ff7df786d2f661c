use crate::examples::{Example, Question};
use anyhow::{Result, ensure};
use bytes::Bytes;
use cloister_api::{AppName, DeploySettings, Limits, RunRequest};
use cloister_client::{RunOutput, Session};
use cloister_tests::{Enclave, RawTls, example as component, for_everybody, name};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use std::time::{Duration, Instant};
use wasmparser::{Parser, Payload};

/// What an example costs.
#[derive(Debug)]
pub(crate) struct Costs {
    /// Bytes.
    pub(crate) component: u64,
    pub(crate) compiling: Duration,
    /// Bytes.
    pub(crate) native_code: u64,
    /// Bytes of linear memory that each call begins with.
    pub(crate) memory: u64,
    /// The most that a call burnt.
    pub(crate) fuel: u64,
    /// The first time that the example's question is asked, which what was asked before it may make quicker.
    pub(crate) first: Duration,
    /// The median of [`LATER`].
    pub(crate) later: Duration,
}

/// Deploys an example, asks it again and again, and removes it.
pub(crate) async fn measure(enclave: &Enclave, example: &Example) -> Result<Costs> {
    let wasm = component(example.name);
    let memory = initial_memory(&wasm)?;
    let mut asker = Asker {
        session: enclave.owner().await,
        web: connect(enclave).await?,
        app: name(&format!("{}-example", example.name)),
    };
    let limits = Limits { fuel: 1_000_000_000, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    let deployed = asker.session.deploy(&asker.app, wasm, &settings, |_| {}).await?;
    if let Some(before) = &example.before {
        asker.ask(before).await?;
    }
    let first = asker.time(example).await?;
    let mut later = Vec::new();
    for _ in 0..LATER {
        later.push(asker.time(example).await?);
    }
    later.sort_unstable();
    let fuel = asker.session.describe(&asker.app).await?.total.fuel_max;
    asker.session.remove(&asker.app).await?;
    Ok(Costs {
        component: deployed.summary.size,
        compiling: Duration::from_millis(deployed.compile_ms),
        native_code: deployed.code_bytes,
        memory,
        fuel,
        first,
        later: later[LATER / 2],
    })
}

/// Connections to the enclave.
struct Asker {
    session: Session,
    web: SendRequest<Empty<Bytes>>,
    app: AppName,
}

impl Asker {
    /// How long the right answer takes.
    async fn time(&mut self, example: &Example) -> Result<Duration> {
        let began = Instant::now();
        let answer = self.ask(&example.question).await?;
        let took = began.elapsed();
        ensure!(answer.contains(example.answer), "{}: {answer}", example.name);
        Ok(took)
    }

    async fn ask(&mut self, question: &Question) -> Result<String> {
        match question {
            Question::Call { export, arguments } => {
                let arguments = serde_json::from_str(arguments)?;
                Ok(self.session.call_json(&self.app, export, &arguments).await?.result.to_string())
            }
            Question::Run { arguments, stdin } => self.run(arguments, stdin).await,
            Question::Request { path } => self.request(path).await,
        }
    }

    async fn run(&self, arguments: &[&str], stdin: &'static str) -> Result<String> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let request = RunRequest { arguments, ..RunRequest::default() };
        let mut run =
            self.session.run(&self.app, &request, Bytes::from_static(stdin.as_bytes()).into()).await?;
        let mut stdout = Vec::new();
        loop {
            match run.next().await? {
                RunOutput::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                RunOutput::Stderr(_) => {}
                RunOutput::Ended(end) => {
                    ensure!(end.exit_code == 0, "{:?}: {}", self.app, end.exit_code);
                    return Ok(String::from_utf8(stdout)?);
                }
            }
        }
    }

    async fn request(&mut self, path: &str) -> Result<String> {
        let target = format!("/apps/{}{path}", self.app);
        let request = Request::get(&target).header(HOST, SERVER).body(Empty::new())?;
        self.web.ready().await?;
        let answer = self.web.send_request(request).await?;
        let status = answer.status();
        ensure!(status.is_success(), "{target}: {status}");
        Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
    }
}

async fn connect(enclave: &Enclave) -> Result<SendRequest<Empty<Bytes>>> {
    let stream = RawTls::connect(enclave.address(), SERVER).await?.0;
    stream.get_ref().0.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A connection that breaks off fails the request that is under way.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

/// Bytes of all memories of a component's modules as they begin.
fn initial_memory(wasm: &[u8]) -> Result<u64> {
    let mut bytes = 0;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::MemorySection(memories) = payload? {
            for memory in memories {
                bytes += memory?.initial * PAGE;
            }
        }
    }
    Ok(bytes)
}

const SERVER: &str = "localhost";
const PAGE: u64 = 64 << 10;
/// How often an example is asked again.
const LATER: usize = 51;
