//! Which enclave a server has to be, and whether it is the one that answers.
//!
//! `docs/design/https.md` has what is checked and what that proves.

mod collateral;

use std::time::SystemTime;

use bytes::Bytes;
use cloister_api::EvidenceRequest;
use cloister_attestation::verify::{
    Attests, Collateral, ExpectedExtension, ExpectedTee, InvalidExpectation, QuoteOrigin, ReceivedEvidence,
    ServerCertificate, ServerEvidence, ServerPolicy, ServerRefused, SessionEvidence, UnreadableEvidence,
    VerifiedServer, verify_server,
};
use cloister_attestation::{EXPORTER_LABEL, HASH_LEN, SessionBinding, sha256};
use cloister_egress::Session;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};

use super::Servers;
use crate::bindings::privasys::enclave_os::https::{RatlsPolicy as Record, TeeType};
use collateral::AttestationServer;

/// A guest's policy, read.
#[derive(Debug)]
pub(super) struct RatlsPolicy {
    server: ServerPolicy,
    /// Where to ask for what quotes are verified with, in this order.
    attestation_servers: Vec<AttestationServer>,
    hash: [u8; HASH_LEN],
}

impl RatlsPolicy {
    /// Reads a guest's policy. `quote_roots` are certificates in DER under which quotes are accepted beside Intel's root.
    ///
    /// # Errors
    /// [`RatlsRefused::Policy`] where a part has the wrong length, the parts do not fit each other, or nothing would be verified.
    pub(super) fn parse(record: Record, quote_roots: &[Vec<u8>]) -> Result<Self, RatlsRefused> {
        let hash = hash(&record, quote_roots);
        let Record { tee, mr_enclave, mr_signer, mr_td, challenge_nonce, expected_oids, attestation_servers } =
            record;
        let tee = match (tee, mr_enclave, mr_signer, mr_td) {
            (TeeType::Sgx, enclave, signer, None) => ExpectedTee::sgx(
                exactly("mr-enclave has 32 bytes", enclave)?,
                exactly("mr-signer has 32 bytes", signer)?,
            )?,
            (TeeType::Tdx, None, None, machine) => {
                ExpectedTee::tdx(exactly("mr-td has 48 bytes", machine)?.ok_or(InvalidExpectation::Nothing)?)
            }
            (TeeType::Sgx, ..) => {
                return Err(RatlsRefused::Policy("mr-td is of tdx, and the policy is for sgx"));
            }
            (TeeType::Tdx, ..) => {
                return Err(RatlsRefused::Policy(
                    "mr-enclave and mr-signer are of sgx, and the policy is for tdx",
                ));
            }
        };
        if expected_oids.len() > MAX_EXTENSIONS {
            return Err(RatlsRefused::Policy("a policy has 32 expected oids at most"));
        }
        if expected_oids.iter().any(|expected| expected.value.len() > MAX_EXTENSION_BYTES) {
            return Err(RatlsRefused::Policy("an expected oid has 65536 bytes of value at most"));
        }
        if attestation_servers.len() > MAX_SERVERS {
            return Err(RatlsRefused::Policy("a policy has 8 attestation servers at most"));
        }
        let extensions =
            expected_oids.into_iter().map(|expected| ExpectedExtension::new(&expected.oid, expected.value));
        let server = ServerPolicy {
            tee,
            extensions: extensions.collect::<Result<_, _>>()?,
            challenge: exactly("challenge-nonce has 32 bytes", challenge_nonce)?,
            roots: quote_roots.iter().map(|root| sha256(root)).collect(),
        };
        let attestation_servers = attestation_servers.iter().map(|url| AttestationServer::parse(url));
        Ok(Self { server, attestation_servers: attestation_servers.collect::<Result<_, _>>()?, hash })
    }

    /// SHA-256 of all of the policy: sessions that were verified for one may be used for another where this is equal.
    pub(super) fn hash(&self) -> [u8; HASH_LEN] {
        self.hash
    }

    /// Verifies the server of a session over which nothing was sent yet. `host` is the name in the URL, in lower case and without a
    /// port.
    ///
    /// # Errors
    /// [`RatlsRefused`] where the server is not what the policy has, or that cannot be found out.
    pub(super) async fn verify(
        &self,
        host: &str,
        session: &mut dyn Session,
        servers: &dyn Servers,
    ) -> Result<VerifiedServer, RatlsRefused> {
        self.verify_at(SystemTime::now(), host, session, servers).await
    }

    async fn verify_at(
        &self,
        now: SystemTime,
        host: &str,
        session: &mut dyn Session,
        servers: &dyn Servers,
    ) -> Result<VerifiedServer, RatlsRefused> {
        let certificate = session.certificates().first().ok_or(ServerRefused::NoEvidence)?;
        let certificate = ServerCertificate::read(certificate)?;
        match certificate.attests() {
            Attests::Session => {
                let binding = self.bind(session)?;
                let received = request_evidence(session, &binding).await?;
                let offered = received.collateral.as_ref();
                let fetched = self.fetch_collateral(&received.quote, servers).await?;
                let evidence = ServerEvidence {
                    certificate: &certificate,
                    server_name: host,
                    session: Some(SessionEvidence { presented: received.presented(), binding: &binding }),
                };
                Ok(verify_server(&evidence, &self.server, fetched.as_ref().or(offered), now)?)
            }
            Attests::Key if self.server.challenge.is_some() => Err(ServerRefused::Unchallenged.into()),
            Attests::Key => {
                let quote = certificate.quote().ok_or(ServerRefused::NoEvidence)?;
                let fetched = self.fetch_collateral(quote, servers).await?;
                let evidence = ServerEvidence { certificate: &certificate, server_name: host, session: None };
                Ok(verify_server(&evidence, &self.server, fetched.as_ref(), now)?)
            }
        }
    }

    /// The nonce of the policy, or a new one, and this end's exporter for it.
    fn bind(&self, session: &dyn Session) -> Result<SessionBinding, RatlsRefused> {
        let nonce = match self.server.challenge {
            Some(nonce) => nonce,
            None => {
                let mut nonce = [0; 32];
                cloister_tee::random(&mut nonce).map_err(|_| RatlsRefused::Randomness)?;
                nonce
            }
        };
        let exporter = session.export(EXPORTER_LABEL, &nonce).map_err(|_| RatlsRefused::Session)?;
        Ok(SessionBinding { exporter, nonce })
    }

    /// None where the policy names no server.
    async fn fetch_collateral(
        &self,
        quote: &[u8],
        servers: &dyn Servers,
    ) -> Result<Option<Collateral>, RatlsRefused> {
        if self.attestation_servers.is_empty() {
            return Ok(None);
        }
        let origin = QuoteOrigin::read(quote)?;
        let mut refused = RatlsRefused::Session;
        for server in &self.attestation_servers {
            match server.collateral(&origin, servers).await {
                Ok(collateral) => return Ok(Some(collateral)),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

/// Why a server is not sent the request. The text is for the guest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RatlsRefused {
    /// The policy cannot be used.
    #[error("the ratls policy cannot be used: {0}")]
    Policy(&'static str),
    /// The policy would verify nothing, or names an extension by no identifier.
    #[error("the ratls policy cannot be used: {0}")]
    Expectation(#[from] InvalidExpectation),
    /// The server is not what the policy has.
    #[error("{0}")]
    Server(#[from] ServerRefused),
    /// The server's evidence cannot be read.
    #[error("{0}")]
    Evidence(#[from] UnreadableEvidence),
    /// The server did not answer the request for evidence.
    #[error("the server gave no evidence for this session")]
    Session,
    /// An attestation server gave nothing that could be used.
    #[error("the attestation server {server} gave no {part} for the server's quote")]
    AttestationServer {
        /// Its URL, as the policy has it.
        server: String,
        /// What was asked for.
        part: &'static str,
    },
    /// The CPU gave no random number for a nonce.
    #[error("the CPU gave no random number")]
    Randomness,
}

/// Asks for evidence over the very session that it is to be of.
async fn request_evidence(
    session: &mut dyn Session,
    binding: &SessionBinding,
) -> Result<ReceivedEvidence, RatlsRefused> {
    let request = EvidenceRequest { nonce: hex::encode(binding.nonce) };
    let body = serde_json::to_vec(&request).map_err(|_| RatlsRefused::Session)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(EVIDENCE)
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .map_err(|_| RatlsRefused::Session)?;
    let response = session.send(request).await.map_err(|_| RatlsRefused::Session)?;
    if response.status() != StatusCode::OK {
        return Err(RatlsRefused::Session);
    }
    Ok(ReceivedEvidence::read(response.body())?)
}

fn exactly<const N: usize>(
    rule: &'static str,
    bytes: Option<Vec<u8>>,
) -> Result<Option<[u8; N]>, RatlsRefused> {
    bytes.map(|bytes| bytes.try_into().map_err(|_| RatlsRefused::Policy(rule))).transpose()
}

/// Over every part with its length before it, so that no two policies give the same bytes.
fn hash(record: &Record, quote_roots: &[Vec<u8>]) -> [u8; HASH_LEN] {
    let mut all = Vec::new();
    let mut add = |part: Option<&[u8]>| match part {
        None => all.push(0),
        Some(bytes) => {
            all.push(1);
            all.extend((bytes.len() as u64).to_be_bytes());
            all.extend(bytes);
        }
    };
    let Record { tee, mr_enclave, mr_signer, mr_td, challenge_nonce, expected_oids, attestation_servers } =
        record;
    add(Some(match tee {
        TeeType::Sgx => b"sgx",
        TeeType::Tdx => b"tdx",
    }));
    [mr_enclave, mr_signer, mr_td, challenge_nonce].into_iter().for_each(|part| add(part.as_deref()));
    for expected in expected_oids {
        add(Some(expected.oid.as_bytes()));
        add(Some(&expected.value));
    }
    add(None);
    attestation_servers.iter().for_each(|server| add(Some(server.as_bytes())));
    add(None);
    quote_roots.iter().for_each(|root| add(Some(root)));
    sha256(&all)
}

/// Where enclaves of ours serve evidence on every host name: `docs/design/protocol.md`.
const EVIDENCE: &str = "/.well-known/cloister/v1/evidence";
/// Extensions that a policy may expect.
const MAX_EXTENSIONS: usize = 32;
/// Of the value of one: a certificate of TLS is no longer (rustls).
const MAX_EXTENSION_BYTES: usize = 64 << 10;
/// Attestation servers that a policy may name.
const MAX_SERVERS: usize = 8;

#[cfg(test)]
mod tests;
