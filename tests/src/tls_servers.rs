//! TLS servers on loopback, good ones and bad ones, which note who came and what for.

mod answers;
mod misbehavior;
mod old;

pub use cloister_test_authority::{Authority, Certificate, Identity, Versions};
pub use misbehavior::Misbehavior;
pub use old::{HandWrittenTls11, OpensslServer};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A server of this process, for as long as the runtime lives that it was started on.
#[derive(Clone, Debug)]
pub struct TlsServer {
    pub address: SocketAddr,
    site: Arc<Site>,
}

/// What a server is.
#[derive(Clone, Debug)]
pub struct Service {
    pub at: IpAddr,
    pub versions: Versions,
    pub behavior: Behavior,
    /// What it answers to these paths, whatever it answers to others.
    pub pages: BTreeMap<String, Page>,
}

/// An answer with status 200.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What a server does once TLS is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// HTTP/1.1: what the path says.
    Http1,
    /// HTTP/2: the same.
    Http2,
    /// Whichever the client likes better.
    Either,
    /// Bytes that are no whole response.
    Misbehaves(Misbehavior),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The TLS session that carried it, counted from 1.
    pub session: u64,
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `host`, or what HTTP/2 has in its place.
    pub authority: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The name in the client's hello; a server by an address has none.
    pub server_name: Option<String>,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

impl Default for Service {
    /// HTTP/1.1 over either version of TLS, at 127.0.0.1.
    fn default() -> Self {
        Self {
            at: Ipv4Addr::LOCALHOST.into(),
            versions: Versions::All,
            behavior: Behavior::Http1,
            pages: BTreeMap::new(),
        }
    }
}

impl Service {
    /// At 127.0.0.1, over either version of TLS.
    pub fn that(behavior: Behavior) -> Self {
        Self { behavior, ..Self::default() }
    }

    /// Starts it at a port of its own.
    ///
    /// # Panics
    /// Where the address is none of this machine.
    pub async fn start(self, identity: &Identity) -> TlsServer {
        let listener = TcpListener::bind((self.at, 0)).await.expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let acceptor = identity.acceptor(self.behavior.protocols(), self.versions);
        let site = Arc::new(Site { pages: self.pages, ..Site::default() });
        let server = TlsServer { address, site: Arc::clone(&site) };
        let behavior = self.behavior;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, acceptor.clone(), behavior, Arc::clone(&site)));
            }
        });
        server
    }
}

impl Behavior {
    fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::Http1 | Self::Misbehaves(_) => &[HTTP1],
            Self::Http2 => &[HTTP2],
            Self::Either => &[HTTP2, HTTP1],
        }
    }
}

impl TlsServer {
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were begun, whether or not TLS was agreed on.
    pub fn connections(&self) -> u64 {
        self.site.connections.load(Ordering::SeqCst)
    }

    /// TLS sessions.
    pub fn sessions(&self) -> u64 {
        self.site.sessions.load(Ordering::SeqCst)
    }

    /// The requests so far. A [misbehaving](Behavior::Misbehaves) server notes none.
    pub fn received(&self) -> Vec<Received> {
        self.site.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that a [misbehaving](Behavior::Misbehaves) server got rid of.
    pub fn bytes_written(&self) -> u64 {
        self.site.written.load(Ordering::SeqCst)
    }
}

/// What a server has besides the paths that all servers know, and what it saw.
#[derive(Debug, Default)]
struct Site {
    pages: BTreeMap<String, Page>,
    connections: AtomicU64,
    sessions: AtomicU64,
    written: AtomicU64,
    received: Mutex<Vec<Received>>,
}

impl Site {
    fn receive(&self, request: Received) {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, behavior: Behavior, site: Arc<Site>) {
    site.connections.fetch_add(1, Ordering::SeqCst);
    // Small answers go at once; whether they do is nothing that a test is about.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let session = site.sessions.fetch_add(1, Ordering::SeqCst) + 1;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2.as_bytes());
    match behavior {
        Behavior::Misbehaves(how) => misbehavior::misbehave(stream, how, &site.written).await,
        Behavior::Http1 | Behavior::Http2 | Behavior::Either if is_http2 => {
            answers::serve_http2(stream, session, site).await;
        }
        Behavior::Http1 | Behavior::Http2 | Behavior::Either => {
            answers::serve_http1(stream, session, site).await;
        }
    }
}

const HTTP1: &str = "http/1.1";
const HTTP2: &str = "h2";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawTls;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn answer(server: &TlsServer, request: &str) -> String {
        let mut client = RawTls::connect(server.address, "localhost").await.unwrap();
        client.send(request.as_bytes(), PATIENCE).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_good_server_answers_and_notes_what_came() {
        let identity = Authority::new().issue("localhost");
        let server = Service::default().start(&identity).await;
        let request =
            "POST /chain/1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody";
        let said = answer(&server, request).await;
        assert!(
            said.starts_with("HTTP/1.1 302 Found\r\n") && said.contains("location: /chain/0\r\n"),
            "{said}"
        );
        assert!(said.contains("x-method: POST\r\n"), "{said}");
        let [received] = &server.received()[..] else { panic!("{:?}", server.received()) };
        assert_eq!(
            (received.session, received.method.as_str(), received.target.as_str()),
            (1, "POST", "/chain/1")
        );
        assert_eq!((received.authority.as_str(), received.body.as_slice()), ("localhost", &b"body"[..]));
        assert_eq!(received.server_name.as_deref(), Some("localhost"));
        assert_eq!((server.connections(), server.sessions()), (1, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_misbehaving_server_says_what_it_is_to_say() {
        let identity = Identity::self_signed("localhost");
        let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        for (how, end) in [
            (Misbehavior::ShortBody, "content-length: 1000\r\n\r\n0123456789"),
            (Misbehavior::NoLastChunk, "\r\n\r\na\r\n0123456789\r\n"),
            (Misbehavior::CutOff, "\r\n\r\n0123456789"),
            (Misbehavior::HalfAHead, "content-len"),
        ] {
            let server = Service::that(Behavior::Misbehaves(how)).start(&identity).await;
            let said = answer(&server, get).await;
            assert!(said.ends_with(end), "{how:?}: {said}");
        }
        let server = Service::that(Behavior::Misbehaves(Misbehavior::SlowBody)).start(&identity).await;
        let mut client = RawTls::connect(server.address, "localhost").await.unwrap();
        client.0.write_all(get.as_bytes()).await.unwrap();
        let (mut said, mut buffer) = (Vec::new(), [0; 100]);
        while !said.ends_with(b"\r\n\r\nxx") {
            let length = timeout(PATIENCE, client.0.read(&mut buffer)).await.unwrap().unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&buffer[..length]);
        }
    }

    #[test]
    fn old_servers_speak_tls_1_1() {
        use std::io::{Read as _, Write as _};
        let identity = Authority::new().issue("localhost");
        assert_eq!(OpensslServer::tls11(&identity).version_for_an_old_client(), "TLSv1.1");
        let mut stream = std::net::TcpStream::connect(HandWrittenTls11::start().address).unwrap();
        stream.write_all(b"a hello").unwrap();
        let mut head = [0; 11];
        stream.read_exact(&mut head).unwrap();
        // A handshake record of TLS 1.1 with a ServerHello of TLS 1.1.
        assert_eq!((head[..3].to_vec(), head[5], head[9..].to_vec()), (vec![22, 3, 2], 2, vec![3, 2]));
    }
}
