//! One load generator for every server: HTTP/1.1 over connections that are kept alive, one request at a time on each.

use anyhow::{Result, ensure};
use bytes::Bytes;
use cloister_tests::RawTls;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is asked, and what the answer must hold.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// The server's name, for TLS and HTTP.
    pub(crate) host: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) body: Cow<'static, str>,
    pub(crate) answer: &'static str,
}

/// Below HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Tcp,
    Tls,
}

/// Open connections to one server.
#[derive(Debug)]
pub(crate) struct Load(Vec<(Question, SendRequest<Full<Bytes>>)>);

impl Load {
    /// Opens connections that all ask the same.
    pub(crate) async fn open(question: &Question, connections: usize) -> Result<Self> {
        Self::open_each(std::iter::repeat_n(question.clone(), connections)).await
    }

    /// Opens a connection for each question.
    pub(crate) async fn open_each(questions: impl IntoIterator<Item = Question>) -> Result<Self> {
        let mut connections = Vec::new();
        for question in questions {
            let connection = connect(&question).await?;
            connections.push((question, connection));
        }
        Ok(Self(connections))
    }

    /// Asks again and again on every connection, until so much time has passed.
    pub(crate) async fn run(&mut self, duration: Duration) -> Result<Sample> {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for (question, connection) in self.0.drain(..) {
            clients.spawn(repeat(question, connection, began + duration));
        }
        let mut sample = Sample::default();
        while let Some(client) = clients.join_next().await {
            let (question, connection, latencies) = client??;
            self.0.push((question, connection));
            sample.latencies.extend(latencies);
        }
        sample.elapsed = began.elapsed();
        Ok(sample)
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Sample {
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.elapsed += other.elapsed;
    }

    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Of a hundred sorted latencies the one at this place, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

async fn connect(question: &Question) -> Result<SendRequest<Full<Bytes>>> {
    match question.transport {
        Transport::Tcp => {
            let stream = TcpStream::connect(question.address).await?;
            stream.set_nodelay(true)?;
            handshake(stream).await
        }
        Transport::Tls => {
            let stream = RawTls::connect(question.address, question.host).await?.0;
            stream.get_ref().0.set_nodelay(true)?;
            handshake(stream).await
        }
    }
}

async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A connection that breaks off fails the request that is under way.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

async fn repeat(
    question: Question,
    mut connection: SendRequest<Full<Bytes>>,
    end: Instant,
) -> Result<(Question, SendRequest<Full<Bytes>>, Vec<Duration>)> {
    let mut latencies = Vec::new();
    let mut began = Instant::now();
    while began < end {
        let request = Request::builder()
            .method(question.method.clone())
            .uri(question.path)
            .header(HOST, question.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(question.body.clone().into_owned()))?;
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let now = Instant::now();
        let right = body.windows(question.answer.len()).any(|part| part == question.answer.as_bytes());
        ensure!(status.is_success() && right, "{status}: {}", String::from_utf8_lossy(&body));
        latencies.push(now - began);
        began = now;
    }
    Ok((question, connection, latencies))
}
