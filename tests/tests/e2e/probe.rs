//! The guest that does what it is told, `tests/guests/conformance/probe`, and peers for it outside.

use bytes::Bytes;
use cloister_api::{AppName, DeploySettings, Limits, NetworkPolicy};
use cloister_client::{ClientError, Session};
use cloister_tests::{for_everybody, given, name};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// The component.
pub(crate) fn component() -> Bytes {
    let path = given("CLOISTER_CONFORMANCE").join("probe.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Settings with these network rules, and limits that no test comes near to.
pub(crate) fn settings(rules: &[&str]) -> DeploySettings {
    DeploySettings {
        limits: Limits { fuel: 10_000_000_000, wall_time_ms: 30_000, ..Limits::default() },
        network: network(rules),
        ..for_everybody()
    }
}

pub(crate) fn network(rules: &[&str]) -> NetworkPolicy {
    let rules = rules.iter().map(|rule| rule.parse().expect("it is a rule")).collect();
    NetworkPolicy::new(rules).expect("it is a policy")
}

/// An app of the component, as one session sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probe<'a> {
    pub(crate) session: &'a Session,
    pub(crate) app: &'static str,
}

impl<'a> Probe<'a> {
    pub(crate) async fn deploy(session: &'a Session, app: &'static str, settings: &DeploySettings) -> Self {
        session.deploy(&name(app), component(), settings, |_| {}).await.unwrap();
        Self { session, app }
    }

    pub(crate) fn name(self) -> AppName {
        name(self.app)
    }

    /// What an export returns.
    pub(crate) async fn call(self, export: &str, arguments: Value) -> Result<Value, ClientError> {
        self.session.call_json(&self.name(), export, &arguments).await.map(|answer| answer.result)
    }

    /// What an export returns, that cannot fail.
    pub(crate) async fn get(self, export: &str, arguments: Value) -> Value {
        let result = self.call(export, arguments).await;
        result.unwrap_or_else(|error| panic!("{} {export}: {error}", self.app))
    }

    /// What an export returns that has to succeed.
    pub(crate) async fn ok(self, export: &str, arguments: Value) -> Value {
        let result = self.get(export, arguments.clone()).await;
        let value = result.get("ok");
        value.unwrap_or_else(|| panic!("{} {export} {arguments}: {result}", self.app)).clone()
    }

    /// The error of an export that has to fail.
    pub(crate) async fn error(self, export: &str, arguments: Value) -> String {
        let result = self.get(export, arguments.clone()).await;
        let error = result["err"].as_str();
        error.unwrap_or_else(|| panic!("{} {export} {arguments}: {result}", self.app)).to_owned()
    }
}

/// A peer at a TCP and a UDP port of one number, which answers with what it gets.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    heard: Arc<AtomicU32>,
    /// How many of them were the test's own.
    own: AtomicU32,
}

impl Echo {
    /// On an address of this machine that is IPv4 loopback.
    pub(crate) fn start() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub(crate) fn at(address: IpAddr) -> Self {
        let (listener, datagrams) = (0..100)
            .find_map(|_| {
                let listener = TcpListener::bind((address, 0)).expect("loopback has ports");
                let port = listener.local_addr().expect("it is bound").port();
                Some((listener, UdpSocket::bind((address, port)).ok()?))
            })
            .expect("some port is free for both");
        let echo = Self {
            address: listener.local_addr().expect("it is bound"),
            heard: Arc::default(),
            own: AtomicU32::new(0),
        };
        let heard = Arc::clone(&echo.heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                heard.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || echo_stream(stream));
            }
        });
        let heard = Arc::clone(&echo.heard);
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((length, peer)) = datagrams.recv_from(&mut buffer) {
                heard.fetch_add(1, Ordering::Relaxed);
                // Whether it arrives is not for UDP to say.
                let _ = datagrams.send_to(&buffer[..length], peer);
            }
        });
        echo
    }

    /// Connections and datagrams until now, without the two of this call.
    ///
    /// Both queues are first in, first out: what came before the test's own is counted once those are
    /// answered, though nobody waited for an answer to it.
    pub(crate) fn heard(&self) -> u32 {
        let patience = Some(Duration::from_secs(60));
        let mut answer = [0; 1];
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(patience).expect("it is not zero");
        stream.write_all(&[0]).expect("it reads");
        stream.read_exact(&mut answer).expect("it answers");
        let datagrams = UdpSocket::bind((self.address.ip(), 0)).expect("loopback has ports");
        datagrams.set_read_timeout(patience).expect("it is not zero");
        datagrams.send_to(&[0], self.address).expect("loopback is there");
        datagrams.recv(&mut answer).expect("it answers");
        let own = self.own.fetch_add(2, Ordering::Relaxed) + 2;
        self.heard.load(Ordering::Relaxed) - own
    }

    pub(crate) fn text(&self) -> String {
        self.address.to_string()
    }
}

/// A port of IPv4 loopback that nobody uses, and that nobody gets but who asks for it by its number: it is below those
/// that Linux gives to others (`net.ipv4.ip_local_port_range`), and each is given once in this process.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run at the same time begin at different places.
    let first = std::process::id().wrapping_mul(97);
    (0..PORTS.len() as u32)
        .map(|_| first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
        .map(|number| PORTS.start + (number % PORTS.len() as u32) as u16)
        .find(|port| {
            let at = (Ipv4Addr::LOCALHOST, *port);
            TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
        })
        .expect("loopback has free ports")
}

const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A peer that takes a connection and answers it only when a test says so.
pub(crate) struct Gate(tokio::net::TcpListener);

/// One whose call waits for its answer.
pub(crate) struct Held(tokio::net::TcpStream);

impl Gate {
    pub(crate) async fn start() -> Self {
        Self(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has ports"))
    }

    pub(crate) fn text(&self) -> String {
        self.0.local_addr().expect("it is bound").to_string()
    }

    /// Settings of an app that may come here, and has minutes for it.
    pub(crate) fn settings(&self) -> DeploySettings {
        let settings = settings(&[&format!("tcp://{}", self.text())]);
        DeploySettings { limits: Limits { wall_time_ms: 300_000, ..settings.limits }, ..settings }
    }

    /// The next one that comes: its call is under way.
    pub(crate) async fn held(&self) -> Held {
        let coming = tokio::time::timeout(Duration::from_secs(60), self.0.accept());
        Held(coming.await.expect("the call does not begin").expect("it listens").0)
    }
}

impl Held {
    /// Answers with what comes until its end.
    pub(crate) async fn release(mut self) {
        let (mut from, mut to) = self.0.split();
        // Who goes has its answer.
        let _gone = tokio::io::copy(&mut from, &mut to).await;
    }
}

/// Arguments of the exports that send bytes and wait for an answer over UDP.
pub(crate) fn datagram(to: SocketAddr) -> Value {
    json!([to.to_string(), [1, 2, 3], 20_000])
}

fn echo_stream(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
