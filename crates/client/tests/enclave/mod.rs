//! A server that stands for an enclave: real TLS, real evidence of a test platform, and answers that a test can bend.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cloister_api::{
    AppDescription, AppSummary, CallerPolicy, EvidenceRequest, EvidenceResponse, NetworkPolicy, RunEnd,
    RunTag, VolumeState,
};
use cloister_attestation::*;
use cloister_channel_body::Channel;
use cloister_client::{Client, Endpoint, Measurement, Policy, TrustAnchor};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::ServerConfig;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, HandshakeKind, SignatureScheme};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::platform::{Enclave, TestPlatform};

/// What makes the evidence of one request: this session's exporter for the nonce, and the nonce.
pub type MakeEvidence = Arc<dyn Fn(&FakeEnclave, SessionBinding) -> EvidenceResponse + Send + Sync>;
/// What answers any other request, by its method and path, with its body.
pub type Answer = Arc<dyn Fn(&str, &[u8]) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub struct FakeEnclave {
    pub platform: Arc<TestPlatform>,
    pub tls_key: Arc<TlsKey>,
    pub session_key: Arc<SessionKey>,
    pub claims: Claims,
    /// The volume's state at this moment, which sessions are bound with.
    pub volume: Option<Volume>,
    pub quote: Vec<u8>,
    /// What it offers to verify quotes against.
    pub collateral: serde_json::Value,
    /// What its certificate says of an app.
    pub app: Option<AppExtensions>,
    pub make_evidence: MakeEvidence,
    pub answer: Answer,
    pub alpn: Vec<Vec<u8>>,
    pub tls_version: &'static rustls::SupportedProtocolVersion,
    /// Headers with settings that came so far.
    pub settings: Arc<Mutex<Vec<String>>>,
    /// Method and path of every request, in order; the path from `/v1` on.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// The headers that came with each of them.
    pub headers: Arc<Mutex<Vec<HeaderMap>>>,
    /// Key fingerprints of the certificates that clients showed.
    pub clients: Arc<Mutex<Vec<[u8; 32]>>>,
    /// Of every connection, whether it was made from nothing.
    pub handshakes: Arc<Mutex<Vec<HandshakeKind>>>,
}

impl FakeEnclave {
    pub fn new() -> Self {
        let tls_key = TlsKey::generate().unwrap();
        let session_key = SessionKey::generate().unwrap();
        let claims = Claims {
            tls_key: tls_key.fingerprint(),
            session_key: session_key.public(),
            boot: Boot { id: [1; 16], told_time: 1, counter: 1 },
            configuration: [2; 32],
            owners: Vec::new(),
            volume: Some(CLAIMED),
            freshness: Freshness::None,
            apps: vec![AppClaims {
                name: "hello".parse().unwrap(),
                code_hash: CODE_HASH,
                owner: [3; 32],
                limits: Default::default(),
                environment: environment_hash([]),
                upgrade: UpgradePolicy::Owner,
                network: NetworkPolicy::default(),
                roots: None,
                assets: None,
                config: environment_hash([]),
                extensions: Vec::new(),
                configuration: ConfigurationClaim::NotNeeded,
                quote_roots: None,
                callers: CallerPolicy::default(),
                issuers: Vec::new(),
            }],
            operator: None,
            image_upgrade: ImageUpgradeClaim::Never,
            lineage: Vec::new(),
            made: 1,
            platform: PlatformClaim::Simulated,
            issuers: Vec::new(),
        };
        let platform = TestPlatform::new();
        let mut enclave = Self {
            collateral: serde_json::to_value(platform.collateral("UpToDate")).unwrap(),
            platform: Arc::new(platform),
            tls_key: Arc::new(tls_key),
            session_key: Arc::new(session_key),
            claims,
            volume: Some(PRESENT),
            quote: Vec::new(),
            app: None,
            make_evidence: Arc::new(FakeEnclave::evidence),
            answer: Arc::new(|_, _| Response::new(Bytes::from_static(b"{\"status\":\"ok\"}"))),
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            tls_version: &rustls::version::TLS13,
            requests: Arc::default(),
            headers: Arc::default(),
            settings: Arc::default(),
            clients: Arc::default(),
            handshakes: Arc::default(),
        };
        enclave.quote_as(|_| {});
        enclave
    }

    /// Quotes the present claims, after this change to the enclave's identity.
    pub fn quote_as(&mut self, change: impl FnOnce(&mut Enclave)) {
        let report_data = report_data(&self.claims.encode().unwrap());
        let mut identity = Enclave { mrenclave: MRENCLAVE, debug: false, report_data };
        change(&mut identity);
        self.quote = self.platform.quote(&identity);
    }

    /// What an honest enclave answers.
    pub fn evidence(&self, binding: SessionBinding) -> EvidenceResponse {
        let claims = self.claims.encode().unwrap();
        let state = |volume: Volume| VolumeState { epoch: volume.epoch, root: hex::encode(volume.root) };
        EvidenceResponse {
            signature: BASE64_STANDARD.encode(self.session_key.sign(&binding, &claims, self.volume).unwrap()),
            volume: self.volume.map(state),
            claims: BASE64_STANDARD.encode(claims),
            quote: BASE64_STANDARD.encode(&self.quote),
            collateral: Some(self.collateral.clone()),
        }
    }

    /// The policy that expects this enclave.
    pub fn policy(&self) -> Policy {
        let root_fingerprint = self.platform.root_fingerprint();
        Policy::new(TrustAnchor::Simulated { root_fingerprint }, Measurement::Exactly(vec![MRENCLAVE]))
    }

    pub fn client(&self) -> Client {
        Client::new(self.policy())
    }

    /// Serves in the background, on a port of its own.
    pub async fn serve(&self) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let enclave = self.clone();
        let acceptor = TlsAcceptor::from(self.tls_configuration());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (enclave, acceptor) = (enclave.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        enclave.serve_connection(stream).await;
                    }
                });
            }
        });
        Endpoint { address, server_name: "localhost".to_owned() }
    }

    async fn serve_connection(self, stream: TlsStream<TcpStream>) {
        let connection = stream.get_ref().1;
        let http2 = connection.alpn_protocol() == Some(b"h2");
        self.handshakes.lock().unwrap().extend(connection.handshake_kind());
        if let Some(chain) = connection.peer_certificates() {
            self.clients.lock().unwrap().push(key_fingerprint(&chain[0]).unwrap());
        }
        let stream = Shared(Arc::new(Mutex::new(stream)));
        let service = {
            let stream = stream.clone();
            service_fn(move |request| self.clone().handle(request, stream.clone()))
        };
        let io = TokioIo::new(stream);
        if http2 {
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_header_list_size(64 << 10)
                .max_concurrent_streams(64)
                .serve_connection(io, service)
                .await;
        } else {
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        }
    }

    async fn handle(
        self,
        request: Request<Incoming>,
        stream: Shared,
    ) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
        let Some(path) = request.uri().path().strip_prefix("/.well-known/cloister") else {
            let elsewhere = "elsewhere, a web service could answer instead of the enclave";
            return Ok(Response::builder().status(404).body(Full::from(elsewhere).boxed_unsync()).unwrap());
        };
        let line = format!("{} {path}", request.method());
        self.requests.lock().unwrap().push(line.clone());
        self.headers.lock().unwrap().push(request.headers().clone());
        if line == "POST /v1/apps/echo/run" {
            return Ok(echo(request));
        }
        let settings = request.headers().get(cloister_api::SETTINGS_HEADER);
        self.settings.lock().unwrap().extend(settings.and_then(|text| text.to_str().ok()).map(str::to_owned));
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let response = if line == "POST /v1/evidence" {
            let request: EvidenceRequest = serde_json::from_slice(&body).unwrap();
            let nonce: [u8; 32] = hex::decode(request.nonce).unwrap().try_into().unwrap();
            let binding = SessionBinding { exporter: stream.exporter(&nonce), nonce };
            let evidence = (self.make_evidence)(&self, binding);
            Response::new(Bytes::from(serde_json::to_vec(&evidence).unwrap()))
        } else {
            (self.answer)(&line, &body)
        };
        Ok(response.map(|body| Full::new(body).boxed_unsync()))
    }

    fn tls_configuration(&self) -> Arc<ServerConfig> {
        let evidence = Evidence { claims: self.claims.encode().unwrap(), quote: self.quote.clone() };
        let leaf =
            leaf_certificate(&self.tls_key, &["localhost".to_owned()], &evidence, self.app.as_ref()).unwrap();
        let key = PrivatePkcs8KeyDer::from(self.tls_key.to_pkcs8_der().unwrap().to_vec());
        let mut configuration =
            ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
                .with_protocol_versions(&[self.tls_version])
                .unwrap()
                .with_client_cert_verifier(Arc::new(AnyClient))
                .with_single_cert(vec![leaf], key.into())
                .unwrap();
        configuration.alpn_protocols = self.alpn.clone();
        Arc::new(configuration)
    }

    /// The requests that came so far.
    pub fn seen(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A command that writes to its standard output what it reads, while it reads it.
fn echo(request: Request<Incoming>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (mut sender, answer) = Channel::<Bytes, Infallible>::new(1);
    let mut body = request.into_body();
    tokio::spawn(async move {
        let frame = |tag: RunTag, bytes: &[u8]| [&tag.head(bytes.len() as u32)[..], bytes].concat().into();
        while let Some(Ok(piece)) = body.frame().await {
            // HTTP/2 may end a body with an empty piece.
            if let Ok(bytes) = piece.into_data()
                && !bytes.is_empty()
            {
                sender.send_data(frame(RunTag::Stdout, &bytes)).await.unwrap();
            }
        }
        let end =
            RunEnd { exit_code: 3, fuel: 1, wall_us: 2, code_hash: hex::encode(CODE_HASH), epoch: Some(77) };
        let end = serde_json::to_vec(&end).unwrap();
        sender.send_data(frame(RunTag::End, &end)).await.unwrap();
    });
    let mut response = Response::new(answer.boxed_unsync());
    response.headers_mut().insert("content-type", cloister_api::RUN.parse().unwrap());
    response
}

/// A response with this status, media type and body.
pub fn response(status: u16, media_type: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", media_type.parse().unwrap());
    response
}

/// JSON texts, one a line.
pub fn lines<T: serde::Serialize>(events: &[T]) -> String {
    events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
}

/// An app with this code.
pub fn description(code_hash: &str) -> AppDescription {
    AppDescription {
        summary: AppSummary {
            name: "hello".parse().unwrap(),
            code_hash: code_hash.to_owned(),
            size: 1,
            owner: String::new(),
        },
        wit: String::new(),
        limits: Default::default(),
        environment: Vec::new(),
        config: Vec::new(),
        directories: Vec::new(),
        network: NetworkPolicy::default(),
        sends_plaintext: false,
        roots: None,
        quote_roots: None,
        callers: CallerPolicy::default(),
        issuers: Vec::new(),
        upgrade: Default::default(),
        configuration: Default::default(),
        configure_with: None,
        extensions: Vec::new(),
        keys: Vec::new(),
        assets: None,
        serves_http: false,
        runs: false,
        imports: Vec::new(),
        exports: Vec::new(),
        code_bytes: 0,
        compile_ms: 0,
        storage: Default::default(),
        total: Default::default(),
        functions: Default::default(),
    }
}

/// A TLS stream that its server still can ask for exporters while HTTP runs over it.
#[derive(Clone)]
struct Shared(Arc<Mutex<TlsStream<TcpStream>>>);

impl Shared {
    fn exporter(&self, nonce: &[u8]) -> [u8; 32] {
        let stream = self.0.lock().unwrap();
        stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(nonce)).unwrap()
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_shutdown(cx)
    }
}

/// Asks for a client certificate, and takes any.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls_graviola::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls_graviola::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub const MRENCLAVE: [u8; 32] = [0xaa; 32];
pub const CODE_HASH: [u8; 32] = [0xc0; 32];
/// The volume when the claims were quoted, and when sessions begin.
pub const CLAIMED: Volume = Volume { epoch: 3, root: [0x41; 32] };
pub const PRESENT: Volume = Volume { epoch: 5, root: [0x42; 32] };
