use crate::tls;
use crate::token::Token;
use crate::transport::{Transport, full};
use crate::{ClientError, Collateral, Endpoint, Identity, Policy, Session};
use cloister_api::{API_PATH, EvidenceRequest};
use cloister_attestation::verify::{MAX_EVIDENCE_RESPONSE, Observed, ReceivedEvidence, VerifiedQuotes};
use cloister_attestation::{EXPORTER_LABEL, Evidence, SessionBinding};
use cloister_collateral::CollateralServer;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use std::borrow::Cow;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

/// What a relying party accepts, and who it is.
///
/// Whoever opens many sessions keeps one client for them: it remembers for a short while which quotes it verified
/// ([`VerifiedQuotes`]), so that a session with an enclave that it knows costs the handshake, the evidence of the session and a
/// comparison with the policy, and no verification of the quote. Every session is appraised by itself all the same.
#[derive(Debug)]
pub struct Client {
    policy: Policy,
    identity: Option<Identity>,
    /// The only TLS key that the identity is shown to.
    shown_to: Option<[u8; 32]>,
    /// As it was given.
    token: Option<Secret>,
    collateral: CollateralFrom,
    timeouts: Timeouts,
    /// Of all of its sessions.
    quotes: VerifiedQuotes,
    /// Of all of its handshakes; made for the first. It resumes nothing, so it carries nothing from one to another.
    tls: OnceLock<Arc<ClientConfig>>,
}

impl Client {
    /// A client that accepts what this policy accepts, and shows no certificate of its own.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            identity: None,
            shown_to: None,
            token: None,
            collateral: CollateralFrom::Enclave,
            timeouts: Timeouts::default(),
            quotes: VerifiedQuotes::default(),
            tls: OnceLock::new(),
        }
    }

    /// The same client that authenticates itself, as an owner has to.
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self.shown_to = None;
        self.tls = OnceLock::new();
        self
    }

    /// As [`with_identity`](Self::with_identity), for the enclave alone whose TLS key has this fingerprint, as its verified claims
    /// have it: a handshake with anybody else ends before the identity is shown.
    pub fn with_identity_for(self, identity: Identity, tls_key: [u8; 32]) -> Self {
        Self { shown_to: Some(tls_key), ..self.with_identity(identity) }
    }

    /// The same client that shows this token of an OpenID Connect issuer with every request of a verified session, and never
    /// before. A request that has an `authorization` of its own keeps it.
    pub fn with_token(mut self, token: Zeroizing<String>) -> Self {
        self.token = Some(Secret(token));
        self
    }

    /// The same client that verifies quotes against this collateral, and not against what the platform offers.
    /// Either is signed by the policy's root; one's own can be newer, or withhold nothing.
    pub fn with_collateral(mut self, collateral: Collateral) -> Self {
        self.collateral = CollateralFrom::Given(Box::new(collateral));
        self
    }

    /// The same client that verifies quotes against what this service has at the time: a caching service of one's own, or
    /// Intel's. It is asked once for each session, and learns which platform the session is with.
    pub fn with_collateral_server(mut self, server: CollateralServer) -> Self {
        self.collateral = CollateralFrom::Server(server);
        self
    }

    /// The same client with other bounds on waiting.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Opens a session and verifies it: handshake, evidence bound to this session, appraisal.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where the evidence does not pass the policy, with the whole report; nothing but the
    /// request for evidence was sent then. [`ClientError::NotAnEnclave`] where the peer has none. The others where no
    /// session came about; [`ClientError::Unreachable`] also where it is the service for collateral that gives none.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Session, ClientError> {
        let token = self.token.as_ref().map(|token| Token::new(&token.0)).transpose()?;
        let stream = self.handshake(endpoint).await?;
        let certificate = end_entity(endpoint, &stream)?;
        let binding = fresh_binding(endpoint, &stream)?;
        let mut transport = Transport::new(stream, &endpoint.server_name, self.timeouts).await?;

        let evidence = self.request_evidence(endpoint, &transport, &binding).await?;
        let collateral = self.collateral(&evidence).await?;
        let observed =
            Observed { binding: &binding, certificate: &certificate, server_name: &endpoint.server_name };
        let (presented, now) = (evidence.presented(), SystemTime::now());
        let verified = self.quotes.verify(&presented, &observed, collateral.as_deref(), &self.policy, now)?;
        if let Some(token) = token {
            transport.show(token);
        }
        let ReceivedEvidence { claims, quote, .. } = evidence;
        Ok(Session::new(transport, verified, certificate, Evidence { claims, quote }, &self.policy.apps))
    }

    async fn collateral<'a>(
        &'a self,
        evidence: &'a ReceivedEvidence,
    ) -> Result<Option<Cow<'a, Collateral>>, ClientError> {
        match &self.collateral {
            CollateralFrom::Enclave => Ok(evidence.collateral.as_ref().map(Cow::Borrowed)),
            CollateralFrom::Given(collateral) => Ok(Some(Cow::Borrowed(collateral))),
            CollateralFrom::Server(server) => match server.collateral(&evidence.quote).await {
                Ok(collateral) => Ok(Some(Cow::Owned(collateral))),
                Err(error) => Err(ClientError::Unreachable {
                    address: server.url().to_owned(),
                    source: io::Error::other(format!("no collateral for the enclave's quote: {error}")),
                }),
            },
        }
    }

    /// What an enclave presents as evidence, and nothing of it verified: for whoever wants to know its platform, to fetch
    /// collateral for it. Nothing but the request for it is sent.
    ///
    /// # Errors
    /// [`ClientError`] where no session came about, or the peer has no evidence.
    pub async fn present(&self, endpoint: &Endpoint) -> Result<ReceivedEvidence, ClientError> {
        let stream = self.handshake(endpoint).await?;
        let binding = fresh_binding(endpoint, &stream)?;
        let transport = Transport::new(stream, &endpoint.server_name, self.timeouts).await?;
        self.request_evidence(endpoint, &transport, &binding).await
    }

    async fn handshake(&self, endpoint: &Endpoint) -> Result<TlsStream<TcpStream>, ClientError> {
        let configuration = self.tls()?;
        let name = ServerName::try_from(endpoint.server_name.clone())
            .map_err(|_| ClientError::ServerName(endpoint.server_name.clone()))?;

        let Timeouts { connect, handshake, .. } = self.timeouts;
        let late = |doing, after| move |_| ClientError::TimedOut { doing, after };
        let tcp = timeout(connect, TcpStream::connect(&endpoint.address))
            .await
            .map_err(late("connecting", connect))?
            .map_err(|source| ClientError::Unreachable { address: endpoint.address.clone(), source })?;
        // A request is written whole, so waiting for more of it only costs time. Where the option is refused, it
        // costs that time.
        let _ = tcp.set_nodelay(true);
        timeout(handshake, TlsConnector::from(configuration).connect(name, tcp))
            .await
            .map_err(late("the TLS handshake", handshake))?
            .map_err(|source| ClientError::handshake(endpoint, source))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, ClientError> {
        if let Some(configuration) = self.tls.get() {
            return Ok(Arc::clone(configuration));
        }
        let configuration = tls::configuration(self.identity.as_ref(), self.shown_to)?;
        Ok(Arc::clone(self.tls.get_or_init(|| configuration)))
    }

    async fn request_evidence(
        &self,
        endpoint: &Endpoint,
        transport: &Transport,
        binding: &SessionBinding,
    ) -> Result<ReceivedEvidence, ClientError> {
        let not_an_enclave =
            |reason: String| ClientError::NotAnEnclave { address: endpoint.address.clone(), reason };
        let nonce = EvidenceRequest { nonce: hex::encode(binding.nonce) };
        let body = serde_json::to_vec(&nonce).map_err(|error| not_an_enclave(error.to_string()))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{API_PATH}/evidence"))
            .header(CONTENT_TYPE, "application/json")
            .body(full(body))
            .map_err(|error| not_an_enclave(error.to_string()))?;
        let response = transport.within(request, "waiting for evidence", self.timeouts.evidence).await?;
        if response.status() != StatusCode::OK {
            return Err(match transport.problem(response).await {
                ClientError::UnexpectedResponse(reason) => not_an_enclave(reason),
                other => other,
            });
        }
        let body = transport.body(response.into_body(), MAX_EVIDENCE_RESPONSE).await?;
        ReceivedEvidence::read(&body)
            .map_err(|error| not_an_enclave(format!("its evidence is not in the protocol's form: {error}")))
    }
}

/// What is not printed.
struct Secret(Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What quotes are verified against.
#[derive(Debug)]
enum CollateralFrom {
    /// What the platform offers with its evidence.
    Enclave,
    Given(Box<Collateral>),
    Server(CollateralServer),
}

/// Bounds on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the TCP connection; 10 s by default.
    pub connect: Duration,
    /// For the TLS handshake; 10 s by default.
    pub handshake: Duration,
    /// For the evidence, for which the platform may have to make a quote; 60 s by default.
    pub evidence: Duration,
    /// Between a request and the head of its response, and between pieces of a response; 120 s by default. A call
    /// that its app's limits allow to run longer needs more.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            evidence: Duration::from_secs(60),
            idle: Duration::from_secs(120),
        }
    }
}

fn end_entity(
    endpoint: &Endpoint,
    stream: &TlsStream<TcpStream>,
) -> Result<CertificateDer<'static>, ClientError> {
    let chain = stream.get_ref().1.peer_certificates();
    chain.and_then(<[_]>::first).map(|certificate| certificate.clone().into_owned()).ok_or_else(|| {
        ClientError::NotAnEnclave {
            address: endpoint.address.clone(),
            reason: "it showed no certificate".to_owned(),
        }
    })
}

/// A new nonce, and the exporter of this session for it.
fn fresh_binding(endpoint: &Endpoint, stream: &TlsStream<TcpStream>) -> Result<SessionBinding, ClientError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| ClientError::Randomness)?;
    let exporter = stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(&nonce)).map_err(
        |error| ClientError::Tls { address: endpoint.address.clone(), source: std::io::Error::other(error) },
    )?;
    Ok(SessionBinding { exporter, nonce })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_attestation::verify::{Measurement, TrustAnchor};

    #[test]
    fn all_handshakes_of_a_client_have_one_configuration() {
        let client = Client::new(Policy::new(TrustAnchor::Intel, Measurement::Any));
        let first = client.tls().unwrap();
        assert!(Arc::ptr_eq(&first, &client.tls().unwrap()));
        assert!(!first.client_auth_cert_resolver.has_certs());

        // The identity is in it.
        let client = client.with_identity(Identity::generate().unwrap());
        let second = client.tls().unwrap();
        assert!(second.client_auth_cert_resolver.has_certs() && !Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &client.tls().unwrap()));
    }
}
