use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloister_attestation::TlsKey;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

/// The world outside the enclave: a medical API, and a thief, both on loopback and both with good certificates of one throw-away
/// authority. They live as long as the runtime they were started in.
#[derive(Debug)]
pub struct Outside {
    /// The medical API, as a URL.
    pub api: String,
    /// The thief, as `host:port`. He listens for TLS, and for datagrams at the same number.
    pub thief: String,
    /// The authority's certificate in DER: the only root that the app needs.
    pub root: Vec<u8>,
    seen: Log,
}

/// Something that reached somebody outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The medical API was asked this.
    ByTheApi { request: String },
    /// The thief got this: a connection, a request or a datagram.
    ByTheThief { what: String },
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByTheApi { request } => write!(f, "the medical API was asked: {request}"),
            Self::ByTheThief { what } => write!(f, "THE THIEF GOT {what}"),
        }
    }
}

impl Outside {
    /// Starts both, and has `report` called with whatever reaches them.
    ///
    /// # Errors
    /// Why they cannot listen, or have no certificates.
    pub async fn start(report: impl Fn(&Seen) + Send + Sync + 'static) -> io::Result<Self> {
        let authority = Authority::new().map_err(io::Error::other)?;
        let acceptor = authority.acceptor().map_err(io::Error::other)?;
        let seen = Log { seen: Arc::default(), report: Arc::new(report) };
        let (api, (thief, datagrams)) = (TcpListener::bind(ANY_PORT).await?, pair().await?);
        let outside = Self {
            api: format!("https://localhost:{}", api.local_addr()?.port()),
            thief: format!("localhost:{}", thief.local_addr()?.port()),
            root: authority.certificate.to_vec(),
            seen: seen.clone(),
        };
        tokio::spawn(listen(api, acceptor.clone(), seen.clone(), Role::MedicalApi));
        tokio::spawn(listen(thief, acceptor, seen.clone(), Role::Thief));
        tokio::spawn(take_datagrams(datagrams, seen));
        Ok(outside)
    }

    /// The authority's certificate as `cloister deploy --roots` reads it.
    pub fn root_pem(&self) -> String {
        let lines: String = BASE64_STANDARD
            .encode(&self.root)
            .as_bytes()
            .chunks(64)
            .map(|line| format!("{}\n", line.escape_ascii()))
            .collect();
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the thief got.
    pub fn stolen(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| matches!(seen, Seen::ByTheThief { .. })).collect()
    }
}

#[derive(Clone)]
struct Log {
    seen: Arc<Mutex<Vec<Seen>>>,
    report: Arc<dyn Fn(&Seen) + Send + Sync>,
}

impl Log {
    fn add(&self, what: Seen) {
        (self.report)(&what);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn stolen(&self, what: String) {
        self.add(Seen::ByTheThief { what });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    MedicalApi,
    Thief,
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, log: Log, role: Role) {
    while let Ok((stream, _)) = listener.accept().await {
        if role == Role::Thief {
            log.stolen("a connection".to_owned());
        }
        tokio::spawn(serve(stream, acceptor.clone(), log.clone(), role));
    }
}

/// Whoever breaks off, breaks off.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, log: Log, role: Role) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let answer = service_fn(move |request: Request<Incoming>| {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let response = match role {
            Role::MedicalApi => {
                log.add(Seen::ByTheApi { request: format!("{} {target}", request.method()) });
                medical_api(&target)
            }
            Role::Thief => {
                log.stolen(format!("a request for {target}"));
                response(StatusCode::OK, "thank you")
            }
        };
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

/// Reference ranges. And, as so many services have, a path that redirects wherever it is told to.
fn medical_api(target: &str) -> Response<Full<Bytes>> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/v1/reference-ranges" => response(StatusCode::OK, include_str!("../../reference-ranges.json")),
        "/moved" => {
            let to = percent_decode_str(query.strip_prefix("to=").unwrap_or("/")).decode_utf8_lossy();
            let moved = Response::builder().status(StatusCode::FOUND).header("location", &*to);
            moved.body(Full::default()).unwrap_or_else(|_| response(StatusCode::BAD_REQUEST, "no such place"))
        }
        _ => response(StatusCode::NOT_FOUND, "nothing here"),
    }
}

fn response(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response
}

async fn take_datagrams(socket: UdpSocket, log: Log) {
    let mut buffer = [0; 2_048];
    while let Ok((length, _)) = socket.recv_from(&mut buffer).await {
        log.stolen(format!("a datagram of {length} bytes"));
    }
}

/// One number for TCP and UDP.
async fn pair() -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts = 0;
    loop {
        let listener = TcpListener::bind(ANY_PORT).await?;
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((listener, socket)),
            Err(_) if attempts < 100 => attempts += 1,
            Err(error) => return Err(error),
        }
    }
}

/// A throw-away certificate authority.
struct Authority {
    key: TlsKey,
    parameters: CertificateParams,
    certificate: CertificateDer<'static>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Authority {
    fn new() -> Result<Self, Failure> {
        let key = TlsKey::generate()?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name.push(DnType::CommonName, "Throw-away authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.serial_number = Some(1.into());
        let certificate = parameters.self_signed(&key)?.into();
        Ok(Self { key, parameters, certificate })
    }

    /// TLS of a server that this authority knows as `localhost`.
    fn acceptor(&self) -> Result<TlsAcceptor, Failure> {
        let key = TlsKey::generate()?;
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()])?;
        parameters.distinguished_name.push(DnType::CommonName, "localhost");
        parameters.serial_number = Some(2.into());
        let certificate = parameters.signed_by(&key, &Issuer::from_params(&self.parameters, &self.key))?;
        let key = PrivatePkcs8KeyDer::from(key.to_pkcs8_der()?.to_vec()).into();
        let configuration =
            ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.into()], key)?;
        Ok(TlsAcceptor::from(Arc::new(configuration)))
    }
}

const ANY_PORT: (&str, u16) = ("127.0.0.1", 0);

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject as _;
    use std::time::Duration;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn the_thief_notices_whatever_comes() {
        let (reports, mut reported) = mpsc::unbounded_channel();
        let outside = Outside::start(move |seen| reports.send(seen.clone()).unwrap()).await.unwrap();
        assert_eq!(outside.seen(), []);
        let port = outside.thief.strip_prefix("localhost:").unwrap().parse::<u16>().unwrap();
        let _connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let socket = UdpSocket::bind(ANY_PORT).await.unwrap();
        socket.send_to(b"loot", ("127.0.0.1", port)).await.unwrap();
        for _ in 0..2 {
            let seen = tokio::time::timeout(Duration::from_secs(10), reported.recv()).await.unwrap().unwrap();
            assert!(seen.to_string().starts_with("THE THIEF GOT"), "{seen}");
        }
        assert_eq!(outside.stolen().len(), 2);
    }

    #[tokio::test]
    async fn the_root_is_one_certificate() {
        let outside = Outside::start(|_| {}).await.unwrap();
        let root = CertificateDer::from_pem_slice(outside.root_pem().as_bytes()).unwrap();
        assert_eq!(&*root, &outside.root[..]);
    }

    #[test]
    fn the_api_serves_ranges_and_redirects() {
        assert_eq!(medical_api("/v1/reference-ranges?x").status(), StatusCode::OK);
        assert_eq!(medical_api("/").status(), StatusCode::NOT_FOUND);
        let moved = medical_api("/moved?to=https%3A%2F%2Flocalhost%3A1%2Fx");
        assert_eq!(
            (moved.status(), &moved.headers()["location"]),
            (StatusCode::FOUND, &"https://localhost:1/x".parse().unwrap())
        );
        assert_eq!(medical_api("/moved?to=%0A").status(), StatusCode::BAD_REQUEST);
    }
}
