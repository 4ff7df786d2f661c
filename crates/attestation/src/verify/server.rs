//! Appraisal of a server for someone who names no more than its measurement: an app that fetches.
//!
//! Two kinds of servers attest. Enclaves of ours make evidence for the very session ([`Attests::Session`]). Other RA-TLS
//! servers have nothing but a quote over the key of their certificate ([`Attests::Key`]), which is as good as that key is
//! kept.
//!
//! Extensions of the certificate are what the holder of its key says: the handshake signs the certificate with the key that the
//! quote vouches for, so nobody on the way can change them. Those of ours that have their hashes in the claims are compared with the
//! claims too: the quote vouches for them, and not the key alone.

use super::crypto::Graviola;
use super::extract::{ForeignRoot, any_quote, root, signatures};
use super::{
    Check, Collateral, Measurement, Observed, Outcome, Platform, Policy, Presented, Refused, TcbStatus,
    TrustAnchor, verify,
};
use crate::certificate::{DICE_EVIDENCE, SGX_QUOTE};
use crate::{Claims, ClaimsError, Evidence, HASH_LEN, SessionBinding, key_fingerprint, sha256};
use dcap_qvl::config::PckCa;
use dcap_qvl::intel;
use dcap_qvl::quote::{Quote, Report};
use rustls_pki_types::CertificateDer;
use std::fmt;
use std::time::SystemTime;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;

/// Appraises a server at a time, against what its quote is to be verified with.
///
/// # Errors
/// [`ServerRefused`], for the first thing that is not as the policy has it.
pub fn verify_server(
    evidence: &ServerEvidence<'_>,
    policy: &ServerPolicy,
    collateral: Option<&Collateral>,
    now: SystemTime,
) -> Result<VerifiedServer, ServerRefused> {
    let ServerEvidence { certificate, server_name, session } = *evidence;
    let encoded = match session {
        Some(session) => session.presented.quote,
        None => certificate.quote.as_deref().ok_or(ServerRefused::NoEvidence)?,
    };
    let quote = any_quote(encoded).map_err(|_| ServerRefused::Quote)?;
    let quoted = Quoted::of(&quote.report);
    policy.tee.check(&quoted)?;
    let collateral = collateral.ok_or(ServerRefused::NoCollateral)?;
    let anchor = policy.anchor(&quote, collateral)?;
    match (session, policy.challenge) {
        (None, Some(_)) => return Err(ServerRefused::Unchallenged),
        (Some(session), Some(nonce)) if session.binding.nonce != nonce => {
            return Err(ServerRefused::Unchallenged);
        }
        (Some(session), _) => {
            let observed = Observed { binding: session.binding, certificate: &certificate.der, server_name };
            // The measurement was compared above.
            let mut expected = Policy::new(anchor, Measurement::Any);
            expected.tcb = ACCEPTED.to_vec();
            verify(&session.presented, &observed, Some(collateral), &expected, now)
                .map_err(ServerRefused::of_session)?;
            let said = certificate.claims == Some(sha256(session.presented.claims));
            if !policy.extensions.is_empty() && !said {
                return Err(ServerRefused::Changed);
            }
        }
        (None, None) => {
            let root = root(&quote, Some(collateral), &anchor).map_err(|_| ServerRefused::Quote)?;
            let status =
                signatures(encoded, &root, Some(collateral), now).map_err(ServerRefused::signatures)?.status;
            if !ACCEPTED.contains(&status) {
                let reason = format!("the platform is {status}");
                return Err(ServerRefused::Appraisal { check: Check::TcbStatus, reason });
            }
            if quoted.report_data[..HASH_LEN] != certificate.key || quoted.report_data[HASH_LEN..] != [0; 32]
            {
                return Err(ServerRefused::OtherKey);
            }
        }
    }
    policy.extensions.iter().try_for_each(|expected| certificate.check(expected))?;
    let platform = match anchor {
        TrustAnchor::Intel => Platform::Hardware,
        TrustAnchor::Simulated { root_fingerprint } => Platform::Simulated { root: root_fingerprint },
    };
    let attests = session.map_or(Attests::Key, |_| Attests::Session);
    Ok(VerifiedServer { tee: quoted.tee(), platform, attests })
}

/// What a server showed of itself in one TLS session.
#[derive(Clone, Copy, Debug)]
pub struct ServerEvidence<'a> {
    /// The end-entity certificate whose key authenticated the handshake.
    pub certificate: &'a ServerCertificate,
    /// The host name that was asked for.
    pub server_name: &'a str,
    /// What it made for this session; without it, the quote in the certificate counts.
    pub session: Option<SessionEvidence<'a>>,
}

/// Evidence for one TLS session.
#[derive(Clone, Copy, Debug)]
pub struct SessionEvidence<'a> {
    pub presented: Presented<'a>,
    /// This end's exporter, and the nonce that it sent.
    pub binding: &'a SessionBinding,
}

/// What a server has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPolicy {
    pub tee: ExpectedTee,
    /// Each of these the certificate has to have once, with exactly these bytes.
    pub extensions: Vec<ExpectedExtension>,
    /// The nonce that the evidence for the session has to cover; `None`: any that this end chose.
    pub challenge: Option<[u8; 32]>,
    /// SHA-256 of roots, in DER, under which quotes are accepted beside Intel's.
    pub roots: Vec<[u8; HASH_LEN]>,
}

impl ServerPolicy {
    /// The root that the quote's chain ends in, where it is one of those that are accepted.
    fn anchor(&self, quote: &Quote, collateral: &Collateral) -> Result<TrustAnchor, ServerRefused> {
        match root(quote, Some(collateral), &TrustAnchor::Intel) {
            Ok(_) => Ok(TrustAnchor::Intel),
            Err(ForeignRoot::Other { fingerprint, .. }) if self.roots.contains(&fingerprint) => {
                Ok(TrustAnchor::Simulated { root_fingerprint: fingerprint })
            }
            Err(ForeignRoot::Other { fingerprint, .. }) => {
                Err(ServerRefused::Root { fingerprint: hex::encode(fingerprint) })
            }
            Err(ForeignRoot::None) => Err(ServerRefused::Quote),
        }
    }
}

/// Which enclave or virtual machine is expected. It always names at least one measurement: with none, nothing would be
/// verified but that there is some hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedTee(Expected);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Sgx { enclave: Option<[u8; 32]>, signer: Option<[u8; 32]> },
    Tdx { machine: [u8; 48] },
}

impl ExpectedTee {
    /// An SGX enclave with this MRENCLAVE, this MRSIGNER, or both. A signer alone accepts every enclave that it ever signed.
    ///
    /// # Errors
    /// [`InvalidExpectation::Nothing`] where both are left out.
    pub fn sgx(enclave: Option<[u8; 32]>, signer: Option<[u8; 32]>) -> Result<Self, InvalidExpectation> {
        match (enclave, signer) {
            (None, None) => Err(InvalidExpectation::Nothing),
            _ => Ok(Self(Expected::Sgx { enclave, signer })),
        }
    }

    /// A TDX virtual machine with this MRTD.
    pub fn tdx(machine: [u8; 48]) -> Self {
        Self(Expected::Tdx { machine })
    }

    /// Which kind it is.
    pub fn tee(&self) -> Tee {
        match self.0 {
            Expected::Sgx { .. } => Tee::Sgx,
            Expected::Tdx { .. } => Tee::Tdx,
        }
    }

    fn check(&self, quoted: &Quoted<'_>) -> Result<(), ServerRefused> {
        let (expected, found) = (self.tee(), quoted.tee());
        if expected != found {
            return Err(ServerRefused::Tee { expected, found });
        }
        if quoted.debug {
            return Err(ServerRefused::Debug);
        }
        let same = |register, expected: Option<&[u8]>, found: &[u8]| match expected {
            Some(expected) if expected != found => {
                let (expected, found) = (hex::encode(expected), hex::encode(found));
                Err(ServerRefused::Measurement { register, expected, found })
            }
            _ => Ok(()),
        };
        match (&self.0, quoted.registers) {
            (Expected::Sgx { enclave, signer }, Registers::Sgx { mrenclave, mrsigner }) => {
                same("MRENCLAVE", enclave.as_ref().map(|bytes| &bytes[..]), mrenclave)?;
                same("MRSIGNER", signer.as_ref().map(|bytes| &bytes[..]), mrsigner)
            }
            (Expected::Tdx { machine }, Registers::Tdx { mrtd }) => same("MRTD", Some(machine), mrtd),
            _ => Err(ServerRefused::Tee { expected, found }),
        }
    }
}

/// A kind of trusted execution environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    Sgx,
    Tdx,
}

impl fmt::Display for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sgx => "an SGX enclave",
            Self::Tdx => "a TDX virtual machine",
        })
    }
}

/// An extension that a certificate has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedExtension {
    identifier: ObjectIdentifier,
    value: Vec<u8>,
}

impl ExpectedExtension {
    /// The extension with this object identifier, in dotted decimals, and exactly these bytes as its value: the contents of
    /// extnValue (RFC 5280, section 4.2).
    ///
    /// # Errors
    /// [`InvalidExpectation::Identifier`] where it is no object identifier, or one of more than 39 bytes in DER.
    pub fn new(identifier: &str, value: Vec<u8>) -> Result<Self, InvalidExpectation> {
        let identifier = ObjectIdentifier::new(identifier).map_err(|_| InvalidExpectation::Identifier)?;
        Ok(Self { identifier, value })
    }
}

/// A policy that would not say what it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpectation {
    /// No measurement is given.
    #[error("the policy names no measurement, so nothing of the server would be verified")]
    Nothing,
    /// Not an object identifier in dotted decimals.
    #[error("the policy names an extension by what is no object identifier in dotted decimals")]
    Identifier,
}

/// A server's certificate, read.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    der: CertificateDer<'static>,
    parsed: x509_cert::Certificate,
    /// SHA-256 of its SubjectPublicKeyInfo.
    key: [u8; HASH_LEN],
    attests: Attests,
    /// SHA-256 of the claims in its evidence, where they are ours.
    claims: Option<[u8; HASH_LEN]>,
    /// The quote in the extension that the first RA-TLS tools know.
    quote: Option<Vec<u8>>,
}

impl ServerCertificate {
    /// Reads an end-entity certificate.
    ///
    /// # Errors
    /// [`ServerRefused::Certificate`] where it is none, [`ServerRefused::NoEvidence`] where it has no evidence of a kind that is
    /// known here.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, ServerRefused> {
        let der = certificate.clone().into_owned();
        let key = key_fingerprint(&der).map_err(|_| ServerRefused::Certificate)?;
        let parsed = x509_cert::Certificate::from_der(&der).map_err(|_| ServerRefused::Certificate)?;
        let claims = extension(&parsed, &identifier(DICE_EVIDENCE)?)?
            .and_then(|value| Evidence::decode(value).ok())
            .filter(|evidence| are_ours(&evidence.claims))
            .map(|evidence| sha256(&evidence.claims));
        let quote = extension(&parsed, &identifier(SGX_QUOTE)?)?.map(<[u8]>::to_vec);
        let attests = match (claims, &quote) {
            (Some(_), _) => Attests::Session,
            (None, Some(_)) => Attests::Key,
            (None, None) => return Err(ServerRefused::NoEvidence),
        };
        Ok(Self { der, parsed, key, attests, claims, quote })
    }

    /// How this server attests.
    pub fn attests(&self) -> Attests {
        self.attests
    }

    /// The quote that it carries.
    pub fn quote(&self) -> Option<&[u8]> {
        self.quote.as_deref()
    }

    fn check(&self, expected: &ExpectedExtension) -> Result<(), ServerRefused> {
        match extension(&self.parsed, &expected.identifier)? {
            Some(value) if value == expected.value => Ok(()),
            Some(_) => Err(ServerRefused::OtherExtension(expected.identifier.to_string())),
            None => Err(ServerRefused::NoExtension(expected.identifier.to_string())),
        }
    }
}

/// How a server attests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attests {
    /// It is an enclave of ours: it makes evidence for the session, over a nonce.
    Session,
    /// Its certificate has a quote over the certificate's key, and that is all.
    Key,
}

/// A server that is what the policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedServer {
    pub tee: Tee,
    pub platform: Platform,
    /// What the evidence was about.
    pub attests: Attests,
}

/// What of a quote says which collateral it is to be verified with. Nothing of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoteOrigin {
    pub tee: Tee,
    /// Family, model, stepping, platform type and custom SKU of the processor (Intel's PCK certificate profile).
    pub fmspc: [u8; 6],
    pub authority: PckAuthority,
}

impl QuoteOrigin {
    /// Reads the platform's certificate in a quote.
    ///
    /// # Errors
    /// [`ServerRefused::Quote`] where it is no quote, or has no such certificate.
    pub fn read(quote: &[u8]) -> Result<Self, ServerRefused> {
        let quote = any_quote(quote).map_err(|_| ServerRefused::Quote)?;
        let chain = intel::extract_cert_chain(&quote).map_err(|_| ServerRefused::Quote)?;
        let platform = chain.first().ok_or(ServerRefused::Quote)?;
        let extension =
            intel::parse_pck_extension_with::<Graviola>(platform).map_err(|_| ServerRefused::Quote)?;
        let authority = match intel::pck_ca_with::<Graviola>(platform).map_err(|_| ServerRefused::Quote)? {
            PckCa::Processor => PckAuthority::Processor,
            PckCa::Platform => PckAuthority::Platform,
        };
        Ok(Self { tee: Quoted::of(&quote.report).tee(), fmspc: extension.fmspc, authority })
    }
}

/// Which authority of Intel's certified a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PckAuthority {
    Processor,
    Platform,
}

impl fmt::Display for PckAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processor => "processor",
            Self::Platform => "platform",
        })
    }
}

/// Why a server is not what the policy has. Each is one plain sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerRefused {
    /// It cannot be read, or carries an extension twice.
    #[error("the server's certificate cannot be read")]
    Certificate,
    /// No evidence of a kind that is known here.
    #[error("the server shows no quote that this policy could verify")]
    NoEvidence,
    /// It is no DCAP quote, or has no certificate chain.
    #[error("the server's quote cannot be read")]
    Quote,
    /// Another kind than the expected one.
    #[error("the server is in {found}, and the policy expects {expected}")]
    Tee { expected: Tee, found: Tee },
    /// Debug mode.
    #[error("the server can be debugged, so its host can read and change all of it")]
    Debug,
    /// Another measurement than the expected one.
    #[error("the server's {register} is {found}, and {expected} is expected")]
    Measurement { register: &'static str, expected: String, found: String },
    /// Nothing to verify the quote with.
    #[error("the server offers nothing to verify its quote with: name an attestation server in the policy")]
    NoCollateral,
    /// Neither Intel's root nor one that the app accepts.
    #[error(
        "the server's quote is rooted in the certificate {fingerprint}, which is neither Intel's nor one of the app's \
         roots of quotes"
    )]
    Root { fingerprint: String },
    /// The quote vouches for another key.
    #[error("the server's quote does not vouch for the key of its certificate")]
    OtherKey,
    /// Evidence of another session.
    #[error("the server's evidence is not for this session, so it may be another server's that is relayed")]
    Relayed,
    /// The nonce of the policy is not covered.
    #[error("the server's evidence covers no nonce for this session")]
    Unchallenged,
    /// The certificate is of other claims than the evidence, so its extensions are not what the quote vouches for.
    #[error(
        "the server's claims changed after the handshake, so its certificate is of others: try once more"
    )]
    Changed,
    /// An expected extension is missing.
    #[error("the server's certificate has no extension {0}")]
    NoExtension(String),
    /// An expected extension has other bytes.
    #[error("the server's certificate has another value of the extension {0} than the expected one")]
    OtherExtension(String),
    /// Another check of the appraisal failed.
    #[error("the server's evidence is refused for its {check}: {reason}")]
    Appraisal { check: Check, reason: String },
}

impl ServerRefused {
    /// For the first check that failed.
    fn of_session(refused: Refused) -> Self {
        let failed = refused.report.checks.into_iter().find_map(|result| match result.outcome {
            Outcome::Failed { reason } => Some((result.check, reason)),
            _ => None,
        });
        match failed {
            Some((Check::SessionBinding, _)) => Self::Relayed,
            Some((Check::TlsKey, _)) => Self::OtherKey,
            Some((Check::Debug, _)) => Self::Debug,
            Some((check, reason)) => Self::Appraisal { check, reason: shortened(reason) },
            None => Self::NoEvidence,
        }
    }

    fn signatures(reason: String) -> Self {
        Self::Appraisal { check: Check::Signatures, reason: shortened(reason) }
    }
}

/// What a quote says. Nothing of it is verified.
#[derive(Clone, Copy)]
struct Quoted<'a> {
    registers: Registers<'a>,
    debug: bool,
    report_data: &'a [u8; 64],
}

#[derive(Clone, Copy)]
enum Registers<'a> {
    Sgx { mrenclave: &'a [u8; 32], mrsigner: &'a [u8; 32] },
    Tdx { mrtd: &'a [u8; 48] },
}

impl<'a> Quoted<'a> {
    fn of(report: &'a Report) -> Self {
        let machine = match report {
            Report::SgxEnclave(enclave) => {
                return Self {
                    registers: Registers::Sgx {
                        mrenclave: &enclave.mr_enclave,
                        mrsigner: &enclave.mr_signer,
                    },
                    // Intel SDM, volume 3D, section 35.7.1: ATTRIBUTES.DEBUG is bit 1.
                    debug: enclave.attributes[0] & 0x02 != 0,
                    report_data: &enclave.report_data,
                };
            }
            Report::TD10(machine) => machine,
            Report::TD15(machine) => &machine.base,
            Report::TD15Ex(machine) => &machine.base.base,
        };
        Self {
            registers: Registers::Tdx { mrtd: &machine.mr_td },
            // Intel TDX module ABI specification, TD_ATTRIBUTES: with any bit of the first byte, TUD, the TD is untrusted.
            debug: machine.td_attributes[0] != 0,
            report_data: &machine.report_data,
        }
    }

    fn tee(&self) -> Tee {
        match self.registers {
            Registers::Sgx { .. } => Tee::Sgx,
            Registers::Tdx { .. } => Tee::Tdx,
        }
    }
}

/// Whether these are claims as our enclaves make them, also of a version that is not known here. The tagged evidence of others
/// has claims of other kinds.
fn are_ours(claims: &[u8]) -> bool {
    matches!(Claims::decode(claims), Ok(_) | Err(ClaimsError::Version(_)))
}

/// The contents of an extension that a certificate may have once.
fn extension<'a>(
    certificate: &'a x509_cert::Certificate,
    identifier: &ObjectIdentifier,
) -> Result<Option<&'a [u8]>, ServerRefused> {
    let extensions = certificate.tbs_certificate().extensions().into_iter().flatten();
    let mut found = extensions.filter(|extension| extension.extn_id == *identifier);
    match (found.next(), found.next()) {
        (extension, None) => Ok(extension.map(|extension| extension.extn_value.as_bytes())),
        // RFC 5280, section 4.2: a certificate has no extension twice.
        (_, Some(_)) => Err(ServerRefused::Certificate),
    }
}

fn identifier(arcs: &[u64]) -> Result<ObjectIdentifier, ServerRefused> {
    let dotted = Vec::from_iter(arcs.iter().map(ToString::to_string)).join(".");
    ObjectIdentifier::new(&dotted).map_err(|_| ServerRefused::Certificate)
}

fn shortened(reason: String) -> String {
    reason.chars().take(MAX_REASON).collect()
}

/// Platforms whose status is one of these are accepted: up to date, or up to date where the software does its part.
const ACCEPTED: [TcbStatus; 2] = [TcbStatus::UpToDate, TcbStatus::SWHardeningNeeded];
/// Characters of a reason that the libraries give.
const MAX_REASON: usize = 200;
