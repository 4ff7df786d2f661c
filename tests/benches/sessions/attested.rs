//! Attested sessions, as our client makes them, and the same in parts.

use crate::sample::Sample;
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use cloister_attestation::verify::{Observed, ReceivedEvidence, VerifiedQuotes};
use cloister_attestation::{EXPORTER_LABEL, SessionBinding};
use cloister_client::{Client, Endpoint, Policy};
use cloister_tests::{Enclave, RawTls};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

pub(crate) struct Attested {
    client: Client,
    endpoint: Endpoint,
    policy: Policy,
    address: SocketAddr,
}

/// How long each part took.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    handshake: Sample,
    evidence: Sample,
    /// Of a quote that was not verified before.
    first: Sample,
    /// Of one that was.
    again: Sample,
}

impl Attested {
    pub(crate) fn new(enclave: &Enclave) -> Self {
        let policy = enclave.policy();
        let client = Client::new(policy.clone());
        Self { client, endpoint: enclave.endpoint(), policy, address: enclave.address() }
    }

    /// A session whose evidence was appraised, and one request in it, by a client that has many: it verified the quote before.
    pub(crate) async fn connect(&self) -> Result<()> {
        self.connect_with(&self.client).await
    }

    /// The same by a client that has no other session, and so verifies the quote.
    pub(crate) async fn connect_anew(&self) -> Result<()> {
        self.connect_with(&Client::new(self.policy.clone())).await
    }

    async fn connect_with(&self, client: &Client) -> Result<()> {
        let session = client.connect(&self.endpoint).await?;
        session.health().await?;
        Ok(())
    }

    /// The same in steps that can be timed, without the request, over HTTP/1.1.
    pub(crate) async fn in_parts(&self) -> Result<Parts> {
        let mut parts = Parts::default();
        let began = Instant::now();
        let stream = RawTls::connect(self.address, &self.endpoint.server_name).await?;
        stream.0.get_ref().0.set_nodelay(true)?;
        parts.handshake.push(began.elapsed());

        let certificate = CertificateDer::from(stream.certificate());
        let nonce = [0x4e; 32];
        let tls = stream.0.get_ref().1;
        let exporter = tls.export_keying_material([0; 32], EXPORTER_LABEL, Some(&nonce))?;
        let binding = SessionBinding { exporter, nonce };
        let began = Instant::now();
        let body = evidence(stream, &nonce).await?;
        parts.evidence.push(began.elapsed());

        let server_name = &self.endpoint.server_name;
        let observed = Observed { binding: &binding, certificate: &certificate, server_name };
        let quotes = VerifiedQuotes::default();
        for sample in [&mut parts.first, &mut parts.again] {
            let began = Instant::now();
            let received = ReceivedEvidence::read(&body)?;
            let (presented, collateral) = (received.presented(), received.collateral.as_ref());
            quotes
                .verify(&presented, &observed, collateral, &self.policy, SystemTime::now())
                .context("the image's evidence is refused")?;
            sample.push(began.elapsed());
        }
        Ok(parts)
    }
}

impl Parts {
    pub(crate) fn add(&mut self, other: Self) {
        self.handshake.add(other.handshake);
        self.evidence.add(other.evidence);
        self.first.add(other.first);
        self.again.add(other.again);
    }

    pub(crate) fn named(&self) -> [(&'static str, &Sample); 4] {
        [
            ("TCP and TLS handshake", &self.handshake),
            ("evidence, asked for and received", &self.evidence),
            ("appraisal, a quote that is met for the first time", &self.first),
            ("appraisal, a quote that was verified before", &self.again),
        ]
    }
}

async fn evidence(stream: RawTls, nonce: &[u8; 32]) -> Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream.0)).await?;
    tokio::spawn(async { drop(connection.await) });
    let body = format!("{{\"nonce\":\"{}\"}}", hex::encode(nonce));
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/evidence")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(body))?;
    let response = sender.send_request(request).await?;
    ensure!(response.status().is_success(), "no evidence: {}", response.status());
    Ok(response.into_body().collect().await?.to_bytes())
}
